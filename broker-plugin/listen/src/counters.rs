//! What a listener counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers for metrics. All begin at zero when the listener is bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenerStats {
    /// Connections accepted from the kernel.
    pub accepted: u64,
    /// Connections handed to the host.
    pub arrived: u64,
    /// Handshakes that failed or took too long.
    pub failed: u64,
    /// Handshakes that were closed to make room for others.
    pub shed: u64,
    /// Times that accepting failed for want of descriptors or memory.
    pub starved: u64,
}

/// The counters of one listener, shared with whoever reports them.
#[derive(Debug, Default)]
pub struct ListenerCounters {
    pub(crate) accepted: Counter,
    pub(crate) arrived: Counter,
    pub(crate) failed: Counter,
    pub(crate) shed: Counter,
    pub(crate) starved: Counter,
}

impl ListenerCounters {
    /// The numbers at this moment.
    pub fn stats(&self) -> ListenerStats {
        ListenerStats {
            accepted: self.accepted.value(),
            arrived: self.arrived.value(),
            failed: self.failed.value(),
            shed: self.shed.value(),
            starved: self.starved.value(),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
