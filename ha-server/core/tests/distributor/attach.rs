//! How brokers come and go.

use ha_core::{BrokerState, Config, Event, HeartbeatAnswer, Input, LostBy, StreamId};
use ha_types::link::{GoodbyeReason, Hello, Upstream, VersionRange};
use ha_types::{BrokerEpoch, Millis};

use crate::common::{Cluster, LEASE_MS, Log, announce, config, hello};

fn hello_with_versions(min: u32, max: u32) -> Hello {
    Hello { versions: VersionRange { min, max }, ..hello("a", 1) }
}

fn lost(name: &str, by: LostBy) -> Event {
    Event::Lost(hello(name, 1).name, by)
}

#[test]
fn highest_common_version_is_chosen_and_without_one_the_goodbye_names_both_ranges() {
    let mut cluster = Cluster::new(config());
    let stream = cluster.hello(hello_with_versions(1, 9));
    assert_eq!(cluster.welcome(stream).version, 1);
    let newer = cluster.hello(Hello { name: hello("b", 1).name, ..hello_with_versions(2, 9) });
    assert_eq!(cluster.goodbye(newer), Some(GoodbyeReason::UnsupportedVersion));
    let Some(Event::Ended(_, goodbye)) = cluster.events.last() else { panic!() };
    assert!(goodbye.detail.contains("1 to 1") && goodbye.detail.contains("2 to 9"));
    assert!(cluster.is_attached(stream) && cluster.is_ended(newer));
}

#[test]
fn range_of_versions_that_ends_before_it_begins_is_refused() {
    let mut cluster = Cluster::new(config());
    let stream = cluster.hello(hello_with_versions(5, 1));
    assert_eq!(cluster.goodbye(stream), Some(GoodbyeReason::UnsupportedVersion));
}

#[test]
fn first_item_must_be_hello_and_a_second_hello_ends_the_stream() {
    let mut cluster = Cluster::new(config());
    let silent = cluster.open();
    cluster.say(silent, [announce(1, &["#"]), Upstream::Hello(hello("a", 1))]);
    assert_eq!(cluster.goodbye(silent), Some(GoodbyeReason::ProtocolError));
    assert!(cluster.core.brokers(cluster.now).is_empty(), "what follows the end is from nobody");
    let twice = cluster.attach("a");
    cluster.say(twice, [Upstream::Hello(hello("a", 1))]);
    assert_eq!(cluster.goodbye(twice), Some(GoodbyeReason::ProtocolError));
}

#[test]
fn malformed_input_ends_its_stream_only() {
    let mut cluster = Cluster::new(config());
    let (a, b) = (cluster.attach("a"), cluster.attach("b"));
    cluster.step(Input::Malformed(a, "an item of unknown kind".into()));
    assert_eq!(
        (cluster.goodbye(a), cluster.goodbye(b)),
        (Some(GoodbyeReason::ProtocolError), None)
    );
}

#[test]
fn name_of_an_attached_broker_is_refused_to_another_incarnation() {
    let mut cluster = Cluster::new(config());
    let first = cluster.attach("a");
    for incarnation in [0, 2] {
        let second = cluster.hello(hello("a", incarnation));
        assert_eq!(cluster.goodbye(second), Some(GoodbyeReason::NameInUse));
    }
    assert!(cluster.is_attached(first));
}

#[test]
fn same_incarnation_replaces_its_older_stream_and_keeps_its_epoch() {
    let mut cluster = Cluster::new(config());
    let older = cluster.subscriber("a", &["#"]);
    let newer = cluster.attach("a");
    assert_eq!(cluster.goodbye(older), Some(GoodbyeReason::Replaced));
    assert!(cluster.is_attached(newer) && cluster.is_ended(older));
    assert_eq!(cluster.welcome(newer).epoch, cluster.welcome(older).epoch);
    assert_eq!(cluster.view("a").filters, 0);
    // What is late of the older stream changes nothing.
    cluster.say(older, [announce(1, &["#"])]);
    cluster.step(Input::Written(older, 1));
    cluster.say(older, [Upstream::Leave]);
    cluster.step(Input::Broken(older));
    assert!(cluster.is_attached(newer) && cluster.view("a").filters == 0);
}

#[test]
fn item_before_welcome_ends_the_stream() {
    let mut cluster = Cluster::new(config());
    cluster.log = Log::Manual;
    for item in [announce(1, &["#"]), Upstream::Hello(hello("a", 1)), Upstream::Leave] {
        let stream = cluster.hello(hello("a", 1));
        cluster.say(stream, [item]);
        assert_eq!(cluster.goodbye(stream), Some(GoodbyeReason::ProtocolError));
    }
    cluster.settle();
    assert_eq!(cluster.view("a").state, BrokerState::Detached, "it joined all the same");
}

#[test]
fn broker_whose_stream_breaks_while_it_joins_is_lost_after_a_lease() {
    let mut cluster = Cluster::new(config());
    cluster.log = Log::Manual;
    let stream = cluster.hello(hello("a", 1));
    cluster.step(Input::Broken(stream));
    cluster.settle();
    cluster.log = Log::Prompt;
    cluster.wait(LEASE_MS, &[]);
    assert_eq!(cluster.view("a").state, BrokerState::Lost);
    assert_eq!(cluster.state.alive().count(), 0);
}

#[test]
fn broker_whose_lease_ends_while_it_joins_again_must_attach_once_more() {
    let mut cluster = Cluster::new(config());
    let stream = cluster.attach("a");
    cluster.step(Input::Broken(stream));
    cluster.log = Log::Manual;
    let again = cluster.hello(hello("a", 1));
    cluster.wait(LEASE_MS, &[]);
    cluster.settle();
    assert_eq!(cluster.goodbye(again), Some(GoodbyeReason::LeaseExpired));
    cluster.log = Log::Prompt;
    let last = cluster.attach("a");
    assert!(cluster.welcome(last).epoch > cluster.welcome(stream).epoch);
}

#[test]
fn name_of_a_detached_or_lost_broker_is_taken_over_by_another_incarnation() {
    let mut cluster = Cluster::new(config());
    let detached = cluster.subscriber("a", &["x"]);
    cluster.step(Input::Broken(detached));
    let second = cluster.hello(hello("a", 2));
    assert!(cluster.is_attached(second) && cluster.view("a").filters == 0);
    let fenced = cluster.welcome(detached).epoch;
    assert_eq!(cluster.heartbeat(fenced), HeartbeatAnswer::Fenced);
    cluster.say(second, [Upstream::Leave]);
    let third = cluster.hello(hello("a", 3));
    assert!(cluster.is_attached(third));
}

#[test]
fn as_many_brokers_as_configured_attach_and_one_more_is_refused() {
    let mut cluster = Cluster::new(Config { brokers_max: 2, ..config() });
    let first = cluster.attach("a");
    cluster.attach("b");
    let third = cluster.hello(hello("c", 1));
    assert_eq!(cluster.goodbye(third), Some(GoodbyeReason::TooManyBrokers));
    cluster.step(Input::Broken(first));
    let third = cluster.hello(hello("c", 1));
    assert_eq!(cluster.goodbye(third), Some(GoodbyeReason::TooManyBrokers), "only detached");
}

#[test]
fn oldest_lost_broker_makes_place_for_a_new_one() {
    let mut cluster = Cluster::new(Config { brokers_max: 3, ..config() });
    let (a, b) = (cluster.attach("a"), cluster.attach("b"));
    cluster.wait(10, &[a, b]);
    cluster.wait(10, &[a]);
    let c = cluster.attach("c");
    cluster.say(a, [Upstream::Leave]);
    cluster.say(b, [Upstream::Leave]);
    cluster.attach("d");
    let names: Vec<_> = cluster.core.brokers(cluster.now).into_iter().map(|v| v.name).collect();
    assert_eq!(names, ["a", "c", "d"].map(|name| hello(name, 1).name));
    assert!(cluster.is_attached(c));
}

#[test]
fn epochs_grow_with_every_life_of_a_broker_and_outlive_leaders() {
    let mut cluster = Cluster::new(config());
    let mut epochs = Vec::new();
    for (name, incarnation) in [("a", 1), ("b", 1), ("a", 1), ("a", 2), ("b", 1)] {
        if epochs.len() == 4 {
            cluster.change_leader();
        } else {
            cluster.wait(1, &[]);
        }
        let detached = cluster.core.brokers(cluster.now).into_iter().map(|view| view.address);
        let detached: Vec<_> = detached.filter_map(|at| at.parse().ok().map(StreamId)).collect();
        detached.into_iter().for_each(|stream| cluster.step(Input::Broken(stream)));
        let stream = cluster.hello(hello(name, incarnation));
        epochs.push(cluster.welcome(stream).epoch.0);
    }
    assert_eq!(epochs, [1, 2, 1, 3, 2]);
}

#[test]
fn older_run_of_a_known_broker_is_refused() {
    let mut cluster = Cluster::new(config());
    let newer = cluster.attach_as(hello("a", 2), &[]);
    cluster.step(Input::Broken(newer));
    let older = cluster.hello(hello("a", 1));
    assert_eq!(cluster.goodbye(older), Some(GoodbyeReason::NameInUse));
}

#[test]
fn goodbye_frees_the_interest_at_once() {
    let mut cluster = Cluster::new(config());
    let stream = cluster.subscriber("a", &["#"]);
    cluster.say(stream, [Upstream::Leave]);
    assert_eq!(cluster.events.last(), Some(&lost("a", LostBy::Goodbye)));
    assert!(cluster.is_ended(stream));
    let view = cluster.view("a");
    assert_eq!((view.state, view.filters), (BrokerState::Lost, 0));
    assert_eq!(cluster.heartbeat(view.epoch), HeartbeatAnswer::Fenced);
}

#[test]
fn goodbye_on_a_stream_that_was_ended_or_never_said_hello_frees_no_broker() {
    let mut cluster = Cluster::new(config());
    let ended = cluster.attach("a");
    cluster.step(Input::Malformed(ended, String::new()));
    cluster.say(ended, [Upstream::Leave]);
    assert_eq!(cluster.view("a").state, BrokerState::Detached);
    let silent = cluster.open();
    cluster.say(silent, [Upstream::Leave]);
    assert!(cluster.is_ended(silent));
}

#[test]
fn broken_stream_frees_nothing_until_the_lease_ends_exactly_at_its_deadline() {
    let mut cluster = Cluster::new(config());
    let stream = cluster.subscriber("a", &["#"]);
    cluster.step(Input::Broken(stream));
    assert_eq!(cluster.deadline(), Some(Millis(LEASE_MS)));
    cluster.wait(LEASE_MS - 1, &[]);
    let view = cluster.view("a");
    assert_eq!((view.state, view.filters), (BrokerState::Detached, 1));
    cluster.wait(1, &[]);
    let view = cluster.view("a");
    assert_eq!((view.state, view.filters), (BrokerState::Lost, 0));
    assert_eq!(cluster.events.last(), Some(&lost("a", LostBy::Lease)));
    assert_eq!(cluster.deadline(), None);
}

#[test]
fn attached_broker_without_heartbeat_is_lost_once_at_the_deadline() {
    let mut cluster = Cluster::new(config());
    let stream = cluster.attach("a");
    cluster.wait(LEASE_MS - 1, &[]);
    assert!(cluster.is_attached(stream));
    cluster.wait(5 * LEASE_MS, &[]);
    assert_eq!(cluster.goodbye(stream), Some(GoodbyeReason::LeaseExpired));
    let events = cluster.events.iter();
    assert_eq!(events.filter(|&e| *e == lost("a", LostBy::Lease)).count(), 1);
}

#[test]
fn heartbeat_extends_the_lease_by_a_whole_one_also_without_a_stream() {
    let mut cluster = Cluster::new(config());
    let stream = cluster.attach("a");
    let epoch = cluster.welcome(stream).epoch;
    cluster.step(Input::Broken(stream));
    cluster.now = Millis(LEASE_MS - 1);
    assert_eq!(cluster.heartbeat(epoch), HeartbeatAnswer::Kept);
    assert_eq!(cluster.deadline(), Some(Millis(2 * LEASE_MS - 1)));
    cluster.wait(LEASE_MS - 1, &[]);
    assert_eq!(cluster.view("a").state, BrokerState::Detached);
    cluster.wait(1, &[]);
    assert_eq!(cluster.view("a").state, BrokerState::Lost);
}

#[test]
fn heartbeat_of_an_unknown_or_ended_epoch_is_fenced_and_extends_nothing() {
    let mut cluster = Cluster::new(config());
    let older = cluster.attach("a");
    cluster.step(Input::Broken(older));
    let older = cluster.welcome(older).epoch;
    cluster.attach_as(hello("a", 2), &[]);
    cluster.now = Millis(LEASE_MS / 2);
    assert_eq!(cluster.heartbeat(older), HeartbeatAnswer::Fenced);
    assert_eq!(cluster.heartbeat(BrokerEpoch(u64::MAX)), HeartbeatAnswer::Fenced);
    assert_eq!(cluster.deadline(), Some(Millis(LEASE_MS)));
}

#[test]
fn late_heartbeat_does_not_revive_a_lease() {
    let mut cluster = Cluster::new(config());
    let stream = cluster.attach("a");
    cluster.now = Millis(LEASE_MS);
    let epoch = cluster.welcome(stream).epoch;
    assert_eq!(cluster.heartbeat(epoch), HeartbeatAnswer::Fenced);
    assert_eq!(cluster.goodbye(stream), Some(GoodbyeReason::LeaseExpired));
}

#[test]
fn after_a_pause_of_our_own_everybody_gets_a_whole_lease() {
    let patience_ms = config().heartbeat_ms;
    let mut cluster = Cluster::new(config());
    let stream = cluster.attach("a");
    cluster.now = Millis(LEASE_MS + patience_ms + 1);
    cluster.step(Input::Tick);
    assert!(cluster.is_attached(stream), "its heartbeats may wait unread");
    assert_eq!(cluster.deadline(), Some(cluster.now.plus(LEASE_MS)));
    cluster.now = cluster.now.plus(LEASE_MS + patience_ms);
    cluster.step(Input::Tick);
    assert_eq!(cluster.goodbye(stream), Some(GoodbyeReason::LeaseExpired), "late, not paused");
}

#[test]
fn time_that_runs_backwards_does_not_shorten_a_lease() {
    let mut cluster = Cluster::new(config());
    let stream = cluster.attach("a");
    cluster.wait(LEASE_MS / 2, &[]);
    cluster.now = Millis(0);
    let epoch = cluster.welcome(stream).epoch;
    assert_eq!(cluster.heartbeat(epoch), HeartbeatAnswer::Kept);
    assert_eq!(cluster.deadline(), Some(Millis(LEASE_MS / 2 + LEASE_MS)));
}
