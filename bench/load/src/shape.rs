//! Who publishes where, and who subscribes to what.

use clap::ValueEnum;

/// Shape of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pattern {
    Pairs,
    FanOut,
    FanIn,
}

impl Pattern {
    pub(crate) fn publishers(self, clients: usize) -> usize {
        match self {
            Self::Pairs | Self::FanIn => clients,
            Self::FanOut => 1,
        }
    }

    pub(crate) fn subscribers(self, clients: usize) -> usize {
        match self {
            Self::Pairs | Self::FanOut => clients,
            Self::FanIn => 1,
        }
    }

    /// Subscribers that get a message of any one publisher.
    pub(crate) fn copies(self, clients: usize) -> usize {
        match self {
            Self::Pairs | Self::FanIn => 1,
            Self::FanOut => clients,
        }
    }

    pub(crate) fn topic(publisher: usize) -> String {
        format!("bench/{publisher}")
    }

    pub(crate) fn filter(self, subscriber: usize) -> String {
        match self {
            Self::Pairs => Self::topic(subscriber),
            Self::FanOut | Self::FanIn => "bench/#".into(),
        }
    }
}
