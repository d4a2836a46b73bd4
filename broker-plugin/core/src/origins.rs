//! Which messages of other brokers came before.

use std::collections::BTreeMap;

use ha_types::link::Origin;
use ha_types::{BrokerEpoch, PublishNumber};

/// Broker epochs that are remembered. Beyond, the lowest is forgotten: it is the oldest, and its broker
/// mostly gone.
const EPOCHS_MAX: usize = 1_024;

/// The highest number of each broker epoch. Outlives streams and leaders: a new leader may send what
/// an old one did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    highest: BTreeMap<BrokerEpoch, PublishNumber>,
}

impl Origins {
    /// Whether it came before, or something newer of that broker: what is sent again comes in its order, so
    /// it was not needed then.
    pub(crate) fn has(&self, Origin { broker, number }: Origin) -> bool {
        self.highest.get(&broker).is_some_and(|highest| number <= *highest)
    }

    /// Whether it did not come before.
    pub(crate) fn is_new(&mut self, Origin { broker, number }: Origin) -> bool {
        if let Some(highest) = self.highest.get_mut(&broker) {
            let is_new = number > *highest;
            *highest = number.max(*highest);
            return is_new;
        }
        if self.highest.len() == EPOCHS_MAX {
            self.highest.pop_first();
        }
        self.highest.insert(broker, number);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(broker: u64, number: u64) -> Origin {
        Origin { broker: BrokerEpoch(broker), number: PublishNumber(number) }
    }

    #[test]
    fn number_that_does_not_grow_came_before() {
        let mut origins = Origins::default();
        let came = [(1, 5), (1, 5), (1, 4), (2, 4), (1, 6)];
        let new = came.map(|(broker, number)| origins.is_new(origin(broker, number)));
        assert_eq!(new, [true, false, false, true, true]);
    }

    #[test]
    fn what_is_looked_up_has_not_come() {
        let mut origins = Origins::default();
        origins.is_new(origin(1, 5));
        let has = |broker, number| origins.has(origin(broker, number));
        assert_eq!([has(1, 4), has(1, 5), has(1, 6), has(2, 1)], [true, true, false, false]);
        assert!(origins.is_new(origin(1, 6)));
    }

    #[test]
    fn lowest_epoch_is_forgotten_when_there_are_too_many() {
        let mut origins = Origins::default();
        let last = u64::try_from(EPOCHS_MAX).unwrap() + 1;
        (1..=last).for_each(|broker| assert!(origins.is_new(origin(broker, 1))));
        assert!(!origins.is_new(origin(2, 1)));
        assert_eq!(origins.highest.len(), EPOCHS_MAX);
        assert!(origins.is_new(origin(1, 1)), "forgotten");
    }
}
