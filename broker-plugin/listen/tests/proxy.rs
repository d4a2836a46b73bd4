//! The PROXY protocol: whose word counts.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use broker_listen::{ClientStream, ListenerConfig, WebSocketConfig};
use common::{Running, config, expect, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn behind(proxies: &str) -> Running {
    let proxies = proxies.split(' ').map(|proxy| proxy.parse().unwrap()).collect();
    start(ListenerConfig { proxies, ..config() })
}

fn v2(command: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, 0x11][..], &length, rest].concat()
}

/// 192.0.2.1:4711 to 192.0.2.9:1883.
const ADDRESSES: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 9, 0x12, 0x67, 7, 91];

/// Sends a header and MQTT behind it; says who the client is then.
async fn peer_after(header: &[u8]) -> String {
    let mut running = behind("10.0.0.0/8 127.0.0.0/8");
    let mut client = running.dial().await;
    client.write_all(&[header, b"mqtt"].concat()).await.unwrap();
    let mut arrived = running.next().await;
    expect(&mut arrived.stream, b"mqtt").await;
    assert!(matches!(arrived.stream, ClientStream::Tcp(_)));
    match arrived.peer {
        peer if peer == client.local_addr().unwrap() => "the proxy".to_owned(),
        peer => peer.to_string(),
    }
}

#[tokio::test]
async fn a_trusted_peer_says_who_the_client_is_and_the_next_byte_is_mqtt() {
    assert_eq!(peer_after(b"PROXY TCP4 192.0.2.1 192.0.2.9 4711 1883\r\n").await, "192.0.2.1:4711");
    assert_eq!(peer_after(b"PROXY UNKNOWN\r\n").await, "the proxy");
    assert_eq!(peer_after(&v2(0x21, &ADDRESSES)).await, "192.0.2.1:4711");
    assert_eq!(peer_after(&v2(0x20, &[])).await, "the proxy");
    let with_tlv = [&ADDRESSES[..], &[0xEA, 0, 3, 1, 2, 3]].concat();
    assert_eq!(peer_after(&v2(0x21, &with_tlv)).await, "192.0.2.1:4711");
}

#[tokio::test]
async fn a_header_may_arrive_in_pieces() {
    for header in [b"PROXY TCP4 192.0.2.1 192.0.2.9 4711 1883\r\n".to_vec(), v2(0x21, &ADDRESSES)] {
        let mut running = behind("127.0.0.1");
        let mut client = running.dial().await;
        client.set_nodelay(true).unwrap();
        for byte in header {
            client.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(running.next().await.peer.to_string(), "192.0.2.1:4711");
    }
}

async fn is_closed(mut client: TcpStream) -> bool {
    !matches!(client.read(&mut [0]).await, Ok(1..))
}

#[tokio::test]
async fn a_trusted_peer_without_a_good_header_is_closed() {
    let long = [b"PROXY UNKNOWN".as_slice(), &[b' '; 200], b"\r\n"].concat();
    let too_long = [b"\r\n\r\n\0\r\nQUIT\n", &[0x21, 0x11, 0x10, 0x01][..], &[0; 4097]].concat();
    let bad = [
        b"\x10\x10\0\x04MQTT\x05\x02\0\0\0\0\0".to_vec(),
        b"PROXY TCP4 192.0.2.1\r\n".to_vec(),
        long,
        too_long,
        v2(0x31, &ADDRESSES),
        v2(0x21, &[0; 3]),
    ];
    for header in bad {
        let running = behind("127.0.0.0/8");
        let mut client = running.dial().await;
        client.write_all(&header).await.unwrap();
        assert!(is_closed(client).await, "{header:?}");
        assert_eq!(running.counters.stats().arrived, 0);
    }
}

#[tokio::test]
async fn what_an_untrusted_peer_says_is_not_looked_at() {
    let mut running = behind("10.0.0.0/8");
    let mut client = running.dial().await;
    client.write_all(b"PROXY UNKNOWN\r\n").await.unwrap();
    let mut arrived = running.next().await;
    assert_eq!(arrived.peer, client.local_addr().unwrap());
    expect(&mut arrived.stream, b"PROXY UNKNOWN\r\n").await;
}

#[tokio::test]
async fn the_common_name_that_the_load_balancer_verified_is_the_clients() {
    let name = [&[0x22, 0, 7][..], b"meter-7"].concat();
    let ssl = [&[0x20, 0, 15, 0x03, 0, 0, 0, 0][..], &name].concat();
    let mut running = behind("127.0.0.1");
    let mut client = running.dial().await;
    client.write_all(&v2(0x21, &[&ADDRESSES[..], &ssl].concat())).await.unwrap();
    let certificate = running.next().await.certificate.unwrap();
    assert_eq!(certificate.common_name.as_deref(), Some("meter-7"));
    assert_eq!(certificate.distinguished_name, None);
}

#[tokio::test]
async fn a_header_comes_before_the_websocket() {
    let proxies = vec!["127.0.0.1".parse().unwrap()];
    let websocket = Some(WebSocketConfig::default());
    let mut running = start(ListenerConfig { proxies, websocket, ..config() });
    let mut client = running.dial().await;
    let upgrade = "PROXY TCP6 2001:db8::1 ::1 4711 80\r\nGET /mqtt HTTP/1.1\r\nHost: broker\r\n\
        Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\
        \r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Version: 13\r\n\r\n";
    client.write_all(upgrade.as_bytes()).await.unwrap();
    let arrived = running.next().await;
    assert_eq!(arrived.peer.to_string(), "[2001:db8::1]:4711");
    assert!(matches!(arrived.stream, ClientStream::WebSocket(_)));
}
