//! Between host and plugin: deliveries, retained messages, their order.

use std::sync::Arc;

use broker_core::host::{Delivery, HostCommand, HostEvent, RetainedWanted};
use bytes::Bytes;
use ha_types::{Message, Qos, Subscription};
use rumqttd_host::HostConfig;

use crate::support::packets::{packet, publish_v4, subscribe_v4, subscribe_v5, text};
use crate::support::{Answering, Broker, delivery, subscribed};

fn with_properties(of: &Delivery, properties: &'static [u8]) -> Delivery {
    let properties = Bytes::from_static(properties);
    Delivery {
        message: Arc::new(Message { properties, ..(*of.message).clone() }),
        expires_in_s: Some(60),
    }
}

#[tokio::test]
async fn delivery_of_the_cluster_reaches_local_subscribers_and_not_the_plugin() {
    let mut broker = Broker::start().await;
    let mut v4 = broker.v4("v4").await;
    let mut v5 = broker.v5("v5").await;
    v4.subscribe("t", 2).await;
    v5.subscribe("t", 2).await;
    let delivered = with_properties(&delivery("t", "p", Qos::ExactlyOnce), b"\x01\x01");
    broker.command(HostCommand::Deliver(delivered)).await;
    let to_v4 = v4.acknowledged_delivery().await;
    assert_eq!((to_v4.payload.as_str(), to_v4.qos, to_v4.retain), ("p", 2, false));
    let to_v5 = v5.acknowledged_delivery().await;
    assert_eq!(to_v5.properties, [2, 0, 0, 0, 60, 1, 1]);
    broker.must_still_serve().await;
    assert_eq!(broker.published().await.topic.as_str(), "still/served");
}

#[tokio::test]
async fn delivery_that_this_host_cannot_route_is_dropped_and_counted() {
    let broker = Broker::start().await;
    let mut subscriber = broker.v5("subscriber").await;
    subscriber.subscribe("#", 0).await;
    broker.deliver("é/x", "panics rumqttd").await;
    broker.deliver("$x", "is never matched").await;
    let malformed = with_properties(&delivery("t", "p", Qos::AtMostOnce), b"\x08\0\x09");
    broker.command(HostCommand::Deliver(malformed)).await;
    broker.deliver("t", "fine").await;
    assert_eq!(subscriber.delivery().await.payload, "fine");
    assert_eq!(broker.host.stats().dropped, 3);
}

#[tokio::test]
async fn retained_messages_follow_the_suback_at_the_lower_qos() {
    let retained = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce]
        .map(|qos| delivery("t", &qos.level().to_string(), qos));
    let config = HostConfig::default();
    let broker = Broker::with(config, Answering::Plugin(retained.to_vec())).await;
    for granted in 0..=2 {
        let mut v4 = broker.v4("v4").await;
        v4.subscribe("t", granted).await;
        let mut v5 = broker.v5("v5").await;
        v5.send(&subscribe_v5(1, &[0x0B, 9], &[("t", granted)])).await;
        v5.expect(&[0x90, 4, 0, 1, 0, granted]).await;
        for client in [&mut v4, &mut v5] {
            for qos in 0..=2 {
                let delivered = client.acknowledged_delivery().await;
                assert_eq!(delivered.payload, qos.to_string());
                assert_eq!((delivered.qos, delivered.retain), (qos.min(granted), true));
            }
        }
        v5.publish("t", "live").await;
        let live = v5.delivery().await;
        assert_eq!((live.payload.as_str(), live.retain), ("live", false));
        assert_eq!(live.properties, [0x0B, 9]);
    }
}

#[tokio::test]
async fn subscribe_tells_the_plugin_which_retained_messages_it_wants() {
    let mut broker = Broker::start().await;
    let mut client = broker.v5("client").await;
    let filters = [("always", 0), ("new", 0x10), ("never", 0x20), ("$share/g/s", 0), ("$x", 0)];
    client.send(&subscribe_v5(1, &[], &filters)).await;
    client.expect(&[0x90, 8, 0, 1, 0, 0, 0, 0, 0, 0x8F]).await;
    let HostEvent::Subscribe { subscriptions, .. } = broker.event().await else { panic!() };
    let wanted: Vec<_> = subscriptions.iter().map(|of| of.retained).collect();
    use RetainedWanted::{Always, IfNew, Never};
    assert_eq!(wanted, [Always, IfNew, Never, Never]);
    client.send(&packet(0xA2, &[&[0, 2, 0][..], &text("new"), &text("x")].concat())).await;
    client.expect(&[0xB0, 5, 0, 2, 0, 0, 0x11]).await;
    let HostEvent::Unsubscribe { subscriptions, .. } = broker.event().await else { panic!() };
    assert_eq!(subscriptions, [Subscription::parse(b"new").unwrap()]);
}

#[tokio::test]
async fn subscription_begins_between_the_deliveries_before_and_after_its_answer() {
    let mut broker = Broker::with(HostConfig::default(), Answering::Test).await;
    let mut client = broker.v4("client").await;
    client.send(&subscribe_v4(1, &[("t", 1)])).await;
    let HostEvent::Subscribe { ticket, subscriptions, .. } = broker.event().await else { panic!() };
    broker.deliver("t", "before").await;
    let retained = [delivery("t", "retained", Qos::AtLeastOnce)];
    broker.command(subscribed(ticket, &subscriptions, &retained)).await;
    broker.deliver("t", "after").await;
    client.expect(&[0x90, 3, 0, 1, 1]).await;
    assert_eq!(client.acknowledged_delivery().await.payload, "retained");
    assert_eq!(client.acknowledged_delivery().await.payload, "after");
}

#[tokio::test]
async fn deliveries_go_on_while_a_subscribe_waits() {
    let mut broker = Broker::with(HostConfig::default(), Answering::Test).await;
    let mut client = broker.v5("client").await;
    for (packet_id, filter) in [(1, "first"), (2, "second")] {
        client.send(&subscribe_v5(packet_id, &[], &[(filter, 0)])).await;
        let HostEvent::Subscribe { ticket, subscriptions, .. } = broker.event().await else {
            panic!()
        };
        if packet_id == 2 {
            broker.deliver("first", "while waiting").await;
            assert_eq!(client.delivery().await.payload, "while waiting");
        }
        broker.command(subscribed(ticket, &subscriptions, &[])).await;
        client.read_type(9).await;
    }
}

#[tokio::test]
async fn subscribe_that_the_cluster_refuses_changes_nothing() {
    let mut broker = Broker::with(HostConfig::default(), Answering::Test).await;
    let mut client = broker.v5("client").await;
    client.send(&subscribe_v5(1, &[], &[("t", 1), ("$x", 0)])).await;
    let HostEvent::Subscribe { ticket, .. } = broker.event().await else { panic!() };
    broker.command(HostCommand::SubscribeRefused { ticket }).await;
    client.expect(&[0x90, 5, 0, 1, 0, 0x97, 0x8F]).await;
    client.send(&packet(0xA2, &[&[0, 2, 0][..], &text("t")].concat())).await;
    client.expect(&[0xB0, 4, 0, 2, 0, 0x11]).await;
}

#[tokio::test]
async fn deliveries_of_the_cluster_keep_their_order() {
    let broker = Broker::start().await;
    let mut client = broker.v4("client").await;
    client.subscribe("t", 1).await;
    let commands = broker.commands.clone();
    let delivering = tokio::spawn(async move {
        for number in 0..5_000 {
            let command = delivery("t", &number.to_string(), Qos::AtLeastOnce);
            commands.send(HostCommand::Deliver(command)).await.unwrap();
        }
    });
    for number in 0..5_000 {
        assert_eq!(client.acknowledged_delivery().await.payload, number.to_string());
    }
    delivering.await.unwrap();
}

#[tokio::test]
async fn slow_plugin_holds_publishers_back_and_not_deliveries() {
    let answering = Answering::Plugin(Vec::new());
    let mut broker = Broker::with_room_for(1, HostConfig::default(), answering).await;
    let mut publishers = [broker.v4("a").await, broker.v4("b").await, broker.v4("c").await];
    for publisher in &mut publishers {
        publisher.subscribe("down", 0).await;
        let flood: Vec<u8> = (1..=10).flat_map(|id| publish_v4("up", 1, id, "")).collect();
        publisher.send(&flood).await;
    }
    broker.deliver("down", "goes on").await;
    for publisher in &mut publishers {
        // One of them may have had the only place already.
        let mut packet = publisher.read().await;
        if packet[0] == 0x40 {
            packet = publisher.read().await;
        }
        assert_eq!(packet, b"\x30\x0D\0\x04downgoes on");
    }
    for _ in 0..30 {
        broker.published().await;
    }
    for publisher in &mut publishers {
        while publisher.read().await != [0x40, 2, 0, 10] {}
    }
}
