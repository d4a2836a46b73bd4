//! A set of brokers as one machine word: union, difference and emptiness cost one instruction each.

use ha_types::limits::BROKERS_MAX;

/// Place of a broker in every [`BrokerSet`]; below [`BROKERS_MAX`]. Reused after a broker is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(u8);

impl Slot {
    /// All slots in order.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..u8::try_from(BROKERS_MAX).expect("64 fits")).map(Self)
    }
}

/// Some of the at most 64 brokers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BrokerSet(u64);

impl BrokerSet {
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn contains(self, slot: Slot) -> bool {
        self.0 & Self::only(slot).0 != 0
    }

    pub(crate) fn insert(&mut self, slot: Slot) {
        self.0 |= Self::only(slot).0;
    }

    pub(crate) fn remove(&mut self, slot: Slot) {
        self.0 &= !Self::only(slot).0;
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn only(slot: Slot) -> Self {
        Self(1 << slot.0)
    }

    /// In slot order.
    pub(crate) fn iter(self) -> impl Iterator<Item = Slot> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let lowest = u8::try_from(rest.trailing_zeros()).expect("at most 64");
            let slot = (rest != 0).then_some(Slot(lowest))?;
            rest &= rest - 1;
            Some(slot)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_lists_its_members_in_order_from_the_first_to_the_last_slot() {
        let slots: Vec<_> = Slot::all().collect();
        let mut set = BrokerSet::default();
        for at in [63, 0, 5] {
            set.insert(slots[at]);
        }
        set.remove(slots[5]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [slots[0], slots[63]]);
        assert!(set.contains(slots[63]) && !set.contains(slots[5]));
    }
}
