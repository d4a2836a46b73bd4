//! MQTT over WebSocket, against the client of another library and against raw bytes.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use broker_listen::{
    Arrived, ClientCertificates, ClientStream, ListenerConfig, Tls, WebSocketConfig,
};
use common::{Authority, Running, config, expect, secure, start};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, coding::CloseCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

const CLOSING: Duration = Duration::from_secs(10);

fn running() -> Running {
    running_with(WebSocketConfig::default())
}

fn running_with(websocket: WebSocketConfig) -> Running {
    start(ListenerConfig { websocket: Some(websocket), ..config() })
}

/// Upgrades and says which subprotocol was agreed.
async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    path: &str,
    subprotocols: &str,
) -> Result<(WebSocketStream<S>, String), Error> {
    let mut request = format!("ws://localhost{path}").into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", subprotocols.parse().unwrap());
    let (client, response) = client_async(request, stream).await?;
    let agreed = response.headers()["Sec-WebSocket-Protocol"].to_str().unwrap().to_owned();
    Ok((client, agreed))
}

async fn connected() -> (Running, WebSocketStream<TcpStream>, Arrived) {
    let mut running = running();
    let (client, _) = upgrade(running.dial().await, "/mqtt", "mqtt").await.unwrap();
    let arrived = running.next().await;
    (running, client, arrived)
}

async fn next(client: &mut WebSocketStream<impl AsyncRead + AsyncWrite + Unpin>) -> Message {
    client.next().await.unwrap().unwrap()
}

#[tokio::test]
async fn both_names_of_the_subprotocol_are_agreed_and_others_are_refused() {
    let mut running = running();
    for (asked, agreed) in [("mqtt", "mqtt"), ("mqttv3.1", "mqttv3.1"), ("x, mqtt", "mqtt")] {
        let (_, found) = upgrade(running.dial().await, "/mqtt", asked).await.unwrap();
        assert_eq!(found, agreed);
        assert!(matches!(running.next().await.stream, ClientStream::WebSocket(_)));
    }
    let refused = upgrade(running.dial().await, "/mqtt", "amqp").await;
    let Err(Error::Http(response)) = refused else { panic!("{refused:?}") };
    assert_eq!(response.status(), 400);
    let refused = upgrade(running.dial().await, "/other", "mqtt").await;
    let Err(Error::Http(response)) = refused else { panic!("{refused:?}") };
    assert_eq!(response.status(), 404);
}

async fn answer_to(request: &[u8]) -> String {
    let running = running();
    let mut client = running.dial().await;
    client.write_all(request).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(running.counters.stats().arrived, 0);
    answer
}

#[tokio::test]
async fn a_browser_that_comes_by_http_reads_a_sentence() {
    let answer = answer_to(b"GET /mqtt HTTP/1.1\r\nHost: broker\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{answer}");
    assert!(answer.ends_with("MQTT is served here over WebSocket: send an upgrade\n"), "{answer}");
}

#[tokio::test]
async fn a_request_head_is_bounded_and_what_is_no_http_is_refused() {
    let head = |bytes: usize| {
        let start = "GET / HTTP/1.1\r\nHost: b\r\nCookie: ";
        format!("{start}{}\r\n\r\n", "c".repeat(bytes - start.len() - 4)).into_bytes()
    };
    assert!(answer_to(&head(8192)).await.starts_with("HTTP/1.1 404 "));
    assert!(answer_to(&head(8193)).await.starts_with("HTTP/1.1 431 "));
    assert!(answer_to(b"\x10\x10\0\x04MQTT\x05\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    assert!(answer_to(b"GET /mqtt HTTP/1.1\r\n\r\nmore").await.starts_with("HTTP/1.1 400 "));
}

/// [MQTT-6.0.0-2], 3.1.1 [MQTT-6.0.0-2]
#[tokio::test]
async fn packets_may_be_split_over_frames_and_share_one() {
    let (_running, mut client, mut arrived) = connected().await;
    for part in [&b"\xC0"[..], b"", b"\x00\xC0\x00\xE0", b"\x00"] {
        client.send(Message::binary(part.to_vec())).await.unwrap();
    }
    expect(&mut arrived.stream, b"\xC0\x00\xC0\x00\xE0\x00").await;
}

#[tokio::test]
async fn a_fragmented_message_with_a_ping_inside_is_one_stream_and_the_ping_is_answered() {
    let (_running, mut client, mut arrived) = connected().await;
    let fragment = |opcode, payload: &'static [u8], is_last| {
        Message::Frame(Frame::message(payload, OpCode::Data(opcode), is_last))
    };
    client.send(fragment(Data::Binary, b"ab", false)).await.unwrap();
    client.send(Message::Ping(b"there?".to_vec().into())).await.unwrap();
    client.send(fragment(Data::Continue, b"cd", true)).await.unwrap();
    expect(&mut arrived.stream, b"abcd").await;
    assert_eq!(next(&mut client).await, Message::Pong(b"there?".to_vec().into()));
}

/// [MQTT-6.0.0-4], 3.1.1 [MQTT-6.0.0-4]
#[tokio::test]
async fn what_is_written_between_flushes_is_one_binary_frame() {
    let (_running, mut client, mut arrived) = connected().await;
    for packet in [b"\x40\x02\x00\x01", b"\x40\x02\x00\x02"] {
        arrived.stream.write_all(packet).await.unwrap();
    }
    arrived.stream.flush().await.unwrap();
    arrived.stream.write_all(b"\xD0\x00").await.unwrap();
    arrived.stream.flush().await.unwrap();
    let both = b"\x40\x02\x00\x01\x40\x02\x00\x02".to_vec();
    assert_eq!(next(&mut client).await, Message::binary(both));
    assert_eq!(next(&mut client).await, Message::binary(b"\xD0\x00".to_vec()));
}

#[tokio::test]
async fn a_megabyte_passes_in_each_direction() {
    let (_running, mut client, mut arrived) = connected().await;
    let large: Vec<u8> = (0..=250).cycle().take(1 << 20).collect();
    let (to_broker, to_client) = (large.clone(), large.clone());
    let broker = tokio::spawn(async move {
        expect(&mut arrived.stream, &to_broker).await;
        arrived.stream.write_all(&to_client).await.unwrap();
        arrived.stream.flush().await.unwrap();
        arrived
    });
    client.send(Message::binary(large.clone())).await.unwrap();
    let mut found = Vec::new();
    while found.len() < large.len() {
        found.extend_from_slice(&next(&mut client).await.into_data());
    }
    assert!(found == large);
    broker.await.unwrap();
}

/// What the client reads after it sent something wrong; the broker's read must fail.
async fn close_after(wrong: Message) -> CloseCode {
    let (_running, mut client, mut arrived) = connected().await;
    client.send(Message::binary(b"good".to_vec())).await.unwrap();
    client.send(wrong).await.unwrap();
    expect(&mut arrived.stream, b"good").await;
    let error = arrived.stream.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    tokio::spawn(broker_listen::close(arrived.stream, CLOSING));
    let Message::Close(Some(CloseFrame { code, .. })) = next(&mut client).await else { panic!() };
    code
}

/// [MQTT-6.0.0-1], 3.1.1 [MQTT-6.0.0-1]
#[tokio::test]
async fn a_text_frame_closes_with_1003_after_what_came_before_it() {
    assert_eq!(close_after(Message::text("MQTT")).await, CloseCode::Unsupported);
}

#[tokio::test]
async fn a_broken_frame_closes_with_1002() {
    let unfinished = Frame::message(b"x".as_slice(), OpCode::Data(Data::Continue), true);
    assert_eq!(close_after(Message::Frame(unfinished)).await, CloseCode::Protocol);
}

#[tokio::test]
async fn a_frame_without_a_mask_closes_with_1002() {
    let mut running = running();
    let (client, _) = upgrade(running.dial().await, "/mqtt", "mqtt").await.unwrap();
    let mut arrived = running.next().await;
    let mut raw = client.into_inner();
    raw.write_all(b"\x82\x02\xC0\x00").await.unwrap();
    assert!(arrived.stream.read_u8().await.is_err());
    expect(&mut raw, b"\x88\x02\x03\xEA").await;
}

#[tokio::test]
async fn a_message_larger_than_the_limit_closes_with_1009() {
    let mut running =
        running_with(WebSocketConfig { message_bytes_max: 4, ..WebSocketConfig::default() });
    let (mut client, _) = upgrade(running.dial().await, "/mqtt", "mqtt").await.unwrap();
    let mut arrived = running.next().await;
    client.send(Message::binary(b"four".to_vec())).await.unwrap();
    client.send(Message::binary(b"fives".to_vec())).await.unwrap();
    expect(&mut arrived.stream, b"four").await;
    assert!(arrived.stream.read_u8().await.is_err());
    let Message::Close(Some(CloseFrame { code, .. })) = next(&mut client).await else { panic!() };
    assert_eq!(code, CloseCode::Size);
}

#[tokio::test]
async fn a_close_of_the_client_is_answered_with_its_code_and_ends_the_stream() {
    let (_running, mut client, mut arrived) = connected().await;
    client.send(Message::binary(b"last".to_vec())).await.unwrap();
    let frame = CloseFrame { code: CloseCode::Away, reason: "bye".into() };
    client.send(Message::Close(Some(frame))).await.unwrap();
    let mut rest = Vec::new();
    arrived.stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"last");
    let Message::Close(Some(CloseFrame { code, .. })) = next(&mut client).await else { panic!() };
    assert_eq!(code, CloseCode::Away);
    let error = arrived.stream.write_all(b"more").await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn closing_sends_the_last_packet_then_close_then_the_end() {
    let (_running, mut client, mut arrived) = connected().await;
    arrived.stream.write_all(b"\xE0\x00").await.unwrap();
    let closing = tokio::spawn(broker_listen::close(arrived.stream, CLOSING));
    assert_eq!(next(&mut client).await, Message::binary(b"\xE0\x00".to_vec()));
    let Message::Close(Some(CloseFrame { code, .. })) = next(&mut client).await else { panic!() };
    assert_eq!(code, CloseCode::Normal);
    // The client's library answers the Close, then sees the end.
    assert!(client.next().await.is_none());
    drop(client);
    closing.await.unwrap();
}

#[tokio::test]
async fn websocket_runs_in_tls_with_the_certificate_of_the_client() {
    let authority = Authority::new("our authority");
    let clients = ClientCertificates::Required(authority.authority(None));
    let tls = Tls::load(authority.files(&authority.sign("broker", 1), clients)).unwrap();
    let websocket = Some(WebSocketConfig::default());
    let mut running = start(ListenerConfig { tls: Some(Arc::new(tls)), websocket, ..config() });
    let client = authority.client(Some(&authority.sign("meter-7", 7)));
    let client = secure(&client, running.dial().await).await.unwrap();
    let (mut client, _) = upgrade(client, "/mqtt", "mqtt").await.unwrap();
    let mut arrived = running.next().await;
    assert!(matches!(arrived.stream, ClientStream::SecureWebSocket(_)));
    assert_eq!(arrived.certificate.unwrap().common_name.as_deref(), Some("meter-7"));
    client.send(Message::binary(b"up".to_vec())).await.unwrap();
    expect(&mut arrived.stream, b"up").await;
    arrived.stream.write_all(b"down").await.unwrap();
    arrived.stream.flush().await.unwrap();
    assert_eq!(next(&mut client).await, Message::binary(b"down".to_vec()));
}
