//! The ports for clients: binds them, and hands what arrives to the engine.

use std::sync::Arc;

use broker_listen::{
    Arrived, ListenError, Listener, ListenerConfig, Phase, Tls, TlsError, WebSocketConfig,
};
use ha_shell::bind::BindError;
use tokio::sync::{mpsc, watch};

use crate::config::{self, BrokerConfig, Transport};
use crate::engine::Engine;

/// Connections of one port that are ready and not taken yet. Then its port accepts no more.
const ARRIVED_MAX: usize = 64;

/// Why a port cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Taken, or not ours.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A file of `[TLS]` is wrong.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl From<ListenError> for PortError {
    fn from(error: ListenError) -> Self {
        let ListenError::Bind { name, address, source } = error;
        Self::Bind(BindError::new(address, &name, source))
    }
}

/// Bound ports. Nothing is accepted before [`open`](Self::open).
pub(crate) struct Ports {
    listeners: Vec<Listener>,
    tls: Option<Arc<Tls>>,
    phase: watch::Sender<Phase>,
}

/// Open ports.
pub(crate) struct OpenPorts(watch::Sender<Phase>);

impl Ports {
    pub(crate) fn bind(config: &BrokerConfig) -> Result<Self, PortError> {
        let tls = config.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
        let bind = |of: &config::ListenerConfig| Listener::bind(listener(config, of, tls.as_ref()));
        let listeners = config.listeners.iter().map(bind).collect::<Result<_, ListenError>>()?;
        Ok(Self { listeners, tls, phase: watch::channel(Phase::Closed).0 })
    }

    /// Certificates that can be read again.
    pub(crate) fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.clone()
    }

    /// Begins to accept connections. Until then they wait in the backlog.
    pub(crate) fn open(self, engine: &Arc<Engine>) -> OpenPorts {
        for (at, listener) in self.listeners.into_iter().enumerate() {
            let (arrived, arriving) = mpsc::channel(ARRIVED_MAX);
            tokio::spawn(listener.run(self.phase.subscribe(), arrived));
            tokio::spawn(hand_over(at, arriving, Arc::clone(engine)));
        }
        self.phase.send_replace(Phase::Open);
        OpenPorts(self.phase)
    }
}

impl OpenPorts {
    /// Accepts nothing more.
    pub(crate) fn close(&self) {
        self.0.send_replace(Phase::Stopped);
    }
}

async fn hand_over(at: usize, mut arriving: mpsc::Receiver<Arrived>, engine: Arc<Engine>) {
    while let Some(arrived) = arriving.recv().await {
        engine.serve(at, arrived);
    }
}

fn listener(
    config: &BrokerConfig,
    of: &config::ListenerConfig,
    tls: Option<&Arc<Tls>>,
) -> ListenerConfig {
    let websocket = || {
        let path = config.websocket_path.clone();
        WebSocketConfig { path, ..WebSocketConfig::default() }
    };
    let (has_tls, has_websocket) = match of.transport {
        Transport::Tcp => (false, false),
        Transport::Tls => (true, false),
        Transport::WebSocket => (false, true),
        Transport::SecureWebSocket => (true, true),
    };
    let mut listener = ListenerConfig::new(of.key, of.address);
    listener.proxies.clone_from(&config.proxies);
    listener.tls = tls.filter(|_| has_tls).cloned();
    listener.websocket = has_websocket.then(websocket);
    listener.handshakes.timeout = of.limits.connect_timeout;
    listener
}
