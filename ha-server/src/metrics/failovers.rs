//! What `/metrics` shows of failovers: how often, and how long they took.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ha_member::distribute::Snapshot;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// In seconds: round the promised times, from a planned hand-over to what nobody wants.
const BUCKETS: [f64; 12] = [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 15.0, 60.0];

#[derive(Clone)]
pub(super) struct Failovers {
    leader_gap: Histogram,
    broker_silence: Histogram,
    /// Changes of the lead, and lost brokers, that are counted.
    seen: Arc<Mutex<(u64, u64)>>,
}

impl Default for Failovers {
    fn default() -> Self {
        let histogram = || Histogram::new(BUCKETS);
        let (leader_gap, broker_silence) = (histogram(), histogram());
        Self { leader_gap, broker_silence, seen: Arc::default() }
    }
}

impl Failovers {
    pub(super) fn register(&self, registry: &mut Registry) {
        let f = self.clone();
        registry.register_with_unit(
            "leader_change_gap",
            "Time without a leader that applies anything, for each change of the lead seen here",
            Unit::Seconds,
            f.leader_gap,
        );
        registry.register_with_unit(
            "broker_loss_silence",
            "Time from the last sign of a lost broker until that was noticed, while this server led",
            Unit::Seconds,
            f.broker_silence,
        );
    }

    /// Between two pages more may have happened than is remembered: then the oldest are not counted.
    pub(super) fn refresh(&self, snapshot: &Snapshot) {
        let mut seen = self.seen.lock().expect("nobody panics while holding it");
        let (changes, losses) = (snapshot.leader_changes_total, snapshot.losses_total);
        for change in newest(&snapshot.leader_changes, changes.saturating_sub(seen.0)) {
            self.leader_gap.observe(Duration::from_millis(change.gap_ms).as_secs_f64());
        }
        for loss in newest(&snapshot.losses, losses.saturating_sub(seen.1)) {
            self.broker_silence.observe(Duration::from_millis(loss.silent_ms).as_secs_f64());
        }
        *seen = (changes, losses);
    }
}

fn newest<T>(all: &[T], count: u64) -> &[T] {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    &all[all.len().saturating_sub(count)..]
}

#[cfg(test)]
mod tests {
    use ha_member::LeaderChange;
    use ha_node::NodeId;
    use prometheus_client::encoding::text::encode;

    use super::*;

    fn snapshot(total: u64) -> Snapshot {
        let (from, to) = (NodeId(1), NodeId(2));
        let change = |term| LeaderChange { at_unix_ms: 0, term, from, to, gap_ms: 400 };
        let leader_changes = (1..=total.min(16)).map(change).collect();
        Snapshot { leader_changes, leader_changes_total: total, ..Snapshot::default() }
    }

    #[test]
    fn each_change_of_the_lead_is_counted_once_in_seconds() {
        let (failovers, mut registry) = (Failovers::default(), Registry::default());
        failovers.register(&mut registry);
        for (total, counted) in [(0, 0), (1, 1), (1, 1), (3, 3), (40, 19)] {
            failovers.refresh(&snapshot(total));
            let mut page = String::new();
            encode(&mut page, &registry).unwrap();
            let line = format!("\nleader_change_gap_seconds_count {counted}\n");
            assert!(page.contains(&line), "{total}: {page}");
            let below = "\nleader_change_gap_seconds_bucket{le=\"0.3\"} 0\n";
            assert!(page.contains(below), "{page}");
        }
    }
}
