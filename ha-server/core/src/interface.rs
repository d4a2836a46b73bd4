//! What the distributor is told, and what it asks its shell to do.

use ha_types::link::{Downstream, Goodbye, Upstream};
use ha_types::{BrokerEpoch, BrokerName, ClusterMillis, ServerIncarnation};

use crate::broker::StreamId;
use crate::cluster::{Applied, Command};

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
    /// This run of ha-server, for brokers that ask which one they have.
    pub server: ServerIncarnation,
    /// Program and version.
    pub software: String,
    /// The wall clock at [`Millis`](ha_types::Millis) zero of this leadership.
    pub wall_time: ClusterMillis,
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
    /// A batch of commands that were proposed was applied: the oldest that was not. The state may be
    /// further already.
    Applied(Applied),
    /// The question of [`Output::Confirm`] was answered: this node leads, and did so after it was asked.
    Confirmed(u64),
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
    /// To be replicated. Those of one turn are one batch, stamped with
    /// [`cluster_time`](crate::Distributor::cluster_time), and are answered by one [`Input::Applied`].
    Propose(Command),
    /// Prove that this node still leads. Answered by [`Input::Confirmed`] with the same number; the next
    /// one is asked then, if it is needed.
    Confirm(u64),
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
    /// A newer run of it joined.
    Replaced,
}

/// Answer to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeartbeatAnswer {
    /// The lease is extended.
    Kept,
    /// This epoch is not attached: the broker must attach again.
    Fenced,
}
