//! What may be held, and what gives way.

use ha_types::{RetainedStore, SessionId};

use super::record::Key;
use super::{ClusterState, Outcome};

/// Limits of the replicated state. They are part of it: every node must decide alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateLimits {
    /// Sessions, connected or not. More are refused.
    pub sessions_max: usize,
    /// Subscriptions of one session. More are refused.
    pub subscriptions_max: usize,
    /// Messages of one session that are not acknowledged. The oldest beyond are dropped: when the
    /// session is opened, when it makes progress, and by the sweep; so there may be more for a while.
    pub queue_messages_max: usize,
    /// Bytes of these.
    pub queue_bytes_max: usize,
    /// Messages of one filter that some session has not acknowledged. A publish beyond is refused.
    pub filter_messages_max: usize,
    /// Bytes of all stored messages. A publish beyond is refused.
    pub store_bytes_max: usize,
    /// Retained messages. One more is refused.
    pub retained_max: usize,
    /// Bytes of these.
    pub retained_bytes_max: usize,
}

impl Default for StateLimits {
    fn default() -> Self {
        Self {
            sessions_max: 1_000_000,
            subscriptions_max: 10_000,
            queue_messages_max: 100_000,
            queue_bytes_max: 64 << 20,
            filter_messages_max: 1_000_000,
            store_bytes_max: 1 << 30,
            retained_max: 1_000_000,
            retained_bytes_max: 256 << 20,
        }
    }
}

impl ClusterState {
    pub(super) fn configure(&mut self, limits: StateLimits) -> Outcome {
        let mut retained = RetainedStore::new(limits.retained_max, limits.retained_bytes_max);
        // What is retained stays, as far as it fits.
        for (topic, known) in self.retained.ordered_after(None) {
            if retained.apply(topic, known.version, known.message.clone()).is_err() {
                self.changed.insert(Key::Retained(topic.clone()));
            }
        }
        self.retained = retained;
        self.limits = limits;
        Outcome::Done
    }

    pub(super) fn sweep(&mut self, at_most: u32) -> Outcome {
        let next = |after: SessionId| SessionId(after.0.saturating_add(1));
        for _ in 0..at_most {
            let found = self.sessions.range(next(self.swept)..).next().map(|(id, _)| *id);
            self.swept = found.unwrap_or_default();
            let Some(id) = found else {
                self.sweep_rest();
                break;
            };
            self.advance(id);
            self.enforce_limits(id);
            self.sweep_shared(id);
        }
        Outcome::Done
    }

    /// What belongs to no session.
    fn sweep_rest(&mut self) {
        let expired = self.retained.remove_expired(self.now);
        self.changed.extend(expired.into_iter().map(Key::Retained));
        let waits = self.groups.iter().filter(|(_, group)| !group.waiting().is_empty());
        let waits: Vec<_> = waits.map(|(id, _)| id).collect();
        for id in waits {
            self.first_waiting(id);
        }
    }

    /// Whether a sweep would find something.
    #[must_use]
    pub fn needs_sweep(&self) -> bool {
        !self.retained.is_empty() || self.messages.len() > 0 || !self.groups.is_empty()
    }

    /// Drops the oldest messages that do not fit into a session's queue.
    pub(super) fn enforce_limits(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        let (messages_max, bytes_max) =
            (self.limits.queue_messages_max, self.limits.queue_bytes_max);
        let (messages, bytes) = self.indexes.at_most_pending(session);
        if messages <= messages_max && bytes <= bytes_max {
            return;
        }
        let pending: Vec<u64> = self.indexes.pending(session, session.acked.upto).collect();
        let sizes: Vec<usize> = pending.iter().map(|&number| self.messages.size(number)).collect();
        let (mut left, mut bytes) = (pending.len(), sizes.iter().sum::<usize>());
        let mut dropped = 0;
        while left > messages_max || bytes > bytes_max {
            bytes -= sizes[dropped];
            left -= 1;
            dropped += 1;
        }
        if let Some(last) = dropped.checked_sub(1).and_then(|last| pending.get(last)) {
            let upto = last + 1;
            self.counts.dropped += dropped as u64;
            self.skip_to(id, upto);
            self.advance(id);
        }
    }
}
