//! One leader after another: each begins with the state, and with what brokers say when they are back.

use ha_core::{BrokerState, HeartbeatAnswer, Input, StreamId};
use ha_types::link::{Downstream, GoodbyeReason, Origin, Upstream};
use ha_types::{BrokerEpoch, ClusterMillis, Millis, PublishNumber};

use crate::common::{
    Cluster, LEASE_MS, Log, announce, config, hello, message, numbered, publish, retained,
};

fn origins(cluster: &mut Cluster, stream: StreamId) -> Vec<Origin> {
    let items = cluster.read(stream);
    let origin = |item: &Downstream| match item {
        Downstream::Deliver { origin, .. } => *origin,
        _ => None,
    };
    items.iter().filter_map(origin).collect()
}

#[test]
fn broker_of_the_state_gets_a_whole_lease_of_a_new_leader_and_keeps_its_epoch() {
    let mut cluster = Cluster::new(config());
    let stream = cluster.attach("a");
    let epoch = cluster.welcome(stream).epoch;
    cluster.wait(LEASE_MS / 2, &[]);
    cluster.change_leader();
    assert_eq!(cluster.view("a").state, BrokerState::Detached);
    assert_eq!(cluster.deadline(), Some(Millis(LEASE_MS)));
    cluster.now = Millis(LEASE_MS - 1);
    assert_eq!(cluster.heartbeat(epoch), HeartbeatAnswer::Kept, "also before it has a stream");
    let back = cluster.attach("a");
    assert_eq!(cluster.welcome(back).epoch, epoch);
}

#[test]
fn broker_of_the_state_that_does_not_come_back_is_lost_also_for_the_state() {
    let mut cluster = Cluster::new(config());
    cluster.attach("a");
    cluster.change_leader();
    cluster.wait(LEASE_MS, &[]);
    assert_eq!(cluster.view("a").state, BrokerState::Lost);
    assert_eq!(cluster.state.alive().count(), 0);
}

#[test]
fn broker_that_is_not_back_is_assumed_to_need_everything() {
    let mut cluster = Cluster::new(config());
    for name in ["p", "a", "b"] {
        cluster.attach(name);
    }
    cluster.change_leader();
    let publisher = cluster.attach("p");
    cluster.say(publisher, [numbered(1, message("x", "1")), numbered(2, message("y", "2"))]);
    assert!(cluster.results(publisher).is_empty());
    let a = cluster.subscriber("a", &["x"]);
    assert!(cluster.results(publisher).is_empty());
    let b = cluster.hello(hello("b", 1));
    cluster.say(b, [announce(1, &["y"]), Upstream::Resumed]);
    assert!(cluster.results(publisher).is_empty());
    cluster.receive_all(b);
    assert!(cluster.results(publisher).is_empty());
    cluster.receive_all(a);
    assert_eq!(cluster.results(publisher), [1, 2]);
    assert_eq!(cluster.payloads(b), ["2"]);
}

#[test]
fn live_message_that_an_earlier_leader_lost_is_handed_on_with_its_origin() {
    let mut cluster = Cluster::new(config());
    let (publisher, _) = (cluster.attach("p"), cluster.subscriber("a", &["t"]));
    cluster.say(publisher, [numbered(7, message("t", "1"))]);
    cluster.change_leader();
    let (publisher, a) = (cluster.attach("p"), cluster.subscriber("a", &["t"]));
    cluster.say(publisher, [numbered(7, message("t", "1"))]);
    let origin = Origin { broker: BrokerEpoch(1), number: PublishNumber(7) };
    assert_eq!(origins(&mut cluster, a), [origin]);
    cluster.receive_all(a);
    assert_eq!(cluster.results(publisher), [7]);
}

#[test]
fn message_that_an_earlier_leader_applied_is_handed_on_again_and_stored_once() {
    let mut cluster = Cluster::new(config());
    let (publisher, _) = (cluster.attach("p"), cluster.subscriber("a", &["t"]));
    cluster.log = Log::Manual;
    cluster.say(publisher, [numbered(1, retained("t", "1"))]);
    cluster.commit();
    cluster.change_leader();
    cluster.log = Log::Prompt;
    let version = cluster.state.retained().version();
    let (publisher, a) = (cluster.attach("p"), cluster.subscriber("a", &["t"]));
    cluster.say(publisher, [numbered(1, retained("t", "1"))]);
    assert_eq!(origins(&mut cluster, a).len(), 1);
    cluster.receive_all(a);
    assert_eq!(cluster.results(publisher), [1]);
    assert_eq!(cluster.state.retained().version(), version);
}

#[test]
fn message_that_was_not_committed_is_stored_when_it_comes_again() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    cluster.log = Log::Manual;
    cluster.say(publisher, [numbered(1, retained("t", "1"))]);
    cluster.change_leader();
    cluster.log = Log::Prompt;
    assert!(cluster.state.retained().is_empty());
    let publisher = cluster.attach("p");
    cluster.say(publisher, [numbered(1, retained("t", "1"))]);
    assert_eq!((cluster.results(publisher), cluster.state.retained().len()), (vec![1], 1));
}

#[test]
fn numbers_may_begin_anywhere_under_a_new_leader_and_are_dense_from_then_on() {
    let mut cluster = Cluster::new(config());
    cluster.attach("p");
    cluster.change_leader();
    let publisher = cluster.attach("p");
    cluster.say(publisher, [70, 71].map(|number| numbered(number, message("t", "m"))));
    assert_eq!(cluster.results(publisher), [70, 71]);
}

#[test]
fn cluster_time_goes_on_from_the_last_stamp() {
    let mut cluster = Cluster::new(config());
    let a = cluster.attach("a");
    cluster.wait(LEASE_MS, &[a]);
    cluster.say(a, [publish(retained("t", "m"))]);
    let stamped = cluster.state.now();
    assert_eq!(stamped, ClusterMillis(1_000_000 + LEASE_MS));
    cluster.change_leader();
    assert_eq!(cluster.core.cluster_time(), stamped, "though the wall clock is behind");
}

#[test]
fn newer_life_of_a_broker_that_an_earlier_leader_had_is_waited_for_no_longer() {
    let mut cluster = Cluster::new(config());
    cluster.attach("p");
    cluster.attach("a");
    cluster.change_leader();
    let publisher = cluster.attach("p");
    cluster.say(publisher, [numbered(1, message("x", "1"))]);
    assert!(cluster.results(publisher).is_empty());
    let restarted = cluster.attach_as(hello("a", 2), &["x"]);
    assert_eq!(cluster.results(publisher), [1]);
    assert!(cluster.payloads(restarted).is_empty());
    cluster.step(Input::Broken(restarted));
}

/// Nobody but these says anything for a lease.
fn lose_all_but(cluster: &mut Cluster, alive: &[StreamId]) {
    cluster.wait(LEASE_MS, alive);
}

#[test]
fn broker_that_was_lost_sends_again_what_receivers_know_by_its_first_life() {
    let mut cluster = Cluster::new(config());
    let (publisher, a) = (cluster.attach("p"), cluster.subscriber("a", &["#"]));
    let first = cluster.welcome(publisher).epoch;
    let items = || [numbered(1, message("t", "live")), numbered(2, retained("t", "kept"))];
    cluster.say(publisher, items());
    let known = [1, 2].map(|number| Origin { broker: first, number: PublishNumber(number) });
    assert_eq!(origins(&mut cluster, a), known);
    let version = cluster.state.retained().version();
    lose_all_but(&mut cluster, &[a]);
    assert_eq!(cluster.goodbye(publisher), Some(GoodbyeReason::LeaseExpired));
    let publisher = cluster.attach("p");
    assert!(cluster.welcome(publisher).epoch > first);
    cluster.say(publisher, items());
    assert_eq!(origins(&mut cluster, a), known, "the receiver drops them");
    assert_eq!(cluster.state.retained().version(), version, "applied once");
    cluster.receive_all(a);
    assert_eq!(cluster.results(publisher), [1, 2]);
}

#[test]
fn receipt_for_what_was_given_before_a_broker_was_lost_does_not_answer_what_comes_again() {
    let mut cluster = Cluster::new(config());
    let (publisher, a) = (cluster.attach("p"), cluster.subscriber("a", &["t"]));
    cluster.say(publisher, [numbered(1, message("t", "1"))]);
    lose_all_but(&mut cluster, &[a]);
    let publisher = cluster.attach("p");
    cluster.say(publisher, [numbered(1, message("t", "1"))]);
    cluster.say(a, [Upstream::Received { count: 1 }]);
    assert!(cluster.results(publisher).is_empty());
    cluster.say(a, [Upstream::Received { count: 2 }]);
    assert_eq!(cluster.results(publisher), [1]);
}

#[test]
fn new_leader_knows_in_which_life_the_numbers_of_a_broker_began() {
    let mut cluster = Cluster::new(config());
    let (publisher, a) = (cluster.attach("p"), cluster.attach("a"));
    let first = cluster.welcome(publisher).epoch;
    lose_all_but(&mut cluster, &[a]);
    cluster.attach("p");
    cluster.change_leader();
    let (publisher, a) = (cluster.attach("p"), cluster.subscriber("a", &["t"]));
    cluster.say(publisher, [numbered(4, message("t", "1"))]);
    assert_eq!(origins(&mut cluster, a), [Origin { broker: first, number: PublishNumber(4) }]);
}
