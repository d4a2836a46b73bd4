//! The order of retained messages, and who is told of a change.

use ha_core::cluster::StateLimits;
use ha_types::link::{Downstream, Origin, PublishOutcome};
use ha_types::{BrokerEpoch, ClusterMillis, Message, PublishNumber, Qos, RetainedVersion};

use crate::common::{
    Cluster, Log, accepted, announce, config, copier, message, numbered, publish, result, retained,
    synced, update, with_qos,
};

/// Of the first broker's n-th publish; zero: it had no number.
fn deliver(number: u64, message: Message, retained: u64) -> Downstream {
    let (broker, number) = (BrokerEpoch(1), PublishNumber(number));
    let origin = (number.0 > 0).then_some(Origin { broker, number });
    let (message, retained) = (message.into(), RetainedVersion(retained));
    Downstream::Deliver { origin, known_as: vec![], message, retained }
}

#[test]
fn change_is_delivered_to_who_asked_and_told_to_all_other_copies_in_one_version() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.copier("p");
    let (interested, other) = (cluster.attach_as(copier("i"), &["t"]), cluster.copier("o"));
    let without = cluster.attach("without");
    cluster.say(publisher, [numbered(1, retained("t", "m"))]);
    assert_eq!(cluster.read(interested), [deliver(1, retained("t", "m"), 1)]);
    assert_eq!(cluster.read(other), [update("t", 1, "m")]);
    assert!(cluster.read(without).is_empty());
    cluster.receive_all(interested);
    assert_eq!(cluster.read(publisher), [accepted(1, 1)]);
}

#[test]
fn unnumbered_change_is_delivered_at_once_and_told_to_all_copies_when_the_log_has_it() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach_as(copier("p"), &["#"]);
    let interested = cluster.attach_as(copier("i"), &["#"]);
    cluster.log = Log::Manual;
    let qos_0 = |message| publish(with_qos(Qos::AtMostOnce, message));
    cluster.say(publisher, [qos_0(retained("t", "m")), qos_0(message("t", "n"))]);
    assert_eq!(cluster.payloads(interested), ["m", "n"], "in their order");
    cluster.settle();
    let kept = with_qos(Qos::AtMostOnce, retained("t", "m"));
    for stream in [publisher, interested] {
        let read = cluster.read(stream);
        let [Downstream::RetainedUpdate(change)] = &read[..] else { panic!("{read:?}") };
        assert_eq!((change.version, change.message.as_deref()), (RetainedVersion(1), Some(&kept)));
    }
}

#[test]
fn unnumbered_changes_beyond_the_window_are_handed_on_and_not_retained() {
    let mut cluster = Cluster::new(config());
    let (publisher, other) = (cluster.attach("p"), cluster.subscriber("o", &["#"]));
    cluster.log = Log::Manual;
    cluster.say(publisher, (0..5).map(|n| publish(retained(&n.to_string(), "m"))));
    cluster.settle();
    assert_eq!(cluster.payloads(other).len(), 5);
    assert_eq!((cluster.state.retained().len(), cluster.view("p").dropped), (4, 1));
    cluster.say(publisher, [publish(retained("4", "m"))]);
    cluster.settle();
    assert_eq!(cluster.state.retained().len(), 5);
}

#[test]
fn versions_grow_over_all_topics_and_only_changes_have_one() {
    let mut cluster = Cluster::new(config());
    let (publisher, other) = (cluster.attach("p"), cluster.copier("o"));
    let items = [retained("a", "1"), message("a", "2"), retained("b", "3"), retained("a", "4")];
    cluster.say(publisher, (1..).zip(items).map(|(number, message)| numbered(number, message)));
    let versions = [1, 0, 2, 3];
    let expected: Vec<_> = (1..).zip(versions).map(|(n, version)| accepted(n, version)).collect();
    assert_eq!(cluster.read(publisher), expected);
    let told = [update("a", 1, "1"), update("b", 2, "3"), update("a", 3, "4")];
    assert_eq!(cluster.read(other), told);
}

#[test]
fn empty_payload_clears_and_has_a_version_of_its_own() {
    let mut cluster = Cluster::new(config());
    let (publisher, other) = (cluster.attach("p"), cluster.copier("o"));
    let interested = cluster.subscriber("i", &["t"]);
    cluster.say(publisher, [numbered(1, retained("t", "m"))]);
    assert_eq!(cluster.state.retained().len(), 1);
    cluster.read(interested);
    cluster.read(other);
    cluster.say(publisher, [numbered(2, retained("t", ""))]);
    assert!(cluster.state.retained().is_empty());
    assert_eq!(cluster.read(interested), [deliver(2, retained("t", ""), 2)]);
    assert_eq!(cluster.read(other), [update("t", 2, "")]);
}

#[test]
fn broker_that_joins_later_gets_everything_and_is_then_synced() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    let changes = [retained("b", "1"), retained("a", "2"), retained("b", "")];
    cluster.say(publisher, changes.map(publish));
    let late = cluster.hello(copier("late"));
    let (welcome, begin) = (Downstream::Welcome(cluster.welcome(late)), Downstream::RetainedBegin);
    let expected = [welcome, begin, update("a", 2, "2"), update("b", 3, ""), synced(3)];
    assert_eq!(cluster.read(late), expected);
}

#[test]
fn broker_that_joins_an_empty_server_is_synced_at_once() {
    let mut cluster = Cluster::new(config());
    let first = cluster.hello(copier("a"));
    assert_eq!(cluster.read(first)[1..], [Downstream::RetainedBegin, synced(0)]);
}

#[test]
fn topic_above_the_limit_is_refused_and_nobody_gets_it_also_when_it_comes_again() {
    let limits = StateLimits { retained_max: 1, ..StateLimits::default() };
    let mut cluster = Cluster::with_limits(config(), limits);
    let (publisher, other) = (cluster.attach("p"), cluster.copier("o"));
    let interested = cluster.subscriber("i", &["#"]);
    cluster.say(publisher, [numbered(1, retained("a", "1")), numbered(2, retained("b", "2"))]);
    cluster.receive_all(interested);
    let full = result(2, PublishOutcome::QuotaExceeded, 0);
    assert_eq!(cluster.read(publisher), [accepted(1, 1), full.clone()]);
    assert_eq!(cluster.read(other), [update("a", 1, "1")]);
    assert_eq!(cluster.payloads(interested), ["1"]);
    let publisher = cluster.attach("p");
    cluster.say(publisher, [numbered(2, retained("b", "2"))]);
    assert_eq!(cluster.read(publisher).last(), Some(&full));
    cluster.change_leader();
    let publisher = cluster.attach("p");
    cluster.say(publisher, [numbered(2, retained("b", "2"))]);
    assert_eq!(cluster.read(publisher), [full]);
}

#[test]
fn expired_message_is_removed_by_and_by_and_others_stay() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    let expires_at = Some(ClusterMillis(cluster.core.cluster_time().0 + 10));
    let expiring = Message { expires_at, ..retained("gone", "m") };
    cluster.say(publisher, [publish(expiring), publish(retained("kept", "m"))]);
    assert_eq!(cluster.state.retained().len(), 2);
    cluster.wait(5_000, &[publisher]);
    assert_eq!(cluster.state.retained().len(), 1);
}

#[test]
fn expired_message_is_told_as_absent_to_a_broker_that_joins_before_its_removal() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    let expires_at = Some(ClusterMillis(cluster.core.cluster_time().0 + 10));
    cluster.say(publisher, [publish(Message { expires_at, ..retained("t", "m") })]);
    cluster.wait(10, &[publisher]);
    let late = cluster.hello(copier("late"));
    assert!(cluster.read(late).contains(&update("t", 1, "")));
}

#[test]
fn interest_announced_after_a_change_does_not_deliver_it() {
    let mut cluster = Cluster::new(config());
    let (publisher, a) = (cluster.attach("p"), cluster.attach("a"));
    cluster.say(publisher, [publish(retained("t", "m"))]);
    cluster.say(a, [announce(1, &["t"])]);
    assert!(cluster.payloads(a).is_empty(), "its copy has it");
}
