//! What this broker needs of each filter: the most that one of its sessions does.

use std::collections::BTreeMap;

use ha_types::TopicFilter;
use ha_types::link::Needs;

use super::Seat;
use crate::engine::Wants;

/// A filter is needed in another way, or (`None`) not at all.
pub(crate) type Change = (TopicFilter, Option<Needs>);

/// Filters of all sessions, also those of SUBSCRIBEs that wait: these are counted on their own.
#[derive(Clone, Debug, Default)]
pub(crate) struct FilterNeeds {
    filters: BTreeMap<TopicFilter, Count>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    at_most_once: usize,
    all: usize,
}

impl Count {
    fn of(&mut self, needs: Needs) -> &mut usize {
        match needs {
            Needs::AtMostOnce => &mut self.at_most_once,
            Needs::All => &mut self.all,
        }
    }

    fn needs(self) -> Option<Needs> {
        match self {
            Self { all: 1.., .. } => Some(Needs::All),
            Self { at_most_once: 1.., .. } => Some(Needs::AtMostOnce),
            Self { .. } => None,
        }
    }
}

impl FilterNeeds {
    /// Distinct filters.
    pub(crate) fn len(&self) -> usize {
        self.filters.len()
    }

    pub(super) fn has(&self, filter: &TopicFilter) -> bool {
        self.filters.contains_key(filter)
    }

    pub(super) fn add(&mut self, filter: &TopicFilter, needs: Needs) -> Option<Change> {
        let count = self.filters.entry(filter.clone()).or_default();
        let before = count.needs();
        *count.of(needs) += 1;
        let after = count.needs();
        (before != after).then(|| (filter.clone(), after))
    }

    pub(super) fn release(&mut self, filter: &TopicFilter, needs: Needs) -> Option<Change> {
        let count = self.filters.get_mut(filter)?;
        let before = count.needs();
        let of = count.of(needs);
        *of = of.saturating_sub(1);
        let after = count.needs();
        if after.is_none() {
            self.filters.remove(filter);
        }
        (before != after).then(|| (filter.clone(), after))
    }

    /// All that is needed, as if it were new.
    pub(crate) fn all(&self) -> Vec<Change> {
        let change = |(filter, count): (&TopicFilter, &Count)| (filter.clone(), count.needs());
        self.filters.iter().map(change).collect()
    }
}

impl Seat {
    pub(super) fn needs(&self) -> Needs {
        match self.wants {
            Wants::All => Needs::All,
            Wants::QosZero => Needs::AtMostOnce,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_is_needed_as_its_most_demanding_session_does() {
        let filter = &TopicFilter::parse(b"t").unwrap();
        let change = |needs| Some((filter.clone(), needs));
        let mut needs = FilterNeeds::default();
        assert_eq!(needs.add(filter, Needs::AtMostOnce), change(Some(Needs::AtMostOnce)));
        assert_eq!(needs.add(filter, Needs::All), change(Some(Needs::All)));
        assert_eq!(needs.add(filter, Needs::All), None);
        assert_eq!(needs.release(filter, Needs::AtMostOnce), None);
        assert_eq!(needs.add(filter, Needs::AtMostOnce), None);
        assert_eq!(needs.release(filter, Needs::All), None);
        assert_eq!(needs.release(filter, Needs::All), change(Some(Needs::AtMostOnce)));
        assert_eq!(needs.release(filter, Needs::AtMostOnce), change(None));
        assert_eq!(needs.len(), 0);
    }
}
