//! What clients publish, and what comes back of it.

use broker_core::{Config, Event};
use ha_types::link::{Downstream, Upstream, Welcome};
use ha_types::{BrokerEpoch, ClusterMillis, RetainedVersion};

use crate::common::{Bench, OWN_TIME, config, message, publish, welcome};

#[test]
fn qos_0_is_sent_without_a_number() {
    let mut bench = Bench::attached();
    assert_eq!(bench.publish(publish("t", "x").qos_0()).publishes(), [(0, "x".into())]);
    assert_eq!(bench.plugin.outbox_len(), 0);
}

#[test]
fn qos_0_is_dropped_and_counted_while_detached() {
    let mut bench = Bench::detached();
    bench.publish(publish("t", "x").qos_0());
    assert_eq!((bench.plugin.dropped(), bench.plugin.outbox_len()), (1, 0));
    let outputs = bench.attach_again(welcome());
    assert!(outputs.publishes().is_empty());
}

#[test]
fn qos_0_is_dropped_while_welcome_is_awaited() {
    let mut bench = Bench::fresh();
    bench.at(0);
    assert_eq!(bench.publish(publish("t", "x").qos_0()).0, []);
    assert_eq!(bench.plugin.dropped(), 1);
}

#[test]
fn qos_1_and_2_are_numbered_from_1_without_gaps() {
    let mut bench = Bench::attached();
    let mut sent = Vec::new();
    for publish in [publish("t", "a"), publish("t", "b").qos_0(), publish("t", "c")] {
        sent.extend(bench.publish(publish).publishes());
    }
    assert_eq!(sent, [(1, "a".into()), (0, "b".into()), (2, "c".into())]);
}

#[test]
fn publish_carries_the_epoch_under_which_it_was_taken() {
    let mut bench = Bench::detached();
    bench.publish(publish("t", "before"));
    let mut outputs = bench.attach_again(welcome());
    outputs.0.extend(bench.publish(publish("t", "after")).0);
    let epoch = |item: &&Upstream| match item {
        Upstream::Publish { message, .. } => Some(message.publisher.epoch),
        _ => None,
    };
    let epochs: Vec<_> = outputs.sent().iter().filter_map(epoch).collect();
    assert_eq!(epochs, [BrokerEpoch(0), BrokerEpoch(5)]);
}

#[test]
fn publishes_are_wanted_exactly_while_the_window_has_room() {
    let mut bench = Bench::attached_with(Welcome { publish_window: 2, ..welcome() });
    bench.publish(publish("t", "1"));
    assert!(bench.plugin.wants_publishes());
    bench.publish(publish("t", "2"));
    assert!(!bench.plugin.wants_publishes());
    bench.result(1, 0);
    assert!(bench.plugin.wants_publishes());
}

#[test]
fn publishes_are_wanted_exactly_while_the_outbox_has_room_for_bytes() {
    let mut bench = Bench::new(Config { outbox_bytes_max: 10, ..config() });
    bench.attach_again(welcome());
    bench.publish(publish("t", "12345678"));
    assert!(bench.plugin.wants_publishes(), "9 of 10 bytes");
    bench.publish(publish("t", ""));
    assert!(!bench.plugin.wants_publishes(), "10 of 10 bytes");
}

#[test]
fn window_is_never_wider_than_the_outbox() {
    let mut bench = Bench::attached_with(Welcome { publish_window: 1_000, ..welcome() });
    let taken = (0..20).take_while(|_| bench.plugin.wants_publishes()).count();
    assert_eq!(taken, 20, "none was published yet");
    let mut published = 0;
    while bench.plugin.wants_publishes() {
        bench.publish(publish("t", "x"));
        published += 1;
    }
    assert_eq!(published, config().outbox_max);
}

#[test]
fn publishes_are_always_wanted_while_ha_server_is_out_of_reach() {
    let mut bench = Bench::detached();
    for _ in 0..20 {
        assert!(bench.plugin.wants_publishes());
        bench.publish(publish("t", "x"));
    }
}

#[test]
fn full_outbox_drops_while_detached_and_says_so_once_per_outage() {
    let mut bench = Bench::detached();
    (0..8).for_each(|_| assert_eq!(bench.publish(publish("t", "x")).0, []));
    assert_eq!(bench.publish(publish("t", "x")).notes(), [&Event::OutboxFull]);
    assert_eq!(bench.publish(publish("t", "x")).0, [], "said already");
    assert_eq!((bench.plugin.outbox_len(), bench.plugin.dropped()), (8, 2));

    bench.attach_again(welcome());
    bench.break_stream();
    assert_eq!(bench.publish(publish("t", "x")).notes(), [&Event::OutboxFull], "a new outage");
}

#[test]
fn qos_0_that_finds_the_outbox_full_says_nothing() {
    let mut bench = Bench::detached();
    (0..8).for_each(|_| assert_eq!(bench.publish(publish("t", "x")).0, []));
    assert_eq!(bench.publish(publish("t", "x").qos_0().retained()).0, []);
    assert_eq!(bench.plugin.dropped(), 1);
}

#[test]
fn results_open_the_window_in_order() {
    let mut bench = Bench::detached();
    (1..=6).for_each(|n| assert_eq!(bench.publish(publish("t", &n.to_string())).0, []));
    let sent = bench.attach_again(welcome()).publishes();
    assert_eq!(sent.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(bench.result(1, 0).publishes(), [(5, "5".into())]);
    assert_eq!(bench.result(2, 0).publishes(), [(6, "6".into())]);
    assert_eq!(bench.result(3, 0).publishes(), []);
}

#[test]
fn result_out_of_order_ends_the_stream_and_loses_no_publish() {
    for wrong in [0, 2, 3] {
        let mut bench = Bench::attached();
        bench.publish(publish("t", "1"));
        bench.publish(publish("t", "2"));
        let outputs = bench.result(wrong, 0);
        let expected = format!("a result for publish {wrong}, which is not due");
        assert_eq!(outputs.left().unwrap().0, expected);
        assert_eq!(bench.plugin.outbox_len(), 2);
    }
}

#[test]
fn expiry_travels_as_cluster_time() {
    let expires_at = |bench: &mut Bench, seconds| {
        let outputs = bench.publish(publish("t", "x").expires_in_s(seconds));
        match outputs.sent()[..] {
            [Upstream::Publish { message, .. }] => message.expires_at,
            _ => panic!("{outputs:?}"),
        }
    };
    let mut bench = Bench::attached();
    assert_eq!(expires_at(&mut bench, 3), Some(ClusterMillis(5_003_000)));
    bench.at(200);
    assert_eq!(expires_at(&mut bench, 3), Some(ClusterMillis(5_003_200)));
}

#[test]
fn expiry_counts_in_own_time_until_ha_server_was_met() {
    let mut bench = Bench::detached();
    bench.publish(publish("t", "x").expires_in_s(3));
    let outputs = bench.attach_again(welcome());
    let expires_at = outputs.sent().into_iter().find_map(|item| match item {
        Upstream::Publish { message, .. } => message.expires_at,
        _ => None,
    });
    assert_eq!(expires_at, Some(ClusterMillis(OWN_TIME + 3_000)));
}

#[test]
fn delivery_says_how_much_life_is_left_and_none_comes_after_it() {
    // At 5,000,200 ms of cluster time.
    let cases = [
        (5_010_200, Some(10)),
        (5_001_201, Some(2)),
        (5_001_200, Some(1)),
        (5_000_201, Some(1)),
        (5_000_200, None),
        (1, None),
        (u64::MAX, Some(u32::MAX)),
    ];
    for (expires_at, left) in cases {
        let mut bench = Bench::attached();
        bench.at(200);
        let mut message = (*message("t", "x")).clone();
        message.expires_at = Some(ClusterMillis(expires_at));
        let (message, retained) = (message.into(), RetainedVersion(0));
        let item = Downstream::Deliver { origin: None, known_as: vec![], message, retained };
        let outputs = bench.receive(item);
        let found: Vec<_> = outputs.delivered().iter().map(|d| d.expires_in_s).collect();
        assert_eq!(found, left.map(Some).into_iter().collect::<Vec<_>>(), "{expires_at}");
    }
}

#[test]
fn message_without_expiry_is_delivered_without() {
    let mut bench = Bench::attached();
    let outputs = bench.receive(crate::common::deliver("t", "x", 0));
    let [delivery] = outputs.delivered()[..] else { panic!("{outputs:?}") };
    assert_eq!(delivery.expires_in_s, None);
}
