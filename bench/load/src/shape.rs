//! Who publishes where, and who subscribes to what.

use clap::ValueEnum;

/// Messages of one publisher on their way, when they are small.
const WINDOW: u32 = 512;

/// Bytes on their way to one subscriber: what a broker can be expected to keep for it.
const BYTES_MAX: u32 = 4 << 20;

/// Shape of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pattern {
    Pairs,
    FanOut,
    FanIn,
}

impl Pattern {
    pub(crate) fn publishers(self, clients: u16) -> u16 {
        match self {
            Self::Pairs | Self::FanIn => clients,
            Self::FanOut => 1,
        }
    }

    pub(crate) fn subscribers(self, clients: u16) -> u16 {
        match self {
            Self::Pairs | Self::FanOut => clients,
            Self::FanIn => 1,
        }
    }

    /// Subscribers that get a message of any one publisher.
    pub(crate) fn copies(self, clients: u16) -> u16 {
        match self {
            Self::Pairs | Self::FanIn => 1,
            Self::FanOut => clients,
        }
    }

    /// Messages of one publisher that may be on their way when the user does not say.
    pub(crate) fn window(self, clients: u16, size: u32) -> u16 {
        let publishers = match self {
            Self::Pairs | Self::FanOut => 1,
            Self::FanIn => u32::from(clients),
        };
        let window = (BYTES_MAX / publishers / size.max(1)).clamp(1, WINDOW);
        u16::try_from(window).expect("at most 512")
    }

    pub(crate) fn topic(publisher: u16) -> String {
        format!("bench/{publisher}")
    }

    pub(crate) fn filter(self, subscriber: u16) -> String {
        match self {
            Self::Pairs => Self::topic(subscriber),
            Self::FanOut | Self::FanIn => "bench/#".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_of_a_pattern_reaches_as_many_subscribers_as_it_says() {
        for pattern in [Pattern::Pairs, Pattern::FanOut, Pattern::FanIn] {
            for publisher in 0..pattern.publishers(3) {
                let topic = Pattern::topic(publisher);
                let gets = |subscriber: &u16| {
                    let filter = pattern.filter(*subscriber);
                    filter == topic || filter == "bench/#"
                };
                let copies = (0..pattern.subscribers(3)).filter(gets).count();
                assert_eq!(copies, usize::from(pattern.copies(3)), "{pattern:?}");
            }
        }
    }

    #[test]
    fn large_messages_and_many_publishers_make_the_window_smaller() {
        assert_eq!(Pattern::Pairs.window(100, 256), 512);
        assert_eq!(Pattern::FanOut.window(100, 1 << 16), 64);
        assert_eq!(Pattern::FanIn.window(100, 256), 163);
        assert_eq!(Pattern::FanIn.window(u16::MAX, 1 << 20), 1);
    }
}
