//! Takes the layers off one connection, in their order: PROXY, TLS, WebSocket.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::{error::Elapsed, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::ListenerConfig;
use crate::proxy::{self, Proxied, ReadError};
use crate::stream::ClientStream;
use crate::tls::{self, CertificateError, CertificateSubject, Tls};
use crate::websocket::{UpgradeError, upgrade};

/// A connection that is ready for MQTT.
#[derive(Debug)]
pub struct Arrived {
    /// The bytes of MQTT.
    pub stream: ClientStream,
    /// The client: as the load balancer says, or the other end of the socket.
    pub peer: SocketAddr,
    /// The name of the listener.
    pub listener: Arc<str>,
    /// Whose certificate the client showed. `None`: it showed none. Where a load balancer ended
    /// the client's TLS, it is what the load balancer says, and never its own certificate.
    pub certificate: Option<CertificateSubject>,
    /// The name that the client wanted to reach by TLS (SNI).
    pub server_name: Option<String>,
}

/// Why a connection did not arrive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("the handshake took too long")]
    TimedOut(#[from] Elapsed),
    #[error(transparent)]
    Proxy(#[from] ReadError),
    #[error("TLS")]
    Tls(#[source] io::Error),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("WebSocket")]
    WebSocket(#[from] UpgradeError),
}

/// Whether the first thing that this peer sends is a PROXY header.
pub(crate) fn sends_header(config: &ListenerConfig, peer: SocketAddr) -> bool {
    config.proxies.iter().any(|proxy| proxy.contains(peer.ip()))
}

/// A connection without layers.
pub(crate) fn plain(config: &ListenerConfig, stream: TcpStream, peer: SocketAddr) -> Arrived {
    Arrived {
        stream: ClientStream::Tcp(stream),
        peer,
        listener: Arc::clone(&config.name),
        certificate: None,
        server_name: None,
    }
}

/// Takes off all layers, in the time that the configuration gives.
pub(crate) async fn shake_hands(
    config: Arc<ListenerConfig>,
    stream: TcpStream,
    peer: SocketAddr,
) -> Result<Arrived, HandshakeError> {
    timeout(config.handshakes.timeout, take_layers(&config, stream, peer)).await?
}

async fn take_layers(
    config: &ListenerConfig,
    mut stream: TcpStream,
    peer: SocketAddr,
) -> Result<Arrived, HandshakeError> {
    let Proxied { source, tls: proxied_tls } = if sends_header(config, peer) {
        proxy::read(&mut stream).await?
    } else {
        Proxied::default()
    };
    let mut arrived = match &config.tls {
        Some(tls) => secure(config, tls, stream, peer).await?,
        None => frame(config, stream, peer).await?,
    };
    arrived.peer = source.unwrap_or(peer);
    if let Some(tls) = proxied_tls {
        arrived.certificate = tls.common_name.map(|common_name| CertificateSubject {
            common_name: Some(common_name),
            distinguished_name: None,
        });
    }
    Ok(arrived)
}

async fn secure(
    config: &ListenerConfig,
    tls: &Tls,
    stream: TcpStream,
    peer: SocketAddr,
) -> Result<Arrived, HandshakeError> {
    // The state of a handshake has kilobytes; on the heap it does not burden the others.
    let accepted = Box::pin(TlsAcceptor::from(tls.current()).accept(stream)).await;
    let stream = Box::new(accepted.map_err(HandshakeError::Tls)?);
    let certificate = certificate(&stream)?;
    let server_name = stream.get_ref().1.server_name().map(str::to_owned);
    let stream = match &config.websocket {
        Some(websocket) => {
            ClientStream::SecureWebSocket(Box::new(upgrade(*stream, websocket).await?))
        }
        None => ClientStream::Tls(stream),
    };
    let listener = Arc::clone(&config.name);
    Ok(Arrived { stream, peer, listener, certificate, server_name })
}

fn certificate(
    stream: &TlsStream<TcpStream>,
) -> Result<Option<CertificateSubject>, CertificateError> {
    let chain = stream.get_ref().1.peer_certificates();
    chain.and_then(<[_]>::first).map(tls::subject).transpose()
}

async fn frame(
    config: &ListenerConfig,
    stream: TcpStream,
    peer: SocketAddr,
) -> Result<Arrived, HandshakeError> {
    let Some(websocket) = &config.websocket else {
        return Ok(plain(config, stream, peer));
    };
    let stream = ClientStream::WebSocket(Box::new(upgrade(stream, websocket).await?));
    let listener = Arc::clone(&config.name);
    Ok(Arrived { stream, peer, listener, certificate: None, server_name: None })
}
