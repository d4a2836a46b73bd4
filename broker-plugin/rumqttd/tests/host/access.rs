//! What connected clients may do.

use std::sync::Arc;

use broker_core::host::HostEvent;
use ha_types::{Qos, Subscription};
use rumqttd_host::HostConfig;

use crate::support::client::Client;
use crate::support::door::{Door, Rules};
use crate::support::packets::{
    connect_as, connect_v5_with_will, publish_v4, publish_v5, subscribe_v4, subscribe_v5,
};
use crate::support::{Answering, Broker, delivery};

async fn broker(rules: Rules) -> Broker {
    answering(rules, Answering::Plugin(Vec::new())).await
}

async fn answering(rules: Rules, answering: Answering) -> Broker {
    Broker::with_admission(HostConfig::default(), answering, Door::with(rules)).await
}

/// A client that may do everything.
async fn root(broker: &Broker) -> Client {
    let mut root = broker.socket().await;
    root.send(&connect_as(5, "root", "p")).await;
    root.read_type(2).await;
    root
}

/// At all QoS.
async fn publish_everything(client: &mut Client, topic: &str) {
    client.publish(topic, "0").await;
    client.send(&publish_v5(topic, (1, 1), &[], "1")).await;
    client.expect(&[0x40, 2, 0, 1]).await;
    client.send(&publish_v5(topic, (2, 2), &[], "2")).await;
    client.expect(&[0x50, 2, 0, 2]).await;
    client.send(&[0x62, 2, 0, 2]).await;
    client.expect(&[0x70, 2, 0, 2]).await;
}

#[tokio::test]
async fn publish_that_is_denied_is_answered_0x87_in_5_0_and_goes_nowhere() {
    let mut broker = broker(Rules { no_publish: "secret", ..Rules::default() }).await;
    let mut subscriber = broker.v4("subscriber").await;
    subscriber.subscribe("#", 0).await;
    let mut client = broker.v5("client").await;
    client.publish("secret", "p").await;
    client.send(&publish_v5("secret", (1, 1), &[], "p")).await;
    client.expect(&[0x40, 3, 0, 1, 0x87]).await;
    client.send(&publish_v5("secret", (2, 2), &[], "p")).await;
    client.expect(&[0x50, 3, 0, 2, 0x87]).await;
    client.send(&publish_v5("open", (2, 2), &[], "p")).await;
    client.expect(&[0x50, 2, 0, 2]).await;
    assert_eq!(subscriber.delivery().await.topic, "open");
    assert_eq!(broker.published().await.topic.as_str(), "open");
    assert_eq!(broker.host.stats().denied, 3);
}

#[tokio::test]
async fn publish_that_is_denied_is_acknowledged_in_3_1_1_and_goes_nowhere() {
    let mut broker = broker(Rules { no_publish: "secret", ..Rules::default() }).await;
    let mut client = broker.v4("client").await;
    client.publish("secret", "p").await;
    client.send(&publish_v4("secret", 1, 1, "p")).await;
    client.expect(&[0x40, 2, 0, 1]).await;
    client.send(&publish_v4("secret", 2, 2, "p")).await;
    client.expect(&[0x50, 2, 0, 2]).await;
    client.send(&[0x62, 2, 0, 2]).await;
    client.expect(&[0x70, 2, 0, 2]).await;
    client.publish("open", "p").await;
    assert_eq!(broker.published().await.topic.as_str(), "open");
}

#[tokio::test]
async fn filter_that_is_denied_is_refused_and_the_others_are_granted() {
    let mut broker = broker(Rules { no_subscribe: "a/+", ..Rules::default() }).await;
    let filters = [("a/+", 1), ("a/b", 1), ("$share/g/a/+", 1)];
    let mut v5 = broker.v5("v5").await;
    v5.send(&subscribe_v5(1, &[], &filters)).await;
    v5.expect(&[0x90, 6, 0, 1, 0, 0x87, 1, 0x87]).await;
    let mut v4 = broker.v4("v4").await;
    v4.send(&subscribe_v4(1, &filters)).await;
    v4.expect(&[0x90, 5, 0, 1, 0x80, 1, 0x80]).await;
    for _ in 0..2 {
        let HostEvent::Subscribe { subscriptions, .. } = broker.event().await else { panic!() };
        let told: Vec<_> = subscriptions.into_iter().map(|of| of.subscription).collect();
        assert_eq!(told, [Subscription::parse(b"a/b").unwrap()]);
    }
}

#[tokio::test]
async fn message_that_a_subscriber_may_not_receive_is_left_out_and_the_flow_goes_on() {
    let broker = broker(Rules { no_receive: "secret", ..Rules::default() }).await;
    let mut subscriber = broker.v5("subscriber").await;
    subscriber.subscribe("#", 2).await;
    let mut publisher = root(&broker).await;
    for _ in 0..100 {
        // Far more than the router has in flight without an acknowledgement.
        publish_everything(&mut publisher, "secret").await;
    }
    publish_everything(&mut publisher, "open").await;
    for payload in ["0", "1", "2"] {
        let delivered = subscriber.acknowledged_delivery().await;
        assert_eq!((delivered.topic.as_str(), delivered.payload.as_str()), ("open", payload));
    }
    assert_eq!(broker.host.stats().denied, 300);
}

#[tokio::test]
async fn retained_message_that_a_subscriber_may_not_receive_is_left_out() {
    let retained = ["secret", "open"].map(|topic| delivery(topic, "p", Qos::AtLeastOnce));
    let rules = Rules { no_receive: "secret", ..Rules::default() };
    let broker = answering(rules, Answering::Plugin(retained.to_vec())).await;
    let mut subscriber = broker.v5("subscriber").await;
    subscriber.subscribe("#", 1).await;
    assert_eq!(subscriber.acknowledged_delivery().await.topic, "open");
    let mut root = root(&broker).await;
    root.subscribe("#", 1).await;
    assert_eq!(root.acknowledged_delivery().await.topic, "secret");
}

#[tokio::test]
async fn will_that_a_subscriber_may_not_receive_reaches_only_others() {
    let broker = broker(Rules { no_receive: "w", ..Rules::default() }).await;
    let mut subscriber = broker.v5("subscriber").await;
    subscriber.subscribe("#", 0).await;
    let mut root = root(&broker).await;
    root.subscribe("#", 0).await;
    let mut dying = broker.socket().await;
    dying.send(&connect_v5_with_will("dying", 0x02, &[], &[])).await;
    dying.read_type(2).await;
    drop(dying);
    assert_eq!(root.delivery().await.topic, "w");
    root.publish("end", "end").await;
    assert_eq!(subscriber.delivery().await.topic, "end");
}

#[tokio::test]
async fn will_that_may_not_be_published_is_refused_at_connect() {
    let mut broker = broker(Rules { no_publish: "w", ..Rules::default() }).await;
    let mut v5 = broker.socket().await;
    v5.send(&connect_v5_with_will("client", 0x02, &[], &[])).await;
    v5.expect(&[0x20, 3, 0, 0x87, 0]).await;
    v5.must_be_closed().await;
    let mut v4 = broker.socket().await;
    v4.send(b"\x10\x13\0\x04MQTT\x04\x06\0\0\0\x01c\0\x01w\0\x01p").await;
    v4.expect(&[0x20, 2, 0, 5]).await;
    v4.must_be_closed().await;
    broker.must_still_serve().await;
    assert_eq!(broker.published().await.topic.as_str(), "still/served");
}

#[tokio::test]
async fn changed_rules_reach_clients_that_are_connected() {
    let door = Door::open();
    let admission = Arc::clone(&door);
    let answering = Answering::Plugin(Vec::new());
    let broker = Broker::with_admission(HostConfig::default(), answering, admission).await;
    let mut client = broker.v5("client").await;
    client.send(&publish_v5("t", (1, 1), &[], "p")).await;
    client.expect(&[0x40, 2, 0, 1]).await;
    door.change_rules(Rules { no_publish: "t", ..Rules::default() });
    client.send(&publish_v5("t", (1, 2), &[], "p")).await;
    client.expect(&[0x40, 3, 0, 2, 0x87]).await;
}
