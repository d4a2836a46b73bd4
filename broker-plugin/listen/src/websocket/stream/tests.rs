use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

/// A ping with the payload "p", and no mask to speak of.
const PING: [u8; 7] = [0x89, 0x81, 0, 0, 0, 0, b'p'];
const PONG: [u8; 3] = [0x8A, 1, b'p'];

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Woken {
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

fn task() -> (Arc<Woken>, Waker) {
    let woken = Arc::new(Woken::default());
    (Arc::clone(&woken), woken.into())
}

/// A socket that takes 8 bytes, and its other end.
fn narrow() -> (WebSocket<DuplexStream>, DuplexStream) {
    let (socket, client) = duplex(8);
    (WebSocket::new(socket, 1000), client)
}

fn read(websocket: &mut WebSocket<DuplexStream>, waker: &Waker) -> Poll<Vec<u8>> {
    let mut bytes = [0; 64];
    let mut buffer = ReadBuf::new(&mut bytes);
    let poll = Pin::new(websocket).poll_read(&mut Context::from_waker(waker), &mut buffer);
    poll.map(|result| {
        result.unwrap();
        buffer.filled().to_vec()
    })
}

/// Two tasks share a connection: answering a ping takes the writer's place in the socket.
#[tokio::test]
async fn a_reader_that_answers_a_ping_wakes_the_writer_that_waited_before() {
    let (mut websocket, mut client) = narrow();
    let ((writer, write_waker), (reader, read_waker)) = (task(), task());
    websocket.write_all(&[7; 20]).await.unwrap();
    let mut write_cx = Context::from_waker(&write_waker);
    assert!(Pin::new(&mut websocket).poll_flush(&mut write_cx).is_pending());
    client.write_all(&PING).await.unwrap();
    assert!(read(&mut websocket, &read_waker).is_pending());
    assert!(!writer.take());
    let mut found = [0; 8];
    client.read_exact(&mut found).await.unwrap();
    assert!(writer.take() && reader.take());
    let flushing = tokio::spawn(async move { websocket.flush().await });
    let mut found = [0; 22 - 8 + 3];
    client.read_exact(&mut found).await.unwrap();
    assert_eq!(found[14..], PONG);
    flushing.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_pong_that_did_not_fit_is_sent_by_the_reader_when_it_fits() {
    let (mut websocket, mut client) = narrow();
    let (reader, waker) = task();
    for _ in 0..3 {
        client.write_all(&PING).await.unwrap();
        assert!(read(&mut websocket, &waker).is_pending());
    }
    let mut found = [0; 8];
    client.read_exact(&mut found).await.unwrap();
    assert!(reader.take(), "the rest of the third pong waits");
    assert!(read(&mut websocket, &waker).is_pending());
    client.read_exact(&mut found[..1]).await.unwrap();
    assert_eq!(found[0], PONG[2]);
}

#[tokio::test]
async fn pings_that_nobody_reads_the_answers_of_take_no_memory() {
    let (mut websocket, mut client) = narrow();
    let (_, waker) = task();
    for _ in 0..20 {
        client.write_all(&PING).await.unwrap();
        assert!(read(&mut websocket, &waker).is_pending());
    }
    assert!(websocket.outbox.finished().len() <= 2 * PONG.len());
}

#[tokio::test]
async fn an_idle_connection_has_no_buffer_and_little_state() {
    let (mut websocket, mut client) = narrow();
    websocket.write_all(b"abc").await.unwrap();
    websocket.flush().await.unwrap();
    client.read_exact(&mut [0; 5]).await.unwrap();
    assert_eq!(format!("{:?}", websocket.outbox), format!("{:?}", Outbox::default()));
    assert!(size_of::<WebSocket<()>>() <= 200);
}

/// The writer decides when to flush; a frame never grows without bound.
#[tokio::test]
async fn writing_waits_when_the_client_reads_nothing() {
    let (mut websocket, _client) = narrow();
    let (_, waker) = task();
    let mut cx = Context::from_waker(&waker);
    let mut taken = 0;
    while let Poll::Ready(bytes) = Pin::new(&mut websocket).poll_write(&mut cx, &[0; 1000]) {
        taken += bytes.unwrap();
    }
    assert_eq!(taken, super::super::outbox::FRAME_BYTES_MAX);
}
