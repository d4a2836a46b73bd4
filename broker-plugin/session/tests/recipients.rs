//! Who gets a message, in which order and in whose task. Sessions are held here, without a plugin.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod bench;

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bench::{Bench, HANG, read_packet};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::Barrier;

const PUBLISH: u8 = 0x32;
const PUBACK: u8 = 0x40;

/// What the host wrote, as the clients' names and the first bytes of what each write had.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(u8, u8)>>>);

/// A client's stream on the side of the host.
struct Watched {
    inner: DuplexStream,
    name: u8,
    log: Log,
    /// Nothing can be written to it; reading does not show that.
    is_broken: Arc<AtomicBool>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_broken.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.log.0.lock().unwrap().push((self.name, bytes[0]));
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl Log {
    fn watch(&self, name: u8) -> impl FnOnce(DuplexStream) -> Watched {
        let (log, is_broken) = (self.clone(), Arc::default());
        move |inner| Watched { inner, name, log, is_broken }
    }

    fn take(&self) -> Vec<(u8, u8)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A PUBLISH of QoS 1 of less than 128 bytes.
fn publish(topic: u8, packet_id: u8, payload: &[u8]) -> Vec<u8> {
    let len = 6 + u8::try_from(payload.len()).unwrap();
    [&[PUBLISH, len, 0, 1, topic, 0, packet_id, 0], payload].concat()
}

async fn subscribe(client: &mut DuplexStream, topic: u8, qos: u8) {
    client.write_all(&[0x82, 7, 0, 1, 0, 0, 1, topic, qos]).await.unwrap();
    assert_eq!(read_packet(client).await, [0x90, 4, 0, 1, 0, qos]);
}

/// Reads a PUBLISH, and acknowledges it.
async fn receive(client: &mut DuplexStream) -> Vec<u8> {
    let message = read_packet(client).await;
    assert_eq!(message[0], PUBLISH, "{message:?}");
    client.write_all(&[PUBACK, 2, message[5], message[6]]).await.unwrap();
    message[8..].to_vec()
}

#[tokio::test]
async fn only_recipient_has_the_message_before_its_publisher_has_the_answer() {
    let (bench, log) = (Bench::new(), Log::default());
    let (mut publisher, _) = bench.connect_by(b'p', 1 << 10, log.watch(b'p')).await;
    let (mut recipient, _) = bench.connect_by(b'r', 1 << 10, log.watch(b'r')).await;
    subscribe(&mut recipient, b't', 1).await;
    log.take();
    for n in 1..10 {
        publisher.write_all(&publish(b't', n, &[n])).await.unwrap();
        assert_eq!(read_packet(&mut publisher).await[..4], [PUBACK, 2, 0, n]);
        assert_eq!(receive(&mut recipient).await, [n]);
        assert_eq!(log.take(), [(b'r', PUBLISH), (b'p', PUBACK)]);
    }
}

#[tokio::test]
async fn recipient_with_little_room_gets_everything_when_it_reads() {
    let bench = Bench::new();
    let (mut publisher, _) = bench.connect(b'p').await;
    let (mut recipient, _) = bench.connect_by(b'r', 20, |stream| stream).await;
    subscribe(&mut recipient, b't', 1).await;
    for at_once in [1, 5] {
        for n in 0..at_once {
            publisher.write_all(&publish(b't', 1, &[n; 100])).await.unwrap();
            assert_eq!(read_packet(&mut publisher).await[..4], [PUBACK, 2, 0, 1]);
        }
        for n in 0..at_once {
            assert_eq!(receive(&mut recipient).await, [n; 100]);
        }
    }
}

#[tokio::test]
async fn client_that_publishes_to_itself_gets_message_and_answer() {
    let bench = Bench::new();
    let (mut client, _) = bench.connect(b'c').await;
    subscribe(&mut client, b't', 1).await;
    for n in 1..10 {
        client.write_all(&publish(b't', n, &[n])).await.unwrap();
        let mut kinds = [read_packet(&mut client).await[0], read_packet(&mut client).await[0]];
        kinds.sort_unstable();
        assert_eq!(kinds, [PUBLISH, PUBACK]);
        client.write_all(&[PUBACK, 2, 0, n]).await.unwrap();
    }
}

#[tokio::test]
async fn recipient_that_cannot_be_written_to_ends_and_its_publisher_goes_on() {
    let (bench, log) = (Bench::new(), Log::default());
    let (mut publisher, _) = bench.connect(b'p').await;
    let is_broken = Arc::new(AtomicBool::new(false));
    let watched =
        |inner| Watched { inner, name: b'r', log: log.clone(), is_broken: is_broken.clone() };
    let (mut recipient, _) = bench.connect_by(b'r', 1 << 10, watched).await;
    subscribe(&mut recipient, b't', 1).await;
    is_broken.store(true, Ordering::Relaxed);
    publisher.write_all(&publish(b't', 1, &[1])).await.unwrap();
    assert_eq!(read_packet(&mut publisher).await[..4], [PUBACK, 2, 0, 1]);
    let gone = async {
        while bench.host.clients() > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(HANG, gone).await.expect("the recipient stays");
    publisher.write_all(&[0xC0, 0]).await.unwrap();
    assert_eq!(read_packet(&mut publisher).await, [0xD0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_that_publish_to_each_other_at_the_same_time_lose_nothing_and_never_hang() {
    const MESSAGES: u16 = 2_000;
    let bench = Bench::new();
    let (mut a, _) = bench.connect(b'a').await;
    let (mut b, _) = bench.connect(b'b').await;
    subscribe(&mut a, b'a', 1).await;
    subscribe(&mut b, b'b', 1).await;
    let mut clients = Vec::new();
    for (mut client, other) in [(a, b'b'), (b, b'a')] {
        clients.push(tokio::spawn(async move {
            let (mut sent, mut answered, mut came) = (0, 0, 0);
            while answered < MESSAGES || came < MESSAGES {
                if sent == answered && sent < MESSAGES {
                    sent += 1;
                    client.write_all(&publish(other, 1, &sent.to_be_bytes())).await.unwrap();
                }
                let packet = read_packet(&mut client).await;
                if packet[0] == PUBACK {
                    answered += 1;
                } else {
                    came += 1;
                    assert_eq!(packet[8..], u16::to_be_bytes(came), "in order, each once");
                    let answer = [PUBACK, 2, packet[5], packet[6]];
                    client.write_all(&answer).await.unwrap();
                }
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn publishers_that_meet_at_one_recipient_never_leave_a_message_behind() {
    const PUBLISHERS: u8 = 4;
    const ROUNDS: usize = 2_000;
    let bench = Bench::new();
    // At QoS 0 nothing that the recipient sends wakes its task.
    let (mut recipient, _) = bench.connect(b'r').await;
    subscribe(&mut recipient, b't', 0).await;
    let round = Arc::new(Barrier::new(usize::from(PUBLISHERS) + 1));
    for id in 0..PUBLISHERS {
        let (mut publisher, _) = bench.connect(id + b'0').await;
        let round = Arc::clone(&round);
        tokio::spawn(async move {
            for _ in 0..ROUNDS {
                round.wait().await;
                publisher.write_all(&publish(b't', 1, &[id])).await.unwrap();
                assert_eq!(read_packet(&mut publisher).await[0], PUBACK);
            }
        });
    }
    for _ in 0..ROUNDS {
        round.wait().await;
        let mut came = Vec::new();
        for _ in 0..PUBLISHERS {
            came.push(*read_packet(&mut recipient).await.last().unwrap());
        }
        came.sort_unstable();
        assert_eq!(came, [0, 1, 2, 3]);
    }
}
