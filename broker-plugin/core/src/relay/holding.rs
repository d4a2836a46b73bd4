//! How long CONNECTs wait for a leader.

use std::collections::VecDeque;

use ha_types::Millis;
use ha_types::session::ConnectionId;

/// CONNECTs in the order in which they came; those that were answered are passed over.
#[derive(Debug, Default)]
pub(super) struct Holds {
    came: VecDeque<(Millis, ConnectionId)>,
    /// Since when there is no leader.
    detached_since: Millis,
}

impl Holds {
    pub(super) fn came(&mut self, now: Millis, connection: ConnectionId) {
        self.came.push_back((now, connection));
    }

    /// The leader is gone. Waiting begins now, also for CONNECTs that it has not answered.
    pub(super) fn detached(&mut self, now: Millis) {
        self.detached_since = now;
    }

    /// Forgets CONNECTs that were answered, as far as they are the oldest.
    pub(super) fn trim(&mut self, waits: impl Fn(ConnectionId) -> bool) {
        while self.came.front().is_some_and(|&(_, connection)| !waits(connection)) {
            self.came.pop_front();
        }
    }

    /// When the oldest has waited for so many milliseconds, if there is no leader until then.
    pub(super) fn due(&self, hold_ms: u64) -> Option<Millis> {
        let &(came, _) = self.came.front()?;
        Some(came.max(self.detached_since).plus(hold_ms))
    }

    /// The oldest, if it has waited for so many milliseconds without a leader.
    pub(super) fn overdue(&mut self, now: Millis, hold_ms: u64) -> Option<ConnectionId> {
        self.due(hold_ms).filter(|&due| due <= now)?;
        self.came.pop_front().map(|(_, connection)| connection)
    }
}
