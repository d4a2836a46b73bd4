//! What a broker and ha-server say to each other, as values.
//!
//! `ha-proto` turns these into bytes and back; the cores speak only in these. The comments of
//! `proto/distributor.proto` are the specification of the exchange.

use std::sync::Arc;

use crate::ids::{
    BrokerEpoch, BrokerName, ClusterMillis, Incarnation, PublishNumber, RetainedVersion,
    ServerIncarnation, Ticket,
};
use crate::message::Message;
use crate::topic::{TopicFilter, TopicName};

/// The protocol version that this build speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// The versions that this build accepts.
pub const PROTOCOL_VERSIONS: VersionRange = VersionRange { min: 1, max: PROTOCOL_VERSION };

/// An inclusive range of protocol versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRange {
    /// Lowest.
    pub min: u32,
    /// Highest.
    pub max: u32,
}

impl VersionRange {
    /// The highest version in both ranges.
    #[must_use]
    pub fn highest_common(self, other: Self) -> Option<u32> {
        let version = self.max.min(other.max);
        (version >= self.min.max(other.min)).then_some(version)
    }
}

/// First item of a broker's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Versions that the broker speaks.
    pub versions: VersionRange,
    /// Who it is.
    pub name: BrokerName,
    /// Which run of it.
    pub incarnation: Incarnation,
    /// Program and version, for people.
    pub software: String,
    /// The ha-server whose retained messages it holds a copy of; `None`: it has no copy.
    pub copy_of: Option<ServerIncarnation>,
}

/// The answer to [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version that both will speak.
    pub version: u32,
    /// The broker's fencing token.
    pub epoch: BrokerEpoch,
    /// Which run of ha-server this is.
    pub server: ServerIncarnation,
    /// How long the broker is believed alive after it sent a heartbeat that was answered.
    pub lease_ms: u64,
    /// How often it must send one.
    pub heartbeat_ms: u64,
    /// Numbered publishes of this incarnation up to here were taken; they need no resend.
    pub taken_upto: PublishNumber,
    /// Numbered publishes that may be unanswered at a time.
    pub publish_window: u32,
    /// Cluster time when this was sent.
    pub cluster_time: ClusterMillis,
    /// Whether ha-server wants the broker's copy of the retained messages.
    pub retained_copy: RetainedCopy,
    /// Another ha-server to attach to, `host:port`; `None`: this one leads.
    pub leader_hint: Option<String>,
    /// Program and version, for people.
    pub software: String,
}

/// Whether a broker shall upload its copy of the retained messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetainedCopy {
    /// ha-server has not seen this copy: it has started anew since.
    Wanted,
    /// ha-server knows better.
    NotWanted,
}

/// From broker to ha-server, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// Exactly once, first.
    Hello(Hello),
    /// A client's message. Numbered ones are answered and may be sent again after a broken stream.
    Publish {
        /// `None`: at most once.
        number: Option<PublishNumber>,
        /// The message.
        message: Arc<Message>,
    },
    /// From now on the broker needs messages that match these filters.
    Announce {
        /// Returned in [`Downstream::InterestTaken`].
        ticket: Ticket,
        /// May be empty: then only the answer is wanted.
        filters: Vec<TopicFilter>,
    },
    /// It no longer does.
    Withdraw {
        /// Announced before.
        filters: Vec<TopicFilter>,
    },
    /// One topic of the broker's copy of the retained messages.
    RetainedCopy(RetainedChange),
    /// The copy is complete.
    RetainedCopyEnd,
    /// The broker stops: it shall be freed at once. Nothing follows.
    Leave,
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
    /// The filters announced with this ticket receive all that is published from now on.
    InterestTaken {
        /// Of the announcement.
        ticket: Ticket,
    },
    /// A message for this broker's subscribers.
    Deliver {
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
    /// The stream ends. The broker acts by the reason.
    Goodbye(Goodbye),
}

/// How a numbered publish ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishOutcome {
    /// Handed to all that need it.
    Accepted,
    /// Handed on, but not retained: the limit of retained messages is reached.
    RetainedFull,
}

/// Why ha-server ends a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// For the program.
    pub reason: GoodbyeReason,
    /// For people.
    pub detail: String,
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

#[cfg(test)]
mod tests {
    use super::VersionRange;

    #[test]
    fn highest_common_version_is_chosen_and_disjoint_ranges_have_none() {
        let ours = VersionRange { min: 1, max: 3 };
        assert_eq!(ours.highest_common(VersionRange { min: 2, max: 9 }), Some(3));
        assert_eq!(ours.highest_common(VersionRange { min: 3, max: 3 }), Some(3));
        assert_eq!(ours.highest_common(VersionRange { min: 4, max: 9 }), None);
    }
}
