//! What is always true between two steps. For tests.

use std::collections::{BTreeMap, BTreeSet};

use ha_types::session::SessionKey;

use super::{Relay, plain};

impl Relay {
    /// Panics when an invariant is broken.
    pub(crate) fn check_invariants(&self) {
        self.asks.check_invariants();
        let asked: BTreeSet<_> = self.asks.opens().collect();
        let served = self.guests.keys().chain(self.unwanted.keys());
        let mut opening = self.opening.keys().chain(served);
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
        self.check_guests();
    }

    /// Who has a key of this broker's own is a guest, or was one.
    fn check_guests(&self) {
        for connection in self.guests.keys() {
            let seat = self.sessions.get(&SessionKey::provisional(*connection));
            assert!(seat.is_some_and(|seat| seat.connection == *connection), "guests are served");
        }
        for (session, seat) in &self.sessions {
            let is_guest = self.guests.contains_key(&seat.connection);
            assert_eq!(session.is_provisional(), is_guest, "others have sessions at ha-server");
            let known = seat.known_as.map(|known_as| self.adopted.get(&known_as));
            assert!(
                known.is_none_or(|known| known == Some(session)),
                "an engine's key leads to it"
            );
        }
        let former = self.sessions.values().filter(|seat| seat.known_as.is_some());
        assert_eq!(former.count(), self.adopted.len());
        for (client_id, session) in &self.by_client {
            assert_eq!(self.sessions[session].client_id, *client_id);
        }
    }
}
