//! What must never break the broker.

use proptest::prelude::{Strategy, any};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rumqttd_host::HostConfig;

use crate::support::packets::{connect_v4, connect_v5, packet, publish_v4, subscribe_v4, text};
use crate::support::{Answering, Broker};

#[tokio::test]
async fn random_bytes_before_and_after_connect_leave_the_broker_serving() {
    let broker = Broker::start().await;
    let mut runner = TestRunner::deterministic();
    let bytes = proptest::collection::vec(any::<u8>(), 1..200);
    for round in 0..200 {
        let garbage = bytes.new_tree(&mut runner).unwrap().current();
        let mut client = broker.socket().await;
        match round % 3 {
            0 => (),
            1 => client.send(&connect_v4(&format!("g{round}"), 2)).await,
            _ => client.send(&connect_v5(&format!("g{round}"), 2, &[])).await,
        }
        client.try_send(&garbage).await;
    }
    broker.must_still_serve().await;
}

#[tokio::test]
async fn clients_that_vanish_in_the_middle_leave_the_broker_serving() {
    let broker = Broker::start().await;
    for round in 0..50 {
        let mut client = broker.v4(&format!("client{}", round % 7)).await;
        client.subscribe("t/#", u8::try_from(round % 3).unwrap()).await;
        let burst: Vec<u8> = (0..300).flat_map(|_| publish_v4("t/x", 1, 1, "payload")).collect();
        client.try_send(&burst).await;
    }
    broker.must_still_serve().await;
}

#[tokio::test]
async fn distinct_filters_are_bounded_because_the_router_never_forgets_one() {
    let config = HostConfig { filters_max: 2, ..HostConfig::default() };
    let broker = Broker::with(config, Answering::Plugin(Vec::new())).await;
    let mut client = broker.v4("client").await;
    client.send(&subscribe_v4(1, &[("a", 0), ("b", 0), ("c", 0), ("a", 0)])).await;
    client.expect(&[0x90, 6, 0, 1, 0, 0, 0x80, 0]).await;
    let filters = [text("a"), text("b")].concat();
    client.send(&packet(0xA2, &[&[0, 2][..], &filters].concat())).await;
    client.expect(&[0xB0, 2, 0, 2]).await;
    client.send(&subscribe_v4(3, &[("c", 0), ("b", 0)])).await;
    client.expect(&[0x90, 4, 0, 3, 0x80, 0]).await;
}

#[tokio::test]
async fn subscriber_that_never_reads_hurts_nobody_else() {
    let broker = Broker::start().await;
    let mut stuck = broker.v4("stuck").await;
    stuck.subscribe("flood", 0).await;
    let mut publisher = broker.v4("publisher").await;
    let large = "x".repeat(100_000);
    for _ in 0..200 {
        publisher.publish("flood", &large).await;
    }
    broker.must_still_serve().await;
}

#[tokio::test]
async fn plain_and_shared_subscriptions_to_one_filter_live_side_by_side() {
    let broker = Broker::start().await;
    let mut client = broker.v5("client").await;
    client.subscribe("t", 0).await;
    client.subscribe("$share/g/t", 0).await;
    client.subscribe("$share/h/t", 0).await;
    client.publish("t", "three times").await;
    for _ in 0..3 {
        assert_eq!(client.delivery().await.payload, "three times");
    }
    broker.must_still_serve().await;
}

/// A link that is closed while the router still has to wake it panics rumqttd.
#[tokio::test]
async fn subscribers_that_vanish_under_load_do_not_kill_the_router() {
    let broker = Broker::start().await;
    let mut publisher = broker.v4("publisher").await;
    for round in 0..30 {
        let mut subscribers = Vec::new();
        for number in 0..4 {
            let mut subscriber = broker.v4(&format!("subscriber{number}")).await;
            subscriber.subscribe("flood", number % 2).await;
            subscribers.push(subscriber);
        }
        let burst: Vec<u8> = (0..500).flat_map(|_| publish_v4("flood", 0, 0, "load")).collect();
        publisher.send(&burst).await;
        for subscriber in &mut subscribers {
            for _ in 0..round {
                subscriber.acknowledged_delivery().await;
            }
        }
    }
    broker.must_still_serve().await;
}
