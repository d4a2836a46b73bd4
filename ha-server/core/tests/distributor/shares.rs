//! Share groups over brokers: who is told, what a new leader finds, what happens to QoS 0.

use ha_core::{Input, StreamId};
use ha_types::Qos::{self, AtLeastOnce, AtMostOnce};
use ha_types::link::Upstream;
use ha_types::session::{Ask, Lifetime, Offset, Open, Progress, SessionKey, Tell};

use crate::common::{
    Cluster, LEASE_MS, Log, ask, config, durable, given, hello, large, message, numbered, opened,
    publish, resume, subscribe, with_qos,
};

const GROUP: &str = "$share/g/t";

struct Member {
    stream: StreamId,
    session: SessionKey,
}

/// A publisher's broker, and one broker for each of these members.
fn members<const N: usize>(qos: Qos, opens: [Open; N]) -> (Cluster, StreamId, [Member; N]) {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    let members = opens.map(|open| {
        let stream = cluster.attach(&open.client_id);
        cluster.say(stream, [ask(1, Ask::Open(open))]);
        let session = opened(&cluster.tells(stream)).session;
        cluster.say(stream, [ask(2, subscribe(session, GROUP, qos))]);
        cluster.read(stream);
        Member { stream, session }
    });
    (cluster, publisher, members)
}

fn ephemeral(client_id: &str) -> Open {
    Open { lifetime: Lifetime::Connection, ..durable(client_id, 1) }
}

/// What each was given since.
fn given_to<const N: usize>(cluster: &mut Cluster, members: [&Member; N]) -> [Vec<String>; N] {
    members.map(|member| {
        let given = given(&cluster.tells(member.stream));
        given.into_iter().map(|(_, payload)| payload).collect()
    })
}

fn acknowledge(session: SessionKey, offsets: Vec<Offset>) -> Ask {
    Ask::Progress { session, progress: Progress { acknowledged: offsets, ..Progress::default() } }
}

#[test]
fn members_on_different_brokers_take_turns() {
    let (mut cluster, publisher, [a, b]) = members(AtLeastOnce, [durable("a", 1), ephemeral("b")]);
    for number in 1..=4 {
        cluster.say(publisher, [numbered(number, message("t", &number.to_string()))]);
    }
    assert_eq!(given_to(&mut cluster, [&a, &b]), [["1", "3"], ["2", "4"]]);
    assert_eq!(cluster.results(publisher), [1, 2, 3, 4]);
}

/// One batch: numbers of the group lie between those of the messages that are stored for all.
#[test]
fn messages_of_a_group_keep_their_order_with_others_of_the_same_session() {
    let (mut cluster, publisher, [a]) = members(AtLeastOnce, [durable("a", 1)]);
    cluster.say(a.stream, [ask(3, subscribe(a.session, "u", AtLeastOnce))]);
    cluster.read(a.stream);
    let topics = ["u", "t", "u", "t"];
    let items = (1..).zip(topics).map(|(number, topic)| numbered(number, message(topic, topic)));
    cluster.say(publisher, items);
    assert_eq!(given_to(&mut cluster, [&a]), [topics]);
}

#[test]
fn acknowledgement_makes_room_for_what_waits_in_the_group() {
    let (mut cluster, publisher, [a]) = members(AtLeastOnce, [durable("a", 1)]);
    for number in 1..=34 {
        cluster.say(publisher, [numbered(number, message("t", &number.to_string()))]);
    }
    let first = given(&cluster.tells(a.stream));
    assert_eq!(first.len(), 32);
    cluster.say(a.stream, [ask(3, acknowledge(a.session, vec![first[0].0]))]);
    assert_eq!(given_to(&mut cluster, [&a]), [["33"]]);
}

#[test]
fn what_a_lost_broker_had_goes_to_another_after_its_lease_and_not_before() {
    let (mut cluster, publisher, [a, b]) = members(AtLeastOnce, [durable("a", 1), ephemeral("b")]);
    cluster
        .say(publisher, [1, 2].map(|number| numbered(number, message("t", &number.to_string()))));
    assert_eq!(given_to(&mut cluster, [&a, &b]), [["1"], ["2"]]);
    cluster.step(Input::Broken(a.stream));
    cluster.wait(LEASE_MS - 1, &[publisher, b.stream]);
    assert_eq!(given_to(&mut cluster, [&b]), [[""; 0]]);
    cluster.wait(1, &[publisher, b.stream]);
    assert_eq!(given_to(&mut cluster, [&b]), [["1"]]);
}

/// It finds in the state who has what: nothing is given twice, and nothing forgotten.
#[test]
fn new_leader_goes_on_with_what_was_given() {
    let (mut cluster, publisher, [a, b]) = members(AtLeastOnce, [durable("a", 1), ephemeral("b")]);
    cluster.log = Log::Manual;
    cluster
        .say(publisher, [1, 2].map(|number| numbered(number, message("t", &number.to_string()))));
    while cluster.commit() {}
    cluster.change_leader();
    cluster.log = Log::Prompt;
    let publisher = cluster.hello(hello("p", 1));
    let back = |cluster: &mut Cluster, name, member: &Member| {
        let stream = cluster.hello(hello(name, 1));
        cluster.say(stream, [resume(member.session, 1, None), Upstream::Resumed]);
        Member { stream, session: member.session }
    };
    let members = [back(&mut cluster, "a", &a), back(&mut cluster, "b", &b)];
    cluster.say(publisher, [Upstream::Resumed]);
    cluster
        .say(publisher, [1, 2].map(|number| numbered(number, message("t", &number.to_string()))));
    assert_eq!(given_to(&mut cluster, [&members[0], &members[1]]), [["1"], ["2"]]);
    assert_eq!(cluster.results(publisher), [1, 2]);
}

#[test]
fn message_of_qos_0_goes_to_one_member_in_its_turn_and_is_in_no_queue() {
    let (mut cluster, publisher, [a, b]) = members(AtLeastOnce, [durable("a", 1), ephemeral("b")]);
    for payload in ["1", "2", "3"] {
        cluster.say(publisher, [publish(with_qos(AtMostOnce, message("t", payload)))]);
    }
    let tells = cluster.tells(a.stream);
    let Tell::Deliver { queued, .. } = &tells[0] else { panic!("{tells:?}") };
    assert_eq!((queued.offset, queued.qos), (Offset::NONE, AtMostOnce));
    assert_eq!((tells.len(), given_to(&mut cluster, [&b])), (2, [vec!["2".into()]]));
}

#[test]
fn group_of_members_of_qos_0_needs_no_log() {
    let (mut cluster, publisher, [a]) = members(AtMostOnce, [durable("a", 1)]);
    cluster.log = Log::Manual;
    cluster.say(publisher, [numbered(1, message("t", "1"))]);
    assert_eq!(given_to(&mut cluster, [&a]), [["1"]]);
    assert!(cluster.proposed.is_empty());
}

#[test]
fn member_that_was_granted_qos_0_has_its_turn_beside_others() {
    let (mut cluster, publisher, [a, b]) = members(AtLeastOnce, [durable("a", 1), ephemeral("b")]);
    cluster.say(b.stream, [ask(3, subscribe(b.session, GROUP, AtMostOnce))]);
    cluster.read(b.stream);
    for number in 1..=4 {
        cluster.say(publisher, [numbered(number, message("t", &number.to_string()))]);
    }
    let tells = cluster.tells(b.stream);
    let is_live =
        |tell: &Tell| matches!(tell, Tell::Deliver { queued, .. } if queued.offset == Offset::NONE);
    assert!(tells.len() == 2 && tells.iter().all(is_live), "{tells:?}");
    assert_eq!(given_to(&mut cluster, [&a]), [["1", "3"]]);
}

#[test]
fn message_of_qos_0_passes_over_a_broker_that_is_behind_or_away() {
    let (mut cluster, publisher, [a, b]) = members(AtMostOnce, [durable("a", 1), ephemeral("b")]);
    let large = large(&config());
    cluster.say(publisher, [publish(with_qos(AtMostOnce, message("t", &large)))]);
    cluster.say(publisher, [publish(with_qos(AtMostOnce, message("t", "to b")))]);
    for payload in ["1", "2"] {
        cluster.say(publisher, [publish(with_qos(AtMostOnce, message("t", payload)))]);
    }
    assert_eq!(
        given_to(&mut cluster, [&a, &b]),
        [vec![large], ["to b", "1", "2"].map(String::from).to_vec()]
    );
    cluster.step(Input::Broken(b.stream));
    cluster.write_all(a.stream);
    cluster.say(publisher, [publish(with_qos(AtMostOnce, message("t", "3")))]);
    assert_eq!(given_to(&mut cluster, [&a]), [["3"]]);
}
