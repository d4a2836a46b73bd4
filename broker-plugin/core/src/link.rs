//! The states of the link to ha-server.

use ha_types::{BrokerEpoch, Millis};

use crate::lease::Lease;

/// One attempt to attach, and the stream that comes of it. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// Place of an address in the configured list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub usize);

/// Where a stream leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To one of the configured addresses.
    Configured(Address),
    /// To `host:port`, which another ha-server said leads. May be nonsense: then the stream breaks.
    Leader(String),
}

/// A stream whose Welcome is awaited.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) stream: StreamId,
    pub(crate) target: Target,
    /// When it was dialled and said Hello.
    pub(crate) since: Millis,
}

/// Where the link is.
#[derive(Clone, Debug)]
pub(crate) enum Link {
    /// There is no ha-server: the broker works alone.
    Alone,
    /// Not connected; dials at this time.
    Detached(Millis),
    /// Dialled and said Hello; Welcome is awaited.
    Attaching(Attempt),
    /// Welcomed.
    Attached(Attached),
    /// ha-server let our epoch end. Sessions that moved are closed before dialling at this time.
    Fenced(Millis),
}

#[derive(Clone, Debug)]
pub(crate) struct Attached {
    pub(crate) stream: StreamId,
    pub(crate) target: Target,
    pub(crate) epoch: BrokerEpoch,
    pub(crate) lease: Lease,
    /// Numbered publishes that may be unanswered.
    pub(crate) window: usize,
    /// Numbered messages that came on this stream.
    pub(crate) received: u64,
}

impl Link {
    pub(crate) fn stream(&self) -> Option<StreamId> {
        match self {
            Self::Attaching(Attempt { stream, .. }) | Self::Attached(Attached { stream, .. }) => {
                Some(*stream)
            }
            Self::Alone | Self::Detached(_) | Self::Fenced(_) => None,
        }
    }

    pub(crate) fn attached(&self) -> Option<&Attached> {
        match self {
            Self::Attached(attached) => Some(attached),
            _ => None,
        }
    }
}

/// The link as operators see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Configured to work alone.
    Alone,
    /// Waits before the next attempt.
    Detached,
    /// Waits for Welcome.
    Attaching,
    /// Part of the cluster.
    Attached,
    /// Its epoch was ended by ha-server.
    Fenced,
}
