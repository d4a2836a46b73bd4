//! A connection with or without TLS. Without, nothing is between a load and its socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_rustls::client::TlsStream;

/// Boxed: it is large, and most connections have none.
type Tls = Box<TlsStream<TcpStream>>;

pub(crate) type Stream = Transport<TcpStream, Tls>;
pub(crate) type Reader = Transport<OwnedReadHalf, ReadHalf<Tls>>;
pub(crate) type Writer = Transport<OwnedWriteHalf, WriteHalf<Tls>>;

/// One of the two.
#[derive(Debug)]
pub(crate) enum Transport<P, T> {
    Plain(P),
    Tls(T),
}

impl Stream {
    pub(crate) fn into_split(self) -> (Reader, Writer) {
        match self {
            Self::Plain(socket) => {
                let (reader, writer) = socket.into_split();
                (Transport::Plain(reader), Transport::Plain(writer))
            }
            Self::Tls(socket) => {
                let (reader, writer) = tokio::io::split(socket);
                (Transport::Tls(reader), Transport::Tls(writer))
            }
        }
    }
}

/// Writes all of it and sees that it is on its way: TLS may keep the end of it otherwise.
pub(crate) async fn send(socket: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    socket.write_all(bytes).await?;
    socket.flush().await
}

impl<P: AsyncRead + Unpin, T: AsyncRead + Unpin> AsyncRead for Transport<P, T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Tls(socket) => Pin::new(socket).poll_read(cx, buffer),
        }
    }
}

impl<P: AsyncWrite + Unpin, T: AsyncWrite + Unpin> AsyncWrite for Transport<P, T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(socket) => Pin::new(socket).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}
