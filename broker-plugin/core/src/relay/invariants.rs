//! What is always true between two steps. For tests.

use std::collections::{BTreeMap, BTreeSet};

use super::{Relay, plain};

impl Relay {
    /// Panics when an invariant is broken.
    pub(crate) fn check_invariants(&self) {
        self.asks.check_invariants();
        let asked: BTreeSet<_> = self.asks.opens().collect();
        let mut opening = self.opening.keys().chain(&self.unwanted);
        assert!(opening.all(|connection| asked.contains(connection)), "who waits has asked");
        let mut expected = BTreeMap::new();
        for seat in self.sessions.values() {
            let waiting = seat.subscribing.values().flatten().filter_map(plain);
            for filter in seat.filters.iter().chain(waiting) {
                let needs = expected.entry(filter.clone()).or_insert(None);
                *needs = (*needs).max(Some(seat.needs()));
            }
        }
        let expected: Vec<_> = expected.into_iter().collect();
        assert_eq!(self.needs.all(), expected, "what is needed is what sessions need");
        let mut connections: Vec<_> = self.sessions.values().map(|seat| seat.connection).collect();
        connections.sort_unstable();
        assert!(connections.windows(2).all(|two| two[0] != two[1]), "one session each");
    }
}
