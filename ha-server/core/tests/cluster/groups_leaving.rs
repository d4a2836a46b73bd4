//! What becomes of a group's messages when a member goes.

use ha_core::cluster::{Command, Outcome};
use ha_types::Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use ha_types::session::{
    CloseCause, Lifetime, Offset, Open, PageEnd, Progress, Refused, SessionKey,
};

use crate::common::{Bench, at, durable, ephemeral, message, payload, records};
use crate::groups::{GROUP, members, offsets, publish, queues};

/// [MQTT-4.8.2-4], [MQTT-4.8.2-5]: of QoS 1 it goes on, in its place; of QoS 2 only what has not begun.
#[test]
fn what_a_durable_member_left_goes_to_those_who_are_connected() {
    for (qos, left, kept) in [(AtLeastOnce, vec!["1", "3"], 0), (ExactlyOnce, vec!["3"], 1)] {
        let a = Open { receive_maximum: 1, ..durable("a") };
        let (mut bench, [a, b]) = members(qos, [a, durable("b")]);
        publish(&mut bench, qos, 1..=3);
        bench.close(a, CloseCause::Failure);
        let begun = bench.state.begun_by(b).unwrap();
        let mut has: Vec<_> = begun.iter().map(|of| payload(&of.message)).collect();
        has.extend(bench.queued(b));
        let expected: Vec<&str> = std::iter::once("2").chain(left).collect();
        assert_eq!(has, expected, "{qos:?}");
        assert_eq!(records(&bench.open(durable("a"))).len(), kept);
    }
}

/// [MQTT-4.4.0-1]
#[test]
fn member_finds_what_it_left_under_its_packet_identifiers_if_nobody_was_there() {
    let (mut bench, [a]) = members(AtLeastOnce, [durable("a")]);
    publish(&mut bench, AtLeastOnce, 1..=2);
    let before = offsets(&bench, a);
    bench.close(a, CloseCause::Failure);
    bench.restart();
    let opened = bench.open(durable("a"));
    assert_eq!(records(&opened), ["1", "2"]);
    assert_eq!(offsets(&bench, opened.session), before);
}

#[test]
fn member_that_comes_later_takes_what_others_left() {
    for cause in [CloseCause::Failure, CloseCause::Handover] {
        let (mut bench, [a]) = members(AtLeastOnce, [durable("a")]);
        publish(&mut bench, AtLeastOnce, 1..=2);
        bench.close(a, cause);
        bench.restart();
        let b = bench.open(ephemeral("b")).session;
        bench.subscribe(b, at(GROUP, AtLeastOnce));
        assert_eq!(bench.queued(b), ["1", "2"]);
        let a = bench.open(durable("a"));
        assert!(records(&a).is_empty() && a.backlog == PageEnd::Live(last(&bench, a.session)));
    }
}

fn last(bench: &Bench, session: SessionKey) -> Offset {
    match bench.page(session).end {
        PageEnd::Live(offset) => offset,
        PageEnd::More(_) => panic!("a whole page"),
    }
}

#[test]
fn takeover_of_a_member_duplicates_nothing() {
    let (mut bench, [a, b]) = members(AtLeastOnce, [durable("a"), ephemeral("b")]);
    publish(&mut bench, AtLeastOnce, 1..=2);
    bench.close(a, CloseCause::Handover);
    let opened = bench.open(durable("a"));
    assert_eq!((records(&opened), bench.queued(b)), (vec!["1".into()], vec!["2".into()]));
}

#[test]
fn client_that_is_handed_over_and_stays_away_leaves_its_messages_to_the_sweep() {
    let (mut bench, [a, b]) = members(AtLeastOnce, [durable("a"), ephemeral("b")]);
    publish(&mut bench, AtLeastOnce, 1..=2);
    bench.close(a, CloseCause::Handover);
    assert_eq!(bench.queued(b), ["2"]);
    bench.one(Command::Sweep { at_most: 10 });
    assert_eq!(bench.queued(b), ["2", "1"], "behind what it has");
}

/// The engine of an ephemeral session has said of each exchange of QoS 2 that it began.
#[test]
fn ephemeral_member_leaves_all_that_was_not_sent() {
    let (mut bench, [a, b]) = members(ExactlyOnce, [ephemeral("a"), ephemeral("b")]);
    publish(&mut bench, ExactlyOnce, 1..=4);
    let begun = bench.state.begun_by(a).unwrap();
    assert_eq!(begun.len(), 2, "both have their records");
    let acknowledged = vec![begun[0].offset];
    let progress = Progress { acknowledged, ..Progress::default() };
    let (asked, session, cause) = (bench.asked(a), a, CloseCause::Failure);
    bench.batch(vec![Command::Close { asked, session, cause, progress, lifetime: None }]);
    let has: Vec<_> = bench.state.begun_by(b).unwrap();
    let has: Vec<_> = has.iter().map(|of| payload(&of.message)).collect();
    assert_eq!(has, ["2", "4", "3"]);
}

#[test]
fn what_an_ephemeral_member_of_a_lost_broker_has_begun_is_for_nobody_else() {
    let (mut bench, [a]) = members(ExactlyOnce, [ephemeral("a")]);
    publish(&mut bench, ExactlyOnce, 1..=2);
    publish(&mut bench, AtLeastOnce, 3..=3);
    let other = bench.join("b", 1);
    let b = bench.open_at(other, durable("b")).session;
    bench.subscribe(b, at(GROUP, ExactlyOnce));
    bench.one(Command::Leave { broker: bench.broker });
    bench.pass(0);
    assert_eq!(bench.state.begun_by(b).unwrap(), []);
    assert_eq!(bench.queued(b), ["3"]);
    assert_eq!(bench.state.owner_of(a), None);
}

#[test]
fn member_of_a_lost_broker_takes_no_turn_before_it_is_freed() {
    let (mut bench, [a]) = members(AtLeastOnce, [durable("a")]);
    let other = bench.join("b", 1);
    let b = bench.open_at(other, durable("b")).session;
    bench.subscribe(b, at(GROUP, AtLeastOnce));
    publish(&mut bench, AtLeastOnce, 1..=2);
    bench.one(Command::Leave { broker: other });
    publish(&mut bench, AtLeastOnce, 3..=4);
    assert_eq!(queues(&bench, [a, b]), [&["1", "3", "4"][..], &["2"]]);
    bench.restart();
    bench.pass(0);
    assert_eq!(bench.queued(a), ["1", "3", "4", "2"], "freed, it leaves what it had");
}

#[test]
fn member_that_unsubscribes_keeps_what_it_was_given_until_it_goes() {
    let (mut bench, [a, b]) = members(AtLeastOnce, [durable("a"), durable("b")]);
    publish(&mut bench, AtLeastOnce, 1..=2);
    assert_eq!(bench.unsubscribe(a, GROUP), Outcome::Unsubscribed(vec![true]));
    publish(&mut bench, AtLeastOnce, 3..=3);
    assert_eq!(queues(&bench, [a, b]), [&["1"][..], &["2", "3"]]);
    bench.close(a, CloseCause::Failure);
    assert_eq!(bench.queued(b), ["2", "3", "1"]);
}

#[test]
fn session_that_ends_leaves_its_messages_to_members_who_are_away_as_well() {
    let a = Open { lifetime: Lifetime::Seconds(1), ..durable("a") };
    let (mut bench, [a, b]) = members(AtLeastOnce, [a, durable("b")]);
    bench.close(b, CloseCause::Failure);
    publish(&mut bench, AtLeastOnce, 1..=2);
    bench.close(a, CloseCause::Failure);
    bench.pass(1_000);
    let b = bench.open(durable("b")).session;
    assert_eq!(bench.queued(b), ["1", "2"]);
}

#[test]
fn last_member_takes_the_group_with_it() {
    let (mut bench, [a]) = members(AtLeastOnce, [durable("a")]);
    bench.close(a, CloseCause::Failure);
    publish(&mut bench, AtLeastOnce, 1..=3);
    let a = bench.open(durable("a")).session;
    assert_eq!(bench.queued(a).len(), 3);
    bench.unsubscribe(a, GROUP);
    assert!(!bench.state.is_durable(&message("t", "x", AtLeastOnce).topic));
    bench.open(ephemeral("a"));
    let counts = bench.state.counts();
    assert_eq!((counts.messages, counts.subscriptions), (0, 0));
}

#[test]
fn when_only_members_of_qos_0_are_left_nothing_waits() {
    let (mut bench, [a]) = members(AtLeastOnce, [durable("a")]);
    bench.close(a, CloseCause::Failure);
    publish(&mut bench, AtLeastOnce, 1..=300);
    let open = Open { receive_maximum: 1, ..durable("a") };
    let a = bench.open(open).session;
    assert_eq!(bench.state.counts().messages, 300 - 32);
    bench.subscribe(a, at(GROUP, AtMostOnce));
    assert_eq!(bench.state.counts().messages, 0);
    assert_eq!(bench.queued(a).len(), 32, "what it was given goes on");
}

/// [MQTT-4.8.2-6]
#[test]
fn message_that_a_member_refuses_is_for_nobody_else() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        let (mut bench, [a, b]) = members(qos, [durable("a"), durable("b")]);
        publish(&mut bench, qos, 1..=1);
        let refused = match bench.page(a).messages.first() {
            Some(queued) => Refused::Offset(queued.offset),
            None => Refused::Record(bench.state.begun_by(a).unwrap()[0].record.unwrap()),
        };
        bench.progress(a, Progress { refused: vec![refused], ..Progress::default() });
        bench.close(a, CloseCause::Failure);
        assert_eq!(bench.state.unacknowledged(b.id) + bench.state.unacknowledged(a.id), 0);
    }
}

#[test]
fn exchange_of_qos_2_goes_on_with_its_session_to_its_end() {
    let (mut bench, [a, b]) = members(ExactlyOnce, [durable("a"), durable("b")]);
    publish(&mut bench, ExactlyOnce, 1..=2);
    let id = bench.state.begun_by(a).unwrap()[0].record.unwrap();
    bench.progress(a, Progress { received: vec![id], ..Progress::default() });
    bench.close(a, CloseCause::Failure);
    bench.restart();
    let opened = bench.open(durable("a"));
    assert_eq!(records(&opened), [format!("pubrel {id}")]);
    bench.progress(opened.session, Progress { completed: vec![id], ..Progress::default() });
    assert_eq!(bench.state.unacknowledged(a.id), 0);
    assert_eq!(bench.state.unacknowledged(b.id), 1);
}
