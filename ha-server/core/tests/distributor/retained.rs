//! The order of retained messages, and who is told of a change.

use ha_core::Config;
use ha_types::link::{Downstream, PublishOutcome};
use ha_types::{ClusterMillis, Message, PublishNumber, RetainedVersion};

use crate::common::{
    Cluster, accepted, announce, config, hello, message, nth, numbered, publish, retained, synced,
    update,
};

const NONE: RetainedVersion = RetainedVersion(0);

fn deliver(message: Message, retained: RetainedVersion) -> Downstream {
    Downstream::Deliver { origin: None, message: message.into(), retained }
}

#[test]
fn change_is_delivered_to_who_asked_and_told_to_all_others_in_one_version() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    let (interested, other) = (cluster.subscriber("i", &["t"]), cluster.attach("o"));
    cluster.say(publisher, [numbered(1, retained("t", "m"))]);
    assert_eq!(cluster.read(interested), [deliver(retained("t", "m"), nth(1))]);
    assert_eq!(cluster.read(other), [update("t", nth(1), "m")]);
    assert_eq!(cluster.read(publisher), [accepted(1, nth(1))]);
}

#[test]
fn origin_of_an_unnumbered_change_learns_its_version_from_an_update() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.subscriber("p", &["#"]);
    cluster.say(publisher, [publish(retained("t", "m")), publish(retained("t", ""))]);
    assert_eq!(cluster.read(publisher), [update("t", nth(1), "m"), update("t", nth(2), "")]);
}

#[test]
fn versions_grow_over_all_topics_and_only_changes_have_one() {
    let mut cluster = Cluster::new(config());
    let (publisher, other) = (cluster.attach("p"), cluster.attach("o"));
    let items = [retained("a", "1"), message("a", "2"), retained("b", "3"), retained("a", "4")];
    cluster.say(publisher, (1..).zip(items).map(|(number, message)| numbered(number, message)));
    let versions = [nth(1), NONE, nth(2), nth(3)];
    let expected: Vec<_> = (1..).zip(versions).map(|(n, version)| accepted(n, version)).collect();
    assert_eq!(cluster.read(publisher), expected);
    let told = [update("a", nth(1), "1"), update("b", nth(2), "3"), update("a", nth(3), "4")];
    assert_eq!(cluster.read(other), told);
}

#[test]
fn empty_payload_clears_and_has_a_version_of_its_own() {
    let mut cluster = Cluster::new(config());
    let (publisher, other) = (cluster.attach("p"), cluster.attach("o"));
    let interested = cluster.subscriber("i", &["t"]);
    cluster.say(publisher, [publish(retained("t", "m"))]);
    assert_eq!(cluster.core.retained().len(), 1);
    cluster.read(interested);
    cluster.read(other);
    cluster.say(publisher, [publish(retained("t", ""))]);
    assert!(cluster.core.retained().is_empty());
    assert_eq!(cluster.read(interested), [deliver(retained("t", ""), nth(2))]);
    assert_eq!(cluster.read(other), [update("t", nth(2), "")]);
}

#[test]
fn broker_that_joins_later_gets_everything_and_is_then_synced() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    let changes = [retained("b", "1"), retained("a", "2"), retained("b", "")];
    cluster.say(publisher, changes.map(publish));
    let late = cluster.hello(hello("late", 1));
    let (welcome, begin) = (Downstream::Welcome(cluster.welcome(late)), Downstream::RetainedBegin);
    let expected =
        [welcome, begin, update("a", nth(2), "2"), update("b", nth(3), ""), synced(nth(3))];
    assert_eq!(cluster.read(late), expected);
}

#[test]
fn broker_that_joins_an_empty_server_is_synced_at_once() {
    let mut cluster = Cluster::new(config());
    let first = cluster.hello(hello("a", 1));
    assert_eq!(cluster.read(first)[1..], [Downstream::RetainedBegin, synced(NONE)]);
}

#[test]
fn topic_above_the_limit_is_handed_on_and_not_retained() {
    let mut cluster = Cluster::new(Config { retained_max: 1, ..config() });
    let (publisher, other) = (cluster.attach("p"), cluster.attach("o"));
    let interested = cluster.subscriber("i", &["#"]);
    cluster.say(publisher, [numbered(1, retained("a", "1")), numbered(2, retained("b", "2"))]);
    let (number, outcome) = (PublishNumber(2), PublishOutcome::RetainedFull);
    let full = Downstream::PublishResult { number, outcome, retained: NONE };
    assert_eq!(cluster.read(publisher), [accepted(1, nth(1)), full]);
    assert_eq!(cluster.read(other), [update("a", nth(1), "1")]);
    let delivered = [deliver(retained("a", "1"), nth(1)), deliver(retained("b", "2"), NONE)];
    assert_eq!(cluster.read(interested), delivered);
}

#[test]
fn full_server_takes_changes_of_known_topics_in_versions_above_all_it_claimed() {
    let mut cluster = Cluster::new(Config { retained_max: 1, ..config() });
    let (publisher, other) = (cluster.attach("p"), cluster.attach("o"));
    cluster.say(publisher, [retained("a", "1"), retained("b", "2")].map(publish));
    let late = cluster.hello(hello("late", 1));
    let claimed = cluster.read(late).pop();
    cluster.say(publisher, [publish(retained("a", "3"))]);
    let Some(Downstream::RetainedUpdate(change)) = cluster.read(other).pop() else { panic!() };
    let Some(Downstream::RetainedSynced { version }) = claimed else { panic!() };
    assert!(change.version > version, "{change:?} after {version}");
}

#[test]
fn expired_message_is_removed_within_a_minute_and_others_stay() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    let expires_at = Some(ClusterMillis(cluster.core.cluster_time().0 + 10));
    let expiring = Message { expires_at, ..retained("gone", "m") };
    cluster.say(publisher, [publish(expiring), publish(retained("kept", "m"))]);
    cluster.wait(59_999, &[publisher]);
    assert_eq!(cluster.core.retained().len(), 2);
    cluster.wait(1, &[publisher]);
    assert_eq!(cluster.core.retained().len(), 1);
}

#[test]
fn message_that_expires_after_one_sweep_is_removed_by_the_next() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    let expires_at = Some(ClusterMillis(cluster.core.cluster_time().0 + 60_001));
    cluster.say(publisher, [publish(Message { expires_at, ..retained("t", "m") })]);
    cluster.wait(119_999, &[publisher]);
    assert_eq!(cluster.core.retained().len(), 1);
    cluster.wait(1, &[publisher]);
    assert!(cluster.core.retained().is_empty());
}

#[test]
fn expired_message_is_told_as_absent_to_a_broker_that_joins_before_its_removal() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    let expires_at = Some(ClusterMillis(cluster.core.cluster_time().0 + 10));
    cluster.say(publisher, [publish(Message { expires_at, ..retained("t", "m") })]);
    cluster.wait(10, &[publisher]);
    let late = cluster.hello(hello("late", 1));
    assert!(cluster.read(late).contains(&update("t", nth(1), "")));
}

#[test]
fn interest_announced_after_a_change_does_not_deliver_it() {
    let mut cluster = Cluster::new(config());
    let (publisher, a) = (cluster.attach("p"), cluster.attach("a"));
    cluster.say(publisher, [publish(retained("t", "m"))]);
    cluster.say(a, [announce(1, &["t"])]);
    assert!(cluster.payloads(a).is_empty(), "its copy has it");
}
