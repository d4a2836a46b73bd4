//! What `/metrics` shows of a broker. No client ids.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use broker_core::LinkState;
use ha_member::alone::Alone;
use ha_shell::health::Metrics;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::engine::HostStats;
use crate::plugin::Snapshot;

type Total = Counter<u64, AtomicU64>;

#[derive(Clone, Default)]
struct Families {
    attached: Gauge,
    attachments: Total,
    outbox: Gauge,
    filters: Gauge,
    retained: Gauge,
    unsent: Total,
    connections: Gauge,
    sessions: Gauge,
    received: Total,
    sent: Total,
    dropped: Total,
    denied: Total,
}

/// Metrics that follow the plugin's snapshot, the state in this process and the host's counters.
pub(crate) fn metrics(
    snapshot: Arc<Mutex<Snapshot>>,
    state: Option<Arc<Alone>>,
    host: impl Fn() -> HostStats + Send + Sync + 'static,
) -> Metrics {
    let families = Families::default();
    let mut registry = Registry::with_prefix("ha_broker");
    families.register(&mut registry);
    Metrics::new(registry).refreshed_by(move || {
        let mut plugin = *snapshot.lock().expect("nobody panics while holding it");
        if let Some(state) = &state {
            plugin.retained = state.snapshot().retained_messages;
        }
        families.refresh(plugin, &host());
    })
}

impl Families {
    fn register(&self, registry: &mut Registry) {
        let f = self.clone();
        registry.register("attached", "1 while attached to ha-server", f.attached);
        registry.register("attachments", "How often it attached to ha-server", f.attachments);
        registry.register("outbox_messages", "Publishes that wait for ha-server", f.outbox);
        registry.register("filters", "Distinct topic filters of all sessions", f.filters);
        registry.register(
            "retained_messages",
            "Retained messages that this broker has",
            f.retained,
        );
        registry.register(
            "unsent_messages",
            "Publishes that did not reach ha-server because it was out of reach",
            f.unsent,
        );
        registry.register("connections", "MQTT connections", f.connections);
        registry.register("sessions", "MQTT sessions", f.sessions);
        registry.register("received_messages", "Messages taken from clients", f.received);
        registry.register("sent_messages", "PUBLISH packets written to clients", f.sent);
        registry.register("dropped_messages", "Messages the engine could not pass on", f.dropped);
        registry.register(
            "denied_messages",
            "Publishes and deliveries that the access rules did not allow",
            f.denied,
        );
    }

    fn refresh(&self, plugin: Snapshot, host: &HostStats) {
        let size = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        let total = |counter: &Total, value: u64| counter.inner().store(value, Ordering::Relaxed);
        self.attached.set(i64::from(plugin.link == LinkState::Attached));
        total(&self.attachments, plugin.attachments);
        self.outbox.set(size(plugin.outbox));
        self.filters.set(size(plugin.filters));
        self.retained.set(size(plugin.retained));
        total(&self.unsent, plugin.dropped);
        self.connections.set(size(host.connections));
        self.sessions.set(size(host.sessions));
        total(&self.received, host.publishes_in);
        total(&self.sent, host.deliveries_out);
        total(&self.dropped, host.dropped);
        total(&self.denied, host.denied);
    }
}
