//! What ha-server knows of one broker.

use std::collections::{BTreeSet, VecDeque};

use ha_types::link::PublishOutcome;
use ha_types::{
    BrokerEpoch, BrokerName, Incarnation, Millis, PublishNumber, RetainedVersion, TopicFilter,
};

use crate::broker_set::{BrokerSet, Slot};
use crate::distributor::LostBy;
use crate::retained::Transfer;

/// One gRPC stream. Given by the shell, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// How a broker is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// Its stream is open and its lease runs.
    Attached(StreamId),
    /// Its stream is broken and its lease runs: nothing is freed.
    Detached,
    /// Its interest is gone. Kept so that a return of the same incarnation is recognised.
    Lost(LostBy),
}

/// A result that waits until brokers that got the message are less far behind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldResult {
    pub(crate) number: PublishNumber,
    pub(crate) outcome: PublishOutcome,
    pub(crate) retained: RetainedVersion,
    /// Those of them that have been behind ever since they got it.
    pub(crate) waits_for: BrokerSet,
}

/// Counters since ha-server started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) published: u64,
    pub(crate) delivered: u64,
    pub(crate) dropped: u64,
}

#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) name: BrokerName,
    pub(crate) slot: Slot,
    pub(crate) incarnation: Incarnation,
    pub(crate) epoch: BrokerEpoch,
    pub(crate) link: Link,
    pub(crate) address: String,
    pub(crate) software: String,
    /// When it attached or sent its last heartbeat.
    pub(crate) heard_at: Millis,
    pub(crate) filters: BTreeSet<TopicFilter>,
    /// Highest numbered publish of this incarnation; `None`: none in this run of ha-server, so any
    /// number may come first.
    pub(crate) taken_upto: Option<PublishNumber>,
    /// The last number on its present stream; `None`: none yet.
    pub(crate) last_number: Option<PublishNumber>,
    /// Without gaps in their numbers; at most the publish window long.
    pub(crate) held: VecDeque<HeldResult>,
    /// Bytes given to its stream and not yet written.
    pub(crate) queued_bytes: usize,
    /// Those of them that answer what it said while it was behind.
    pub(crate) answers_bytes: usize,
    /// When its stream last wrote something, or had nothing to write.
    pub(crate) wrote_at: Millis,
    pub(crate) transfer: Transfer,
    pub(crate) counters: Counters,
}

impl Broker {
    /// The stream to write to; `None` while it is detached or lost.
    pub(crate) fn stream(&self) -> Option<StreamId> {
        match self.link {
            Link::Attached(stream) => Some(stream),
            Link::Detached | Link::Lost(_) => None,
        }
    }

    pub(crate) fn is_lost(&self) -> bool {
        matches!(self.link, Link::Lost(_))
    }
}
