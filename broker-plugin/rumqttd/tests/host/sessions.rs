//! Sessions, takeover, limits of connections.

use std::sync::Arc;
use std::time::Duration;

use broker_core::host::HostEvent;
use rumqttd_host::{AdmitAll, HostConfig, PluginPorts};

use crate::support::client::Client;
use crate::support::packets::{connect_v4, connect_v5, packet, publish_v4, subscribe_v5, text};
use crate::support::{Answering, Broker};

/// Session Expiry Interval of an hour.
const HOUR: &[u8] = &[0x11, 0, 0, 0x0E, 0x10];

async fn connect(broker: &Broker, bytes: &[u8], present: u8) -> Client {
    let mut client = broker.socket().await;
    client.send(bytes).await;
    let connack = client.read_type(2).await;
    assert_eq!(connack[..2], [present, 0], "{connack:02x?}");
    client
}

async fn leave(mut client: Client) {
    client.send(&[0xE0, 0]).await;
    client.must_be_closed().await;
}

#[tokio::test]
async fn resumed_session_gets_what_was_published_meanwhile() {
    let broker = Broker::start().await;
    let sessions = [connect_v4("keeper", 0), connect_v5("keeper", 0, HOUR)];
    for bytes in sessions {
        let mut keeper = connect(&broker, &bytes, 0).await;
        keeper.subscribe("t", 1).await;
        leave(keeper).await;
        let mut publisher = broker.v4("publisher").await;
        for number in 0..150 {
            publisher.send(&publish_v4("t", 1, 1, &number.to_string())).await;
            publisher.expect(&[0x40, 2, 0, 1]).await;
        }
        let mut keeper = connect(&broker, &bytes, 1).await;
        for number in 0..150 {
            assert_eq!(keeper.acknowledged_delivery().await.payload, number.to_string());
        }
        leave(keeper).await;
        leave(connect(&broker, &connect_v4("keeper", 2), 0).await).await;
    }
}

#[tokio::test]
async fn resumed_session_can_unsubscribe_and_knows_its_subscription_identifiers() {
    let broker = Broker::start().await;
    let bytes = connect_v5("keeper", 0, HOUR);
    let mut keeper = connect(&broker, &bytes, 0).await;
    keeper.send(&subscribe_v5(1, &[0x0B, 7], &[("a", 0), ("b", 0)])).await;
    keeper.expect(&[0x90, 5, 0, 1, 0, 0, 0]).await;
    leave(keeper).await;
    let mut keeper = connect(&broker, &bytes, 1).await;
    keeper.send(&packet(0xA2, &[&[0, 2, 0][..], &text("a")].concat())).await;
    keeper.expect(&[0xB0, 4, 0, 2, 0, 0]).await;
    keeper.publish("a", "unsubscribed").await;
    keeper.publish("b", "kept").await;
    let delivered = keeper.delivery().await;
    assert_eq!((delivered.payload.as_str(), &delivered.properties[..]), ("kept", &[0x0B, 7][..]));
}

#[tokio::test]
async fn session_without_expiry_ends_with_its_connection() {
    let mut broker = Broker::start().await;
    let mut client = broker.v5("client").await;
    client.subscribe("t", 1).await;
    let HostEvent::Subscribe { session, .. } = broker.event().await else { panic!() };
    leave(client).await;
    assert_eq!(broker.event().await, HostEvent::SessionEnded { session });
    leave(connect(&broker, &connect_v5("client", 0, &[]), 0).await).await;
}

#[tokio::test]
async fn clean_connect_ends_the_durable_session_of_its_client_id() {
    let mut broker = Broker::start().await;
    let mut keeper = connect(&broker, &connect_v4("keeper", 0), 0).await;
    keeper.subscribe("t", 1).await;
    let HostEvent::Subscribe { session: old, .. } = broker.event().await else { panic!() };
    leave(keeper).await;
    let mut fresh = connect(&broker, &connect_v5("keeper", 2, HOUR), 0).await;
    assert_eq!(broker.event().await, HostEvent::SessionEnded { session: old });
    fresh.subscribe("end", 0).await;
    let HostEvent::Subscribe { session, .. } = broker.event().await else { panic!() };
    assert_ne!(session, old);
    fresh.publish("t", "old subscription").await;
    fresh.publish("end", "end").await;
    assert_eq!(fresh.delivery().await.payload, "end");
    leave(fresh).await;
    leave(connect(&broker, &connect_v5("keeper", 0, HOUR), 1).await).await;
}

#[tokio::test]
async fn disconnect_with_expiry_zero_ends_the_session() {
    let mut broker = Broker::start().await;
    let mut keeper = connect(&broker, &connect_v5("keeper", 0, HOUR), 0).await;
    keeper.subscribe("t", 1).await;
    let HostEvent::Subscribe { session, .. } = broker.event().await else { panic!() };
    keeper.send(&[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 0]).await;
    keeper.must_be_closed().await;
    assert_eq!(broker.event().await, HostEvent::SessionEnded { session });
    leave(connect(&broker, &connect_v5("keeper", 0, HOUR), 0).await).await;
}

#[tokio::test]
async fn newer_connection_of_a_client_id_takes_over() {
    let mut broker = Broker::start().await;
    let bytes = connect_v5("client", 0, HOUR);
    let mut older = connect(&broker, &bytes, 0).await;
    older.subscribe("t", 1).await;
    broker.event().await;
    let mut newer = connect(&broker, &bytes, 1).await;
    older.must_be_disconnected(0x8E).await;
    newer.publish("t", "still subscribed").await;
    assert_eq!(newer.acknowledged_delivery().await.payload, "still subscribed");
    let mut newest = connect(&broker, &connect_v4("client", 0), 1).await;
    newer.must_be_disconnected(0x8E).await;
    newest.publish("t", "in 3.1.1 too").await;
    assert_eq!(newest.acknowledged_delivery().await.payload, "in 3.1.1 too");
    assert_eq!(broker.host.stats().connections, 1);
    assert!(broker.events.try_recv().is_err(), "the session lives on");
}

#[tokio::test]
async fn many_connections_of_one_client_id_at_once_leave_one() {
    let broker = Broker::start().await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = broker.socket().await;
        client.send(&connect_v5("client", 2, &[])).await;
        clients.push(client);
    }
    // Or one of them might come after the last one.
    for client in &mut clients {
        client.await_anything().await;
    }
    broker.must_still_serve().await;
    let mut last = connect(&broker, &connect_v5("client", 2, &[]), 0).await;
    last.send(&[0xC0, 0]).await;
    last.expect(&[0xD0, 0]).await;
}

#[tokio::test]
async fn connections_beyond_the_maximum_are_refused_and_the_listener_lives() {
    let config = HostConfig { connections_max: 2, ..HostConfig::default() };
    let broker = Broker::with(config, Answering::Plugin(Vec::new())).await;
    let first = broker.v4("first").await;
    let _second = broker.v5("second").await;
    for _ in 0..2 {
        let mut v5 = broker.socket().await;
        v5.send(&connect_v5("third", 2, &[])).await;
        v5.expect(&[0x20, 3, 0, 0x89, 0]).await;
        v5.must_be_closed().await;
        let mut v4 = broker.socket().await;
        v4.send(&connect_v4("third", 2)).await;
        v4.expect(&[0x20, 2, 0, 3]).await;
        v4.must_be_closed().await;
    }
    leave(first).await;
    broker.must_still_serve().await;
}

#[tokio::test]
async fn durable_sessions_beyond_the_maximum_are_refused() {
    let config = HostConfig { sessions_max: 1, ..HostConfig::default() };
    let broker = Broker::with(config, Answering::Plugin(Vec::new())).await;
    leave(connect(&broker, &connect_v5("first", 2, HOUR), 0).await).await;
    let mut second = broker.socket().await;
    second.send(&connect_v5("second", 2, HOUR)).await;
    second.expect(&[0x20, 3, 0, 0x97, 0]).await;
    leave(connect(&broker, &connect_v5("first", 0, HOUR), 1).await).await;
    assert_eq!(broker.host.stats().sessions, 1);
}

#[tokio::test]
async fn durable_shared_subscriber_is_refused_and_the_router_lives() {
    let broker = Broker::start().await;
    let mut v5 = connect(&broker, &connect_v5("v5", 0, HOUR), 0).await;
    v5.send(&subscribe_v5(1, &[], &[("$share/g/t", 1), ("t", 1)])).await;
    v5.expect(&[0x90, 5, 0, 1, 0, 0x9E, 1]).await;
    let mut v4 = connect(&broker, &connect_v4("v4", 0), 0).await;
    v4.send(&packet(0x82, &[&[0, 1][..], &text("$share/g/t"), &[1]].concat())).await;
    v4.expect(&[0x90, 3, 0, 1, 0x80]).await;
    let mut member = broker.v5("member").await;
    member.subscribe("$share/g/t", 1).await;
    member.publish("t", "unacknowledged").await;
    member.delivery().await;
    drop((v5, v4, member));
    broker.must_still_serve().await;
}

#[tokio::test]
async fn connections_wait_until_the_host_is_opened() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (publishes, _published) = tokio::sync::mpsc::channel(1);
    let (events, _told) = tokio::sync::mpsc::channel(1);
    let (_commands, commands) = tokio::sync::mpsc::channel(1);
    let plugin = PluginPorts { publishes, events, commands };
    let admission = Arc::new(AdmitAll);
    let host = rumqttd_host::start(HostConfig::default(), plugin, admission).await.unwrap();
    tokio::spawn(host.entrance().accept(listener));
    let mut client = Client::open(address).await;
    client.send(&connect_v4("early", 2)).await;
    host.probe().await.unwrap();
    assert_eq!(host.stats().connections, 0);
    host.open();
    client.expect(&[0x20, 2, 0, 0]).await;
    assert_eq!(host.stats().connections, 1);
}

#[tokio::test]
async fn keep_alive_of_zero_is_accepted() {
    let broker = Broker::start().await;
    for mut client in [broker.v4("v4").await, broker.v5("v5").await] {
        client.send(&[0xC0, 0]).await;
        client.expect(&[0xD0, 0]).await;
    }
}

#[tokio::test]
async fn silent_client_is_disconnected_after_one_and_a_half_times_its_keep_alive() {
    let broker = Broker::start().await;
    let mut connect = connect_v5("client", 2, &[]);
    let keep_alive_at = connect.iter().position(|byte| *byte == 5).unwrap() + 2;
    connect[keep_alive_at + 1] = 1;
    let mut client = broker.socket().await;
    client.send(&connect).await;
    client.read_type(2).await;
    client.must_be_disconnected(0x8D).await;
}

#[tokio::test]
async fn connection_without_connect_is_closed() {
    let connect_timeout = Duration::from_millis(100);
    let config = HostConfig { connect_timeout, ..HostConfig::default() };
    let broker = Broker::with(config, Answering::Plugin(Vec::new())).await;
    let mut silent = broker.socket().await;
    let mut half = broker.socket().await;
    half.send(&[0x10, 20, 0]).await;
    let mut other = broker.socket().await;
    other.send(&[0xC0, 0]).await;
    silent.must_be_closed().await;
    half.must_be_closed().await;
    other.must_be_closed().await;
}
