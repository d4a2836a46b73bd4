//! TCP connections to the port for brokers, until gRPC takes them.
//!
//! Hands a connection on when it has said what every HTTP/2 client says first. Without this, tonic
//! would wait for that for ever, and would spin while the process has no file descriptor left.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time;
use tokio_stream::wrappers::ReceiverStream;

/// What a client says first [RFC 9113 §3.4].
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long it may take to say that. A broker gives up after three seconds.
const PREFACE_TIME_MAX: Duration = Duration::from_secs(5);

/// Between two looks at a connection that has said only a part of it.
const PREFACE_PAUSE: Duration = Duration::from_millis(50);

/// Connections that have not said it; the oldest gives way. A quarter of the 1,024 file descriptors
/// that a process usually has.
const SILENT_MAX: usize = 256;

/// Pause after `accept` failed, usually because the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts until the returned stream is dropped.
pub(crate) fn connections(listener: TcpListener) -> ReceiverStream<io::Result<TcpStream>> {
    let (ready, connections) = mpsc::channel(1);
    tokio::spawn(accept(listener, ready));
    ReceiverStream::new(connections)
}

async fn accept(listener: TcpListener, ready: mpsc::Sender<io::Result<TcpStream>>) {
    // Also those that have said it, until they are the oldest.
    let mut greetings: VecDeque<JoinHandle<()>> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            () = ready.closed() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                if greetings.len() == SILENT_MAX {
                    greetings.pop_front().inspect(JoinHandle::abort);
                }
                greetings.push_back(tokio::spawn(greet(stream, ready.clone())));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Frees its descriptor.
                greetings.pop_front().inspect(JoinHandle::abort);
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn greet(stream: TcpStream, ready: mpsc::Sender<io::Result<TcpStream>>) {
    if let Ok(Ok(true)) = time::timeout(PREFACE_TIME_MAX, speaks_http2(&stream)).await {
        // Refused only where there is no connection any more; gRPC will see that.
        let _ = stream.set_nodelay(true);
        // An error means that ha-server stops.
        let _ = ready.send(Ok(stream)).await;
    }
}

async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut said = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut said).await?;
        if length == 0 || !PREFACE.starts_with(&said[..length]) {
            return Ok(false);
        }
        if length == PREFACE.len() {
            return Ok(true);
        }
        time::sleep(PREFACE_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_stream::StreamExt;

    use super::*;

    async fn start() -> (SocketAddr, ReceiverStream<io::Result<TcpStream>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        (listener.local_addr().unwrap(), connections(listener))
    }

    async fn is_closed(mut stream: TcpStream) -> bool {
        stream.read(&mut [0]).await.unwrap_or_default() == 0
    }

    #[tokio::test]
    async fn connection_that_speaks_http2_is_handed_on_with_all_that_it_said() {
        let (address, mut connections) = start().await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(&PREFACE[..5]).await.unwrap();
        client.write_all(&PREFACE[5..]).await.unwrap();
        client.write_all(b"more").await.unwrap();
        let mut handed_on = connections.next().await.unwrap().unwrap();
        let mut said = [0; PREFACE.len() + 4];
        handed_on.read_exact(&mut said).await.unwrap();
        assert!(said.starts_with(PREFACE) && said.ends_with(b"more"));
    }

    #[tokio::test]
    async fn what_is_not_http2_is_closed_at_once() {
        let (address, _connections) = start().await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"\x10\x0e\0\x04MQTT").await.unwrap();
        assert!(is_closed(client).await);
    }

    /// Time is paused, so the limit comes as soon as nothing else happens.
    #[tokio::test(start_paused = true)]
    async fn silence_and_half_a_preface_are_closed_when_their_time_is_over() {
        let (address, _connections) = start().await;
        let silent = TcpStream::connect(address).await.unwrap();
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(&PREFACE[..5]).await.unwrap();
        let began = time::Instant::now();
        assert!(is_closed(silent).await && is_closed(slow).await);
        assert!(began.elapsed() >= PREFACE_TIME_MAX);
    }

    #[tokio::test]
    async fn oldest_silent_connection_gives_way_to_one_more_than_the_limit() {
        let (address, mut connections) = start().await;
        let oldest = TcpStream::connect(address).await.unwrap();
        let mut others = Vec::new();
        for _ in 0..SILENT_MAX {
            others.push(TcpStream::connect(address).await.unwrap());
        }
        assert!(is_closed(oldest).await);
        others[0].write_all(PREFACE).await.unwrap();
        assert!(connections.next().await.unwrap().is_ok());
    }
}
