//! Limits of the host. Every one has a documented behaviour when it is reached.

use std::sync::Arc;
use std::time::Duration;

use broker_core::engine::Limits;
use broker_core::holder::HolderConfig;

/// Limits of the host.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// Connected clients of all listeners. More are refused: 0x89, before 5.0 code 3.
    pub connections_max: usize,
    /// Of each listener, in the order of [`Origin::listener`](crate::Origin::listener): at least one.
    pub listeners: Vec<ListenerLimits>,
    /// Limits of sessions that are held here.
    pub holder: HolderConfig,
    /// Wall time when the host starts, milliseconds since 1970.
    pub unix_ms: u64,
    /// How often `$SYS` is published; zero: never.
    pub sys_interval: Duration,
    /// What `$SYS/broker/version` says.
    pub software: String,
    /// A line for what each client does, with this as the broker's name; `None`: no access log.
    pub access_log: Option<Arc<str>>,
}

/// Limits of one listener.
#[derive(Clone, Debug)]
pub struct ListenerLimits {
    /// How the access log calls it.
    pub name: &'static str,
    /// Clients at a time. More are refused like those beyond
    /// [`connections_max`](HostConfig::connections_max).
    pub connections_max: usize,
    /// Of each connection.
    pub connection: Limits,
}

/// A limit that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: expected {expected}")]
pub struct InvalidConfig {
    name: &'static str,
    expected: &'static str,
}

impl HostConfig {
    /// Checks the limits that have limits.
    pub(crate) fn check(&self) -> Result<(), InvalidConfig> {
        let each = |holds: fn(&Limits) -> bool| self.listeners.iter().all(|l| holds(&l.connection));
        let rules = [
            (!self.listeners.is_empty(), "listeners", "at least 1"),
            (self.connections_max > 0, "connections_max", "at least 1"),
            (each(|limits| limits.packet_bytes_max >= 128), "packet_bytes_max", "at least 128"),
            (each(|limits| limits.receive_maximum > 0), "receive_maximum", "at least 1"),
            (each(|limits| limits.inflight_max > 0), "inflight_max", "at least 1"),
            (each(|limits| limits.queue_messages_max > 0), "queue_messages_max", "at least 1"),
            (each(|limits| limits.subscribing_max > 0), "subscribing_max", "at least 1"),
        ];
        match rules.iter().find(|(holds, ..)| !holds) {
            None => Ok(()),
            Some(&(_, name, expected)) => Err(InvalidConfig { name, expected }),
        }
    }
}
