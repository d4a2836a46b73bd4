//! What Raft guarantees, without its messages: one leader in a term commits, what is committed stays,
//! and a new leader has all of it. What an old leader had proposed and nobody knows to be committed
//! may survive it, in order, or not.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use ha_core::cluster::{Batch, Command, FeatureLevel};
use ha_types::ClusterMillis;

use crate::random::Random;

/// A node, from 0.
pub type NodeId = usize;

/// Longest time from a proposal to its commit, in milliseconds.
const COMMIT_MS_MAX: u64 = 8;

/// Times of an election, as with the normal timers.
const ELECTION_MS: (u64, u64) = (150, 600);

/// The log that all nodes agree on.
#[derive(Debug)]
pub struct Raft {
    /// Grows with each election.
    pub term: u64,
    /// Who can commit. It may be dead or cut off; then nobody commits until the next election.
    pub leader: NodeId,
    committed: Vec<Bytes>,
    /// Proposals of the leader, each with the time of its commit.
    proposed: VecDeque<(u64, Bytes)>,
    elect_at: Option<u64>,
    /// Places of entries that slipped in.
    foreign: BTreeSet<usize>,
    /// Who wins the next election, if it can; `None`: anybody may.
    pub favourite: Option<NodeId>,
    random: Random,
}

/// All nodes are of the same version.
fn all_is_understood() -> Bytes {
    let commands = vec![Command::Raise(FeatureLevel::NEWEST)];
    Batch { time: ClusterMillis(0), commands }.encode()
}

impl Raft {
    /// Node 0 leads, and the log has that all features may be used.
    #[must_use]
    pub fn new(random: Random) -> Self {
        Self {
            term: 1,
            leader: 0,
            committed: vec![all_is_understood()],
            proposed: VecDeque::new(),
            elect_at: None,
            foreign: BTreeSet::from([0]),
            favourite: None,
            random,
        }
    }

    /// What is committed after the first `applied` entries.
    #[must_use]
    pub fn after(&self, applied: usize) -> &[Bytes] {
        &self.committed[applied..]
    }

    /// Entries that are committed.
    #[must_use]
    pub fn committed(&self) -> usize {
        self.committed.len()
    }

    /// An entry of whoever leads in `term`. One of an older term is lost.
    pub fn propose(&mut self, now: u64, term: u64, entry: Bytes) {
        if term == self.term {
            let delay = self.random.between(1, COMMIT_MS_MAX);
            let last = self.proposed.back().map_or(0, |(at, _)| *at);
            self.proposed.push_back((last.max(now + delay), entry));
        }
    }

    /// What the leader has proposed and the log does not have, in order.
    pub fn proposed(&self) -> impl Iterator<Item = &Bytes> {
        self.proposed.iter().map(|(_, entry)| entry)
    }

    /// An entry of nobody, before all that are proposed.
    pub fn slip_in(&mut self, now: u64, entry: Bytes) {
        self.proposed.push_front((now, entry));
        self.foreign.insert(self.committed.len());
    }

    /// Whether the entry of this place, from 0, is nobody's.
    #[must_use]
    pub fn is_foreign(&self, place: usize) -> bool {
        self.foreign.contains(&place)
    }

    /// When something happens next.
    #[must_use]
    pub fn next_event(&self, can_commit: bool) -> Option<u64> {
        let commit = self.proposed.front().map(|(at, _)| *at).filter(|_| can_commit);
        commit.into_iter().chain(self.elect_at).min()
    }

    /// Commits what is due.
    pub fn commit(&mut self, now: u64) {
        while let Some((_, entry)) = self.proposed.pop_front_if(|(at, _)| *at <= now) {
            self.committed.push(entry);
        }
    }

    /// The leader was lost, or has come back before anybody noticed.
    pub fn watch(&mut self, now: u64, is_led: bool) {
        match (is_led, self.elect_at) {
            (true, Some(_)) => self.elect_at = None,
            (false, None) => {
                let delay = self.random.between(ELECTION_MS.0, ELECTION_MS.1);
                self.elect_at = Some(now + delay);
            }
            (true, None) | (false, Some(_)) => (),
        }
    }

    /// Whether an election is due.
    #[must_use]
    pub fn is_due(&self, now: u64) -> bool {
        self.elect_at.is_some_and(|at| at <= now)
    }

    /// One of these leads from now on. Some of what was proposed had reached a majority.
    pub fn elect(&mut self, candidates: &[NodeId]) {
        self.elect_at = None;
        let favourite = self.favourite.filter(|favourite| candidates.contains(favourite));
        self.leader = favourite.unwrap_or_else(|| self.random.pick(candidates));
        self.term += 1;
        let most = u64::try_from(self.proposed.len()).expect("fits");
        let survive = usize::try_from(self.random.between(0, most)).expect("was a usize");
        let survivors = self.proposed.drain(..).take(survive).map(|(_, entry)| entry);
        self.committed.extend(survivors);
    }
}
