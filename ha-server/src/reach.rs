//! Which other members answer, so that the log says it once and not with every heartbeat.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ha_node::NodeId;

/// How long a member must have been silent until that is said: elections and slow disks take less.
const SILENCE: Duration = Duration::from_secs(1);

/// Members that did not answer the last request.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    silent: BTreeMap<NodeId, Silent>,
}

#[derive(Debug)]
struct Silent {
    since: Instant,
    /// The last request without an answer. Followers ask seldom, and what was long ago proves nothing.
    last: Instant,
    said: bool,
}

impl Reach {
    /// It answered. For how long it had not, if that was said.
    pub(crate) fn answered(&mut self, member: NodeId, now: Instant) -> Option<Duration> {
        let silent = self.silent.remove(&member)?;
        silent.said.then(|| now - silent.since)
    }

    /// It did not answer. Whether that is to be said.
    pub(crate) fn unanswered(&mut self, member: NodeId, now: Instant) -> bool {
        let first = Silent { since: now, last: now, said: false };
        let silent = self.silent.entry(member).or_insert(first);
        if !silent.said && now - silent.last > SILENCE {
            silent.since = now;
        }
        silent.last = now;
        let is_news = !silent.said && now - silent.since >= SILENCE;
        silent.said |= is_news;
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBER: NodeId = NodeId(2);

    #[test]
    fn silence_is_said_once_when_it_has_lasted_and_its_end_with_its_length() {
        let mut reach = Reach::default();
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        assert!(!reach.unanswered(MEMBER, at(0)));
        assert!(!reach.unanswered(MEMBER, at(999)));
        assert!(reach.unanswered(MEMBER, at(1_000)));
        assert!(!reach.unanswered(MEMBER, at(5_000)));
        assert_eq!(reach.answered(MEMBER, at(6_000)), Some(Duration::from_secs(6)));
        assert_eq!(reach.answered(MEMBER, at(6_001)), None);
    }

    #[test]
    fn one_answer_in_between_makes_two_short_silences_which_nobody_hears_of() {
        let mut reach = Reach::default();
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        assert!(!reach.unanswered(MEMBER, at(0)));
        assert_eq!(reach.answered(MEMBER, at(600)), None);
        assert!(!reach.unanswered(MEMBER, at(700)));
        assert!(!reach.unanswered(MEMBER, at(1_600)));
    }

    #[test]
    fn two_failures_with_nothing_asked_between_them_are_no_silence() {
        let mut reach = Reach::default();
        let began = Instant::now();
        assert!(!reach.unanswered(MEMBER, began));
        let later = began + Duration::from_secs(3_600);
        assert!(!reach.unanswered(MEMBER, later));
        assert!(reach.unanswered(MEMBER, later + SILENCE));
    }

    #[test]
    fn members_are_silent_each_for_itself() {
        let mut reach = Reach::default();
        let now = Instant::now();
        assert!(!reach.unanswered(MEMBER, now));
        assert!(!reach.unanswered(NodeId(3), now + SILENCE));
        assert!(reach.unanswered(MEMBER, now + SILENCE));
    }
}
