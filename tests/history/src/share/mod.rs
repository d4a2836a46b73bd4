//! Whether share groups keep their promises while members, brokers and leaders die (P9): no message is
//! lost to a group, each is with one member of it at a time, nobody gets what another acknowledged, and
//! while nothing fails all members get as many.
//!
//! Every message is published once: whoever gets no answer does not publish it again, because that would be
//! another message. Members acknowledge in the order of delivery. What is observed on one clock goes in, a
//! [`Verdict`] comes out.
//!
//! A client does not see all, so it may be wrong about whether it still holds a message. What
//! it cannot know is excused: see [`SOON_US`]. The death of an ha-server excuses nothing by itself. But a member
//! that comes back before its acknowledgement has reached the leader may get the message again, with DUP (P3).

mod connections;
mod holds;
mod verdict;

pub use holds::check;
pub use verdict::{Counts, Hold, Kind, VIOLATIONS_MAX, Verdict, Violation};

/// How long a broker that was cut off may take to hear of it, and what was acknowledged to reach the leader, in
/// microseconds: three leases. Longer, if that broker answers no publishes meanwhile: the cluster stands
/// still, and nothing can be said.
pub const SOON_US: u64 = 3_000_000;

/// How far a member's part may be from the mean, in percent.
pub const SPREAD_PERCENT: u64 = 10;

/// Deliveries of each member, on average, below which nothing is said of their spread: ten percent of less is
/// next to nothing.
pub const SPREAD_JUDGED_MIN: u64 = 20;

/// A member of a share group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Counted from 1.
    pub group: u16,
    /// In its group, counted from 1.
    pub number: u16,
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    /// Counted from 1.
    pub publisher: u32,
    /// At its publisher.
    pub number: u32,
}

/// A process of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "its names say it")]
pub enum Process {
    Server(u16),
    Broker(u16),
}

/// The flag of a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "its names say it")]
pub enum Dup {
    Clear,
    Set,
}

/// How a connection of a member ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The member let it go, without DISCONNECT.
    Chosen,
    /// It broke, or its broker ended it, or was silent for too long.
    Suffered,
}

/// What was observed. What a client sends is observed before it is written, what comes to it after it
/// was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// PUBACK came: three groups are three copies.
    Published(Message),
    /// It came from this broker, for what was sent after this moment.
    Answered(Process, u64),
    /// CONNACK came; its earlier connection has ended.
    Connected(Member, Process),
    /// PUBLISH came.
    Delivered(Member, Message, Dup),
    /// PUBACK for the first of these deliveries that has none.
    Acknowledged(Member, Message),
    /// PINGRESP came: the broker has read what was sent on this connection before this moment.
    Settled(Member, u64),
    /// The connection is no more.
    Ended(Member, End),
    /// A process was killed or stopped.
    Down(Process),
    /// It was started again, or goes on.
    Up(Process),
    /// Everything that was published is acknowledged. The deliveries until here are judged for their
    /// spread, if nothing ended or went down before.
    Quiet,
}

/// Something observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// In microseconds on one clock; does not fall from event to event.
    pub at: u64,
    /// What.
    pub what: What,
}

#[cfg(test)]
mod tests;
