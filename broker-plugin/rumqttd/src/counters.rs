//! What the host counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers for metrics. Counters begin at zero when the host starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostStats {
    /// Connected clients.
    pub connections: usize,
    /// Sessions that outlive their connection, connected ones included.
    pub sessions: usize,
    /// Messages taken from clients, wills included.
    pub publishes_in: u64,
    /// PUBLISH packets written to clients.
    pub deliveries_out: u64,
    /// Messages dropped: from the cluster with a topic that cannot be routed here or with malformed
    /// properties, or larger than the Maximum Packet Size of the client that they were for.
    pub dropped: u64,
    /// Publishes and deliveries that the access rules did not allow.
    pub denied: u64,
}

/// Counters that every connection shares.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    publishes_in: AtomicU64,
    deliveries_out: AtomicU64,
    dropped: AtomicU64,
    denied: AtomicU64,
}

impl Counters {
    pub(crate) fn count_publish(&self) {
        self.publishes_in.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_delivery(&self) {
        self.deliveries_out.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_denied(&self) {
        self.denied.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self, (connections, sessions): (usize, usize)) -> HostStats {
        HostStats {
            connections,
            sessions,
            publishes_in: self.publishes_in.load(Ordering::Relaxed),
            deliveries_out: self.deliveries_out.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            denied: self.denied.load(Ordering::Relaxed),
        }
    }
}
