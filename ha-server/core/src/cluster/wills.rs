//! Wills that were published, and that some broker may not have received.
//!
//! A publish is sent again by its broker when its leader died; a will has no broker that would do so. So
//! the state owes it, under a number by which brokers know a repeat, until the leader says that whoever
//! needs it has it. A leader begins with giving what is owed (P8).

use std::collections::BTreeMap;
use std::sync::Arc;

use ha_types::{Message, PublishNumber, RetainedVersion};

use super::feature::FeatureLevel;
use super::outcome::Outcome;
use super::record::Key;
use super::{ClusterState, StateLimits};

/// Wills that are owed. Beyond, and beyond `store_bytes_max`, one comes to each broker once at most.
const OWED_MAX: usize = 65_536;

/// The numbers of one batch: they begin with its place in the log, and so grow for good.
const BATCH_BITS: u32 = 16;

/// A message that went to live subscribers, or is about to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwedWill {
    /// The will.
    pub message: Arc<Message>,
    /// Greater than zero: it is also retained, in this version.
    pub retained: RetainedVersion,
}

/// By number, oldest first.
#[derive(Debug, Default)]
pub(super) struct OwedWills {
    by_number: BTreeMap<PublishNumber, OwedWill>,
    bytes: usize,
}

impl OwedWills {
    pub(super) fn get(&self, number: PublishNumber) -> Option<&OwedWill> {
        self.by_number.get(&number)
    }

    pub(super) fn insert(&mut self, number: PublishNumber, will: OwedWill) {
        self.bytes += will.message.size();
        self.by_number.insert(number, will);
    }

    /// Whether a stored number may be, after the last batch.
    pub(super) fn is_possible(number: PublishNumber, applied: u64) -> bool {
        number.0 >> BATCH_BITS <= applied
    }

    fn has_room(&self, size: usize, limits: &StateLimits) -> bool {
        self.by_number.len() < OWED_MAX && self.bytes + size <= limits.store_bytes_max
    }

    /// The next number of the batch at this place of the log; `None`: it has had all of its numbers.
    fn next(&self, applied: u64) -> Option<PublishNumber> {
        let first = applied << BATCH_BITS;
        let following =
            self.by_number.last_key_value().map_or(0, |(last, _)| last.0.saturating_add(1));
        let next = first.max(following);
        (next >> BATCH_BITS == applied).then_some(PublishNumber(next))
    }

    fn remove_upto(&mut self, upto: PublishNumber) -> impl Iterator<Item = PublishNumber> {
        let end = PublishNumber(upto.0.saturating_add(1));
        let left = self.by_number.split_off(&end);
        let gone = std::mem::replace(&mut self.by_number, left);
        self.bytes -= gone.values().map(|will| will.message.size()).sum::<usize>();
        gone.into_keys()
    }
}

impl ClusterState {
    /// Remembers a will until all have it. `None`: there is no room for it, or not all members of the group
    /// would remember it.
    pub(super) fn owe(
        &mut self,
        message: &Arc<Message>,
        retained: RetainedVersion,
    ) -> Option<PublishNumber> {
        let is_known = self.feature_level >= FeatureLevel::OWED_WILLS;
        if !is_known || !self.owed_wills.has_room(message.size(), &self.limits) {
            return None;
        }
        let number = self.owed_wills.next(self.applied)?;
        self.owed_wills.insert(number, OwedWill { message: Arc::clone(message), retained });
        self.changed.insert(Key::OwedWill(number));
        Some(number)
    }

    pub(super) fn wills_received(&mut self, upto: PublishNumber) -> Outcome {
        self.changed.extend(self.owed_wills.remove_upto(upto).map(Key::OwedWill));
        Outcome::Done
    }

    /// Wills that some broker may not have received, in the order in which they were published.
    pub fn owed_wills(&self) -> impl Iterator<Item = (PublishNumber, &OwedWill)> {
        self.owed_wills.by_number.iter().map(|(number, will)| (*number, will))
    }

    /// Bounded, counted, and older than what comes next.
    pub(super) fn check_owed_wills(&self) {
        let OwedWills { by_number, bytes } = &self.owed_wills;
        assert!(by_number.len() <= OWED_MAX, "owed wills are bounded");
        let sizes = by_number.values().map(|will| will.message.size());
        assert_eq!(sizes.sum::<usize>(), *bytes, "and counted");
        let last = by_number.last_key_value().map(|(last, _)| *last);
        assert!(last.is_none_or(|last| OwedWills::is_possible(last, self.applied)), "numbers grow");
    }
}
