//! What subscribers saw, and what it amounts to.

use std::time::{Duration, Instant};

use crate::steady::{Sent, Strike};

/// What one subscriber saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrivals {
    /// First deliveries by sequence number.
    came: Vec<Option<Instant>>,
    /// When something came, in order; the sequence numbers do not matter.
    times: Vec<Instant>,
    /// Of first deliveries, the highest so far.
    highest: Option<u64>,
    again: u64,
    reordered: u64,
    /// When its connections ended.
    ended: Vec<Instant>,
    /// When each connection after the first was accepted, and whether it found its session.
    accepted: Vec<(Instant, bool)>,
    /// What came first after each of them.
    first: Vec<Option<Instant>>,
}

impl Arrivals {
    pub(crate) fn came(&mut self, at: Instant, sequence: u64) {
        if let Some(first) = self.first.last_mut() {
            first.get_or_insert(at);
        }
        self.times.push(at);
        let Ok(place) = usize::try_from(sequence) else { return };
        if self.came.len() <= place {
            self.came.resize(place + 1, None);
        }
        if self.came[place].is_some() {
            self.again += 1;
            return;
        }
        self.came[place] = Some(at);
        self.reordered += u64::from(self.highest.is_some_and(|highest| highest > sequence));
        self.highest = self.highest.max(Some(sequence));
    }

    pub(crate) fn ended(&mut self, at: Instant) {
        self.ended.push(at);
    }

    pub(crate) fn connected(&mut self, at: Instant, is_present: bool) {
        self.accepted.push((at, is_present));
        self.first.push(None);
    }

    /// Acknowledged messages that did not come.
    pub(crate) fn missing(&self, sent: &[Sent]) -> u64 {
        let came = |at: usize| matches!(self.came.get(at), Some(Some(_)));
        let acknowledged = sent.iter().enumerate().filter(|(_, sent)| sent.acknowledged.is_some());
        acknowledged.filter(|&(at, _)| !came(at)).count() as u64
    }

    /// Whether it got something after the strike and, if its connection ended, after it came back.
    pub(crate) fn is_back(&self, strike: Strike) -> bool {
        let got = self.times.last().is_some_and(|&last| last > strike.ended);
        got && self.accepted.len() == self.ended.len() && self.first.iter().all(Option::is_some)
    }

    /// Whether the strike ended its connection.
    fn has_moved(&self, strike: Strike) -> bool {
        self.ended.iter().any(|&ended| ended >= strike.began)
    }

    /// When it was accepted elsewhere.
    fn accepted(&self, strike: Strike) -> Option<Instant> {
        self.accepted.iter().map(|&(at, _)| at).find(|&at| at >= strike.began)
    }

    /// What came first after it was back.
    fn first(&self, strike: Strike) -> Option<Instant> {
        self.first.iter().flatten().find(|&&first| first >= strike.began).copied()
    }

    /// The longest time without a message that reaches beyond the beginning of the strike.
    fn gap(&self, strike: Strike) -> Option<Duration> {
        let pairs = self.times.windows(2).filter(|pair| pair[1] >= strike.began);
        pairs.map(|pair| pair[1] - pair[0]).max()
    }
}

/// What all of them saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Subscribers whose connection ended.
    pub(crate) moved: usize,
    /// Those of them that found their session when they came back.
    pub(crate) present: usize,
    /// From the strike to the CONNACK of the slowest; `None`: never.
    pub(crate) accepted_most: Option<Duration>,
    /// From the strike to the first message on the new connection; `None`: never.
    pub(crate) first_median: Option<Duration>,
    /// Of the slowest.
    pub(crate) first_most: Option<Duration>,
    /// The longest time without a message: of one that moved, or of any one if nobody did. `None`: one of them got
    /// nothing more.
    pub(crate) gap: Option<Duration>,
    /// Deliveries of acknowledged messages that never came.
    pub(crate) lost: u64,
    /// Deliveries beyond the first.
    pub(crate) again: u64,
    /// First deliveries behind a later one's.
    pub(crate) reordered: u64,
}

impl Summary {
    pub(crate) fn of(all: &[Arrivals], sent: &[Sent], strike: Strike) -> Self {
        let moved: Vec<_> = all.iter().filter(|one| one.has_moved(strike)).collect();
        let is_present = |one: &&&Arrivals| {
            !one.accepted.is_empty() && one.accepted.iter().all(|&(_, is_present)| is_present)
        };
        // Never is later than any time.
        let wait = |at: Option<Instant>| at.map_or(Duration::MAX, |at| at - strike.began);
        let mut waits: Vec<_> = moved.iter().map(|one| wait(one.first(strike))).collect();
        waits.sort_unstable();
        let accepted_most = moved.iter().map(|one| wait(one.accepted(strike))).max();
        let gap = |one: &&Arrivals| if one.is_back(strike) { one.gap(strike) } else { None };
        // One that never ends is longer than any.
        let longest =
            |of: &[&Arrivals]| of.iter().map(gap).collect::<Option<Vec<_>>>()?.into_iter().max();
        let known = |wait: Option<&Duration>| wait.copied().filter(|&wait| wait < Duration::MAX);
        Self {
            moved: moved.len(),
            present: moved.iter().filter(is_present).count(),
            accepted_most: known(accepted_most.as_ref()),
            first_median: known(waits.get(waits.len() / 2)),
            first_most: known(waits.last()),
            gap: match moved.is_empty() {
                true => longest(&all.iter().collect::<Vec<_>>()),
                false => longest(&moved),
            },
            lost: all.iter().map(|one| one.missing(sent)).sum(),
            again: all.iter().map(|one| one.again).sum(),
            reordered: all.iter().map(|one| one.reordered).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    fn acknowledged(start: Instant, count: u64) -> Vec<Sent> {
        let sent = |n| Sent { at: at(start, n), acknowledged: Some(at(start, n + 1)) };
        (0..count).map(sent).collect()
    }

    #[test]
    fn who_moved_is_timed_from_the_strike_to_its_first_message_elsewhere() {
        let start = Instant::now();
        let strike = Strike { began: at(start, 10), ended: at(start, 12) };
        let (mut moved, mut stayed) = (Arrivals::default(), Arrivals::default());
        stayed.came(at(start, 11), 0);
        stayed.came(at(start, 500), 1);
        moved.came(at(start, 11), 0);
        moved.ended(at(start, 13));
        assert!(!moved.is_back(strike));
        moved.connected(at(start, 110), true);
        moved.came(at(start, 210), 1);
        assert!(moved.is_back(strike));
        let summary = Summary::of(&[moved, stayed], &acknowledged(start, 2), strike);
        let expected = Summary {
            moved: 1,
            present: 1,
            accepted_most: Some(Duration::from_millis(100)),
            first_median: Some(Duration::from_millis(200)),
            first_most: Some(Duration::from_millis(200)),
            gap: Some(Duration::from_millis(199)),
            ..Summary::default()
        };
        assert_eq!(summary, expected);
    }

    #[test]
    fn gap_is_that_of_who_stayed_when_nobody_moved() {
        let start = Instant::now();
        let strike = Strike { began: at(start, 10), ended: at(start, 12) };
        let mut stayed = Arrivals::default();
        stayed.came(at(start, 11), 0);
        stayed.came(at(start, 500), 1);
        assert!(stayed.is_back(strike));
        let summary = Summary::of(&[stayed], &acknowledged(start, 2), strike);
        let gap = Some(Duration::from_millis(489));
        assert_eq!(summary, Summary { gap, ..Summary::default() });
    }

    #[test]
    fn who_never_came_back_found_no_session_and_its_gap_does_not_end() {
        let start = Instant::now();
        let strike = Strike { began: at(start, 10), ended: at(start, 12) };
        let (mut gone, mut back) = (Arrivals::default(), Arrivals::default());
        for one in [&mut gone, &mut back] {
            one.came(at(start, 9), 0);
            one.came(at(start, 11), 1);
            one.ended(at(start, 13));
        }
        back.connected(at(start, 20), true);
        back.came(at(start, 21), 2);
        let summary = Summary::of(&[gone, back], &acknowledged(start, 2), strike);
        assert_eq!((summary.moved, summary.present, summary.gap), (2, 1, None));
        assert_eq!(summary.first_most, None);
    }

    #[test]
    fn what_is_missing_comes_again_or_late_is_counted() {
        let start = Instant::now();
        let strike = Strike { began: start, ended: start };
        let mut one = Arrivals::default();
        for sequence in [0, 2, 2, 1, 5] {
            one.came(at(start, 1), sequence);
        }
        one.ended(at(start, 2));
        one.connected(at(start, 3), false);
        let summary = Summary::of(&[one], &acknowledged(start, 5), strike);
        let Summary { lost, again, reordered, present, accepted_most, first_most, .. } = summary;
        assert_eq!((lost, again, reordered), (2, 1, 1));
        assert_eq!((present, accepted_most, first_most), (0, Some(Duration::from_millis(3)), None));
    }
}
