//! MQTT 3.1.1 and 5.0 on the wire: what clients may send, strictly checked, and what we answer.
//!
//! Pure: bytes in, values or errors out. No input panics. rumqttd's own codecs are not used: they
//! panic on packets that only servers send, accept what the specification forbids, and write
//! malformed DISCONNECTs.

pub(crate) mod connect;
pub(crate) mod encode;
pub(crate) mod frame;
pub(crate) mod packet;
pub(crate) mod properties;
pub(crate) mod publish;
pub(crate) mod reader;
pub(crate) mod reason;

pub(crate) use reason::Reason;

/// Protocol version of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// 3.1.1, protocol level 4.
    V311,
    /// 5.0, protocol level 5.
    V5,
}

/// Why a packet is refused. The connection ends; 5.0 is told [`DecodeError::reason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// The bytes are not a packet of the specification.
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    /// A packet that must not be sent, or not with this content.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// Larger than the Maximum Packet Size that we announced.
    #[error("packet too large")]
    TooLarge,
    /// Zero, or above the Topic Alias Maximum that we announced.
    #[error("topic alias invalid")]
    TopicAlias,
}

impl DecodeError {
    /// What DISCONNECT or CONNACK of MQTT 5.0 says.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::Malformed(_) => Reason::MALFORMED_PACKET,
            Self::Protocol(_) => Reason::PROTOCOL_ERROR,
            Self::TooLarge => Reason::PACKET_TOO_LARGE,
            Self::TopicAlias => Reason::TOPIC_ALIAS_INVALID,
        }
    }
}
