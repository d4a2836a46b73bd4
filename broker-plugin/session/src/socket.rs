//! A client's stream with its read buffer: both sides in one poll, and no buffer while idle.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes that are read at a time: from little, so that an idle client costs little, to many.
const READ_BYTES: (usize, usize) = (2 << 10, 64 << 10);

/// A client's stream.
pub(crate) struct Socket<S> {
    stream: S,
    /// What was read and not understood yet.
    pub(crate) input: BytesMut,
    read_bytes: usize,
    state: Flow,
    /// The client has closed its side, or the connection is broken: it hears nothing more.
    pub(crate) is_gone: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Open,
    /// Written bytes wait in the stream's own buffer.
    Unflushed,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            input: BytesMut::new(),
            read_bytes: READ_BYTES.0,
            state: Flow::Open,
            is_gone: false,
        }
    }

    /// Bytes written; zero: nothing was to be written.
    pub(crate) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &mut BytesMut,
    ) -> Poll<std::io::Result<usize>> {
        let mut written = 0;
        while !bytes.is_empty() {
            match pin!(self.stream.write_buf(bytes)).poll(context) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
                }
                Poll::Ready(Ok(len)) => written += len,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if written > 0 => return Poll::Ready(Ok(written)),
                Poll::Pending => return Poll::Pending,
            }
            self.state = Flow::Unflushed;
        }
        if self.state == Flow::Unflushed {
            match Pin::new(&mut self.stream).poll_flush(context) {
                Poll::Ready(Ok(())) => self.state = Flow::Open,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => (),
            }
        }
        Poll::Ready(Ok(written))
    }

    /// Whether nothing that was written waits in the stream.
    pub(crate) fn is_flushed(&self) -> bool {
        self.state == Flow::Open
    }

    /// Bytes read; zero: the client has closed its side.
    pub(crate) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        self.input.reserve(self.read_bytes);
        let polled = pin!(self.stream.read_buf(&mut self.input)).poll(context);
        match polled {
            Poll::Ready(Ok(0) | Err(_)) => self.is_gone = true,
            Poll::Ready(Ok(read)) if read == self.read_bytes => {
                self.read_bytes = (self.read_bytes * 2).min(READ_BYTES.1);
            }
            Poll::Ready(Ok(read)) if read < self.read_bytes / 4 => {
                self.read_bytes = (self.read_bytes / 2).max(READ_BYTES.0);
            }
            Poll::Pending if self.input.is_empty() => self.input = BytesMut::new(),
            _ => (),
        }
        polled
    }

    /// Writes the rest, closes our side, and waits until the client has closed its own: closing a
    /// socket with unread bytes resets it, and the last words with it.
    pub(crate) async fn finish(&mut self, bytes: &mut BytesMut) {
        while !bytes.is_empty() {
            if self.stream.write_buf(bytes).await.is_err() {
                return;
            }
        }
        // The peer may be gone already.
        let _ = self.stream.shutdown().await;
        let mut rest = [0; 512];
        while let Ok(1..) = self.stream.read(&mut rest).await {}
    }
}
