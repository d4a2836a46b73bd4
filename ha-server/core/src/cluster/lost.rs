//! Runs of brokers that were lost and may come back: what became of their publishes.
//!
//! A host with sessions of its own keeps what was not answered when it is lost, and sends it again in its
//! next life, under the same numbers. Some of it may have been applied, or be with brokers already.

use ha_types::{BrokerEpoch, BrokerName, ClusterMillis, Incarnation};

use super::ClusterState;
use super::broker::Numbers;
use super::record::Key;

/// Runs that are remembered. Beyond, the one that was lost first is forgotten: should it come back, what
/// it had unanswered may come twice.
const LOST_MAX: usize = 1_024;

/// Publishes of one of them that were not taken: the last ones, as many as the default publish window.
const REFUSED_MAX: usize = 1_024;

/// A run of a broker without a life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) name: BrokerName,
    pub(super) incarnation: Incarnation,
    /// Since when.
    pub(super) at: ClusterMillis,
    pub(super) numbers: Numbers,
}

impl ClusterState {
    /// The end of a life. From here on nothing is applied for it: what is remembered is all there is.
    pub(super) fn remember(&mut self, epoch: BrokerEpoch) {
        let Some(broker) = self.brokers.get_mut(&epoch) else { return };
        let mut numbers = std::mem::replace(&mut broker.numbers, Numbers::new(epoch));
        numbers.keep_refused(REFUSED_MAX);
        let (name, incarnation) = (broker.name.clone(), broker.incarnation);
        self.lost.insert(epoch, Lost { name, incarnation, at: self.now, numbers });
        self.changed.extend([Key::Broker(epoch), Key::Lost(epoch)]);
        let first = self.lost.iter().min_by_key(|(epoch, lost)| (lost.at, **epoch));
        let first = first.map(|(epoch, _)| *epoch).filter(|_| self.lost.len() > LOST_MAX);
        first.into_iter().for_each(|epoch| drop(self.forget_lost(epoch)));
    }

    /// What became of the publishes of a run that comes back; `None`: it is new, or forgotten. Older runs
    /// of the name are over.
    pub(super) fn recall(
        &mut self,
        name: &BrokerName,
        incarnation: Incarnation,
    ) -> Option<Numbers> {
        let is_over = |lost: &Lost| lost.name == *name && lost.incarnation <= incarnation;
        let over = self.lost.iter().filter(|(_, lost)| is_over(lost));
        let over: Vec<BrokerEpoch> = over.map(|(epoch, _)| *epoch).collect();
        let over = over.into_iter().filter_map(|epoch| self.forget_lost(epoch));
        over.filter(|lost| lost.incarnation == incarnation).last().map(|lost| lost.numbers)
    }

    fn forget_lost(&mut self, epoch: BrokerEpoch) -> Option<Lost> {
        self.changed.insert(Key::Lost(epoch));
        self.lost.remove(&epoch)
    }

    /// Bounded; and who is remembered has no life.
    pub(super) fn check_lost(&self) {
        assert!(self.lost.len() <= LOST_MAX, "lost runs are bounded");
        for (epoch, lost) in &self.lost {
            let numbers = &lost.numbers;
            assert!(numbers.origin <= *epoch && epoch.0 < self.next_epoch, "lives have an order");
            assert!(numbers.refused.len() <= REFUSED_MAX, "and what is remembered of them");
            let lives = |of: &super::Broker| {
                of.is_alive && of.name == lost.name && of.incarnation == lost.incarnation
            };
            assert!(!self.brokers.values().any(lives), "a run is lost or alive");
        }
    }
}
