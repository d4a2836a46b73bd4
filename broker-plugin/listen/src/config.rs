//! What a listener is told. Any combination of layers is valid.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::network::Network;
use crate::tls::Tls;
use crate::websocket::WebSocketConfig;

/// One port and the layers between it and MQTT, from the socket upwards.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// What errors and logs call it, such as its configuration key.
    pub name: Arc<str>,
    /// Where to listen. Port 0 takes any free one.
    pub address: SocketAddr,
    /// Connections that the kernel keeps for us until they are accepted: 4096 by default, so that
    /// the clients of a dead broker find room. The kernel may have a lower maximum (on Linux
    /// `net.core.somaxconn`), and drops or refuses beyond it.
    pub backlog: u32,
    /// Peers that must begin with a PROXY header, version 1 or 2. In what others send it is not
    /// looked for. Empty by default: nobody's.
    pub proxies: Vec<Network>,
    /// TLS, or `None`. Shared with whoever calls [`Tls::reload`].
    pub tls: Option<Arc<Tls>>,
    /// MQTT over WebSocket, or `None`: MQTT directly.
    pub websocket: Option<WebSocketConfig>,
    /// Limits of the handshakes of all layers together.
    pub handshakes: HandshakeLimits,
}

impl ListenerConfig {
    /// Plain MQTT over TCP, with default limits.
    pub fn new(name: &str, address: SocketAddr) -> Self {
        Self {
            name: name.into(),
            address,
            backlog: 4096,
            proxies: Vec::new(),
            tls: None,
            websocket: None,
            handshakes: HandshakeLimits::default(),
        }
    }
}

/// How many connections may be in their PROXY, TLS and WebSocket handshakes, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeLimits {
    /// Handshakes at once: 1024 by default. While so many are under way, further connections wait
    /// in the backlog. Zero counts as one.
    pub at_once_max: usize,
    /// Time for the handshakes of one connection: 10 s by default. Then it is closed.
    pub timeout: Duration,
    /// How long a handshake keeps its place while all places are taken and others wait: 2 s by
    /// default. Then the oldest one is closed for each that comes. Behind n silent peers a good one
    /// so waits for at most `n / at_once_max` times the grace, instead of the timeout. Long enough
    /// for the handshakes of a whole fleet that reconnects: 1024 take half a second of two cores.
    pub grace: Duration,
}

impl Default for HandshakeLimits {
    fn default() -> Self {
        Self { at_once_max: 1024, timeout: Duration::from_secs(10), grace: Duration::from_secs(2) }
    }
}
