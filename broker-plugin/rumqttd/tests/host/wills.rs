//! Will Messages, which are the front's.

use std::time::Duration;

use crate::support::Broker;
use crate::support::packets::{connect_v5, connect_v5_with_will, packet, text};

const HOUR: &[u8] = &[0x11, 0, 0, 0x0E, 0x10];

/// Will Delay Interval of an hour.
const DELAYED: &[u8] = &[0x18, 0, 0, 0x0E, 0x10];

#[tokio::test]
async fn will_reaches_subscribers_and_plugin_when_the_socket_drops() {
    let mut broker = Broker::start().await;
    let mut subscriber = broker.v5("subscriber").await;
    subscriber.subscribe("w", 1).await;
    let mut dying = broker.socket().await;
    let flags = 0x02 | 0x20 | 0x08;
    dying.send(&connect_v5_with_will("dying", flags, &[], &[0x01, 1])).await;
    dying.read_type(2).await;
    drop(dying);
    let will = broker.published().await;
    assert_eq!((will.topic.as_str(), &will.payload[..]), ("w", &b"gone"[..]));
    assert_eq!((will.qos.level(), will.retain, &will.properties[..]), (1, true, &[0x01, 1][..]));
    let delivered = subscriber.acknowledged_delivery().await;
    assert_eq!((delivered.payload.as_str(), delivered.qos, delivered.retain), ("gone", 1, false));
}

#[tokio::test]
async fn normal_disconnect_takes_the_will_away_and_reason_4_does_not() {
    let mut broker = Broker::start().await;
    for (disconnect, payload) in [(&[0xE0, 0][..], "normal"), (&[0xE0, 1, 4], "with will")] {
        let mut client = broker.socket().await;
        client.send(&connect_v5_with_will(payload, 0x02, &[], &[])).await;
        client.read_type(2).await;
        client.send(disconnect).await;
        client.must_be_closed().await;
    }
    let mut v4 = broker.socket().await;
    let connect = [&b"\0\x04MQTT\x04\x06\0\0"[..], &text("v4"), &text("w"), &text("v4")].concat();
    v4.send(&packet(0x10, &connect)).await;
    v4.expect(&[0x20, 2, 0, 0]).await;
    v4.send(&[0xE0, 0]).await;
    v4.must_be_closed().await;
    broker.must_still_serve().await;
    assert_eq!(&broker.published().await.payload[..], b"gone");
    assert_eq!(broker.published().await.topic.as_str(), "still/served");
}

#[tokio::test]
async fn violation_of_the_protocol_fires_the_will() {
    let mut broker = Broker::start().await;
    let mut client = broker.socket().await;
    client.send(&connect_v5_with_will("client", 0x02, &[], &[])).await;
    client.read_type(2).await;
    client.send(&[0xF0, 0]).await;
    client.must_be_disconnected(0x82).await;
    assert_eq!(&broker.published().await.payload[..], b"gone");
}

#[tokio::test]
async fn delayed_will_is_cancelled_when_the_session_resumes() {
    let mut broker = Broker::start().await;
    let mut client = broker.socket().await;
    client.send(&connect_v5_with_will("client", 0, HOUR, DELAYED)).await;
    client.read_type(2).await;
    let mut again = broker.socket().await;
    again.send(&connect_v5("client", 0, HOUR)).await;
    assert_eq!(again.read_type(2).await[0], 1);
    client.must_be_disconnected(0x8E).await;
    again.publish("t", "no will before this").await;
    assert_eq!(&broker.published().await.payload[..], b"no will before this");
}

#[tokio::test]
async fn delayed_will_fires_when_the_client_id_starts_clean() {
    let mut broker = Broker::start().await;
    let mut client = broker.socket().await;
    client.send(&connect_v5_with_will("client", 0, HOUR, DELAYED)).await;
    client.read_type(2).await;
    drop(client);
    let mut again = broker.socket().await;
    again.send(&connect_v5("client", 0x02, &[])).await;
    assert_eq!(again.read_type(2).await[0], 0);
    assert_eq!(&broker.published().await.payload[..], b"gone");
}

#[tokio::test]
async fn delayed_will_fires_after_its_delay() {
    let mut broker = Broker::start().await;
    let mut client = broker.socket().await;
    client.send(&connect_v5_with_will("client", 0, HOUR, &[0x18, 0, 0, 0, 1])).await;
    client.read_type(2).await;
    drop(client);
    assert_eq!(&broker.published().await.payload[..], b"gone");
}

#[tokio::test]
async fn shutdown_says_goodbye_and_fires_every_will() {
    let mut broker = Broker::start().await;
    let mut away = broker.socket().await;
    away.send(&connect_v5_with_will("away", 0, HOUR, DELAYED)).await;
    away.read_type(2).await;
    away.send(&[0xE0, 1, 4]).await;
    away.must_be_closed().await;
    let mut present = broker.socket().await;
    present.send(&connect_v5_with_will("present", 0x02, &[], &[])).await;
    present.read_type(2).await;
    let goodbye = async {
        present.must_be_disconnected(0x8B).await;
        drop(present);
    };
    tokio::join!(broker.host.shutdown(Duration::from_secs(5)), goodbye);
    for _ in 0..2 {
        assert_eq!(&broker.publishes.try_recv().unwrap().payload[..], b"gone");
    }
}
