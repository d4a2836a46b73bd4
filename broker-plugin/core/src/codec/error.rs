//! Why a packet is refused, and what the peer is told.

use ha_types::InvalidTopic;

use super::{Reason, Version};

/// Why a packet is refused. The connection ends; a client of 5.0 is told [`DecodeError::reason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not a packet of the specification.
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    /// A packet that must not be sent, or not with this content.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// MQTT, but no version that is served here.
    #[error("protocol version not supported")]
    UnsupportedVersion,
    /// The version of the protocol does not allow this client identifier.
    #[error("client identifier not valid: {0}")]
    ClientId(&'static str),
    /// A topic filter breaks a rule of §4.7 or §4.8, or one of our limits.
    #[error("topic filter invalid: {0}")]
    TopicFilter(InvalidTopic),
    /// A topic name breaks a rule of §4.7, or one of our limits.
    #[error("topic name invalid: {0}")]
    TopicName(InvalidTopic),
    /// Topic alias zero. Whether another one is known only the connection can tell.
    #[error("topic alias invalid: it is 0")]
    TopicAlias,
    /// Larger than the Maximum Packet Size that was announced.
    #[error("packet too large")]
    PacketTooLarge,
    /// One of [`limits`](super::limits).
    #[error("quota exceeded: {0}")]
    Quota(&'static str),
}

impl DecodeError {
    /// What DISCONNECT or CONNACK of 5.0 says.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::Malformed(_) => Reason::MALFORMED_PACKET,
            Self::Protocol(_) => Reason::PROTOCOL_ERROR,
            Self::UnsupportedVersion => Reason::UNSUPPORTED_PROTOCOL_VERSION,
            Self::ClientId(_) => Reason::CLIENT_ID_NOT_VALID,
            Self::TopicFilter(_) => Reason::TOPIC_FILTER_INVALID,
            Self::TopicName(_) => Reason::TOPIC_NAME_INVALID,
            Self::TopicAlias => Reason::TOPIC_ALIAS_INVALID,
            Self::PacketTooLarge => Reason::PACKET_TOO_LARGE,
            Self::Quota(_) => Reason::QUOTA_EXCEEDED,
        }
    }

    /// A broken rule of a topic name. Bytes that are no UTF-8 string make the packet malformed,
    /// whatever the string is for.
    pub(super) fn name(invalid: InvalidTopic) -> Self {
        Self::text(invalid).unwrap_or(Self::TopicName(invalid))
    }

    /// The same of a topic filter.
    pub(super) fn filter(invalid: InvalidTopic) -> Self {
        Self::text(invalid).unwrap_or(Self::TopicFilter(invalid))
    }

    fn text(invalid: InvalidTopic) -> Option<Self> {
        match invalid {
            InvalidTopic::NotUtf8 => Some(Self::Malformed("a topic is not UTF-8")),
            InvalidTopic::ContainsNull => Some(Self::Malformed("a topic contains U+0000")),
            InvalidTopic::Empty
            | InvalidTopic::TooLong
            | InvalidTopic::TooManyLevels
            | InvalidTopic::WildcardInName
            | InvalidTopic::MisplacedWildcard
            | InvalidTopic::MalformedShare => None,
        }
    }
}

/// Why the first packet of a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Not MQTT, or not a CONNECT: the connection is closed without an answer
    /// [MQTT-3.1.0-1], [MQTT-3.1.2-1].
    #[error("the first packet is not a CONNECT of MQTT")]
    NotMqtt,
    /// Answered with a CONNACK in the form of `version`, where it has one for this error.
    #[error("CONNECT refused: {error}")]
    Refused {
        /// How to answer.
        version: Version,
        /// Why.
        error: DecodeError,
    },
}
