//! When the lead changed, and for how long nothing could be applied, as this server saw it.
//!
//! Decides nothing; for operators. A change begins with a new term and ends when the first entry was
//! applied under the new leader. Elections that nobody wins belong to the one that follows.

use std::collections::VecDeque;

use ha_node::NodeId;
use ha_types::Millis;

/// Changes that are remembered; the oldest gives way.
pub const LEADER_CHANGES_MAX: usize = 16;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderChange {
    /// When it began: milliseconds since 1970, by this server's clock.
    pub at_unix_ms: u64,
    /// Of the new leader.
    pub term: u64,
    /// Who led before, as far as this server knew.
    pub from: NodeId,
    /// Who leads now; perhaps the same.
    pub to: NodeId,
    /// Milliseconds from the last sign of life of the old leader until the first entry was applied here.
    pub gap_ms: u64,
}

/// What a server sees of the lead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) term: u64,
    pub(crate) leader: Option<NodeId>,
    pub(crate) applied: Option<u64>,
}

/// One that is under way.
#[derive(Debug)]
struct Begun {
    at_unix_ms: u64,
    from: NodeId,
    since: Millis,
    applied: Option<u64>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct LeaderChanges {
    done: VecDeque<LeaderChange>,
    total: u64,
    begun: Option<Begun>,
    term: u64,
    leader: Option<NodeId>,
}

impl LeaderChanges {
    /// Whether [`begin`](Self::begin) has to come before [`observe`](Self::observe).
    pub(crate) fn is_new(&self, seen: Seen) -> bool {
        seen.term > self.term
    }

    /// A new term, `silent_ms` after the last sign of the old leader.
    pub(crate) fn begin(&mut self, now: Millis, unix_ms: u64, silent_ms: u64, seen: Seen) {
        self.term = seen.term;
        if let (None, Some(from)) = (&self.begun, self.leader) {
            self.begun = Some(Begun {
                at_unix_ms: unix_ms.saturating_sub(silent_ms),
                from,
                since: Millis(now.0.saturating_sub(silent_ms)),
                applied: seen.applied,
            });
        }
    }

    /// What is seen now. Cheap: it is asked whenever anything happens.
    pub(crate) fn observe(&mut self, now: Millis, seen: Seen) {
        let Some(to) = seen.leader else { return };
        self.leader = Some(to);
        let Some(begun) = self.begun.take_if(|begun| seen.applied > begun.applied) else { return };
        let Begun { at_unix_ms, from, since, .. } = begun;
        if self.done.len() == LEADER_CHANGES_MAX {
            self.done.pop_front();
        }
        self.total += 1;
        let gap_ms = now.since(since);
        self.done.push_back(LeaderChange { at_unix_ms, term: seen.term, from, to, gap_ms });
    }

    /// Since the beginning.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// From the oldest on.
    pub(crate) fn all(&self) -> impl Iterator<Item = &LeaderChange> {
        self.done.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(term: u64, leader: u64, applied: u64) -> Seen {
        let leader = (leader != 0).then_some(NodeId(leader));
        Seen { term, leader, applied: Some(applied) }
    }

    /// Server 1 leads in term 1 at entry 10.
    fn led() -> LeaderChanges {
        let mut changes = LeaderChanges::default();
        changes.begin(Millis(0), 1_000_000, 0, seen(1, 0, 0));
        changes.observe(Millis(1), seen(1, 1, 10));
        changes
    }

    #[test]
    fn first_leader_that_is_seen_is_no_change() {
        assert_eq!(led().all().count(), 0);
        let mut changes = LeaderChanges::default();
        assert!(changes.is_new(seen(7, 1, 10)));
        changes.begin(Millis(0), 0, 0, seen(7, 1, 10));
        changes.observe(Millis(0), seen(7, 1, 11));
        assert_eq!(changes.all().count(), 0);
    }

    #[test]
    fn gap_lasts_from_the_last_sign_of_the_old_leader_to_the_first_entry_of_the_new() {
        let mut changes = led();
        changes.begin(Millis(10_200), 1_010_200, 200, seen(2, 0, 10));
        changes.observe(Millis(10_300), seen(2, 2, 10));
        assert_eq!(changes.all().count(), 0, "nothing was applied yet");
        changes.observe(Millis(10_350), seen(2, 2, 11));
        let (from, to) = (NodeId(1), NodeId(2));
        let change = LeaderChange { at_unix_ms: 1_010_000, term: 2, from, to, gap_ms: 350 };
        assert_eq!(changes.all().collect::<Vec<_>>(), [&change]);
        changes.observe(Millis(10_400), seen(2, 2, 12));
        assert_eq!(changes.all().count(), 1);
    }

    #[test]
    fn elections_that_nobody_wins_belong_to_one_change() {
        let mut changes = led();
        for term in 2..=4 {
            changes.begin(Millis(term * 100), 1_000_000, 50, seen(term, 0, 10));
            changes.observe(Millis(term * 100), seen(term, 0, 10));
        }
        changes.observe(Millis(500), seen(4, 3, 11));
        let done: Vec<_> = changes.all().map(|of| (of.term, of.gap_ms)).collect();
        assert_eq!(done, [(4, 350)]);
    }

    #[test]
    fn oldest_change_gives_way() {
        let mut changes = led();
        for term in 2..=18 {
            changes.begin(Millis(term), 0, 0, seen(term, 0, term * 10));
            changes.observe(Millis(term), seen(term, 1, term * 10 + 1));
        }
        let terms: Vec<_> = changes.all().map(|of| of.term).collect();
        assert_eq!((terms.len(), terms[0]), (LEADER_CHANGES_MAX, 3));
        assert_eq!(changes.total(), 17);
    }
}
