//! What came of a command: what the leader tells brokers.

use std::sync::Arc;

use ha_types::link::Origin;
use ha_types::session::{
    ConnectionId, Granted, PacketId, PageEnd, Queued, Record, RefuseReason, SessionKey,
    SubscribeOptions,
};
use ha_types::{BrokerEpoch, Message, PublishNumber, RetainedVersion, SessionId};

/// What came of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Of each command, in order.
    pub outcomes: Vec<Outcome>,
    /// Wills that were published, in order.
    pub fired: Vec<Fired>,
    /// Sessions that were given messages of share groups: each once, in order.
    pub given: Vec<SessionId>,
    /// Messages of share groups for members of QoS 0, in order.
    pub live: Vec<Live>,
}

/// A message for a connected session that nobody keeps: sent now, or lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// To which session.
    pub session: SessionKey,
    /// Of whom.
    pub owner: Owner,
    /// At QoS 0, at no place of a queue.
    pub queued: Queued,
}

/// What came of one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing needs to be told.
    Done,
    /// Of `Join`: the broker's fencing token.
    Joined(BrokerEpoch),
    /// Whoever said it has been replaced, or is lost.
    Fenced,
    /// Of `Open`.
    Opened(Box<Opened>),
    /// Not done.
    Refused(RefuseReason),
    /// Of `Subscribe`: for each subscription the QoS and what is retained, or why not.
    Subscribed(Vec<Result<Granted, RefuseReason>>),
    /// Of `Unsubscribe`: for each subscription whether the session had it.
    Unsubscribed(Vec<bool>),
    /// Of `Publish`.
    Published(Result<Stored, Refused>),
    /// Of `Begin`: what may be sent now. The others were acknowledged meanwhile, or have to wait.
    Begun(Vec<Queued>),
}

/// Who has a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Which broker.
    pub broker: BrokerEpoch,
    /// Which of its connections.
    pub connection: ConnectionId,
}

/// A session with all that its new owner must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The session and this ownership.
    pub session: SessionKey,
    /// Session Present of CONNACK.
    pub is_present: bool,
    /// What it is subscribed to.
    pub subscriptions: Vec<SubscribeOptions>,
    /// QoS 2 publishes of the client between PUBREC and PUBCOMP.
    pub inbound: Vec<PacketId>,
    /// Deliveries that may have been sent before.
    pub records: Vec<Record>,
    /// What is queued behind them.
    pub backlog: PageEnd,
    /// Who had it until now, if anybody had.
    pub fenced: Option<(Owner, SessionKey)>,
}

/// A message that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Where; `None`: no durable session needs it.
    pub number: Option<u64>,
    /// Its place in the order of retained messages, if it is one.
    pub retained: Option<RetainedVersion>,
    /// Connected sessions that get it at QoS 2, each with its record.
    pub began: Vec<Began>,
    /// Whether it came before.
    pub repeat: Repeat,
    /// What the message of an exchange that came before is known by, while the exchange is open; empty:
    /// whoever needs it has it.
    pub origins: Vec<Origin>,
}

/// Whether a message came before: then nothing was done now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repeat {
    /// It did not.
    #[default]
    No,
    /// Under this number. Live subscribers may not have it yet.
    OfNumber,
    /// In this exchange of its client, perhaps under another number [MQTT-4.3.3-10]. Live subscribers may
    /// not have it yet.
    OfExchange,
}

/// A delivery of QoS 2 that may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Began {
    /// To which session.
    pub session: SessionKey,
    /// Of whom.
    pub owner: Owner,
    /// Under which packet identifier.
    pub packet_id: PacketId,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A limit is reached: 0x97.
    QuotaExceeded,
    /// Its publisher has been replaced, or its broker is lost.
    Fenced,
}

/// A will that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fired {
    /// The will.
    pub message: Arc<Message>,
    /// Where it is; the leader tells live subscribers also when it could not be stored.
    pub stored: Result<Stored, Refused>,
    /// What brokers know it by; `None`: nobody remembers it, and it comes to them once at most.
    pub number: Option<PublishNumber>,
}
