//! Wills for live subscribers: once for each, whoever dies.

use ha_core::cluster::FeatureLevel;
use ha_core::{Input, StreamId};
use ha_types::link::{Downstream, Origin, Upstream};
use ha_types::session::{Ask, NewWill, Open};
use ha_types::{Message, PublishNumber, Qos};

use crate::common::{
    Cluster, LEASE_MS, Log, announce, ask, config, durable, hello, message, opened, with_qos,
};

/// A group whose members all know what wills are owed.
fn cluster() -> Cluster {
    let mut cluster = Cluster::new(config());
    cluster.raise(FeatureLevel::NEWEST);
    cluster
}

fn with_will(client_id: &str, message: Message) -> Open {
    let will = NewWill { message: message.into(), expires_in_s: None, delay_s: 0 };
    Open { will: Some(will), ..durable(client_id, 1) }
}

/// A client with this will, on a broker of its own.
fn mortal(cluster: &mut Cluster, message: Message) -> StreamId {
    let broker = cluster.attach("b");
    cluster.say(broker, [ask(1, Ask::Open(with_will("c", message)))]);
    broker
}

/// Its broker leaves: the log has that, and the end of its sessions, which `told` says whether the leader
/// learns.
fn leave(cluster: &mut Cluster, broker: StreamId, is_told: bool) {
    cluster.log = Log::Manual;
    cluster.say(broker, [Upstream::Leave]);
    assert!(cluster.commit() && cluster.tell_applied(), "the end of its life");
    assert!(cluster.commit(), "wills are published");
    if is_told {
        cluster.settle();
    }
    cluster.log = Log::Prompt;
}

/// Of each message that came: what a repeat is known by, and the payload.
fn delivered(cluster: &mut Cluster, stream: StreamId) -> Vec<(Option<Origin>, String)> {
    let of = |item| match item {
        Downstream::Deliver { origin, message, .. } => {
            Some((origin, String::from_utf8(message.payload.to_vec()).unwrap()))
        }
        _ => None,
    };
    cluster.read(stream).into_iter().filter_map(of).collect()
}

fn owed(cluster: &Cluster) -> Vec<PublishNumber> {
    cluster.state.owed_wills().map(|(number, _)| number).collect()
}

#[test]
fn sessions_of_a_lost_broker_are_free_and_their_wills_reach_live_subscribers_once() {
    let mut cluster = cluster();
    let broker = mortal(&mut cluster, message("will", "gone"));
    let live = cluster.subscriber("l", &["will"]);
    cluster.step(Input::Broken(broker));
    cluster.wait(LEASE_MS, &[live]);
    assert_eq!(cluster.payloads(live), ["gone"]);
    let other = cluster.attach("o");
    cluster.say(other, [ask(1, Ask::Open(durable("c", 1)))]);
    assert!(opened(&cluster.tells(other)).is_present, "without delay");
}

#[test]
fn will_that_was_published_as_the_leader_died_is_given_by_the_next_one() {
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let mut cluster = cluster();
        let broker = mortal(&mut cluster, with_qos(qos, message("will", "gone")));
        for (name, filter) in [("l", "will"), ("other", "else")] {
            cluster.subscriber(name, &[filter]);
        }
        leave(&mut cluster, broker, false);
        cluster.change_leader();
        let number = owed(&cluster)[0];
        let [live, other] = [("l", "will"), ("other", "else")].map(|(name, filter)| {
            let stream = cluster.hello(hello(name, 1));
            cluster.say(stream, [announce(1, &[filter]), Upstream::Resumed]);
            stream
        });
        let gone = (Some(Origin::of_will(number)), "gone".to_owned());
        assert_eq!(delivered(&mut cluster, live), [gone]);
        assert_eq!(delivered(&mut cluster, other), []);
        assert_eq!(owed(&cluster), [number]);
        cluster.receive_all(live);
        assert_eq!(owed(&cluster), [], "whoever needs it has it");
    }
}

#[test]
fn will_that_may_not_have_arrived_comes_again_as_what_it_was() {
    let mut cluster = cluster();
    let broker = mortal(&mut cluster, message("will", "gone"));
    let live = cluster.subscriber("l", &["will"]);
    leave(&mut cluster, broker, true);
    let before = delivered(&mut cluster, live);
    assert_eq!(before.len(), 1);
    cluster.step(Input::Broken(live));
    let live = cluster.hello(hello("l", 1));
    cluster.say(live, [announce(1, &["will"]), Upstream::Resumed]);
    assert_eq!(delivered(&mut cluster, live), before, "the broker knows it by its origin");
    cluster.change_leader();
    let live = cluster.hello(hello("l", 1));
    cluster.say(live, [announce(1, &["will"]), Upstream::Resumed]);
    assert_eq!(delivered(&mut cluster, live), before);
    cluster.receive_all(live);
    cluster.change_leader();
    let live = cluster.hello(hello("l", 1));
    cluster.say(live, [announce(1, &["will"]), Upstream::Resumed]);
    assert_eq!(delivered(&mut cluster, live), [], "it is not owed any more");
}

#[test]
fn broker_that_is_lost_or_new_is_owed_no_will() {
    let mut cluster = cluster();
    let broker = mortal(&mut cluster, message("will", "gone"));
    cluster.subscriber("l", &["will"]);
    leave(&mut cluster, broker, false);
    cluster.change_leader();
    let new = cluster.hello(hello("new", 1));
    cluster.say(new, [announce(1, &["will"]), Upstream::Resumed]);
    assert_eq!((delivered(&mut cluster, new), owed(&cluster).len()), (vec![], 1));
    cluster.wait(LEASE_MS, &[new]);
    assert_eq!(owed(&cluster), []);
}

#[test]
fn wills_are_owed_in_order_until_all_before_were_received() {
    let mut cluster = cluster();
    let slow = cluster.subscriber("slow", &["slow"]);
    let fast = cluster.subscriber("fast", &["fast"]);
    let broker = cluster.attach("b");
    let wills = ["slow", "fast"].map(|at| Ask::Open(with_will(at, message(at, at))));
    cluster.say(broker, (1..).zip(wills).map(|(number, open)| ask(number, open)));
    leave(&mut cluster, broker, true);
    cluster.receive_all(fast);
    assert_eq!(owed(&cluster).len(), 2);
    cluster.receive_all(slow);
    assert_eq!(owed(&cluster), []);
}

/// While some member of the group does not know what wills are owed.
mod before_the_level {
    use super::*;

    #[test]
    fn will_is_kept_for_a_broker_that_has_no_stream_and_given_once() {
        let mut cluster = Cluster::new(config());
        let broker = mortal(&mut cluster, message("will", "gone"));
        let live = cluster.subscriber("l", &["will"]);
        cluster.step(Input::Broken(live));
        cluster.say(broker, [Upstream::Leave]);
        for expected in [vec![(None, "gone".to_owned())], vec![]] {
            let live = cluster.hello(hello("l", 1));
            cluster.say(live, [announce(1, &["will"]), Upstream::Resumed]);
            assert_eq!(delivered(&mut cluster, live), expected);
            cluster.step(Input::Broken(live));
        }
    }
}
