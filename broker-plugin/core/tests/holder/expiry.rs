//! When a session ends by itself.

use broker_core::host::HostEvent;
use ha_types::session::{CloseCause, Lifetime, Progress};

use crate::common::{Bench, CLUSTER_TIME, durable, lasting_s, qos_1, to};

/// [MQTT-3.1.2-23]
#[test]
fn session_ends_exactly_at_its_second_with_all_that_is_kept_of_it() {
    let mut bench = Bench::new();
    let link = bench.connect(lasting_s("a", 2));
    bench.subscribe(link, &[to("t"), to("$share/g/t")]);
    bench.now = 1_000;
    bench.lose(link);
    bench.message(qos_1("t", "1"));
    assert_eq!(bench.queued(), 2);
    assert_eq!(bench.holder.deadline().unwrap().0, 3_000);
    assert!(bench.at(2_999).plugin().is_empty());
    let ended = HostEvent::SessionEnded { session: link.session.id };
    assert_eq!(bench.at(3_000).plugin(), [&ended]);
    assert!(bench.holder.is_empty());
    assert_eq!(bench.holder.counts(), broker_core::holder::HolderCounts::default());
}

#[test]
fn session_that_was_resumed_does_not_end_while_it_is_connected() {
    let mut bench = Bench::new();
    let first = bench.connect(lasting_s("a", 2));
    bench.lose(first);
    bench.now = 1_999;
    assert!(bench.connect_fully(lasting_s("a", 2)).1.is_present);
    bench.at(9_000);
    assert_eq!(bench.holder.counts().sessions, 1);
}

#[test]
fn connect_at_the_second_of_the_end_finds_no_session() {
    let mut bench = Bench::new();
    let first = bench.connect(lasting_s("a", 2));
    bench.lose(first);
    bench.now = 2_000;
    assert!(!bench.connect_fully(lasting_s("a", 2)).1.is_present);
}

#[test]
fn disconnect_may_change_how_long_the_session_lasts() {
    for (lifetime, ends_at) in [(Lifetime::Seconds(7), Some(7_000)), (Lifetime::Unlimited, None)] {
        let mut bench = Bench::new();
        let link = bench.connect(lasting_s("a", 2));
        bench.close_with(link, CloseCause::Disconnect, Progress::default(), Some(lifetime));
        assert_eq!(bench.holder.deadline().map(|at| at.0), ends_at);
    }
}

#[test]
fn longest_times_do_not_overflow() {
    let mut bench = Bench::new();
    bench.now = u64::MAX - CLUSTER_TIME;
    let link = bench.connect(lasting_s("a", u32::MAX - 1));
    bench.lose(link);
    assert_eq!(bench.holder.deadline().unwrap().0, u64::MAX);
}

#[test]
fn session_without_subscriptions_ends_without_a_word_to_the_plugin() {
    let mut bench = Bench::new();
    let link = bench.connect(durable("a"));
    let now = Some(Lifetime::Connection);
    let outputs = bench.close_with(link, CloseCause::Disconnect, Progress::default(), now);
    assert!(outputs.plugin().is_empty());
}
