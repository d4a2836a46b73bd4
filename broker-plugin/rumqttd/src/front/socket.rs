//! A client's stream of bytes and the buffers of its two directions. Waits may be cancelled.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use broker_core::codec::{DecodeError, Frame, frame};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};

/// Bytes waiting to be written above which nothing more is read from client or router.
pub(crate) const OUTPUT_BYTES_HIGH: usize = 64 << 10;

/// How long an ended connection may take to read its last packets.
const LINGER: Duration = Duration::from_secs(1);

/// What waits to be written.
#[derive(Debug)]
pub(crate) struct ToClient {
    pub(crate) bytes: BytesMut,
    /// When the client last took something, or had nothing to take.
    pub(crate) progress_at: Instant,
    /// The stream may still hold what it took.
    unflushed: bool,
}

/// Both directions.
#[derive(Debug)]
pub(crate) struct Socket<S> {
    stream: S,
    input: BytesMut,
    pub(crate) to_client: ToClient,
}

/// Whether bytes of the client are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listening {
    Yes,
    No,
}

/// What became of a turn.
#[derive(Debug)]
pub(crate) enum Moved {
    /// So many bytes came. Zero: the client has closed.
    Read(io::Result<usize>),
    /// The client took some bytes.
    Wrote(io::Result<()>),
}

impl ToClient {
    pub(crate) fn is_high(&self) -> bool {
        self.bytes.len() >= OUTPUT_BYTES_HIGH
    }

    /// Whether the client has something to take.
    pub(crate) fn is_pending(&self) -> bool {
        self.unflushed || !self.bytes.is_empty()
    }

    /// Throws away what the client does not take.
    pub(crate) fn give_up(&mut self) {
        self.bytes.clear();
        self.unflushed = false;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(crate) fn new(stream: S) -> Self {
        let progress_at = Instant::now();
        let to_client = ToClient { bytes: BytesMut::new(), progress_at, unflushed: false };
        Self { stream, input: BytesMut::new(), to_client }
    }

    /// The next packet that has arrived completely.
    pub(crate) fn next_frame(&mut self, bytes_max: usize) -> Result<Option<Frame>, DecodeError> {
        frame::split(&mut self.input, bytes_max)
    }

    /// Waits for more bytes. Zero: the client has closed.
    pub(crate) async fn fill(&mut self) -> io::Result<usize> {
        self.stream.read_buf(&mut self.input).await
    }

    /// Waits until bytes move in one direction; for ever when neither has any to move.
    pub(crate) async fn turn(&mut self, listening: Listening) -> Moved {
        poll_fn(|cx| {
            let drained = self.poll_drain(cx);
            if let Poll::Ready(Err(_)) = drained {
                return drained.map(Moved::Wrote);
            }
            // Also after a write: a client that takes everything at once is heard all the same.
            if listening == Listening::Yes
                && let Poll::Ready(read) = pin!(self.fill()).poll(cx)
            {
                return Poll::Ready(Moved::Read(read));
            }
            drained.map(Moved::Wrote)
        })
        .await
    }

    /// Ready when anything was taken or flushed.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wrote = self.poll_write(cx)?;
        let flushed = self.poll_flush(cx)?;
        if wrote.is_pending() && flushed.is_pending() {
            return Poll::Pending;
        }
        self.to_client.progress_at = Instant::now();
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, to_client, .. } = self;
        if to_client.bytes.is_empty() {
            return Poll::Pending;
        }
        let taken = ready!(Pin::new(stream).poll_write(cx, &to_client.bytes))?;
        if taken == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        to_client.bytes.advance(taken);
        to_client.unflushed = true;
        Poll::Ready(Ok(()))
    }

    /// A stream may encrypt or frame what it takes, and keep it until it is flushed.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.to_client.unflushed || !self.to_client.bytes.is_empty() {
            return Poll::Pending;
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.to_client.unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// Writes what is left, then waits for the client to close: closing with unread input would
    /// make the network throw our last packets away.
    pub(crate) async fn linger(mut self) {
        let farewell = async {
            self.stream.write_all(&self.to_client.bytes).await?;
            self.stream.shutdown().await?;
            self.input.clear();
            while self.fill().await? > 0 {
                self.input.clear();
            }
            io::Result::Ok(())
        };
        // Neither a deadline nor an error changes anything: the connection is over.
        let _ = timeout(LINGER, farewell).await;
    }
}
