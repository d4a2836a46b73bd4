//! What changes the state.

use std::sync::Arc;

use ha_types::session::{
    CloseCause, Lifetime, Offset, Open, PacketId, Progress, SessionKey, SubscribeOptions,
};
use ha_types::{
    AskNumber, BrokerEpoch, BrokerName, ClusterMillis, Incarnation, Message, PublishNumber,
    Subscription,
};

use super::feature::FeatureLevel;
use super::limits::StateLimits;
use super::strategy::Strategies;

/// Commands that are applied together, stamped by the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Cluster time of the leader. An older one than the state's counts as that.
    pub time: ClusterMillis,
    /// In order.
    pub commands: Vec<Command>,
}

/// What an engine asks, by the number that its broker gave it. Done once: a repeat is answered from
/// what is, and changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// In which life of its broker.
    pub broker: BrokerEpoch,
    /// Which of its asks.
    pub number: AskNumber,
}

/// One change. What is said for a stale session epoch or a broker that is lost changes nothing and is
/// answered by [`Outcome::Fenced`](super::Outcome::Fenced).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A broker begins a life. An older one of the same name ends.
    Join {
        /// How operators know it.
        name: BrokerName,
        /// A restarted broker has a higher one; an older one is refused.
        incarnation: Incarnation,
    },
    /// A broker is lost, or has left: its sessions have no owner any more. They are freed by `Expire`.
    Leave {
        /// Which.
        broker: BrokerEpoch,
    },
    /// A CONNECT. Takes the session from whoever has it.
    Open {
        /// By the new owner.
        asked: Asked,
        /// What the engine asks.
        open: Open,
    },
    /// The connection is gone.
    Close {
        /// Which ask.
        asked: Asked,
        /// Whose.
        session: SessionKey,
        /// Why.
        cause: CloseCause,
        /// Since the last one.
        progress: Progress,
        /// Of DISCONNECT.
        lifetime: Option<Lifetime>,
    },
    /// A SUBSCRIBE.
    Subscribe {
        /// Which ask.
        asked: Asked,
        /// Whose.
        session: SessionKey,
        /// Up to here its queue was given to its engine, and no further until this is applied: deliveries
        /// under options that change go on as they were given.
        given_upto: Option<Offset>,
        /// In the order of the packet.
        subscriptions: Vec<SubscribeOptions>,
    },
    /// An UNSUBSCRIBE.
    Unsubscribe {
        /// Which ask.
        asked: Asked,
        /// Whose.
        session: SessionKey,
        /// As for `Subscribe`.
        given_upto: Option<Offset>,
        /// In the order of the packet.
        subscriptions: Vec<Subscription>,
    },
    /// A message that somebody must keep.
    Publish {
        /// Whose client published it.
        broker: BrokerEpoch,
        /// Applied once for each number; numbers grow. `None`: nobody waits, and it does not come again.
        number: Option<PublishNumber>,
        /// At QoS 1 and 2 from a session: under which ownership of it, without which the message is not
        /// taken. At QoS 2 also what a repeat is known by until `Release`.
        exchange: Option<(SessionKey, PacketId)>,
        /// The message.
        message: Arc<Message>,
    },
    /// A PUBREL from a client.
    Release {
        /// Which ask.
        asked: Asked,
        /// Whose.
        session: SessionKey,
        /// Of the exchange.
        packet_id: PacketId,
    },
    /// What a client acknowledged.
    Progress {
        /// Which ask.
        asked: Asked,
        /// Whose.
        session: SessionKey,
        /// Since the last one.
        progress: Progress,
    },
    /// An ask that needs nothing of the state. It is remembered like the others, which would wait for
    /// it otherwise.
    Pass {
        /// Which.
        asked: Asked,
    },
    /// Deliveries of QoS 2 are about to be sent: each gets its record first.
    Begin {
        /// Whose.
        session: SessionKey,
        /// Which, in order.
        offsets: Vec<Offset>,
    },
    /// Wills and sessions that are due, and sessions of lost brokers: so many at most, so that a mass
    /// death does not stop everything else.
    Expire {
        /// How many.
        at_most: u32,
    },
    /// Looks at some sessions for what has expired or does not fit into their queues; after the last
    /// one at what is retained and has expired.
    Sweep {
        /// How many.
        at_most: u32,
    },
    /// Every broker that needs them has received the wills up to here: they are not owed any more.
    WillsReceived {
        /// The last.
        upto: PublishNumber,
    },
    /// Other limits, from now on.
    Configure(StateLimits),
    /// Other strategies of share groups, from now on.
    Share(Strategies),
    /// An operator ends a session whose client is away, as if it had expired. One that has an owner, or
    /// had one since, stays.
    Forget {
        /// Which, as its last owner knew it.
        session: SessionKey,
    },
    /// All members understand this; lower ones than before change nothing.
    Raise(FeatureLevel),
}
