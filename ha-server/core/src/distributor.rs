//! The distributor: one value that owns everything ha-server knows about its brokers.
//!
//! Runs on the ha-server that leads. Nothing of it is replicated: after a restart brokers attach
//! again, announce their interest and upload their copies of the retained messages.

use std::collections::BTreeMap;

use ha_types::limits::BROKERS_MAX;
use ha_types::link::{Downstream, Goodbye, GoodbyeReason, RetainedChange, Upstream};
use ha_types::{
    BrokerEpoch, BrokerName, ClusterMillis, FilterTree, Millis, RetainedStore, RetainedVersion,
    ServerIncarnation,
};

use crate::broker::{Broker, Link, StreamId};
use crate::broker_set::{BrokerSet, Slot};

/// How often expired retained messages are removed. Until then they are hidden, not freed; a sweep
/// visits all of them, so it is rare.
const EXPIRY_MS: u64 = 60_000;

/// Who gets a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanOut {
    /// The brokers with a matching filter.
    Interest,
    /// Every broker but the one that published it.
    All,
}

/// What an operator may choose, and what only the shell can know.
#[derive(Clone, Debug)]
pub struct Config {
    /// This run of ha-server: higher than that of any earlier run.
    pub server: ServerIncarnation,
    /// Program and version.
    pub software: String,
    /// Cluster time at [`Millis`] zero.
    pub cluster_time_at_zero: ClusterMillis,
    /// How long a silent broker is believed alive.
    pub lease_ms: u64,
    /// How often brokers must send heartbeats; well below `lease_ms`.
    pub heartbeat_ms: u64,
    /// Who gets a message.
    pub fan_out: FanOut,
    /// Brokers that may be attached; at most [`BROKERS_MAX`](ha_types::limits::BROKERS_MAX).
    pub brokers_max: usize,
    /// Distinct filters of one broker.
    pub filters_max: usize,
    /// Bytes that may wait for a broker before it counts as behind. It catches up at half of them.
    pub queue_bytes: usize,
    /// A broker that is behind and writes nothing for so long is detached.
    pub stall_ms: u64,
    /// Numbered publishes of one broker that may be unanswered.
    pub publish_window: u32,
    /// Retained messages.
    pub retained_max: usize,
    /// Bytes of retained messages.
    pub retained_bytes_max: usize,
}

/// Something that happened outside.
#[derive(Debug)]
pub enum Input {
    /// A stream was opened from this address; its Hello is awaited.
    Opened(StreamId, String),
    /// Items arrived, in order.
    Received(StreamId, Vec<Upstream>),
    /// What arrived breaks the specification.
    Malformed(StreamId, String),
    /// The stream broke, or was ended by us.
    Broken(StreamId),
    /// The stream wrote this many bytes, as [`Output::Send`] counted them.
    Written(StreamId, usize),
    /// The deadline has come.
    Tick,
    /// ha-server stops.
    ShutDown,
}

/// Something that the shell must do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write this item. The number is what [`Input::Written`] must return for it.
    Send(StreamId, Downstream, usize),
    /// End the stream after what was sent has been written.
    End(StreamId),
    /// Worth a line in the log.
    Note(Event),
}

/// What operators want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A broker attached.
    Attached(BrokerName, BrokerEpoch, String),
    /// A stream was refused or ended.
    Ended(Option<BrokerName>, Goodbye),
    /// A stream broke; the lease runs on.
    Detached(BrokerName),
    /// A broker's interest was freed.
    Lost(BrokerName, LostBy),
}

/// Why a broker counts as lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostBy {
    /// It was silent for a whole lease.
    Lease,
    /// It said goodbye.
    Goodbye,
}

/// Answer to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeartbeatAnswer {
    /// The lease is extended.
    Kept,
    /// This epoch is not attached: the broker must attach again.
    Fenced,
}

/// Brokers, interest, retained messages. See the module.
#[derive(Debug)]
pub struct Distributor {
    pub(crate) config: Config,
    pub(crate) brokers: BTreeMap<Slot, Broker>,
    /// Open streams: the broker's slot once it said Hello, its address until then.
    pub(crate) streams: BTreeMap<StreamId, Stream>,
    pub(crate) interest: FilterTree<BrokerSet>,
    pub(crate) attached: BrokerSet,
    /// Brokers whose queues are longer than they should be.
    pub(crate) behind: BrokerSet,
    pub(crate) retained: RetainedStore,
    pub(crate) next_version: RetainedVersion,
    pub(crate) next_epoch: BrokerEpoch,
    /// When expired retained messages are removed next, if anything happens then.
    pub(crate) expire_at: Millis,
    pub(crate) now: Millis,
}

#[derive(Debug)]
pub(crate) enum Stream {
    AwaitsHello { address: String, opened_at: Millis },
    Of(Slot),
}

impl Distributor {
    /// Starts without brokers.
    ///
    /// Epochs and retained versions begin above those of all earlier runs, because
    /// [`Config::server`] does and leaves room: a run would have to give out 2^20 of them per
    /// millisecond to catch up with the next one.
    #[must_use]
    pub fn new(config: Config) -> Self {
        assert!(config.heartbeat_ms * 2 <= config.lease_ms, "one heartbeat may be lost");
        assert!(config.brokers_max <= BROKERS_MAX, "a set of brokers has no place for more");
        let base = first_version(config.server);
        Self {
            retained: RetainedStore::new(config.retained_max, config.retained_bytes_max),
            config,
            brokers: BTreeMap::new(),
            streams: BTreeMap::new(),
            interest: FilterTree::new(),
            attached: BrokerSet::default(),
            behind: BrokerSet::default(),
            next_version: base,
            next_epoch: BrokerEpoch(base.0),
            expire_at: Millis(EXPIRY_MS),
            now: Millis(0),
        }
    }

    /// Advances time to `now`, then takes one input and appends what must be done.
    pub fn step(&mut self, now: Millis, input: Input, out: &mut Vec<Output>) {
        self.advance(now, out);
        match input {
            Input::Opened(stream, address) => self.opened(stream, address, out),
            Input::Received(stream, items) => self.received(stream, items, out),
            Input::Malformed(stream, detail) => {
                self.end(stream, GoodbyeReason::ProtocolError, detail, out);
            }
            Input::Broken(stream) => self.broken(stream, out),
            Input::Written(stream, bytes) => self.written(stream, bytes, out),
            Input::Tick => (),
            Input::ShutDown => self.shut_down(out),
        }
    }

    /// Advances time to `now`, then takes a heartbeat of the broker with this epoch.
    pub fn heartbeat(
        &mut self,
        now: Millis,
        epoch: BrokerEpoch,
        out: &mut Vec<Output>,
    ) -> HeartbeatAnswer {
        // Expire first: a heartbeat that waited past its deadline must not revive a lease.
        self.advance(now, out);
        let broker = self.brokers.values_mut().find(|b| b.epoch == epoch && !b.is_lost());
        let Some(broker) = broker else { return HeartbeatAnswer::Fenced };
        broker.heard_at = self.now;
        HeartbeatAnswer::Kept
    }

    /// When [`Input::Tick`] must come if nothing else does before; `None`: never.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let leases = self.brokers.values().filter(|broker| !broker.is_lost());
        let lease = leases.map(|broker| broker.heard_at.plus(self.config.lease_ms));
        let stalled = self.behind.iter().map(|slot| self.brokers[&slot].wrote_at);
        let stalled = stalled.map(|at| at.plus(self.config.stall_ms));
        let silent = self.silent_streams().map(|(at, _)| at.plus(self.config.lease_ms));
        lease.chain(stalled).chain(silent).min()
    }

    /// Cluster time now.
    #[must_use]
    pub fn cluster_time(&self) -> ClusterMillis {
        ClusterMillis(self.config.cluster_time_at_zero.0 + self.now.0)
    }

    /// The retained messages.
    #[must_use]
    pub fn retained(&self) -> &RetainedStore {
        &self.retained
    }

    fn advance(&mut self, now: Millis, out: &mut Vec<Output>) {
        let stood_still = self.stood_still(now);
        self.now = self.now.max(now);
        if stood_still {
            self.start_anew();
        }
        let expired = |broker: &&Broker| {
            !broker.is_lost() && broker.heard_at.plus(self.config.lease_ms) <= self.now
        };
        let silent: Vec<_> = self.brokers.values().filter(expired).map(|b| b.slot).collect();
        for slot in silent {
            self.lose(slot, LostBy::Lease, out);
        }
        self.end_stalled(out);
        self.end_silent(out);
        if self.expire_at <= self.now {
            self.expire_at = self.now.plus(EXPIRY_MS);
            self.retained.remove_expired(self.cluster_time());
        }
    }

    /// Whether a deadline passed by more than a heartbeat without a step: this process was paused or
    /// starved, and heartbeats may wait unread.
    fn stood_still(&self, now: Millis) -> bool {
        let patience_ms = self.config.heartbeat_ms;
        let missed = |deadline: Millis| now.since(deadline) > patience_ms;
        now.since(self.now) > patience_ms && self.deadline().is_some_and(missed)
    }

    /// Everybody gets the full time from now: while we did not listen, silence means nothing.
    fn start_anew(&mut self) {
        let now = self.now;
        for broker in self.brokers.values_mut().filter(|broker| !broker.is_lost()) {
            (broker.heard_at, broker.wrote_at) = (now, now);
        }
        for stream in self.streams.values_mut() {
            if let Stream::AwaitsHello { opened_at, .. } = stream {
                *opened_at = now;
            }
        }
    }

    fn received(&mut self, stream: StreamId, items: Vec<Upstream>, out: &mut Vec<Output>) {
        for item in items {
            // Each item may end the stream; what follows it is then from nobody.
            match self.streams.get_mut(&stream) {
                None => return,
                Some(Stream::AwaitsHello { address, .. }) => {
                    let address = std::mem::take(address);
                    self.first_item(stream, address, item, out);
                }
                Some(Stream::Of(slot)) => {
                    let slot = *slot;
                    self.take(slot, stream, item, out);
                }
            }
        }
    }

    fn take(&mut self, slot: Slot, stream: StreamId, item: Upstream, out: &mut Vec<Output>) {
        match item {
            Upstream::Leave => self.left(slot, stream, out),
            Upstream::Hello(_) => {
                self.end(stream, GoodbyeReason::ProtocolError, "a second Hello".into(), out);
            }
            Upstream::Publish { number: None, exchange: None, message } => self.publish(slot, &message, out),
            Upstream::Publish { number: Some(number), exchange: None, message } => {
                self.publish_numbered(slot, stream, number, &message, out);
            }
            Upstream::Announce { ticket, needs: Needs::All, filters } => {
                self.announce(slot, stream, ticket, filters, out);
            }
            Upstream::Withdraw { filters } => self.withdraw(slot, &filters),
            Upstream::RetainedCopy(change) => self.take_copy(slot, stream, change, out),
            Upstream::RetainedCopyEnd => self.end_copy(slot, stream, out),
        }
    }

    /// Gives an item to a broker's stream, if it has one.
    pub(crate) fn send(&mut self, slot: Slot, item: Downstream, out: &mut Vec<Output>) {
        let broker = self.brokers.get_mut(&slot).expect("slots of known brokers only");
        let Some(stream) = broker.stream() else { return };
        let bytes = queue_bytes(&item);
        if broker.queued_bytes == 0 {
            broker.wrote_at = self.now;
        }
        broker.queued_bytes += bytes;
        if is_answer(&item) && self.behind.contains(slot) {
            broker.answers_bytes += bytes;
        }
        if broker.queued_bytes > self.config.queue_bytes {
            self.behind.insert(slot);
        }
        out.push(Output::Send(stream, item, bytes));
    }

    fn written(&mut self, stream: StreamId, bytes: usize, out: &mut Vec<Output>) {
        let Some(&Stream::Of(slot)) = self.streams.get(&stream) else { return };
        let broker = self.brokers.get_mut(&slot).expect("a stream's broker is known");
        broker.queued_bytes =
            broker.queued_bytes.checked_sub(bytes).expect("the shell writes what it was given");
        broker.wrote_at = self.now;
        if broker.queued_bytes > self.config.queue_bytes / 2 {
            return;
        }
        if self.behind.contains(slot) {
            broker.answers_bytes = 0;
            self.behind.remove(slot);
            self.stop_waiting_for(slot, out);
        }
        self.continue_transfer(slot, out);
    }

    fn shut_down(&mut self, out: &mut Vec<Output>) {
        let streams: Vec<_> = self.streams.keys().copied().collect();
        for stream in streams {
            self.end(stream, GoodbyeReason::ShuttingDown, "ha-server stops".into(), out);
        }
    }

    /// Whether `slot`'s broker is attached through `stream`.
    pub(crate) fn is_attached(&self, slot: Slot, stream: StreamId) -> bool {
        self.brokers.get(&slot).is_some_and(|broker| broker.link == Link::Attached(stream))
    }
}

/// The first version that a run of ha-server gives.
pub(crate) fn first_version(server: ServerIncarnation) -> RetainedVersion {
    assert!(server.0 < 1 << 42, "milliseconds since 1970 fit until 2109");
    RetainedVersion((server.0 << 20) + 1)
}

/// Whether a broker gets this because of what it said itself.
fn is_answer(item: &Downstream) -> bool {
    matches!(item, Downstream::PublishResult { .. } | Downstream::InterestTaken { .. })
}

/// What an item weighs beside what it carries.
const FIXED_BYTES: usize = 64;

/// What an item weighs in a broker's queue: its bytes on the wire, roughly.
fn queue_bytes(item: &Downstream) -> usize {
    match item {
        Downstream::Deliver { origin: None, message, .. } => FIXED_BYTES + message.size(),
        Downstream::RetainedUpdate(change) => update_bytes(change),
        _ => FIXED_BYTES,
    }
}

pub(crate) fn update_bytes(change: &RetainedChange) -> usize {
    let message = change.message.as_ref().map_or(0, |message| message.size());
    FIXED_BYTES + change.topic.as_bytes().len() + message
}
