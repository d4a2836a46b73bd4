//! When clients were connected last, by the log, also when nothing else is left of their sessions.
//!
//! A broker may have served a client while it had no leader. If the client was elsewhere since, what it published
//! there came later, and what waits at that broker must not come after it (P4).
//!
//! Clients share places by a hash of their identifiers: who shares one with a newer client counts as newer.

use std::collections::BTreeMap;

use super::ClusterState;
use super::feature::FeatureLevel;
use super::record::Key;
use super::strategy::stable_hash;

/// By place, the log's index of the last CONNECT. At most 65,536 places.
#[derive(Debug, Default)]
pub(super) struct LastOpens(BTreeMap<u16, u64>);

impl LastOpens {
    pub(super) fn get(&self, place: u16) -> Option<u64> {
        self.0.get(&place).copied()
    }

    pub(super) fn insert(&mut self, place: u16, index: u64) {
        self.0.insert(place, index);
    }

    pub(super) fn places(&self) -> impl Iterator<Item = u16> {
        self.0.keys().copied()
    }
}

fn place(client_id: &str) -> u16 {
    let [first, second, ..] = stable_hash(client_id.as_bytes().iter()).to_be_bytes();
    u16::from_be_bytes([first, second])
}

impl ClusterState {
    /// A client is connected.
    pub(super) fn note_open(&mut self, client_id: &str) {
        if self.feature_level >= FeatureLevel::CLAIMS {
            let place = place(client_id);
            self.last_opens.insert(place, self.applied);
            self.changed.insert(Key::LastOpen(place));
        }
    }

    /// Whether a client may have been connected after the log was at `index`.
    #[must_use]
    pub fn opened_after(&self, client_id: &str, index: u64) -> bool {
        let is_known = self.feature_level >= FeatureLevel::CLAIMS;
        !is_known || self.last_opens.get(place(client_id)).is_some_and(|last| last > index)
    }

    /// How much of the log the state has.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.applied
    }
}
