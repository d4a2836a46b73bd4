//! From a TCP port to a stream of MQTT bytes, for every host.
//!
//! A [`Listener`] accepts, takes the layers off that its [`ListenerConfig`] names (PROXY header,
//! TLS, WebSocket) and hands over an [`Arrived`]: a byte stream and who is at its end. [`close`]
//! is the other end of a connection's life.
//!
//! Not here: MQTT, access rules, limits on established connections. Those are the host's.
//!
//! # What a hostile peer can do
//! Handshakes are bounded in number ([`HandshakeLimits::at_once_max`]), time and bytes. Beyond the
//! number connections wait in the backlog of the kernel; when one waits there and the oldest handshake
//! has had its grace, the oldest gives way.

mod accept;
mod close;
mod config;
mod counters;
mod half_open;
mod handshake;
mod network;
mod proxy;
mod stream;
mod tls;
mod websocket;

pub use accept::{ListenError, Listener, Phase};
pub use close::close;
pub use config::{HandshakeLimits, ListenerConfig};
pub use counters::{ListenerCounters, ListenerStats};
pub use handshake::Arrived;
pub use network::{Network, NetworkError};
pub use stream::ClientStream;
pub use tls::{CertificateSubject, ClientAuthority, ClientCertificates, Tls, TlsError, TlsFiles};
pub use websocket::{WebSocket, WebSocketConfig};
