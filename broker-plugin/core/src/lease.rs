//! The broker's side of its lease: heartbeats, and until when the broker may believe in it.
//!
//! Lease time counts from *sending* the heartbeat that was answered: what the network delays can
//! only make the broker more careful than ha-server, never less.

use std::collections::VecDeque;

use ha_types::Millis;

/// Heartbeats whose answers are awaited. Far more than fit into a lease of sensible configuration; an
/// answer to one that was forgotten extends nothing.
const UNANSWERED_MAX: usize = 64;

/// A running lease.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    lease_ms: u64,
    heartbeat_ms: u64,
    began: Millis,
    /// When the last answered heartbeat (at first the Hello) was sent.
    counts_from: Millis,
    next_heartbeat: Millis,
    sequence: u64,
    /// Sent and not answered, oldest first; at most [`UNANSWERED_MAX`].
    unanswered: VecDeque<(u64, Millis)>,
}

impl Lease {
    pub(crate) fn new(now: Millis, lease_ms: u64, heartbeat_ms: u64, hello_sent: Millis) -> Self {
        Self {
            lease_ms: lease_ms.max(1),
            heartbeat_ms: heartbeat_ms.max(1),
            began: hello_sent,
            counts_from: hello_sent,
            next_heartbeat: now,
            sequence: 0,
            unanswered: VecDeque::new(),
        }
    }

    pub(crate) fn deadline(&self) -> Millis {
        self.next_heartbeat.min(self.expires())
    }

    pub(crate) fn expires(&self) -> Millis {
        self.counts_from.plus(self.lease_ms)
    }

    /// Whether answers to heartbeats have kept it beyond its first end.
    pub(crate) fn has_lasted(&self, now: Millis) -> bool {
        now.since(self.began) >= self.lease_ms
    }

    /// The sequence number of the heartbeat that is due, if one is.
    pub(crate) fn due(&mut self, now: Millis) -> Option<u64> {
        if now < self.next_heartbeat {
            return None;
        }
        self.sequence += 1;
        self.next_heartbeat = now.plus(self.heartbeat_ms);
        if self.unanswered.len() == UNANSWERED_MAX {
            self.unanswered.pop_front();
        }
        self.unanswered.push_back((self.sequence, now));
        Some(self.sequence)
    }

    /// ha-server extended the lease in answer to this heartbeat.
    pub(crate) fn answered(&mut self, sequence: u64) {
        while let Some(&(sent, at)) = self.unanswered.front().filter(|(s, _)| *s <= sequence) {
            self.unanswered.pop_front();
            if sent == sequence {
                self.counts_from = self.counts_from.max(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_counts_from_sending_the_heartbeat_not_from_its_answer() {
        let mut lease = Lease::new(Millis(0), 1_000, 250, Millis(0));
        let first = lease.due(Millis(100)).unwrap();
        lease.answered(first);
        assert_eq!(lease.expires(), Millis(1_100));
    }

    #[test]
    fn heartbeat_is_due_exactly_after_its_interval() {
        let mut lease = Lease::new(Millis(0), 1_000, 250, Millis(0));
        assert_eq!(lease.due(Millis(0)), Some(1));
        assert_eq!(lease.due(Millis(249)), None);
        assert_eq!(lease.due(Millis(250)), Some(2));
    }

    #[test]
    fn answer_to_an_unknown_heartbeat_extends_nothing() {
        let mut lease = Lease::new(Millis(0), 1_000, 250, Millis(0));
        lease.due(Millis(500));
        lease.answered(9);
        assert_eq!(lease.expires(), Millis(1_000));
    }
}
