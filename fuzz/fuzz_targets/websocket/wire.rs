//! A socket that gives and takes a few bytes at a time, and what may have been written to it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Sizes in turn; never zero twice.
#[derive(Debug)]
pub struct Sizes {
    sizes: [u8; super::SIZES],
    at: usize,
    was_zero: bool,
}

impl Sizes {
    pub fn new(sizes: [u8; super::SIZES]) -> Self {
        Self { sizes, at: 0, was_zero: false }
    }

    pub fn next(&mut self) -> usize {
        let size = usize::from(self.sizes[self.at % self.sizes.len()]);
        self.at += 1;
        let size = if self.was_zero { size.max(1) } else { size };
        self.was_zero = size == 0;
        size
    }
}

/// See the module. A size of zero: not at this time.
#[derive(Debug)]
pub struct Wire<'a> {
    input: &'a [u8],
    sizes: Sizes,
    pub written: Vec<u8>,
}

impl<'a> Wire<'a> {
    pub fn new(input: &'a [u8], sizes: [u8; super::SIZES]) -> Self {
        Self { input, sizes: Sizes::new(sizes), written: Vec::new() }
    }
}

impl AsyncRead for Wire<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let size = self.sizes.next();
        if size == 0 {
            return Poll::Pending;
        }
        let (now, later) = self.input.split_at(size.min(self.input.len()).min(buffer.remaining()));
        buffer.put_slice(now);
        self.input = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let size = self.sizes.next().saturating_mul(16).min(bytes.len());
        if size == 0 && !bytes.is_empty() {
            return Poll::Pending;
        }
        self.written.extend_from_slice(&bytes[..size]);
        Poll::Ready(Ok(size))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Whole frames without masks: the payload that was written, answers to pings, one close at the end.
pub fn check(mut frames: &[u8], written: &[u8], pings: &[Vec<u8>]) {
    let (mut payload, mut pongs) = (Vec::new(), pings.iter());
    loop {
        let (first, body) = frame(&mut frames);
        match first {
            0x82 => payload.extend_from_slice(body),
            // Earlier pings need no answer.
            0x8A => assert!(pongs.any(|ping| ping == body), "a pong without a ping"),
            0x88 => break,
            _ => panic!("a frame that begins with {first:#x}"),
        }
    }
    assert!(frames.is_empty(), "something follows the close");
    assert!(payload == written, "what was taken is sent");
}

fn frame<'a>(frames: &mut &'a [u8]) -> (u8, &'a [u8]) {
    let (&[first, length], mut rest) = frames.split_first_chunk().expect("Close comes first");
    let length = match length {
        126 => {
            let (&length, behind) = rest.split_first_chunk().expect("a whole head");
            rest = behind;
            let length = u16::from_be_bytes(length);
            assert!(length > 125, "the length is not in its shortest form");
            usize::from(length)
        }
        127.. => panic!("a mask, or a frame that is too long"),
        short => usize::from(short),
    };
    let (body, rest) = rest.split_at(length);
    *frames = rest;
    (first, body)
}
