//! What operators see: a snapshot, and how the lead changed.

use ha_core::{BrokerLoss, BrokerView, LOSSES_MAX};
use ha_types::Millis;
use tokio::time::Instant;

use super::lead::Lead;
use super::{Snapshot, Task};
use crate::incarnation::unix_time_ms;
use crate::leader_changes::Seen;

impl Task {
    pub(super) fn watch_leader(&mut self) {
        let seen = {
            let status = self.status.borrow();
            Seen { term: status.term, leader: status.leader, applied: status.applied }
        };
        let now = Millis(self.uptime_ms());
        if self.leader_changes.is_new(seen) {
            // Who led here until this moment was its own last sign.
            let heard = self.node.heard_leader_ago().filter(|_| self.lead.is_none());
            let silent_ms = heard.unwrap_or_default().as_millis().try_into().unwrap_or(u64::MAX);
            self.leader_changes.begin(now, unix_time_ms(), silent_ms, seen);
        }
        self.leader_changes.observe(now, seen);
    }

    fn uptime_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).expect("fits for 500 My")
    }

    pub(super) fn losses_total(&self) -> u64 {
        self.lost_before + self.lead.as_ref().map_or(0, Lead::losses_total)
    }

    /// Of this and of earlier leaderships.
    pub(super) fn last_losses(&self) -> Vec<BrokerLoss> {
        let present = self.lead.iter().flat_map(Lead::losses);
        let mut all: Vec<_> = self.losses.iter().chain(present).cloned().collect();
        all.drain(..all.len().saturating_sub(LOSSES_MAX));
        all
    }

    pub(super) fn sample(&mut self) {
        let now = Instant::now();
        let brokers = self.lead.as_ref().map(Lead::brokers).unwrap_or_default();
        self.rates.sample(&brokers, now - std::mem::replace(&mut self.sampled_at, now));
        *self.snapshot.lock().expect("nobody panics while holding it") = self.look();
    }

    pub(super) fn look(&self) -> Snapshot {
        let with_rates = |view: BrokerView| (self.rates.of(&view.name), view);
        let brokers = self.lead.as_ref().map(Lead::brokers).unwrap_or_default().into_iter();
        let brokers = brokers.map(with_rates).map(|(rates, view)| (view, rates)).collect();
        let stamped = self.lead.as_ref().map(Lead::cluster_time).unwrap_or_default();
        let (counts, now, retained_messages, retained_bytes) = self.node.read(|machine| {
            let (state, retained) = (machine.state(), machine.state().retained());
            (state.counts(), state.now(), retained.len(), retained.bytes())
        });
        let cluster_time = stamped.max(now);
        Snapshot {
            brokers,
            retained_messages,
            retained_bytes,
            counts,
            uptime_ms: self.uptime_ms(),
            cluster_time,
            losses: self.last_losses(),
            losses_total: self.losses_total(),
            leader_changes: self.leader_changes.all().cloned().collect(),
            leader_changes_total: self.leader_changes.total(),
        }
    }
}
