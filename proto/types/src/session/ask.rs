//! From the engine to the holder.

use std::sync::Arc;

use super::id::{ConnectionId, Offset, PacketId, SessionKey, SubscriptionId};
use super::tell::Tell;
use crate::ids::Ticket;
use crate::message::{Message, Qos};
use crate::topic::Subscription;

/// What the engine asks of the holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A CONNECT. Answered by `Opened` or `OpenRefused`.
    Open(Open),
    /// The same, of a client that its broker has served provisionally while it had no leader. Answered likewise, but
    /// refused when the session has an owner on another broker, when there is one of which the client was told that
    /// there is none, and when the client may have been connected elsewhere since.
    Claim {
        /// Its CONNECT.
        open: Open,
        /// How much of the log the leader had when it was heard last, before the client was served.
        seen: u64,
    },
    /// A SUBSCRIBE, also one for known filters. Answered by `Subscribed`.
    Subscribe {
        /// Whose.
        session: SessionKey,
        /// Returned in the answer.
        ticket: Ticket,
        /// In the order of the packet.
        subscriptions: Vec<SubscribeOptions>,
    },
    /// An UNSUBSCRIBE. QoS 1 exchanges of its filters that are in flight go on as records
    /// [MQTT-3.10.4-3]. Answered by `Unsubscribed`.
    Unsubscribe {
        /// Whose.
        session: SessionKey,
        /// Returned in the answer.
        ticket: Ticket,
        /// In the order of the packet.
        subscriptions: Vec<Subscription>,
    },
    /// A PUBLISH of QoS 1 or 2. Answered by `Published`; then PUBACK or PUBREC goes out.
    Publish {
        /// Whose.
        session: SessionKey,
        /// The client's packet id: the answer's, and at QoS 2 what a repeat is known by until
        /// `Release`.
        packet_id: PacketId,
        /// The message.
        message: Arc<Message>,
    },
    /// A PUBREL. Answered by `Released`; then PUBCOMP goes out.
    Release {
        /// Whose.
        session: SessionKey,
        /// Of the exchange.
        packet_id: PacketId,
    },
    /// The next part of what is queued. Until the page that says `Live` nothing comes unasked.
    /// Answered by `Page`.
    Fetch {
        /// Whose.
        session: SessionKey,
        /// From the first message after this offset; `None`: from the first that is queued.
        after: Option<Offset>,
        /// At most so many, at least 1.
        messages_max: usize,
        /// At most so many bytes, but one message always.
        bytes_max: usize,
    },
    /// What the client acknowledged. Answered by `Recorded` where it has to be on disk before the
    /// next packet goes out, and not at all otherwise.
    Progress {
        /// Whose.
        session: SessionKey,
        /// Since the last one.
        progress: Progress,
    },
    /// The connection is gone. Not answered: the epoch ends with it.
    Close {
        /// Whose.
        session: SessionKey,
        /// Why: decides about the will.
        cause: CloseCause,
        /// Since the last one, so that a plain end duplicates nothing.
        progress: Progress,
        /// Session Expiry Interval of DISCONNECT, if it has one.
        lifetime: Option<Lifetime>,
    },
}

impl Ask {
    /// Whose; `None`: of a connection without a session.
    pub fn session_mut(&mut self) -> Option<&mut SessionKey> {
        match self {
            Self::Open(_) | Self::Claim { .. } => None,
            Self::Subscribe { session, .. }
            | Self::Unsubscribe { session, .. }
            | Self::Publish { session, .. }
            | Self::Release { session, .. }
            | Self::Fetch { session, .. }
            | Self::Progress { session, .. }
            | Self::Close { session, .. } => Some(session),
        }
    }
}

/// A CONNECT that may be served, after authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Returned in the answer.
    pub connection: ConnectionId,
    /// Assigned by the engine when the client gave none.
    pub client_id: Arc<str>,
    /// Clean Start, or Clean Session of 3.1.1.
    pub start: Start,
    /// What happens to the session when its connection ends.
    pub lifetime: Lifetime,
    /// Registered with the session.
    pub will: Option<NewWill>,
    /// QoS 1 and 2 deliveries that the client takes at a time, at least 1. Bounds the records that
    /// the holder makes in advance.
    pub receive_maximum: u16,
}

/// Whether an earlier session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Ends an earlier session.
    Clean,
    /// Goes on with it, if there is one.
    Resume,
}

/// How long a session outlives its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Not at all: it ends with the connection, and is *ephemeral*.
    Connection,
    /// So many seconds, at least 1.
    Seconds(u32),
    /// For ever (0xFFFFFFFF of MQTT 5.0, clean session 0 of 3.1.1).
    Unlimited,
}

impl Lifetime {
    /// From a Session Expiry Interval (MQTT 5.0 §3.1.2.11.2).
    #[must_use]
    pub fn from_expiry_interval(seconds: u32) -> Self {
        match seconds {
            0 => Self::Connection,
            u32::MAX => Self::Unlimited,
            seconds => Self::Seconds(seconds),
        }
    }
}

/// A will and when it fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewWill {
    /// Published when the connection ends without a DISCONNECT that forbids it. The holder fills in
    /// its publisher and its expiry.
    pub message: Arc<Message>,
    /// Message Expiry Interval in seconds from when it is published; `None`: never.
    pub expires_in_s: Option<u32>,
    /// Seconds after that, unless the session ends earlier (then at its end) or is resumed (then
    /// never).
    pub delay_s: u32,
}

/// One subscription with its options (MQTT 5.0 §3.8.3.1). 3.1.1 has only the QoS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// What is subscribed to.
    pub subscription: Subscription,
    /// The highest that the client wants.
    pub qos: Qos,
    /// Not what this session itself published.
    pub no_local: bool,
    /// Retain flag as published, instead of 0.
    pub retain_as_published: bool,
    /// When retained messages are sent.
    pub retain_handling: RetainHandling,
    /// Comes back with each message that matches.
    pub subscription_id: Option<SubscriptionId>,
}

/// When retained messages are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetainHandling {
    /// 0: at every SUBSCRIBE.
    #[default]
    AtSubscribe,
    /// 1: when the subscription did not exist.
    IfNew,
    /// 2: never.
    Never,
}

/// What a client acknowledged since the last progress, each in the order of arrival.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// QoS 1 deliveries: PUBACK. Of an ephemeral session in a share group also those of QoS 2, as
    /// soon as they are sent: they are nobody else's then [MQTT-4.8.2-5].
    pub acknowledged: Vec<Offset>,
    /// QoS 2 deliveries: PUBREC. PUBREL follows `Recorded`.
    pub received: Vec<PacketId>,
    /// QoS 2 deliveries: PUBCOMP. The packet id is free after `Recorded`.
    pub completed: Vec<PacketId>,
    /// Deliveries that the client refused with a reason of 0x80 or above: they are done.
    pub refused: Vec<Refused>,
    /// Deliveries that are never sent, for they have expired, the client may not have them or does not
    /// take packets of their size. Newer ones wait for `Recorded`: whoever has the session next must
    /// not find these still to be sent.
    pub passed_over: Vec<Offset>,
}

impl Progress {
    /// QoS 1 deliveries that are over, and those that are never sent.
    pub fn done(&self) -> impl Iterator<Item = Offset> {
        self.acknowledged.iter().chain(&self.passed_over).copied()
    }

    /// The answer once it is on disk; `None`: nobody waits for it.
    #[must_use]
    pub fn into_recorded(self, session: SessionKey) -> Option<Tell> {
        let Self { received, completed, passed_over, .. } = self;
        let is_empty = received.is_empty() && completed.is_empty() && passed_over.is_empty();
        (!is_empty).then_some(Tell::Recorded { session, received, completed, passed_over })
    }
}

/// A delivery that the client refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// By PUBACK.
    Offset(Offset),
    /// By PUBREC.
    Record(PacketId),
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCause {
    /// DISCONNECT 0x00: the will is dropped [MQTT-3.1.2-10].
    Disconnect,
    /// DISCONNECT 0x04, a protocol error, keep alive, a lost network: the will fires.
    Failure,
    /// Another connection opened the session, or the broker drains: the will waits for what the
    /// session's next owner makes of it.
    Handover,
}

#[cfg(test)]
mod tests {
    use super::Lifetime;

    #[test]
    fn expiry_interval_has_two_special_values() {
        assert_eq!(Lifetime::from_expiry_interval(0), Lifetime::Connection);
        assert_eq!(Lifetime::from_expiry_interval(1), Lifetime::Seconds(1));
        assert_eq!(Lifetime::from_expiry_interval(u32::MAX - 1), Lifetime::Seconds(u32::MAX - 1));
        assert_eq!(Lifetime::from_expiry_interval(u32::MAX), Lifetime::Unlimited);
    }
}
