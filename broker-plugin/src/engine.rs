//! The MQTT engine, whichever it is.

use std::sync::Arc;
use std::time::Duration;

use broker_core::engine::{Limits, SharedSubscriptions};
use broker_core::holder::HolderConfig;
use session_host::{ListenerLimits, Origin};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use broker_auth::Gate;

use crate::admission::Doorkeeper;
use crate::config::{BrokerConfig, HostKind};
use crate::run::{SOFTWARE, unix_time_ms};

/// How long to wait when the process is out of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// rumqttd keeps a log for every filter since the start: more would take memory without end.
const RUMQTTD_FILTERS_MAX: usize = 10_000;

/// The host's ends of the plugin's channels.
pub(crate) use session_host::PluginPorts;

/// Numbers of any host.
pub(crate) use session_host::HostStats;

/// Why the engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Our own.
    #[error(transparent)]
    Session(#[from] session_host::InvalidConfig),
    /// The embedded rumqttd.
    #[error(transparent)]
    Rumqttd(#[from] rumqttd_host::StartError),
}

/// A running engine.
#[derive(Debug)]
pub(crate) enum Engine {
    Session(Session),
    Rumqttd(Box<rumqttd_host::Host>),
}

/// Our own engine and its listener.
#[derive(Debug)]
pub(crate) struct Session {
    host: Arc<session_host::Host>,
    listener: std::sync::Mutex<Listening>,
}

#[derive(Debug)]
enum Listening {
    NotYet(TcpListener),
    Accepting(JoinHandle<()>),
    Stopped,
}

impl Engine {
    /// Nothing is accepted before [`open`](Self::open).
    pub(crate) async fn start(
        config: &BrokerConfig,
        listener: TcpListener,
        gate: Gate,
        ports: PluginPorts,
    ) -> Result<Self, StartError> {
        if config.host == HostKind::Rumqttd {
            let PluginPorts { publishes, events, commands } = ports;
            let ports = rumqttd_host::PluginPorts { publishes, events, commands };
            let admission = Arc::new(Doorkeeper(gate));
            let host = rumqttd_host::start(rumqttd_config(config), ports, admission).await?;
            tokio::spawn(host.entrance().accept(listener));
            return Ok(Self::Rumqttd(Box::new(host)));
        }
        let host = session_host::start(session_config(config), Arc::new(Doorkeeper(gate)), ports)?;
        let listener = std::sync::Mutex::new(Listening::NotYet(listener));
        Ok(Self::Session(Session { host: Arc::new(host), listener }))
    }

    /// Begins to accept connections. Until then they wait in the listener's backlog.
    pub(crate) fn open(&self) {
        match self {
            Self::Session(session) => session.open(),
            Self::Rumqttd(host) => host.open(),
        }
    }

    /// Says what is wrong when the engine does not work.
    pub(crate) async fn probe(&self) -> Result<(), String> {
        match self {
            Self::Session(session) => session.host.probe().map_err(|error| error.to_string()),
            Self::Rumqttd(host) => host.probe().await.map_err(|error| error.to_string()),
        }
    }

    /// Waits until the engine has died, if it can tell.
    pub(crate) async fn died(&self) {
        match self {
            Self::Session(_) => std::future::pending().await,
            Self::Rumqttd(host) => host.died().await,
        }
    }

    pub(crate) fn stats(&self) -> HostStats {
        match self {
            Self::Session(session) => session.host.stats(),
            Self::Rumqttd(host) => {
                let stats = host.stats();
                HostStats {
                    connections: stats.connections,
                    sessions: stats.sessions,
                    publishes_in: stats.publishes_in,
                    deliveries_out: stats.deliveries_out,
                    dropped: stats.dropped,
                    denied: stats.denied,
                    ..HostStats::default()
                }
            }
        }
    }

    /// Disconnects the clients.
    pub(crate) async fn shutdown(&self, patience: Duration) {
        match self {
            Self::Session(session) => {
                session.stop_accepting();
                session.host.shutdown(patience).await;
            }
            Self::Rumqttd(host) => host.shutdown(patience).await,
        }
    }
}

impl Session {
    fn open(&self) {
        let mut listener = self.listener.lock().expect("nobody panics while holding it");
        if let Listening::NotYet(bound) = std::mem::replace(&mut *listener, Listening::Stopped) {
            let accepting = accept(bound, Arc::clone(&self.host));
            *listener = Listening::Accepting(tokio::spawn(accepting));
        }
    }

    fn stop_accepting(&self) {
        let mut listener = self.listener.lock().expect("nobody panics while holding it");
        if let Listening::Accepting(task) = std::mem::replace(&mut *listener, Listening::Stopped) {
            task.abort();
        }
    }
}

async fn accept(listener: TcpListener, host: Arc<session_host::Host>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Acknowledgements are small and waited for. A socket that cannot do this works.
                let _ = stream.set_nodelay(true);
                host.serve(stream, Origin { listener: 0, peer, certificate: None });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

fn rumqttd_config(config: &BrokerConfig) -> rumqttd_host::HostConfig {
    rumqttd_host::HostConfig {
        connections_max: config.connections_max,
        sessions_max: config.sessions_max,
        packet_bytes_max: config.packet_bytes_max,
        filters_max: config.filters_max.min(RUMQTTD_FILTERS_MAX),
        subscriptions_max: config.subscriptions_max,
        connect_timeout: config.limits.connect_timeout,
        ..rumqttd_host::HostConfig::default()
    }
}

fn session_config(config: &BrokerConfig) -> session_host::HostConfig {
    let connection = limits(config);
    session_host::HostConfig {
        connections_max: config.connections_max,
        listeners: vec![ListenerLimits { connections_max: config.connections_max, connection }],
        holder: HolderConfig {
            sessions_max: config.sessions_max,
            subscriptions_max: config.subscriptions_max,
            queue_messages_max: config.limits.queue_messages_max,
            queue_bytes_max: config.limits.queue_bytes_max,
            shared_subscriptions: shared_subscriptions(config),
        },
        is_clustered: !config.ha_servers.is_empty(),
        unix_ms: unix_time_ms(),
        sys_interval: config.sys_interval,
        software: SOFTWARE.to_owned(),
    }
}

fn limits(config: &BrokerConfig) -> Limits {
    let of = &config.limits;
    Limits {
        packet_bytes_max: u32::try_from(config.packet_bytes_max).unwrap_or(u32::MAX),
        connect_timeout_ms: u64::try_from(of.connect_timeout.as_millis()).unwrap_or(u64::MAX),
        receive_maximum: of.receive_maximum,
        inflight_max: of.inflight_max,
        queue_messages_max: of.queue_messages_max,
        queue_bytes_max: of.queue_bytes_max,
        topic_alias_maximum: of.topic_alias_max,
        topic_alias_out_max: of.topic_alias_max,
        topic_levels_max: of.topic_levels_max,
        topic_bytes_max: of.topic_bytes_max,
        publish_rate_max: of.publish_rate_max,
        keep_alive_max_s: of.keep_alive_max_s,
        session_expiry_max_s: of.session_expiry_max_s,
        shared_subscriptions: shared_subscriptions(config),
        ..Limits::default()
    }
}

/// In a cluster each broker would choose a member of its own: refused rather than wrong.
fn shared_subscriptions(config: &BrokerConfig) -> SharedSubscriptions {
    match config.ha_servers.is_empty() {
        true => SharedSubscriptions::Served,
        false => SharedSubscriptions::Refused,
    }
}
