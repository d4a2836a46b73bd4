//! When a will is published: once, and when it is due.

use ha_types::ClusterMillis;
use ha_types::session::{CloseCause, Lifetime, NewWill, Open, Progress, Start};

use crate::common::{Bench, CLUSTER_TIME, Link, durable, ephemeral, lasting_s, will};

fn with_will(delay_s: u32, open: Open) -> Open {
    Open { will: will("bye", delay_s), ..open }
}

/// A client whose connection broke at time zero.
fn lost(open: Open) -> (Bench, Link) {
    let mut bench = Bench::new();
    let link = bench.connect(open);
    assert_eq!(bench.lose(link).wills(), Vec::<String>::new());
    (bench, link)
}

/// [MQTT-3.1.2-8]
#[test]
fn will_without_delay_is_due_when_the_connection_breaks() {
    for open in [durable("a"), ephemeral("a")] {
        let mut bench = Bench::new();
        let link = bench.connect(with_will(0, open));
        assert_eq!(bench.lose(link).wills(), ["bye"]);
        assert_eq!(bench.holder.deadline(), None);
    }
}

/// [MQTT-3.1.2-10]
#[test]
fn will_is_dropped_by_a_disconnect() {
    let mut bench = Bench::new();
    let link = bench.connect(with_will(1, durable("a")));
    assert!(bench.close(link, CloseCause::Disconnect).wills().is_empty());
    assert!(bench.at(1_000).wills().is_empty());
}

/// [MQTT-3.1.3-9]
#[test]
fn will_with_a_delay_is_due_exactly_after_it_and_once() {
    let (mut bench, _) = lost(with_will(5, durable("a")));
    assert_eq!(bench.holder.deadline().unwrap().0, 5_000);
    assert!(bench.at(4_999).wills().is_empty());
    assert_eq!(bench.at(5_000).wills(), ["bye"]);
    assert!(bench.at(9_999).wills().is_empty());
    assert_eq!(bench.holder.counts().sessions, 1, "the session goes on");
}

/// [MQTT-3.1.3-9]
#[test]
fn will_is_never_due_when_the_session_goes_on_in_time() {
    let (mut bench, _) = lost(with_will(5, durable("a")));
    bench.at(4_999);
    let (link, _, outputs) = bench.connect_fully(durable("a"));
    assert!(outputs.wills().is_empty());
    assert!(bench.at(5_000).wills().is_empty());
    assert!(bench.lose(link).wills().is_empty(), "this connection has none");
}

#[test]
fn will_is_due_at_the_end_of_the_session_if_that_comes_first() {
    for (expiry_s, due_ms) in [(4, 4_000), (5, 5_000), (6, 5_000)] {
        let (mut bench, _) = lost(with_will(5, lasting_s("a", expiry_s)));
        assert!(bench.at(due_ms - 1).wills().is_empty());
        assert_eq!(bench.at(due_ms).wills(), ["bye"], "expiry {expiry_s}");
        assert!(bench.at(9_999).wills().is_empty());
        assert!(bench.holder.is_empty());
    }
}

#[test]
fn clean_start_ends_a_session_whose_will_waits_and_so_publishes_it() {
    let (mut bench, _) = lost(with_will(5, durable("a")));
    let (_, _, outputs) = bench.connect_fully(Open { start: Start::Clean, ..durable("a") });
    assert_eq!(outputs.wills(), ["bye"]);
    assert!(bench.at(5_000).wills().is_empty());
}

#[test]
fn takeover_publishes_a_will_that_has_no_delay() {
    let mut bench = Bench::new();
    let old = bench.connect(with_will(0, durable("a")));
    let (_, outputs) = bench.open(durable("a"));
    assert!(outputs.wills().is_empty(), "the older connection is still there");
    assert_eq!(bench.close(old, CloseCause::Handover).wills(), ["bye"]);
}

/// The shell publishes it at once; what is delivered then must not overtake the CONNACK.
#[test]
fn will_is_the_last_thing_of_its_step() {
    let mut bench = Bench::new();
    let old = bench.connect(with_will(0, durable("a")));
    bench.open(durable("a"));
    let outputs = bench.close(old, CloseCause::Handover);
    assert!(matches!(
        outputs.0[..],
        [
            broker_core::holder::Output::Route(_),
            broker_core::holder::Output::Tell(..),
            broker_core::holder::Output::Publish(_)
        ]
    ));
}

#[test]
fn takeover_by_force_publishes_the_will_as_well() {
    let mut bench = Bench::new();
    let old = bench.connect(with_will(0, durable("a")));
    bench.open(durable("a"));
    assert_eq!(bench.at(100).wills(), ["bye"]);
    assert!(bench.lose(old).wills().is_empty(), "it is not its own any more");
}

#[test]
fn takeover_that_resumes_the_session_drops_a_will_with_a_delay() {
    let mut bench = Bench::new();
    let old = bench.connect(with_will(5, durable("a")));
    bench.open(durable("a"));
    assert!(bench.close(old, CloseCause::Handover).wills().is_empty());
    assert!(bench.at(5_000).wills().is_empty());
}

#[test]
fn takeover_that_starts_clean_publishes_a_will_with_a_delay() {
    let mut bench = Bench::new();
    let old = bench.connect(with_will(5, durable("a")));
    bench.open(Open { start: Start::Clean, ..durable("a") });
    assert_eq!(bench.close(old, CloseCause::Handover).wills(), ["bye"]);
}

#[test]
fn disconnect_that_keeps_the_will_and_ends_the_session_publishes_it_at_once() {
    let mut bench = Bench::new();
    let link = bench.connect(with_will(5, durable("a")));
    let now = Some(Lifetime::Connection);
    let outputs = bench.close_with(link, CloseCause::Failure, Progress::default(), now);
    assert_eq!(outputs.wills(), ["bye"]);
    assert!(bench.holder.is_empty());
}

#[test]
fn life_of_a_will_message_begins_when_it_is_published() {
    let will = NewWill { expires_in_s: Some(3), ..will("bye", 5).unwrap() };
    let (mut bench, link) = lost(Open { will: Some(will), ..durable("a") });
    let outputs = bench.at(5_000);
    let [broker_core::holder::Output::Publish(message)] = &outputs.0[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!(message.expires_at, Some(ClusterMillis(CLUSTER_TIME + 8_000)));
    assert_eq!(message.publisher.session, link.session.id);
}
