//! The two directions of a client's socket and their buffers. Both waits may be cancelled.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, timeout};

use crate::codec::DecodeError;
use crate::codec::frame::{self, Frame};

/// Bytes waiting to be written above which nothing more is read from client or router.
pub(crate) const OUTPUT_BYTES_HIGH: usize = 64 << 10;

/// How long an ended connection may take to read its last packets.
const LINGER: Duration = Duration::from_secs(1);

/// From the client.
#[derive(Debug)]
pub(crate) struct FromClient {
    half: OwnedReadHalf,
    bytes: BytesMut,
}

/// To the client.
#[derive(Debug)]
pub(crate) struct ToClient {
    half: OwnedWriteHalf,
    /// What waits to be written.
    pub(crate) bytes: BytesMut,
    /// When the client last took something, or had nothing to take.
    pub(crate) progress_at: Instant,
}

/// Both directions.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) from_client: FromClient,
    pub(crate) to_client: ToClient,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        let (read, write) = stream.into_split();
        let from_client = FromClient { half: read, bytes: BytesMut::new() };
        let progress_at = Instant::now();
        Self {
            from_client,
            to_client: ToClient { half: write, bytes: BytesMut::new(), progress_at },
        }
    }

    /// Writes what is left, then waits for the client to close: closing with unread input would
    /// make the network throw our last packets away.
    pub(crate) async fn linger(mut self) {
        let farewell = async {
            self.to_client.half.write_all(&self.to_client.bytes).await?;
            self.to_client.half.shutdown().await?;
            while self.from_client.fill().await? > 0 {
                self.from_client.bytes.clear();
            }
            io::Result::Ok(())
        };
        // Neither a deadline nor an error changes anything: the connection is over.
        let _ = timeout(LINGER, farewell).await;
    }
}

impl FromClient {
    /// The next packet that has arrived completely.
    pub(crate) fn next_frame(&mut self, bytes_max: usize) -> Result<Option<Frame>, DecodeError> {
        frame::split(&mut self.bytes, bytes_max)
    }

    /// Waits for more bytes. Zero: the client has closed.
    pub(crate) async fn fill(&mut self) -> io::Result<usize> {
        self.half.read_buf(&mut self.bytes).await
    }
}

impl ToClient {
    pub(crate) fn is_high(&self) -> bool {
        self.bytes.len() >= OUTPUT_BYTES_HIGH
    }

    /// Waits until the client took some bytes.
    pub(crate) async fn drain(&mut self) -> io::Result<()> {
        let taken = self.half.write(&self.bytes).await?;
        if taken == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.bytes.advance(taken);
        self.progress_at = Instant::now();
        Ok(())
    }
}
