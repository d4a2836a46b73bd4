//! Who publishes where, and who subscribes to what.

use std::fmt::Write;
use std::ops::Range;

/// Messages of one publisher on their way, when they are small.
const WINDOW: u32 = 512;

/// Bytes on their way to one subscriber: what a broker can be expected to keep for it.
const BYTES_MAX: u32 = 4 << 20;

/// Shape of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    Pairs,
    FanOut,
    FanIn,
    /// All subscribers are members of one share group.
    Shared,
    /// Pairs; each publisher has so many topics, at least 1.
    Topics(u32),
}

impl Pattern {
    pub(crate) fn publishers(self, clients: u16) -> u16 {
        match self {
            Self::Pairs | Self::FanIn | Self::Shared | Self::Topics(_) => clients,
            Self::FanOut => 1,
        }
    }

    pub(crate) fn subscribers(self, clients: u16) -> u16 {
        match self {
            Self::Pairs | Self::FanOut | Self::Shared | Self::Topics(_) => clients,
            Self::FanIn => 1,
        }
    }

    /// Subscribers that get a message of any one publisher.
    pub(crate) fn copies(self, clients: u16) -> u16 {
        match self {
            Self::Pairs | Self::FanIn | Self::Shared | Self::Topics(_) => 1,
            Self::FanOut => clients,
        }
    }

    /// The publishers from which a subscriber may get something.
    pub(crate) fn sources(self, subscriber: u16, clients: u16) -> Range<u16> {
        match self {
            Self::Pairs | Self::Topics(_) => subscriber..subscriber.saturating_add(1),
            Self::FanOut | Self::FanIn | Self::Shared => 0..self.publishers(clients),
        }
    }

    /// Messages of one publisher that may be on their way when the user does not say.
    pub(crate) fn window(self, clients: u16, size: u32) -> u16 {
        let publishers = match self {
            Self::Pairs | Self::FanOut | Self::Shared | Self::Topics(_) => 1,
            Self::FanIn => u32::from(clients),
        };
        let window = (BYTES_MAX / publishers / size.max(1)).clamp(1, WINDOW);
        u16::try_from(window).expect("at most 512")
    }

    /// Topics of one publisher, within each of which its messages keep their order; `None`: they go
    /// to whoever has time.
    pub(crate) fn lanes(self) -> Option<u32> {
        match self {
            Self::Pairs | Self::FanOut | Self::FanIn => Some(1),
            Self::Topics(count) => Some(count),
            Self::Shared => None,
        }
    }

    pub(crate) fn topics(self, publisher: u16) -> Topics {
        match self {
            Self::Pairs | Self::FanOut | Self::FanIn | Self::Shared => Topics::one(publisher),
            Self::Topics(count) => Topics::many(publisher, count),
        }
    }

    pub(crate) fn filter(self, subscriber: u16) -> String {
        match self {
            Self::Pairs => format!("bench/{subscriber}"),
            Self::FanOut | Self::FanIn => "bench/#".into(),
            Self::Shared => "$share/bench/bench/#".into(),
            Self::Topics(_) => format!("bench/{subscriber}/+"),
        }
    }
}

/// The topics of one publisher, in turn.
#[derive(Debug)]
pub(crate) struct Topics {
    name: String,
    /// The length of what all have in common, and how many there are; `None`: one.
    many: Option<(usize, u64)>,
}

impl Topics {
    fn one(publisher: u16) -> Self {
        Self { name: format!("bench/{publisher}"), many: None }
    }

    fn many(publisher: u16, count: u32) -> Self {
        let name = format!("bench/{publisher}/");
        let many = Some((name.len(), count.max(1).into()));
        Self { name, many }
    }

    /// Of the message with this number. Writes where the last one was.
    pub(crate) fn of(&mut self, sequence: u64) -> &str {
        if let Some((common, count)) = self.many {
            self.name.truncate(common);
            write!(self.name, "{}", sequence % count).expect("a String takes everything");
        }
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Pattern; 5] =
        [Pattern::Pairs, Pattern::FanOut, Pattern::FanIn, Pattern::Shared, Pattern::Topics(2)];

    fn matches(filter: &str, topic: &str) -> bool {
        match filter.strip_suffix(['#', '+']) {
            Some(common) => topic.starts_with(common),
            None => topic == filter,
        }
    }

    #[test]
    fn every_message_of_a_pattern_reaches_as_many_subscribers_as_it_says() {
        for pattern in ALL {
            for publisher in 0..pattern.publishers(3) {
                let mut topics = pattern.topics(publisher);
                let filter = |subscriber| pattern.filter(subscriber).replace("$share/bench/", "");
                let gets = |topic: &str, subscriber| matches(&filter(subscriber), topic);
                let topic = topics.of(1);
                let all = pattern.subscribers(3);
                let copies = (0..all).filter(|&subscriber| gets(topic, subscriber)).count();
                let expected = if pattern == Pattern::Shared { all } else { pattern.copies(3) };
                assert_eq!(copies, usize::from(expected), "{pattern:?}");
            }
        }
    }

    #[test]
    fn subscriber_expects_messages_of_those_whose_topics_it_subscribes_to() {
        for pattern in ALL {
            for subscriber in 0..pattern.subscribers(3) {
                let filter = pattern.filter(subscriber).replace("$share/bench/", "");
                let heard = |publisher: &u16| matches(&filter, pattern.topics(*publisher).of(0));
                let heard: Vec<_> = (0..pattern.publishers(3)).filter(heard).collect();
                let sources: Vec<_> = pattern.sources(subscriber, 3).collect();
                assert_eq!(sources, heard, "{pattern:?}");
            }
        }
    }

    #[test]
    fn topics_come_in_turn_and_the_first_follows_the_last() {
        let mut topics = Pattern::Topics(11).topics(7);
        assert_eq!(topics.of(10), "bench/7/10");
        assert_eq!(topics.of(11), "bench/7/0");
        assert_eq!(Pattern::Pairs.topics(7).of(5), "bench/7");
    }

    #[test]
    fn large_messages_and_many_publishers_make_the_window_smaller() {
        assert_eq!(Pattern::Pairs.window(100, 256), 512);
        assert_eq!(Pattern::FanOut.window(100, 1 << 16), 64);
        assert_eq!(Pattern::FanIn.window(100, 256), 163);
        assert_eq!(Pattern::FanIn.window(u16::MAX, 1 << 20), 1);
    }
}
