//! What `/metrics` shows of the replicated state, as this server has it.

use std::sync::atomic::{AtomicU64, Ordering};

use ha_core::cluster::Counts;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

type Total = Counter<u64, AtomicU64>;

#[derive(Clone, Default)]
pub(super) struct State {
    sessions: Gauge,
    connected: Gauge,
    away: Gauge,
    subscriptions: Gauge,
    messages: Gauge,
    bytes: Gauge,
    dropped: Total,
    expired: Total,
    malformed: Total,
}

impl State {
    pub(super) fn register(&self, registry: &mut Registry) {
        let s = self.clone();
        registry.register("sessions", "Sessions, connected or not", s.sessions);
        registry.register("sessions_connected", "Sessions with a connection", s.connected);
        registry.register("sessions_away", "Sessions whose clients are away", s.away);
        registry.register("subscriptions", "Subscriptions of all sessions", s.subscriptions);
        registry.register("stored_messages", "Messages that wait for sessions", s.messages);
        let bytes = "Bytes of messages that wait for sessions";
        registry.register_with_unit("stored", bytes, Unit::Bytes, s.bytes);
        let dropped = "Messages that a session lost because its queue was full";
        registry.register("session_dropped_messages", dropped, s.dropped);
        let expired = "Messages that expired before a session had them";
        registry.register("session_expired_messages", expired, s.expired);
        let malformed = "Entries of the log that were not understood";
        registry.register("malformed_entries", malformed, s.malformed);
    }

    pub(super) fn refresh(&self, counts: &Counts) {
        let size = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        self.sessions.set(size(counts.sessions));
        self.connected.set(size(counts.connected));
        self.away.set(size(counts.sessions.saturating_sub(counts.connected)));
        self.subscriptions.set(size(counts.subscriptions));
        self.messages.set(size(counts.messages));
        self.bytes.set(size(counts.bytes));
        let total = |counter: &Total, value| counter.inner().store(value, Ordering::Relaxed);
        total(&self.dropped, counts.dropped);
        total(&self.expired, counts.expired);
        total(&self.malformed, counts.malformed);
    }
}
