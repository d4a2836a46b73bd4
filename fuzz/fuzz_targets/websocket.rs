//! Any bytes, as an HTTP upgrade and as WebSocket frames: however they arrive they mean the same, and
//! what goes out is well formed.

#![no_main]

#[path = "../../broker-plugin/listen/src/websocket/deframe.rs"]
mod deframe;
#[path = "../../broker-plugin/listen/src/websocket/outbox.rs"]
mod outbox;
#[path = "../../broker-plugin/listen/src/websocket/stream.rs"]
mod stream;
#[path = "../../broker-plugin/listen/src/websocket/upgrade.rs"]
#[expect(dead_code, reason = "whoever reads from the socket needs the rest")]
mod upgrade;
#[path = "../../broker-plugin/listen/src/websocket/violation.rs"]
mod violation;
#[path = "websocket/wire.rs"]
mod wire;

use std::io::ErrorKind;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use deframe::{Deframer, Ending};
use stream::WebSocket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wire::{Sizes, Wire};

/// Small, so that it is reached.
const MESSAGE_BYTES_MAX: u64 = 1_000;

/// Bytes that say how the others arrive.
const SIZES: usize = 8;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    answer(bytes);
    if let Some((sizes, frames)) = bytes.split_first_chunk::<SIZES>() {
        converse(*sizes, frames);
    }
});

/// One whole HTTP response, whatever was asked.
fn answer(head: &[u8]) {
    let answer = upgrade::answer(head, "/mqtt");
    let (is_upgrade, response) =
        answer.map_or_else(|refusal| (false, refusal.response()), |response| (true, response));
    let (head, body) = response.split_once("\r\n\r\n").expect("a response has a head");
    assert_eq!(head.starts_with("HTTP/1.1 101 "), is_upgrade);
    if is_upgrade {
        assert_eq!((head.lines().count(), body), (5, ""), "nothing of the request is in it");
    } else {
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
    }
}

/// What the frames mean when they arrive byte by byte.
struct Meaning {
    payload: Vec<u8>,
    pings: Vec<Vec<u8>>,
    ending: Option<Ending>,
}

impl Meaning {
    fn of(frames: &[u8]) -> Self {
        let mut deframer = Deframer::new(MESSAGE_BYTES_MAX);
        let (mut payload, mut pings) = (Vec::new(), Vec::new());
        for &byte in frames {
            let mut one = [byte];
            let taken = deframer.take(&mut one);
            payload.extend_from_slice(&one[..taken]);
            pings.extend(deframer.ping.take());
        }
        Self { payload, pings, ending: deframer.ending }
    }
}

/// Reads to the end, writes meanwhile, and shuts down.
fn converse(sizes: [u8; SIZES], frames: &[u8]) {
    let meaning = Meaning::of(frames);
    let mut socket = WebSocket::new(Wire::new(frames, sizes), MESSAGE_BYTES_MAX);
    let (mut read, mut written) = (Vec::new(), Vec::new());
    let mut sizes = Sizes::new(sizes);
    let outcome = loop {
        let size = sizes.next();
        if size % 4 == 0 {
            write(&mut socket, size, &mut written);
        }
        match poll_read(&mut socket, size.max(1), &mut read) {
            Poll::Ready(Ok(0)) => break Ok(()),
            Poll::Ready(Err(error)) => break Err(error.kind()),
            Poll::Ready(Ok(_)) | Poll::Pending => (),
        }
    };
    let is_violated = matches!(meaning.ending, Some(Ending::Violated(_)));
    assert_eq!(outcome, if is_violated { Err(ErrorKind::InvalidData) } else { Ok(()) });
    assert!(read == meaning.payload, "it depends on how it arrives");
    while Pin::new(&mut socket).poll_shutdown(&mut context()).is_pending() {}
    wire::check(&socket.socket().written, &written, &meaning.pings);
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn poll_read(
    socket: &mut WebSocket<Wire<'_>>,
    size: usize,
    read: &mut Vec<u8>,
) -> Poll<std::io::Result<usize>> {
    let mut buffer = vec![0; size];
    let mut buffer = ReadBuf::new(&mut buffer);
    let polled = Pin::new(socket).poll_read(&mut context(), &mut buffer);
    polled.map_ok(|()| {
        read.extend_from_slice(buffer.filled());
        buffer.filled().len()
    })
}

/// A number of bytes, and sometimes a flush.
fn write(socket: &mut WebSocket<Wire<'_>>, size: usize, written: &mut Vec<u8>) {
    let bytes = vec![0x5A; size * 64];
    match Pin::new(&mut *socket).poll_write(&mut context(), &bytes) {
        Poll::Ready(Ok(taken)) => written.extend_from_slice(&bytes[..taken]),
        Poll::Ready(Err(error)) => assert_eq!(error.kind(), ErrorKind::BrokenPipe),
        Poll::Pending => (),
    }
    if size % 8 == 0 {
        let _ = Pin::new(socket).poll_flush(&mut context());
    }
}
