//! From the holder to the engine.

use std::sync::Arc;

use super::ask::SubscribeOptions;
use super::id::{ConnectionId, Offset, PacketId, SessionKey, SubscriptionId};
use crate::ids::Ticket;
use crate::message::{Message, Qos};

/// What the holder tells the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tell {
    /// The session is the connection's. CONNACK goes out.
    Opened(Opened),
    /// It is not. CONNACK with the reason goes out.
    OpenRefused {
        /// Of the open.
        connection: ConnectionId,
        /// Why.
        reason: RefuseReason,
    },
    /// SUBACK goes out, then the retained messages.
    Subscribed {
        /// Whose.
        session: SessionKey,
        /// Of the subscribe.
        ticket: Ticket,
        /// For each subscription the QoS, or why not.
        granted: Vec<Result<Granted, RefuseReason>>,
    },
    /// UNSUBACK goes out.
    Unsubscribed {
        /// Whose.
        session: SessionKey,
        /// Of the unsubscribe.
        ticket: Ticket,
        /// For each subscription whether the session had it.
        existed: Vec<bool>,
    },
    /// PUBACK or PUBREC goes out.
    Published {
        /// Whose.
        session: SessionKey,
        /// Of the publish.
        packet_id: PacketId,
        /// Success, or why not.
        outcome: Result<(), RefuseReason>,
    },
    /// PUBCOMP goes out.
    Released {
        /// Whose.
        session: SessionKey,
        /// Of the release.
        packet_id: PacketId,
    },
    /// A message of the live flow. A holder keeps it back while the engine has twice as many that are
    /// not acknowledged as the client takes at a time (Receive Maximum), and at least 32.
    Deliver {
        /// Whose.
        session: SessionKey,
        /// The message and how to deliver it.
        queued: Queued,
    },
    /// A part of the backlog.
    Page {
        /// Whose.
        session: SessionKey,
        /// The part.
        page: Page,
    },
    /// What a progress said is on disk: PUBRELs for what was received go out, packet ids of what
    /// was completed are free, and what waited behind what was passed over is sent.
    Recorded {
        /// Whose.
        session: SessionKey,
        /// PUBREC.
        received: Vec<PacketId>,
        /// PUBCOMP.
        completed: Vec<PacketId>,
        /// Never sent.
        passed_over: Vec<Offset>,
    },
    /// The connection must end: flush progress in a close, within 100 ms when another one opens the
    /// session.
    Evict {
        /// Which.
        session: SessionKey,
        /// Why.
        why: Eviction,
    },
    /// The session has another owner, or none: disconnect with 0x8E and send nothing more for it.
    Fenced {
        /// Which.
        session: SessionKey,
    },
}

impl Tell {
    /// Whose; `None`: nobody has it.
    pub fn session_mut(&mut self) -> Option<&mut SessionKey> {
        match self {
            Self::OpenRefused { .. } => None,
            Self::Opened(opened) => Some(&mut opened.session),
            Self::Subscribed { session, .. }
            | Self::Unsubscribed { session, .. }
            | Self::Published { session, .. }
            | Self::Released { session, .. }
            | Self::Deliver { session, .. }
            | Self::Page { session, .. }
            | Self::Recorded { session, .. }
            | Self::Evict { session, .. }
            | Self::Fenced { session } => Some(session),
        }
    }
}

/// Why the connection of a session must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// Another connection opens the session: 0x8E.
    TakenOver,
    /// An operator wants it: 0x98. The client did not end it, so its will goes out.
    Kicked,
    /// The same, and the session ends with the connection.
    Forgotten,
}

/// A session with all that its new owner must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Of the open.
    pub connection: ConnectionId,
    /// The session and this ownership.
    pub session: SessionKey,
    /// Session Present of CONNACK.
    pub is_present: bool,
    /// What it is subscribed to.
    pub subscriptions: Vec<SubscribeOptions>,
    /// QoS 2 publishes of the client between PUBREC and PUBCOMP.
    pub inbound: Vec<PacketId>,
    /// Deliveries that may have been sent before, in order: to be sent again first, with DUP, as
    /// Receive Maximum allows.
    pub records: Vec<Record>,
    /// Whether there is a backlog to fetch, or the live flow comes at once.
    pub backlog: PageEnd,
}

/// A delivery that outlives its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Known to the client.
    pub packet_id: PacketId,
    /// How far the exchange is.
    pub stage: RecordStage,
}

/// How far a QoS 1 or 2 delivery is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordStage {
    /// Perhaps sent: send it (again), with DUP.
    Sent(Queued),
    /// PUBREC came: send PUBREL (again).
    Received,
}

/// A message in a session's queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Its place. Private to the session for retained messages at SUBSCRIBE; [`Offset::NONE`] for one of a
    /// share group at QoS 0 that nobody keeps.
    pub offset: Offset,
    /// The message.
    pub message: Arc<Message>,
    /// The lower of published and granted.
    pub qos: Qos,
    /// Retain flag to send.
    pub retain: bool,
    /// Of all matching subscriptions that have one.
    pub subscription_ids: Vec<SubscriptionId>,
    /// The packet id of the record that was made for it (QoS 2, and QoS 1 after an UNSUBSCRIBE);
    /// `None`: QoS 0, or QoS 1 whose packet id follows from the offset.
    pub record: Option<PacketId>,
}

/// Consecutive messages of a backlog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In order.
    pub messages: Vec<Queued>,
    /// What follows.
    pub end: PageEnd,
}

/// Where a page, or an open, leaves off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageEnd {
    /// More is queued: fetch after this offset.
    More(Offset),
    /// Nothing is queued. From here on messages come unasked, the first one after this offset.
    Live(Offset),
}

/// A subscription that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The highest QoS of its deliveries.
    pub qos: Qos,
    /// Retained messages that match, in queue order, under offsets of this session. Those that are
    /// not here come unasked, right after.
    pub retained: Vec<Queued>,
    /// Retained messages that no queue needs: of QoS 0, or for a session that ends with its
    /// connection. They are sent before what comes later, but not those that something newer of their
    /// topic has overtaken.
    pub unqueued: Vec<Unqueued>,
}

/// A retained message that nobody keeps for its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unqueued {
    /// The message.
    pub message: Arc<Message>,
    /// The lower of published and granted.
    pub qos: Qos,
    /// Of the subscription.
    pub subscription_id: Option<SubscriptionId>,
}

/// Why something was not done. The engine chooses the reason code of its protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefuseReason {
    /// A limit is reached: 0x97.
    QuotaExceeded,
    /// No leader, or no majority, within the time: 0x88.
    Unavailable,
    /// Not allowed by configuration: 0x87.
    NotAuthorized,
    /// This kind of subscription is not served here: 0x9E.
    SharedNotSupported,
}
