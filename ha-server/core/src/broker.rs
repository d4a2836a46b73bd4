//! What the leader knows of one broker.

use std::collections::{BTreeMap, BTreeSet};

use ha_types::link::{Duty, Needs, RetainedUse};
use ha_types::{AskNumber, BrokerEpoch, BrokerName, Incarnation, Millis, TopicFilter};

use crate::broker_set::Slot;
use crate::interface::LostBy;
use crate::publishes::Publishes;
use crate::receipts::Receipts;
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
    /// Its interest is gone. Kept for operators, and for its counters.
    Lost(LostBy),
}

/// Counters since this leadership began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) published: u64,
    pub(crate) delivered: u64,
    pub(crate) dropped: u64,
}

/// What was asked on the present stream.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    pub(crate) last: AskNumber,
    /// Asked, and not done.
    pub(crate) pending: BTreeSet<AskNumber>,
    /// The last that the broker was told of.
    pub(crate) told: AskNumber,
}

impl Asks {
    /// All up to here are done: what the broker did not send again was done before.
    pub(crate) fn done_upto(&self) -> AskNumber {
        let first = self.pending.first().and_then(|first| first.0.checked_sub(1));
        first.map_or(self.last, AskNumber)
    }
}

/// One life of a broker, as the log has it.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) epoch: BrokerEpoch,
    /// The first life of its run: what others know its publishes by.
    pub(crate) origin: BrokerEpoch,
    pub(crate) name: BrokerName,
    pub(crate) incarnation: Incarnation,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) name: BrokerName,
    pub(crate) slot: Slot,
    pub(crate) incarnation: Incarnation,
    pub(crate) epoch: BrokerEpoch,
    /// See [`Life`].
    pub(crate) origin: BrokerEpoch,
    pub(crate) link: Link,
    pub(crate) address: String,
    pub(crate) software: String,
    /// As its last heartbeat said.
    pub(crate) duty: Duty,
    /// When it attached or sent its last heartbeat.
    pub(crate) heard_at: Millis,
    pub(crate) retained: RetainedUse,
    pub(crate) filters: BTreeMap<TopicFilter, Needs>,
    /// Announced on the stream before and not yet again: they hold until all are announced.
    pub(crate) stale_filters: BTreeMap<TopicFilter, Needs>,
    pub(crate) publishes: Publishes,
    pub(crate) receipts: Receipts,
    pub(crate) asks: Asks,
    /// Bytes given to its stream and not yet written.
    pub(crate) queued_bytes: usize,
    /// What answers hold in memory that were given to it while it was behind.
    pub(crate) answers_bytes: usize,
    /// When its stream last wrote something, or had nothing to write.
    pub(crate) wrote_at: Millis,
    pub(crate) transfer: Transfer,
    pub(crate) counters: Counters,
}

impl Broker {
    /// Without a stream.
    pub(crate) fn new(slot: Slot, life: Life, now: Millis) -> Self {
        let Life { epoch, origin, name, incarnation } = life;
        Self {
            name,
            slot,
            incarnation,
            epoch,
            origin,
            link: Link::Detached,
            address: String::new(),
            software: String::new(),
            duty: Duty::Unknown,
            heard_at: now,
            retained: RetainedUse::None,
            filters: BTreeMap::new(),
            stale_filters: BTreeMap::new(),
            publishes: Publishes::default(),
            receipts: Receipts::default(),
            asks: Asks::default(),
            queued_bytes: 0,
            answers_bytes: 0,
            wrote_at: now,
            transfer: Transfer::Idle,
            counters: Counters::default(),
        }
    }

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
