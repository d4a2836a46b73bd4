//! Which messages are new, and which came before: for one subscriber, or for a share group.

use std::collections::{BTreeMap, VecDeque};

/// Messages that a [`Group`] looks back, as words of 64: 8 MiB for each publisher.
const WORDS_MAX: usize = 1 << 20;

/// Gaps that [`Lanes`] remember.
const GAPS_MAX: usize = 1 << 16;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    New,
    /// New, and a later one came before.
    Late,
    /// It came before, or its gap was forgotten.
    Again,
}

/// What one subscriber expects next, of each topic of each of its sources. The topics of a source
/// take turns.
#[derive(Debug)]
pub(super) struct Lanes {
    topics: usize,
    next: Vec<u64>,
    /// What was passed over, by lane and first number: the number behind.
    gaps: BTreeMap<(usize, u64), u64>,
}

impl Lanes {
    pub(super) fn new(sources: usize, topics: u32) -> Self {
        let topics = topics.max(1) as usize;
        Self { topics, next: vec![0; sources * topics], gaps: BTreeMap::new() }
    }

    /// `source` is one of those that it was made for.
    pub(super) fn take(&mut self, source: usize, sequence: u64) -> Verdict {
        let (turn, topic) = match self.topics {
            // A division for each message would be most of this.
            1 => (sequence, 0),
            topics => (sequence / topics as u64, sequence % topics as u64),
        };
        let topic = usize::try_from(topic).expect("below the number of topics");
        let lane = source * self.topics + topic;
        let next = self.next[lane];
        if turn < next {
            return if self.fill(lane, turn) { Verdict::Late } else { Verdict::Again };
        }
        self.next[lane] = turn.saturating_add(1);
        if turn > next {
            self.pass_over(lane, next, turn);
        }
        Verdict::New
    }

    fn pass_over(&mut self, lane: usize, from: u64, to: u64) {
        if self.gaps.len() >= GAPS_MAX {
            self.gaps.pop_first();
        }
        self.gaps.insert((lane, from), to);
    }

    /// Whether it was missing until now.
    fn fill(&mut self, lane: usize, turn: u64) -> bool {
        let before = self.gaps.range(..=(lane, turn)).next_back();
        let Some((&(of, from), &to)) = before.filter(|&(&(of, _), &to)| of == lane && turn < to)
        else {
            return false;
        };
        self.gaps.remove(&(of, from));
        if from < turn {
            self.gaps.insert((of, from), turn);
        }
        if turn + 1 < to {
            self.gaps.insert((of, turn + 1), to);
        }
        true
    }
}

/// What came of one publisher, at any member of a share group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// All messages before this word have come, or are too old.
    base: u64,
    /// A bit for each message.
    words: VecDeque<u64>,
}

impl Group {
    pub(super) fn take(&mut self, sequence: u64) -> Verdict {
        let (word, bit) = (sequence / 64, 1 << (sequence % 64));
        let Some(ahead) = word.checked_sub(self.base) else { return Verdict::Again };
        let at = self.reach(ahead);
        let is_new = self.words[at] & bit == 0;
        self.words[at] |= bit;
        while self.words.front() == Some(&u64::MAX) {
            self.words.pop_front();
            self.base += 1;
        }
        if is_new { Verdict::New } else { Verdict::Again }
    }

    /// Makes room for a word so far behind the first one, and says where it is.
    fn reach(&mut self, ahead: u64) -> usize {
        let last = WORDS_MAX as u64 - 1;
        let excess = ahead.saturating_sub(last);
        let gone = usize::try_from(excess).unwrap_or(usize::MAX).min(self.words.len());
        self.words.drain(..gone);
        self.base += excess;
        let at = usize::try_from(ahead.min(last)).expect("below WORDS_MAX");
        if self.words.len() <= at {
            self.words.resize(at + 1, 0);
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriber_tells_what_is_missing_from_what_comes_again() {
        let mut lanes = Lanes::new(2, 1);
        let mut take = |sequence| lanes.take(1, sequence);
        assert_eq!([0, 1, 3].map(&mut take), [Verdict::New; 3]);
        assert_eq!([3, 2, 4].map(&mut take), [Verdict::Again, Verdict::Late, Verdict::New]);
        assert_eq!(take(2), Verdict::Again);
        assert_eq!(lanes.take(0, 0), Verdict::New);
    }

    #[test]
    fn order_is_judged_within_each_topic() {
        let mut lanes = Lanes::new(1, 3);
        let mut take = |sequence| lanes.take(0, sequence);
        assert_eq!([2, 0, 3, 1].map(&mut take), [Verdict::New; 4]);
        assert_eq!([7, 4, 5].map(&mut take), [Verdict::New, Verdict::Late, Verdict::New]);
    }

    #[test]
    fn what_was_overtaken_comes_late_once_in_whatever_order() {
        let mut lanes = Lanes::new(2, 1);
        assert_eq!(lanes.take(0, 9), Verdict::New);
        assert_eq!([4, 0, 8, 2].map(|sequence| lanes.take(0, sequence)), [Verdict::Late; 4]);
        assert_eq!([4, 0, 8, 2].map(|sequence| lanes.take(0, sequence)), [Verdict::Again; 4]);
        assert_eq!([1, 3, 5, 6, 7].map(|sequence| lanes.take(0, sequence)), [Verdict::Late; 5]);
        assert!(lanes.gaps.is_empty());
        assert_eq!(lanes.take(1, 3), Verdict::New);
        assert_eq!(lanes.take(0, u64::MAX), Verdict::New);
    }

    #[test]
    fn group_counts_a_message_once_whoever_gets_it_and_in_whatever_order() {
        let mut group = Group::default();
        for sequence in (0..200).rev() {
            assert_eq!(group.take(sequence), Verdict::New, "{sequence}");
        }
        for sequence in 0..200 {
            assert_eq!(group.take(sequence), Verdict::Again, "{sequence}");
        }
        assert_eq!(group.take(200), Verdict::New);
    }

    #[test]
    fn group_keeps_no_record_of_what_has_come_without_a_gap() {
        let mut group = Group::default();
        (0..6_400).for_each(|sequence| assert_eq!(group.take(sequence), Verdict::New));
        assert!(group.words.is_empty());
        assert_eq!(group.base, 100);
    }

    #[test]
    fn group_that_misses_a_message_remembers_it_for_so_many_and_no_longer() {
        let span = WORDS_MAX as u64 * 64;
        let mut group = Group::default();
        assert_eq!(group.take(span - 1), Verdict::New);
        assert_eq!(group.take(0), Verdict::New);
        assert_eq!(group.take(span), Verdict::New);
        assert_eq!(group.take(1), Verdict::Again);
        assert_eq!(group.take(64), Verdict::New);
    }

    #[test]
    fn number_that_nobody_sent_does_not_take_more_memory() {
        let mut group = Group::default();
        assert_eq!(group.take(0), Verdict::New);
        assert_eq!(group.take(u64::MAX), Verdict::New);
        assert_eq!(group.take(u64::MAX), Verdict::Again);
        assert_eq!(group.words.len(), WORDS_MAX);
    }
}
