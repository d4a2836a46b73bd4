//! The two clocks of this process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use broker_core::engine::Moment;
use ha_types::{ClusterMillis, Millis};
use tokio::time::Instant;

/// Reads both clocks at once. The second begins at wall time, and jumps only to what ha-server says when
/// the broker attaches.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    cluster_at_start: AtomicU64,
}

impl Clock {
    pub(crate) fn starting_at(unix_ms: u64) -> Self {
        Self { start: Instant::now(), cluster_at_start: AtomicU64::new(unix_ms) }
    }

    pub(crate) fn moment(&self) -> Moment {
        let elapsed = self.elapsed();
        let at_start = self.cluster_at_start.load(Ordering::Relaxed);
        Moment { now: Millis(elapsed), cluster: ClusterMillis(at_start.saturating_add(elapsed)) }
    }

    /// It is this time in the cluster.
    pub(crate) fn set_cluster(&self, now: ClusterMillis) {
        let at_start = now.0.saturating_sub(self.elapsed());
        self.cluster_at_start.store(at_start, Ordering::Relaxed);
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).expect("fits for 500 My")
    }

    pub(crate) fn instant(&self, at: Millis) -> Instant {
        self.start + Duration::from_millis(at.0)
    }
}
