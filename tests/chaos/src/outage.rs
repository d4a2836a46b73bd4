//! How long clients waited after a fault: from a kill to the next publish of theirs that was sent
//! after it and acknowledged.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::schedule::Target;

/// An acknowledged publish.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Who published.
    pub client: Arc<str>,
    /// For the first time.
    pub sent_at: Instant,
    /// For the first time.
    pub answered_at: Instant,
}

/// What was done to the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Before it was done.
    pub at: Instant,
    /// To whom.
    pub target: Target,
}

/// What clients saw of all faults of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Of which kind.
    pub target: Target,
    /// How many faults.
    pub faults: usize,
    /// Over all clients and faults.
    pub median: Duration,
    /// Of each fault's slowest client, the median.
    pub slowest_median: Duration,
    /// Of all.
    pub max: Duration,
    /// Clients and faults after which no publish was acknowledged before the end.
    pub endless: usize,
}

/// What clients saw. A fault after which nobody was answered counts as endless for everybody.
#[must_use]
pub fn outages(faults: &[Fault], answers: &[Answer]) -> Vec<Outage> {
    let mut by_client: BTreeMap<&str, Vec<&Answer>> = BTreeMap::new();
    for answer in answers {
        by_client.entry(&*answer.client).or_default().push(answer);
    }
    let mut targets: Vec<_> = faults.iter().map(|fault| fault.target).collect();
    targets.sort_unstable();
    targets.dedup();
    let of = |target: &Target| {
        let faults: Vec<_> = faults.iter().filter(|fault| fault.target == *target).collect();
        outage(*target, &faults, &by_client)
    };
    targets.iter().map(of).collect()
}

fn outage(target: Target, faults: &[&Fault], by_client: &BTreeMap<&str, Vec<&Answer>>) -> Outage {
    let (mut all, mut slowest, mut endless) = (Vec::new(), Vec::new(), 0);
    for fault in faults {
        let waits: Vec<_> = by_client.values().map(|answers| wait(fault.at, answers)).collect();
        endless += waits.iter().filter(|wait| wait.is_none()).count();
        slowest.extend(waits.iter().flatten().max().copied());
        all.extend(waits.into_iter().flatten());
    }
    let max = slowest.iter().max().copied().unwrap_or_default();
    let (median, slowest_median) = (median(all), median(slowest));
    Outage { target, faults: faults.len(), median, slowest_median, max, endless }
}

fn wait(since: Instant, answers: &[&Answer]) -> Option<Duration> {
    let after = answers.iter().filter(|answer| answer.sent_at >= since);
    after.map(|answer| answer.answered_at - since).min()
}

fn median(mut of: Vec<Duration>) -> Duration {
    of.sort_unstable();
    of.get(of.len() / 2).copied().unwrap_or_default()
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, faults, .. } = self;
        let [median, slowest, max] =
            [self.median, self.slowest_median, self.max].map(|time| time.as_millis());
        write!(
            f,
            "{faults:>4} {target:<8} next acknowledgement after {median} ms (median), \
             {slowest} ms (median of the slowest), {max} ms (max)"
        )?;
        if self.endless > 0 {
            write!(f, ", {} times not before the end", self.endless)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(start: Instant, all: &[(&str, u64, u64)]) -> Vec<Answer> {
        let at = |ms: u64| start + Duration::from_millis(ms);
        all.iter()
            .map(|&(client, sent, answered)| Answer {
                client: client.into(),
                sent_at: at(sent),
                answered_at: at(answered),
            })
            .collect()
    }

    #[test]
    fn answer_to_what_was_sent_before_the_fault_does_not_end_the_outage() {
        let start = Instant::now();
        let fault = Fault { at: start + Duration::from_millis(100), target: Target::Broker };
        let answers = answers(start, &[("a", 99, 110), ("a", 300, 350), ("a", 301, 340)]);
        let outages = outages(&[fault], &answers);
        assert_eq!(outages[0].max, Duration::from_millis(240));
    }

    #[test]
    fn slowest_client_of_each_fault_is_told_from_all() {
        let start = Instant::now();
        let fault = Fault { at: start, target: Target::Leader };
        let answers = answers(start, &[("a", 1, 10), ("b", 1, 20), ("c", 1, 500)]);
        let outages = outages(&[fault], &answers);
        let [median, slowest] = [outages[0].median, outages[0].slowest_median];
        assert_eq!([median, slowest], [20, 500].map(Duration::from_millis));
    }

    #[test]
    fn client_that_is_never_answered_is_counted() {
        let start = Instant::now();
        let fault = Fault { at: start + Duration::from_secs(1), target: Target::All };
        let outages = outages(&[fault], &answers(start, &[("a", 1, 10)]));
        assert_eq!((outages[0].endless, outages[0].faults), (1, 1));
    }
}
