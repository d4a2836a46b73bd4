//! What `/metrics` shows of ha-server. Broker names are the only label; client ids never are.

mod failovers;
mod raft;
mod state;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ha_core::BrokerState;
use ha_member::distribute::{Handle, Snapshot};
use ha_shell::health::Metrics;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::group::Group;

use failovers::Failovers;
use raft::Raft;
use state::State;

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter<u64, AtomicU64>>;
type Gauges = Family<Labels, Gauge>;

#[derive(Clone, Default)]
struct Families {
    attached: Gauges,
    lease_age: Family<Labels, Gauge<f64, AtomicU64>>,
    filters: Gauges,
    queued: Gauges,
    published: Counters,
    delivered: Counters,
    dropped: Counters,
    retained: Gauge,
    retained_bytes: Gauge,
    /// Brokers that have a label: those of the last page.
    shown: Arc<Mutex<BTreeSet<String>>>,
}

/// Metrics that follow the distributor's last snapshot and the node.
pub(crate) fn metrics(handle: Handle, group: Group) -> Metrics {
    let (families, state, raft) = (Families::default(), State::default(), Raft::default());
    let failovers = Failovers::default();
    let mut registry = Registry::with_prefix("ha_server");
    families.register(&mut registry);
    state.register(&mut registry);
    failovers.register(&mut registry);
    raft.register(registry.sub_registry_with_prefix("raft"));
    Metrics::new(registry).refreshed_by(move || {
        let snapshot = handle.snapshot();
        families.refresh(&snapshot);
        state.refresh(&snapshot.counts);
        failovers.refresh(&snapshot);
        raft.refresh(&group.status());
    })
}

impl Families {
    fn register(&self, registry: &mut Registry) {
        let f = self.clone();
        registry.register("broker_attached", "1 while the broker's stream is open", f.attached);
        registry.register("broker_filters", "Topic filters announced by the broker", f.filters);
        registry.register_with_unit(
            "broker_heartbeat_age",
            "Time since the broker attached or sent a heartbeat",
            Unit::Seconds,
            f.lease_age,
        );
        registry.register_with_unit(
            "broker_queue",
            "Bytes that wait for the broker",
            Unit::Bytes,
            f.queued,
        );
        registry.register(
            "published_messages",
            "Messages published through the broker",
            f.published,
        );
        registry.register("delivered_messages", "Messages given to the broker", f.delivered);
        registry.register(
            "dropped_messages",
            "QoS 0 messages not given to the broker because it was behind",
            f.dropped,
        );
        registry.register("retained_messages", "Retained messages", f.retained);
        registry.register_with_unit(
            "retained",
            "Bytes of retained messages",
            Unit::Bytes,
            f.retained_bytes,
        );
    }

    fn refresh(&self, snapshot: &Snapshot) {
        self.forget_all_but(snapshot.brokers.iter().map(|(view, _)| view.name.to_string()));
        for (view, _) in &snapshot.brokers {
            let labels = vec![("broker", view.name.to_string())];
            let gauge = |family: &Gauges, value: u64| {
                family.get_or_create(&labels).set(i64::try_from(value).unwrap_or(i64::MAX));
            };
            let counter = |family: &Counters, value| {
                family.get_or_create(&labels).inner().store(value, Ordering::Relaxed);
            };
            gauge(&self.attached, u64::from(view.state == BrokerState::Attached));
            let age = Duration::from_millis(view.lease_age_ms).as_secs_f64();
            self.lease_age.get_or_create(&labels).set(age);
            gauge(&self.filters, view.filters as u64);
            gauge(&self.queued, view.queued_bytes as u64);
            counter(&self.published, view.published);
            counter(&self.delivered, view.delivered);
            counter(&self.dropped, view.dropped);
        }
        let size = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        self.retained.set(size(snapshot.retained_messages));
        self.retained_bytes.set(size(snapshot.retained_bytes));
    }

    /// Otherwise the labels would grow with every name that a broker ever had.
    fn forget_all_but(&self, known: impl Iterator<Item = String>) {
        let known = known.collect();
        let mut shown = self.shown.lock().expect("nobody panics while holding it");
        for gone in shown.difference(&known) {
            let labels = vec![("broker", gone.clone())];
            self.lease_age.remove(&labels);
            for gauges in [&self.attached, &self.filters, &self.queued] {
                gauges.remove(&labels);
            }
            for counters in [&self.published, &self.delivered, &self.dropped] {
                counters.remove(&labels);
            }
        }
        *shown = known;
    }
}

#[cfg(test)]
mod tests {
    use ha_member::Rates;
    use ha_types::{BrokerEpoch, BrokerName};
    use prometheus_client::encoding::text::encode;

    use super::*;

    fn page(families: &Families, registry: &Registry, name: &str) -> String {
        let view = ha_core::BrokerView {
            name: BrokerName::parse(name).unwrap(),
            state: BrokerState::Attached,
            epoch: BrokerEpoch(1),
            address: String::new(),
            software: String::new(),
            is_draining: false,
            lease_age_ms: 0,
            filters: 0,
            queued_bytes: 0,
            published: 0,
            delivered: 0,
            unreceived: 0,
            dropped: 0,
        };
        families
            .refresh(&Snapshot { brokers: vec![(view, Rates::default())], ..Snapshot::default() });
        let mut page = String::new();
        encode(&mut page, registry).unwrap();
        page
    }

    #[test]
    fn broker_whose_place_was_given_to_another_is_not_shown_any_more() {
        let (families, mut registry) = (Families::default(), Registry::default());
        families.register(&mut registry);
        assert!(page(&families, &registry, "first").contains("first"));
        let second = page(&families, &registry, "second");
        assert!(second.contains("second") && !second.contains("first"), "{second}");
    }
}
