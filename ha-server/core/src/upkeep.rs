//! What is due by itself: wills and ends of sessions, and looking for what has expired.

use ha_types::Millis;

use crate::cluster::{ClusterState, Command};
use crate::distributor::Distributor;
use crate::interface::Output;
use crate::proposals::Proposed;

/// Wills, sessions and connections of lost brokers that are done with one command.
const EXPIRE_AT_MOST: u32 = 1_000;

/// How often some sessions are looked at, while anything is stored or retained.
const SWEEP_MS: u64 = 5_000;

/// How many. One takes microseconds: a few milliseconds of each node.
const SWEEP_AT_MOST: u32 = 2_000;

impl Distributor {
    pub(crate) fn keep_up(&mut self, state: &ClusterState, out: &mut Vec<Output>) {
        let is_due = state.deadline().is_some_and(|due| due <= self.cluster_time());
        if is_due && !self.is_expiring {
            self.is_expiring = true;
            let command = Command::Expire { at_most: EXPIRE_AT_MOST };
            self.propose(Proposed::Expire, command, out);
        }
        if self.sweep_due(state).is_some_and(|due| due <= self.now) {
            self.is_sweeping = true;
            self.sweep_at = self.now.plus(SWEEP_MS);
            let command = Command::Sweep { at_most: SWEEP_AT_MOST };
            self.propose(Proposed::Sweep, command, out);
        }
    }

    fn sweep_due(&self, state: &ClusterState) -> Option<Millis> {
        (!self.is_sweeping && state.needs_sweep()).then_some(self.sweep_at)
    }

    pub(crate) fn upkeep_due(&self, state: &ClusterState) -> Option<Millis> {
        let expiry = state.deadline().filter(|_| !self.is_expiring);
        let expiry = expiry.map(|due| self.clock.when(due));
        expiry.into_iter().chain(self.sweep_due(state)).min()
    }
}
