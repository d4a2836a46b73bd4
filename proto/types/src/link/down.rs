//! From ha-server to broker.

use std::sync::Arc;

use super::{RetainedChange, Welcome};
use crate::ids::{AskNumber, BrokerEpoch, PublishNumber, RetainedVersion, Ticket};
use crate::message::Message;
use crate::session::{ConnectionId, Tell};

/// From ha-server to broker, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Downstream {
    /// Exactly once, first (or [`Downstream::Goodbye`]).
    Welcome(Welcome),
    /// Answer to a numbered publish.
    PublishResult {
        /// Which.
        number: PublishNumber,
        /// How it ended.
        outcome: PublishOutcome,
        /// The version that its retained message got; zero: it is not retained, or was taken
        /// before.
        retained: RetainedVersion,
    },
    /// For the engine of a connection.
    Tell {
        /// Of this broker.
        connection: ConnectionId,
        /// What. Never [`Tell::Published`], which is [`Downstream::PublishResult`].
        tell: Tell,
    },
    /// Asks up to here are done; what they are answered with came before.
    Asked {
        /// The highest without a gap.
        upto: AskNumber,
    },
    /// The filters announced with this ticket receive all that is published from now on.
    InterestTaken {
        /// Of the announcement.
        ticket: Ticket,
    },
    /// A message for this broker's live subscribers.
    Deliver {
        /// What a repeat is known by, of QoS 1 and 2 from a broker and of wills; `None`: it comes at most once.
        origin: Option<Origin>,
        /// Other origins of the same message, whose client has sent it again at QoS 2: who has had it
        /// as one of these has had it. At most [`KNOWN_AS_MAX`]; mostly none.
        known_as: Vec<Origin>,
        /// The message.
        message: Arc<Message>,
        /// Greater than zero: it is also the topic's retained message (or clear), in this version.
        retained: RetainedVersion,
    },
    /// A retained message that is not for any subscriber now.
    RetainedUpdate(RetainedChange),
    /// All retained messages follow, as updates.
    RetainedBegin,
    /// All retained messages as of this version have been sent since [`Downstream::RetainedBegin`]:
    /// what was not mentioned does not exist.
    RetainedSynced {
        /// Changes with a higher version are not covered.
        version: RetainedVersion,
    },
    /// An operator wants the broker to let its clients go. Only to one whose [`Duty`](super::Duty) is known.
    Drain {
        /// Clients in a second; `None`: as the broker is configured.
        per_second: Option<u32>,
    },
    /// It shall take clients again; likewise.
    Undrain,
    /// The stream ends. The broker acts by the reason.
    Goodbye(Goodbye),
}

/// Origins that a message has beside its own, at most.
pub const KNOWN_AS_MAX: usize = 8;

/// Where a numbered message comes from. Messages of one broker come in the order of their numbers; one
/// that does not grow came before: from a leader that was lost, or before its broker was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// Of whose client. Of a session that ha-server holds: the epoch in which it was published, which
    /// its publishes do not outlive. Otherwise the first epoch of that run of the broker, in which its
    /// numbers began.
    pub broker: BrokerEpoch,
    /// Under which number it was published.
    pub number: PublishNumber,
}

impl Origin {
    /// In the place of a broker: a will, which ha-server publishes itself.
    pub const WILLS: BrokerEpoch = BrokerEpoch(u64::MAX);

    /// Of the will with this number.
    #[must_use]
    pub fn of_will(number: PublishNumber) -> Self {
        Self { broker: Self::WILLS, number }
    }
}

/// How a numbered publish ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishOutcome {
    /// Whoever must keep it has it, and so has every broker with live subscribers.
    Accepted,
    /// Its exchange of QoS 2 had begun before: who did not have it, this broker as well, was given it
    /// before this answer.
    Repeat,
    /// Handed on, but not retained: the limit of retained messages is reached.
    RetainedFull,
    /// Not taken: a limit is reached. 0x97.
    QuotaExceeded,
    /// The ownership of its session under which it was published is over. Of QoS 1 some may have it
    /// from an earlier leader. No answer for a client.
    Fenced,
}

/// Why ha-server ends a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// For the program.
    pub reason: GoodbyeReason,
    /// For people.
    pub detail: String,
    /// The ha-server that leads, `host:port`, if another is known to.
    pub leader: Option<String>,
}

/// What a broker must do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoodbyeReason {
    /// ha-server stops; attach again after a pause.
    ShuttingDown,
    /// No common protocol version; attaching again is useless until one side is updated.
    UnsupportedVersion,
    /// Another broker with this name is attached and alive.
    NameInUse,
    /// As many brokers as possible are attached.
    TooManyBrokers,
    /// The lease ran out: the epoch is fenced. Attach again for a new one.
    LeaseExpired,
    /// This broker attached again on a newer stream.
    Replaced,
    /// The broker broke the protocol; a bug on one side.
    ProtocolError,
    /// Another ha-server leads.
    NotLeader,
    /// The broker did not read for so long that it held up the others. Attach again.
    TooSlow,
}
