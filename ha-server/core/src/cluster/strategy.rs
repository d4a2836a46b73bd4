//! Which member of a share group is next, among those that may be.

use std::collections::BTreeMap;
use std::sync::Arc;

use ha_types::{BrokerEpoch, Message, Publisher, SessionId};

/// How the members of a group share its messages. Part of how the state behaves: what a choice means
/// changes with a feature level only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Each in its turn.
    #[default]
    RoundRobin,
    /// In turn those on the publisher's broker; if none of them has room, all.
    LocalFirst,
    /// The one with the fewest messages that it has not acknowledged.
    LeastInFlight,
    /// Messages of one client go to one member, while the same members are there.
    ByClient,
    /// Messages of one topic go to one member, while the same members are there.
    ByTopic,
}

impl Strategy {
    /// Whether what belongs together comes in its order: a member gets it also when it has no room, and
    /// nothing passes over what waits.
    pub(super) fn keeps_order(self) -> bool {
        match self {
            Self::RoundRobin | Self::LocalFirst | Self::LeastInFlight => false,
            Self::ByClient | Self::ByTopic => true,
        }
    }
}

/// Of all groups, by share name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strategies {
    /// Of names that are not below.
    pub otherwise: Strategy,
    /// Of these share names.
    pub by_name: BTreeMap<Arc<str>, Strategy>,
}

impl Strategies {
    pub(super) fn of(&self, share_name: &str) -> Strategy {
        self.by_name.get(share_name).copied().unwrap_or(self.otherwise)
    }
}

/// What a choice may look at of a member that is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) id: SessionId,
    pub(super) broker: BrokerEpoch,
    /// Messages that it has not acknowledged.
    pub(super) in_flight: usize,
}

/// The best for a message. Among equals the next after `last`, going round.
pub(super) fn choose(
    strategy: Strategy,
    message: &Message,
    last: SessionId,
    candidates: impl Iterator<Item = Candidate>,
) -> Option<SessionId> {
    let Publisher { session: publisher, epoch: broker } = message.publisher;
    let distance = |of: &Candidate| match strategy {
        Strategy::RoundRobin => 0,
        Strategy::LocalFirst => u64::from(of.broker != broker),
        Strategy::LeastInFlight => u64::try_from(of.in_flight).unwrap_or(u64::MAX),
        Strategy::ByClient => hash(&publisher.0.to_be_bytes(), of.id),
        Strategy::ByTopic => hash(message.topic.as_bytes(), of.id),
    };
    let best = candidates.min_by_key(|of| (distance(of), of.id <= last, of.id));
    best.map(|of| of.id)
}

/// The lowest of all members is chosen: when one comes or goes, only what is its own moves.
fn hash(key: &[u8], member: SessionId) -> u64 {
    stable_hash(key.iter().chain(&member.0.to_be_bytes()))
}

/// FNV-1a, stirred so that neighbours are far apart. What it leads to is in logs and stores: the same for good.
pub(super) fn stable_hash<'a>(bytes: impl Iterator<Item = &'a u8>) -> u64 {
    let mixed = bytes.fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written to disks as the choice that it leads to.
    #[test]
    fn hash_is_the_same_for_good() {
        let golden =
            [hash(b"", SessionId(0)), hash(b"a", SessionId(1)), hash(b"a/b", SessionId(7))];
        assert_eq!(golden, [0x30FF_FCDF_BBBC_3F43, 0xC23B_486D_845A_BB2E, 0xB7A3_95BA_D816_E74F]);
    }
}
