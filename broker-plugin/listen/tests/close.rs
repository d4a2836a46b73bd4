//! Closing so that the peer reads what came last.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::time::Duration;

use common::{config, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const HOURS: Duration = Duration::from_secs(10_000);

#[tokio::test]
async fn a_peer_in_full_flow_reads_our_last_packet_and_then_the_end() {
    let mut running = start(config());
    let mut client = running.dial().await;
    let mut arrived = running.next().await;
    // More than is read here before the end.
    client.write_all(&[0x30; 100_000]).await.unwrap();
    arrived.stream.write_all(b"\xE0\x02\x8E\x00").await.unwrap();
    let closing = tokio::spawn(broker_listen::close(arrived.stream, HOURS));
    let mut last = Vec::new();
    client.read_to_end(&mut last).await.unwrap();
    assert_eq!(last, b"\xE0\x02\x8E\x00");
    drop(client);
    closing.await.unwrap();
}

#[tokio::test]
async fn a_peer_that_does_not_close_is_left_after_the_linger_time() {
    let mut running = start(config());
    let _client = running.dial().await;
    let arrived = running.next().await;
    broker_listen::close(arrived.stream, Duration::from_millis(1)).await;
}

#[tokio::test]
async fn a_peer_that_never_stops_sending_is_left_after_a_bounded_number_of_bytes() {
    let mut running = start(config());
    let mut client = running.dial().await;
    let arrived = running.next().await;
    let closing = tokio::spawn(broker_listen::close(arrived.stream, HOURS));
    while client.write_all(&[0; 10_000]).await.is_ok() {}
    closing.await.unwrap();
}
