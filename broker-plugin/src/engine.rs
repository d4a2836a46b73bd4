//! The MQTT engine, whichever it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use broker_core::HeldBy;
use broker_core::codec::Reason;
use broker_core::drain::Refusal;
use broker_core::engine::{Limits, SharedSubscriptions};
use broker_core::holder::HolderConfig;
use broker_core::host::{HostCommand, HostEvent, HostPublish};
use broker_listen::Arrived;
use ha_member::alone::Alone;
use session_host::{Certificate, Lane, ListenerLimits, Origin, ProbeError, SessionPorts};
use tokio::sync::mpsc;

use broker_auth::Gate;

use crate::admission::Doorkeeper;
use crate::alone::Seen;
use crate::config::{BrokerConfig, ConnectionLimits, HostKind};
use crate::run::{SOFTWARE, held_by, unix_time_ms};

/// rumqttd keeps a log for every filter since the start: more would take memory without end.
const RUMQTTD_FILTERS_MAX: usize = 10_000;

/// The host's ends of the plugin's channels: publishes and events, or the lane.
pub(crate) struct PluginPorts {
    pub(crate) publishes: mpsc::Sender<HostPublish>,
    pub(crate) events: mpsc::Sender<HostEvent>,
    pub(crate) lane: Lane,
    pub(crate) commands: mpsc::Receiver<HostCommand>,
}

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

/// What came of a probe.
#[derive(Debug)]
pub(crate) enum Probe {
    /// It delivers.
    Proved,
    /// It did not this time, and why.
    Silent(String),
    /// It never will again, and why.
    Dead(String),
}

/// A running engine.
#[derive(Debug)]
pub(crate) struct Engine {
    kind: Kind,
    /// What clients are told that come while it leaves.
    leaving_reason: Reason,
    /// It takes no clients at present.
    refuses: AtomicBool,
}

#[derive(Debug)]
enum Kind {
    Session(session_host::Host),
    Rumqttd(Box<rumqttd_host::Host>),
}

impl Engine {
    /// Starts the one that is configured.
    pub(crate) async fn start(
        config: &BrokerConfig,
        gate: Gate,
        ports: PluginPorts,
        state: Option<Arc<Alone>>,
    ) -> Result<Self, StartError> {
        let leaving_reason = match config.leaving.server_moved {
            true => Reason::SERVER_MOVED,
            false => Reason::USE_ANOTHER_SERVER,
        };
        let refuses = AtomicBool::new(false);
        let kind = Kind::start(config, gate, ports, state).await?;
        Ok(Self { kind, leaving_reason, refuses })
    }
    /// Serves what has arrived at a port, counted as in the configuration.
    pub(crate) fn serve(&self, listener: usize, arrived: Arrived) {
        let Arrived { stream, peer, certificate, .. } = arrived;
        match &self.kind {
            Kind::Session(host) => {
                let certificate = certificate.map(|of| Certificate {
                    common_name: of.common_name,
                    // A load balancer says the common name only.
                    subject: of.distinguished_name.unwrap_or_default(),
                });
                let certificate = certificate.map(Arc::new);
                host.serve(stream, Origin { listener, peer, certificate });
            }
            Kind::Rumqttd(host) => {
                let certificate = certificate.map(|of| rumqttd_host::CertificateSubject {
                    common_name: of.common_name.map(|name| name.as_str().into()),
                    subject: of.distinguished_name.unwrap_or_default().into(),
                });
                if self.refuses.load(Ordering::Acquire) {
                    return;
                }
                let entrance = host.entrance();
                // One too many is closed at once.
                if let Some(place) = entrance.place_now() {
                    entrance.serve(place, stream, rumqttd_host::Origin { peer, certificate });
                }
            }
        }
    }

    /// Refuses new clients. rumqttd's are closed without a word.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.refuses.store(true, Ordering::Release);
        if let Kind::Session(host) = &self.kind {
            host.refuse(match refusal {
                Refusal::Leaving => self.leaving_reason,
                Refusal::Unavailable => Reason::SERVER_UNAVAILABLE,
            });
        }
    }

    /// Takes clients again.
    pub(crate) fn admit(&self) {
        self.refuses.store(false, Ordering::Release);
        if let Kind::Session(host) = &self.kind {
            host.admit();
        }
    }

    /// Tells so many more clients to go.
    pub(crate) fn leave(&self, at_most: usize) {
        match &self.kind {
            Kind::Session(host) => host.leave(at_most),
            Kind::Rumqttd(host) => host.leave(at_most),
        }
    }

    /// Closes all clients.
    pub(crate) fn end_all(&self) {
        match &self.kind {
            Kind::Session(host) => host.end_all(),
            Kind::Rumqttd(host) => host.leave(usize::MAX),
        }
    }

    /// Connected clients.
    pub(crate) fn clients(&self) -> usize {
        match &self.kind {
            Kind::Session(host) => host.clients(),
            Kind::Rumqttd(host) => host.stats().connections,
        }
    }

    /// Asks for a sign of life.
    pub(crate) async fn probe(&self) -> Probe {
        match &self.kind {
            Kind::Session(host) => match host.probe() {
                Ok(()) => Probe::Proved,
                Err(error @ ProbeError::NotDelivered) => Probe::Silent(error.to_string()),
                Err(error @ ProbeError::Died) => Probe::Dead(error.to_string()),
            },
            Kind::Rumqttd(host) => match host.probe().await {
                Ok(()) => Probe::Proved,
                Err(error) => Probe::Dead(error.to_string()),
            },
        }
    }

    /// Waits until the engine has died, if it can tell.
    pub(crate) async fn died(&self) {
        match &self.kind {
            Kind::Session(_) => std::future::pending().await,
            Kind::Rumqttd(host) => host.died().await,
        }
    }

    pub(crate) fn stats(&self) -> HostStats {
        match &self.kind {
            Kind::Session(host) => host.stats(),
            Kind::Rumqttd(host) => {
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
        match &self.kind {
            Kind::Session(host) => host.shutdown(patience).await,
            Kind::Rumqttd(host) => host.shutdown(patience).await,
        }
    }
}

impl Kind {
    async fn start(
        config: &BrokerConfig,
        gate: Gate,
        ports: PluginPorts,
        state: Option<Arc<Alone>>,
    ) -> Result<Self, StartError> {
        if config.host == HostKind::Rumqttd {
            let PluginPorts { publishes, events, commands, .. } = ports;
            let ports = rumqttd_host::PluginPorts { publishes, events, commands };
            let admission = Arc::new(Doorkeeper(gate));
            let host = rumqttd_host::start(rumqttd_config(config), ports, admission).await?;
            host.open();
            return Ok(Self::Rumqttd(Box::new(host)));
        }
        let PluginPorts { publishes, events, lane, commands } = ports;
        let sessions = match (held_by(config), state) {
            (HeldBy::Host, _) => SessionPorts::Here { publishes, events },
            (HeldBy::Cluster, Some(state)) => SessionPorts::Alone(lane, Arc::new(Seen(state))),
            (HeldBy::Cluster, None) => SessionPorts::Cluster(lane),
        };
        let ports = session_host::PluginPorts { sessions, commands };
        let host = session_host::start(session_config(config), Arc::new(Doorkeeper(gate)), ports)?;
        Ok(Self::Session(host))
    }
}

fn rumqttd_config(config: &BrokerConfig) -> rumqttd_host::HostConfig {
    rumqttd_host::HostConfig {
        connections_max: config.connections_max,
        sessions_max: config.sessions_max,
        packet_bytes_max: config.packet_bytes_max,
        filters_max: config.filters_max.min(RUMQTTD_FILTERS_MAX),
        subscriptions_max: config.subscriptions_max,
        connect_timeout: config.listeners[0].limits.connect_timeout,
        ..rumqttd_host::HostConfig::default()
    }
}

fn session_config(config: &BrokerConfig) -> session_host::HostConfig {
    let listeners = config.listeners.iter().map(|listener| ListenerLimits {
        name: listener.key,
        connections_max: listener.limits.connections_max,
        connection: limits(config, &listener.limits),
    });
    session_host::HostConfig {
        connections_max: config.connections_max,
        listeners: listeners.collect(),
        holder: HolderConfig {
            sessions_max: config.sessions_max,
            subscriptions_max: config.subscriptions_max,
            queue_messages_max: config.queue_messages_max,
            queue_bytes_max: config.queue_bytes_max,
            shared_subscriptions: SharedSubscriptions::Served,
        },
        unix_ms: unix_time_ms(),
        sys_interval: config.sys_interval,
        software: SOFTWARE.to_owned(),
        access_log: config.access_log.then(|| config.name.as_str().into()),
    }
}

fn limits(config: &BrokerConfig, of: &ConnectionLimits) -> Limits {
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
        server_reference: config.leaving.server_reference.clone(),
        server_moved: config.leaving.server_moved,
        ..Limits::default()
    }
}
