//! What a listener hands over: one type for all transports.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::websocket::WebSocket;

/// A connection that is ready for MQTT. All but plain TCP may keep what was written until a flush.
#[derive(Debug)]
pub enum ClientStream {
    /// Plain TCP: the socket itself, for `try_read` and vectored writes.
    Tcp(TcpStream),
    /// TLS. A peer that goes without close_notify is an error of kind `UnexpectedEof`.
    Tls(Box<TlsStream<TcpStream>>),
    /// WebSocket.
    WebSocket(Box<WebSocket<TcpStream>>),
    /// WebSocket in TLS.
    SecureWebSocket(Box<WebSocket<TlsStream<TcpStream>>>),
}

impl ClientStream {
    /// The TCP socket below all layers: for addresses and socket options, not for data.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Tcp(socket) => socket,
            Self::Tls(tls) => tls.get_ref().0,
            Self::WebSocket(websocket) => websocket.socket(),
            Self::SecureWebSocket(websocket) => websocket.socket().get_ref().0,
        }
    }
}

/// Calls one method of whatever the stream is.
macro_rules! forward {
    ($self:ident . $method:ident ( $($argument:expr),* )) => {
        match $self.get_mut() {
            ClientStream::Tcp(stream) => Pin::new(stream).$method($($argument),*),
            ClientStream::Tls(stream) => Pin::new(stream).$method($($argument),*),
            ClientStream::WebSocket(stream) => Pin::new(stream).$method($($argument),*),
            ClientStream::SecureWebSocket(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        forward!(self.poll_read(cx, buffer))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        forward!(self.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_connection_costs_no_more_than_its_socket_and_a_tag() {
        assert!(size_of::<ClientStream>() <= size_of::<TcpStream>() + 8);
    }
}
