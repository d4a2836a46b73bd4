//! What a host (the MQTT engine) and the plugin say to each other.
//!
//! The host serves its own subscribers itself: a client's message goes to them and, once, to the
//! plugin. What the plugin delivers comes from other brokers and goes to local subscribers only.
//! The plugin keeps the broker's copy of the retained messages; the host asks for the matching ones
//! at each SUBSCRIBE and keeps none itself.
//!
//! A host whose sessions are ha-server's ([`HeldBy::Cluster`](crate::HeldBy)) gives the plugin its
//! engines' asks instead of subscriptions, in one order with the publishes, and gets back what to tell
//! the engines and what is routed to them.

use std::sync::Arc;

use bytes::Bytes;
use ha_types::session::{Ask, ConnectionId, PacketId, SessionKey, Tell};
use ha_types::{ClusterMillis, Message, Qos, SessionId, Subscription, Ticket, TopicName};

use crate::holder::RouteChange;
use crate::outbox::weight;

/// A message that a client of this broker published, after every check that the host makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPublish {
    /// Resolved: never by topic alias.
    pub topic: TopicName,
    /// Opaque. Empty with `retain`: clears the retained message.
    pub payload: Bytes,
    /// MQTT 5 properties in wire encoding without their length prefix, and without topic alias,
    /// subscription identifier and message expiry.
    pub properties: Bytes,
    /// As published.
    pub qos: Qos,
    /// As published.
    pub retain: bool,
    /// Message Expiry Interval in seconds; `None`: never.
    pub expires_in_s: Option<u32>,
    /// Whose message; zero: the broker's own.
    pub session: SessionId,
    /// At QoS 1 and 2 of a session that ha-server holds: whom [`Tell::Published`] is for, and under
    /// which ownership it is published. `None`: nobody waits for an answer.
    pub exchange: Option<(SessionKey, PacketId)>,
}

impl HostPublish {
    /// What it weighs where messages and bytes are limited together, at least 1.
    #[must_use]
    pub fn weight(&self) -> usize {
        weight(self.topic.as_bytes().len() + self.payload.len() + self.properties.len())
    }
}

/// Something that a client of this broker did to its subscriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostEvent {
    /// A SUBSCRIBE. The host sends SUBACK after [`HostCommand::Subscribed`] with this ticket.
    Subscribe {
        /// Chosen by the host, never reused.
        ticket: Ticket,
        /// The subscribing session.
        session: SessionId,
        /// In the order of the packet.
        subscriptions: Vec<NewSubscription>,
    },
    /// An UNSUBSCRIBE. Subscriptions that the session does not have are ignored.
    Unsubscribe {
        /// Whose.
        session: SessionId,
        /// Which.
        subscriptions: Vec<Subscription>,
    },
    /// The session and all its subscriptions are gone.
    SessionEnded {
        /// Which.
        session: SessionId,
    },
    /// What an engine asks of ha-server, which holds its session. Never [`Ask::Publish`], which is a
    /// [`HostPublish`].
    Ask(Ask),
}

/// One subscription of a SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSubscription {
    /// What is subscribed to.
    pub subscription: Subscription,
    /// By Retain Handling and the kind of subscription.
    pub retained: RetainedWanted,
}

/// Which retained messages a subscription asks for (MQTT 5.0 §3.8.3.1, Retain Handling).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetainedWanted {
    /// At every SUBSCRIBE.
    Always,
    /// Only when the session did not have this subscription.
    IfNew,
    /// Not at all; also for shared subscriptions.
    Never,
}

/// Something that the host must do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostCommand {
    /// Deliver to local subscribers. Never sent back to the plugin.
    Deliver(Delivery),
    /// The cluster knows these subscriptions: what is published anywhere from now on arrives, and
    /// what was retained anywhere before is below.
    Subscribed {
        /// Of the SUBSCRIBE.
        ticket: Ticket,
        /// For each of its subscriptions, the retained messages to send after the SUBACK.
        retained: Vec<Vec<Delivery>>,
    },
    /// None of these subscriptions was taken: the broker's limit of topic filters is reached.
    SubscribeRefused {
        /// Of the SUBSCRIBE.
        ticket: Ticket,
    },
    /// For the engine of a connection, whose session ha-server holds. One that is gone needs nothing.
    Tell(ConnectionId, Tell),
    /// What the live messages of a connection are matched with.
    Route(RouteChange),
    /// What time it is in the cluster: what [`HostCommand::Tell`] brings expires by that clock.
    ClusterTime(ClusterMillis),
}

/// A message and the rest of its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The message.
    pub message: Arc<Message>,
    /// Remaining Message Expiry Interval in seconds, at least 1; `None`: never expires.
    pub expires_in_s: Option<u32>,
}
