//! What follows from the answers of the other members.
//!
//! Decides two things: whether a group has begun at all (asked by a node that has nothing), and from
//! where on a node that lost records takes part again. Pure; the safety argument is in ADR 0012.

use std::collections::{BTreeMap, BTreeSet};

use ha_proto::raft::{Membership, Standing, StoredMembership};

use crate::log::Position;

/// What the others answered in one round, by node.
pub(crate) type Answers = BTreeMap<u64, Standing>;

/// Whether a group has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// Too few answered.
    Unknown,
    /// It has not: this node may begin it together with the others.
    Ours,
    /// It has, and this node has nothing of it.
    Missed,
}

/// What a node that lost records must know before it listens to a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// It may have promised anything up to this term, so it acknowledges nothing in a lower one.
    pub(crate) term: u64,
    /// A node that knows this term.
    pub(crate) witness: u64,
    /// Once it has applied an entry from here on, it has all that it may ever have acknowledged.
    pub(crate) caught_up: Position,
}

fn last(standing: &Standing) -> Option<Position> {
    standing.last.map(|at| Position { term: at.term, index: at.index })
}

/// It has at most the entry that names the first members, and nobody asked for its vote.
fn is_pristine(standing: &Standing) -> bool {
    let first = Position { term: 0, index: 0 };
    !standing.lost && standing.term == 0 && last(standing) <= Some(first)
}

/// Asked by a node that has nothing. `first` are all first members other than itself.
///
/// All of them must answer. What this node and others with nothing say proves nothing, for their
/// disks may have been replaced; a majority that has something has one member whose disk was not.
pub(crate) fn beginning(first: &BTreeSet<u64>, answers: &Answers) -> Beginning {
    let answers = answers.iter().filter(|(id, _)| first.contains(id));
    let (pristine, others): (Vec<_>, Vec<_>) = answers.partition(|(_, it)| is_pristine(it));
    if !others.is_empty() {
        return Beginning::Missed;
    }
    if pristine.len() == first.len() { Beginning::Ours } else { Beginning::Unknown }
}

/// The newest membership that is known: the one noted, or one that was answered.
pub(crate) fn newest(noted: &StoredMembership, answers: &Answers) -> StoredMembership {
    let position = |it: &StoredMembership| it.at.map(|at| (at.term, at.index));
    let answered = answers.values().filter_map(|it| it.membership.as_ref());
    let newest = answered.max_by_key(|it| position(it));
    newest.filter(|it| position(it) >= position(noted)).unwrap_or(noted).clone()
}

/// Voters other than `us` whose answers are missing.
pub(crate) fn missing(us: u64, membership: &Membership, answers: &Answers) -> BTreeSet<u64> {
    let voters = membership.configs.iter().flat_map(|config| &config.ids);
    voters.copied().filter(|id| *id != us && !answers.contains_key(id)).collect()
}

/// Asked by a node that lost records. `None` until every other voter has answered and enough of
/// them have not lost theirs.
pub(crate) fn bounds(us: u64, membership: &Membership, answers: &Answers) -> Option<Bounds> {
    if membership.configs.is_empty() || !missing(us, membership, answers).is_empty() {
        return None;
    }
    // Who does not even know the group has lost what it knew.
    let knows = |id: &u64| answers.get(id).is_some_and(|it| !it.lost && it.membership.is_some());
    let enough = membership.configs.iter().all(|config| {
        let knowing = config.ids.iter().filter(|id| **id != us && knows(id)).count();
        // Fewer have lost theirs than any majority has members.
        2 * knowing >= config.ids.len()
    });
    if !enough {
        return None;
    }
    let known = || answers.iter().filter(|(id, _)| **id != us && knows(id));
    let (&witness, standing) = known().max_by_key(|(_, it)| it.term)?;
    let term = standing.term;
    let least = Position { term, index: 0 };
    let caught_up = known().filter_map(|(_, it)| last(it)).max().map_or(least, |at| at.max(least));
    Some(Bounds { term, witness, caught_up })
}

#[cfg(test)]
mod tests {
    use ha_proto::raft::{LogId, Voters};

    use super::*;

    fn group(size: u64) -> Membership {
        let configs = vec![Voters { ids: (1..=size).collect() }];
        Membership { configs, members: Vec::new() }
    }

    fn at(term: u64, index: u64) -> Standing {
        let membership = Some(StoredMembership::default());
        Standing { term, last: Some(LogId { term, index }), membership, lost: false }
    }

    fn nothing() -> Standing {
        Standing::default()
    }

    fn lost() -> Standing {
        Standing { lost: true, ..nothing() }
    }

    fn answers<const N: usize>(answers: [(u64, Standing); N]) -> Answers {
        answers.into()
    }

    fn first() -> BTreeSet<u64> {
        [2, 3].into()
    }

    #[test]
    fn group_begins_when_all_others_say_that_they_have_nothing() {
        assert_eq!(beginning(&first(), &answers([])), Beginning::Unknown);
        assert_eq!(beginning(&first(), &answers([(2, nothing())])), Beginning::Unknown);
        let all = answers([(2, nothing()), (3, at(0, 0))]);
        assert_eq!(beginning(&first(), &all), Beginning::Ours);
        assert_eq!(
            beginning(&first(), &answers([(2, nothing()), (3, at(1, 1))])),
            Beginning::Missed
        );
        assert_eq!(beginning(&first(), &answers([(2, lost())])), Beginning::Missed);
        let stranger = answers([(2, nothing()), (9, nothing())]);
        assert_eq!(beginning(&first(), &stranger), Beginning::Unknown);
    }

    #[test]
    fn one_vote_is_enough_to_have_begun() {
        let voted = Standing { term: 1, ..nothing() };
        assert_eq!(beginning(&first(), &answers([(2, voted)])), Beginning::Missed);
    }

    #[test]
    fn every_other_voter_must_answer() {
        assert_eq!(bounds(3, &group(3), &answers([(1, at(4, 9))])), None);
        let all = answers([(1, at(4, 9)), (2, at(5, 7))]);
        let caught_up = Position { term: 5, index: 7 };
        assert_eq!(bounds(3, &group(3), &all), Some(Bounds { term: 5, witness: 2, caught_up }));
    }

    #[test]
    fn entry_of_the_highest_term_is_needed_also_when_nobody_has_one_yet() {
        let candidate = Standing { term: 6, ..at(4, 9) };
        let all = answers([(1, Standing { last: at(4, 9).last, ..candidate }), (2, at(4, 9))]);
        let caught_up = Position { term: 6, index: 0 };
        assert_eq!(bounds(3, &group(3), &all), Some(Bounds { term: 6, witness: 1, caught_up }));
    }

    #[test]
    fn as_many_may_have_lost_theirs_as_leave_somebody_in_each_majority() {
        let two = answers([(1, at(2, 1)), (2, at(2, 1)), (5, at(2, 1)), (4, lost())]);
        assert!(bounds(3, &group(5), &two).is_some());
        let three = answers([(1, at(2, 1)), (2, at(2, 1)), (5, nothing()), (4, lost())]);
        assert_eq!(bounds(3, &group(5), &three), None);
        assert!(bounds(2, &group(2), &answers([(1, at(2, 1))])).is_some());
        assert_eq!(bounds(3, &group(3), &answers([(1, at(2, 1)), (2, lost())])), None);
    }

    #[test]
    fn both_halves_of_a_change_of_members_must_answer() {
        let mut changing = group(3);
        changing.configs.push(Voters { ids: vec![3, 4, 5] });
        let half = answers([(1, at(2, 1)), (2, at(2, 1)), (4, at(2, 1))]);
        assert_eq!(missing(3, &changing, &half), [5].into());
        assert_eq!(bounds(3, &changing, &half), None);
    }

    #[test]
    fn unknown_group_has_no_bounds() {
        assert_eq!(bounds(3, &Membership::default(), &answers([(1, at(1, 1))])), None);
    }

    #[test]
    fn newest_membership_counts_and_an_older_answer_does_not() {
        let stored =
            |index| StoredMembership { at: Some(LogId { term: 1, index }), membership: None };
        let answered =
            |index| answers([(1, Standing { membership: Some(stored(index)), ..nothing() })]);
        assert_eq!(newest(&stored(5), &answered(7)), stored(7));
        assert_eq!(newest(&stored(5), &answered(3)), stored(5));
        assert_eq!(newest(&StoredMembership::default(), &answered(0)), stored(0));
    }
}
