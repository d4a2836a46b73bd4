//! What happened since the start, for `/metrics` and `$SYS`.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use broker_core::engine::Counts;

/// Counters that all tasks add to, once per batch.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    received: AtomicU64,
    sent: AtomicU64,
    dropped: AtomicU64,
    denied: AtomicU64,
    pub(crate) bytes_received: AtomicU64,
    pub(crate) bytes_sent: AtomicU64,
    /// Sockets that have a session.
    pub(crate) connections: AtomicUsize,
    pub(crate) connections_max: AtomicUsize,
    /// Connections that ever had a session.
    connects: AtomicU64,
}

/// Numbers of a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostStats {
    /// Clients that are connected.
    pub connections: usize,
    /// Sessions, connected or not.
    pub sessions: usize,
    /// PUBLISH packets taken from clients.
    pub publishes_in: u64,
    /// PUBLISH packets written to clients.
    pub deliveries_out: u64,
    /// Messages that a client should have got and did not: it was too slow, or they were too large.
    pub dropped: u64,
    /// Messages that a client must not publish or get.
    pub denied: u64,
    /// Bytes read from clients.
    pub bytes_in: u64,
    /// Bytes written to clients.
    pub bytes_out: u64,
    /// Most clients at a time.
    pub connections_max: usize,
    /// Clients that have connected, each as often as it did.
    pub connects: u64,
    /// Subscriptions of all sessions.
    pub subscriptions: usize,
    /// Messages that wait for sessions.
    pub queued: usize,
}

impl Counters {
    pub(crate) fn add(&self, counts: &mut Counts) {
        if *counts == Counts::default() {
            return;
        }
        let Counts { received, sent, dropped, denied } = std::mem::take(counts);
        self.received.fetch_add(received, Ordering::Relaxed);
        self.sent.fetch_add(sent, Ordering::Relaxed);
        self.dropped.fetch_add(dropped, Ordering::Relaxed);
        self.denied.fetch_add(denied, Ordering::Relaxed);
    }

    pub(crate) fn connected(&self) {
        let now = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        self.connections_max.fetch_max(now, Ordering::Relaxed);
        self.connects.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn disconnected(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Without what the holder knows.
    pub(crate) fn stats(&self) -> HostStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HostStats {
            connections: self.connections.load(Ordering::Relaxed),
            connections_max: self.connections_max.load(Ordering::Relaxed),
            connects: load(&self.connects),
            publishes_in: load(&self.received),
            deliveries_out: load(&self.sent),
            dropped: load(&self.dropped),
            denied: load(&self.denied),
            bytes_in: load(&self.bytes_received),
            bytes_out: load(&self.bytes_sent),
            ..HostStats::default()
        }
    }
}
