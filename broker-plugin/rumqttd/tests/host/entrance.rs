//! Connections that are not TCP, and when they are taken.

use std::sync::Arc;
use std::time::Duration;

use broker_core::host::{HostCommand, HostEvent, HostPublish};
use rumqttd_host::{AdmitAll, Host, HostConfig, Origin, PluginPorts};
use tokio::io::{BufWriter, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::client::Client;
use crate::support::packets::connect_v5;
use crate::support::{Broker, PATIENCE};

fn origin() -> Origin {
    Origin { peer: ([192, 0, 2, 1], 1).into(), certificate: None }
}

fn pipe() -> (Client, DuplexStream) {
    let (ours, theirs) = duplex(256);
    (Client::over(ours), theirs)
}

/// The plugin's ends of the channels.
type Ends = (mpsc::Receiver<HostPublish>, mpsc::Receiver<HostEvent>, mpsc::Sender<HostCommand>);

/// A host that is not open yet.
async fn without_listener(config: HostConfig) -> (Host, Ends) {
    let (publishes, published) = mpsc::channel(1);
    let (events, told) = mpsc::channel(1);
    let (commander, commands) = mpsc::channel(1);
    let plugin = PluginPorts { publishes, events, commands };
    let host = rumqttd_host::start(config, plugin, Arc::new(AdmitAll)).await;
    (host.expect("the limits are valid"), (published, told, commander))
}

/// As TLS and WebSocket do, this stream keeps what it took until it is flushed.
#[tokio::test]
async fn stream_that_must_be_flushed_is_served() {
    let broker = Broker::start().await;
    let (mut client, stream) = pipe();
    broker.serve(BufWriter::new(stream), origin());
    client.send(&connect_v5("client", 2, &[])).await;
    client.read_type(2).await;
    client.subscribe("t", 1).await;
    client.publish("t", &"x".repeat(10_000)).await;
    assert_eq!(client.acknowledged_delivery().await.payload.len(), 10_000);
    client.send(&[0xC0, 0]).await;
    client.expect(&[0xD0, 0]).await;
    client.send(&[0xE0, 0]).await;
    client.must_be_closed().await;
}

#[tokio::test]
async fn last_words_reach_a_stream_that_must_be_flushed() {
    let broker = Broker::start().await;
    let (mut client, stream) = pipe();
    broker.serve(BufWriter::new(stream), origin());
    client.send(&connect_v5("client", 2, &[])).await;
    client.read_type(2).await;
    client.send(&[0xD0, 0]).await;
    client.must_be_disconnected(0x82).await;
}

#[tokio::test]
async fn connection_that_comes_early_waits_until_the_host_is_opened() {
    let (host, _plugin) = without_listener(HostConfig::default()).await;
    let (mut client, stream) = pipe();
    let entrance = host.entrance();
    entrance.serve(entrance.place().await, stream, origin());
    client.send(&connect_v5("early", 2, &[])).await;
    host.probe().await.unwrap();
    assert_eq!(host.stats().connections, 0);
    host.open();
    client.read_type(2).await;
}

#[tokio::test]
async fn connection_that_comes_after_the_stop_is_closed() {
    let broker = Broker::start().await;
    broker.host.shutdown(Duration::from_secs(5)).await;
    let (mut client, stream) = pipe();
    broker.serve(stream, origin());
    client.must_be_closed().await;
}

#[tokio::test]
async fn place_is_free_again_when_its_connection_has_ended() {
    let config = HostConfig { connections_max: 1, ..HostConfig::default() };
    let (host, _plugin) = without_listener(config).await;
    host.open();
    let entrance = host.entrance();
    let mut silent = Vec::new();
    while let Some(place) = entrance.place_now() {
        let (client, stream) = pipe();
        entrance.serve(place, stream, origin());
        silent.push(client);
    }
    assert_eq!(silent.len(), 257);
    drop(silent.pop());
    let place = timeout(PATIENCE, entrance.place()).await.expect("no place");
    let (mut next, stream) = pipe();
    entrance.serve(place, stream, origin());
    next.send(&connect_v5("next", 2, &[])).await;
    next.read_type(2).await;
}
