//! From broker to ha-server.

use std::sync::Arc;

use super::Hello;
use crate::ids::{AskNumber, PublishNumber, RetainedVersion, Ticket};
use crate::message::Message;
use crate::session::{Ask, ConnectionId, Offset, PacketId, SessionKey};
use crate::topic::{TopicFilter, TopicName};

/// From broker to ha-server, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// Exactly once, first.
    Hello(Hello),
    /// A client's message. Numbered ones are answered and may be sent again after a broken stream.
    Publish {
        /// `None`: at most once.
        number: Option<PublishNumber>,
        /// At QoS 1 and 2, from a session that ha-server holds: under which ownership of it. When that
        /// is over the message is [`Fenced`](super::PublishOutcome::Fenced). At QoS 2 also what a repeat
        /// of the client is known by until [`Ask::Release`].
        exchange: Option<(SessionKey, PacketId)>,
        /// The message.
        message: Arc<Message>,
    },
    /// What an engine asks of whoever holds its session. Never [`Ask::Publish`], which is
    /// [`Upstream::Publish`]. Sent again after a broken stream until it is done.
    Ask {
        /// Done once for each number.
        number: AskNumber,
        /// What.
        ask: Ask,
    },
    /// A session that this broker has had since an earlier stream.
    Resume(Resume),
    /// All filters are announced and all sessions resumed. What was not answered follows.
    Resumed,
    /// So many of the numbered messages of this stream ([`Downstream::Deliver`] with an origin) are
    /// with their subscribers.
    ///
    /// [`Downstream::Deliver`]: super::Downstream::Deliver
    Received {
        /// Since the stream began. Only grows.
        count: u64,
    },
    /// From now on the broker needs messages that match these filters.
    Announce {
        /// Returned in [`Downstream::InterestTaken`](super::Downstream::InterestTaken).
        ticket: Ticket,
        /// Which messages. What is announced again in another way is from now on meant so.
        needs: Needs,
        /// May be empty: then only the answer is wanted.
        filters: Vec<TopicFilter>,
    },
    /// It no longer does.
    Withdraw {
        /// Announced before.
        filters: Vec<TopicFilter>,
    },
    /// The broker stops: it shall be freed at once. Nothing follows.
    Leave,
}

/// Which live messages a broker needs of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// QoS 0: the others reach its sessions through their queues.
    AtMostOnce,
    /// All.
    All,
}

/// What a broker does with clients, by its heartbeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duty {
    /// It is of an older version, which does not say it and cannot be told to drain.
    #[default]
    Unknown,
    /// It takes them, as far as it can.
    Serves,
    /// It lets them go, or has done so.
    Drains,
}

/// A session that goes on through a new stream, perhaps to another leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// As it was opened.
    pub session: SessionKey,
    /// Whose it is.
    pub connection: ConnectionId,
    /// Of its CONNECT.
    pub receive_maximum: u16,
    /// Of its queue everything up to here came to the broker; `None`: nothing.
    pub given_upto: Option<Offset>,
}

/// The state of one topic's retained message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetainedChange {
    /// Where.
    pub topic: TopicName,
    /// In which order.
    pub version: RetainedVersion,
    /// What; `None`: cleared.
    pub message: Option<Arc<Message>>,
}
