//! The two clocks of this process.

use std::time::Duration;

use broker_core::engine::Moment;
use ha_types::{ClusterMillis, Millis};
use tokio::time::Instant;

/// Reads both clocks at once. The second begins at wall time and does not jump.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    unix_ms_at_start: u64,
}

impl Clock {
    pub(crate) fn starting_at(unix_ms: u64) -> Self {
        Self { start: Instant::now(), unix_ms_at_start: unix_ms }
    }

    pub(crate) fn moment(&self) -> Moment {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).expect("fits for 500 My");
        let cluster = ClusterMillis(self.unix_ms_at_start.saturating_add(elapsed));
        Moment { now: Millis(elapsed), cluster }
    }

    pub(crate) fn instant(&self, at: Millis) -> Instant {
        self.start + Duration::from_millis(at.0)
    }
}
