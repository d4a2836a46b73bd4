//! Accepting, and what silent peers can do to it.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::time::Duration;

use broker_listen::{ClientStream, HandshakeLimits, Listener, Phase, WebSocketConfig};
use common::{config, expect, start, start_in};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HOURS: Duration = Duration::from_secs(10_000);

#[tokio::test]
async fn a_plain_connection_is_the_socket_itself_with_its_peer_and_listener() {
    let mut running = start(config());
    let mut client = running.dial().await;
    let mut arrived = running.next().await;
    assert_eq!(arrived.peer, client.local_addr().unwrap());
    assert_eq!(&*arrived.listener, "LISTENER");
    assert_eq!((arrived.certificate, arrived.server_name), (None, None));
    assert!(arrived.stream.socket().nodelay().unwrap());
    arrived.stream.write_all(b"to the client").await.unwrap();
    expect(&mut client, b"to the client").await;
    let ClientStream::Tcp(mut socket) = arrived.stream else { panic!("not plain") };
    client.write_all(b"to the broker").await.unwrap();
    expect(&mut socket, b"to the broker").await;
}

#[tokio::test]
async fn connections_wait_until_the_host_is_open_and_are_refused_after_it_stops() {
    let mut running = start_in(config(), Phase::Closed);
    let client = running.dial().await;
    tokio::task::yield_now().await;
    assert_eq!(running.counters.stats().accepted, 0);
    running.phase.send(Phase::Open).unwrap();
    assert_eq!(running.next().await.peer, client.local_addr().unwrap());
    running.phase.send(Phase::Stopped).unwrap();
    running.task.await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn a_paused_host_is_not_handed_anybody_and_goes_on_later() {
    let mut running = start(config());
    let _first = running.dial().await;
    running.next().await;
    running.phase.send(Phase::Closed).unwrap();
    let second = running.dial().await;
    tokio::task::yield_now().await;
    assert_eq!(running.counters.stats().accepted, 1);
    running.phase.send(Phase::Open).unwrap();
    assert_eq!(running.next().await.peer, second.local_addr().unwrap());
}

#[tokio::test]
async fn nobody_is_accepted_while_the_host_takes_nobody() {
    let mut running = start(config());
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(running.dial().await);
    }
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    // One in the channel, one that waits for it.
    assert!(running.counters.stats().accepted <= 2, "{:?}", running.counters.stats());
    for client in &clients {
        assert_eq!(running.next().await.peer, client.local_addr().unwrap());
    }
}

#[tokio::test]
async fn the_listener_ends_when_nobody_takes_connections_any_more() {
    let running = start(config());
    drop(running.arrived);
    running.task.await.unwrap();
}

#[tokio::test]
async fn an_address_in_use_is_an_error_with_the_name_of_the_listener() {
    let first = Listener::bind(config()).unwrap();
    let mut second = config();
    second.address = first.address();
    let error = Listener::bind(second).unwrap_err();
    assert_eq!(error.to_string(), format!("LISTENER: cannot listen on {}", first.address()));
}

#[tokio::test]
async fn three_hundred_silent_peers_do_not_keep_a_good_one_out() {
    let limits =
        HandshakeLimits { at_once_max: 32, timeout: HOURS, grace: Duration::from_millis(1) };
    let websocket = Some(WebSocketConfig::default());
    let mut running =
        start(broker_listen::ListenerConfig { handshakes: limits, websocket, ..config() });
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(running.dial().await);
    }
    let mut good = running.dial().await;
    good.write_all(UPGRADE.as_bytes()).await.unwrap();
    let arrived = running.next().await;
    assert_eq!(arrived.peer, good.local_addr().unwrap());
    let stats = running.counters.stats();
    assert!((300 - 32..=300).contains(&stats.shed), "{stats:?}");
    assert_eq!((stats.accepted, stats.arrived), (301, 1));
    assert_eq!(silent[0].read(&mut [0]).await.ok(), Some(0), "the oldest was closed");
}

#[tokio::test]
async fn without_grace_passing_a_full_house_keeps_its_guests() {
    let limits = HandshakeLimits { at_once_max: 2, timeout: HOURS, grace: HOURS };
    let websocket = Some(WebSocketConfig::default());
    let mut running =
        start(broker_listen::ListenerConfig { handshakes: limits, websocket, ..config() });
    let (mut first, _second) = (running.dial().await, running.dial().await);
    let mut third = running.dial().await;
    third.write_all(UPGRADE.as_bytes()).await.unwrap();
    // The first ends its handshake, which makes room for the third.
    first.write_all(UPGRADE.as_bytes()).await.unwrap();
    assert_eq!(running.next().await.peer, first.local_addr().unwrap());
    assert_eq!(running.next().await.peer, third.local_addr().unwrap());
    assert_eq!(running.counters.stats().shed, 0);
}

#[tokio::test]
async fn a_silent_peer_is_closed_after_the_timeout() {
    let limits =
        HandshakeLimits { timeout: Duration::from_millis(1), ..HandshakeLimits::default() };
    let websocket = Some(WebSocketConfig::default());
    let running =
        start(broker_listen::ListenerConfig { handshakes: limits, websocket, ..config() });
    let mut client = running.dial().await;
    assert_eq!(client.read(&mut [0]).await.ok(), Some(0));
    assert_eq!(running.counters.stats().shed, 0);
}

const UPGRADE: &str = "GET /mqtt HTTP/1.1\r\nHost: broker\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Version: 13\r\n\r\n";
