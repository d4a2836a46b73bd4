//! Reason codes of MQTT 5.0, and what 3.1.1 has in their place.

/// A reason code (MQTT 5.0 §2.4). Values from 0x80 are failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reason(pub(crate) u8);

impl Reason {
    pub(crate) const SUCCESS: Self = Self(0x00);
    pub(crate) const NO_SUBSCRIPTION_EXISTED: Self = Self(0x11);
    pub(crate) const MALFORMED_PACKET: Self = Self(0x81);
    pub(crate) const PROTOCOL_ERROR: Self = Self(0x82);
    pub(crate) const IMPLEMENTATION_SPECIFIC: Self = Self(0x83);
    pub(crate) const UNSUPPORTED_PROTOCOL_VERSION: Self = Self(0x84);
    pub(crate) const CLIENT_ID_NOT_VALID: Self = Self(0x85);
    pub(crate) const SERVER_UNAVAILABLE: Self = Self(0x88);
    pub(crate) const SERVER_BUSY: Self = Self(0x89);
    pub(crate) const SERVER_SHUTTING_DOWN: Self = Self(0x8B);
    pub(crate) const BAD_AUTHENTICATION_METHOD: Self = Self(0x8C);
    pub(crate) const KEEP_ALIVE_TIMEOUT: Self = Self(0x8D);
    pub(crate) const SESSION_TAKEN_OVER: Self = Self(0x8E);
    pub(crate) const TOPIC_FILTER_INVALID: Self = Self(0x8F);
    pub(crate) const TOPIC_NAME_INVALID: Self = Self(0x90);
    pub(crate) const PACKET_ID_NOT_FOUND: Self = Self(0x92);
    pub(crate) const RECEIVE_MAXIMUM_EXCEEDED: Self = Self(0x93);
    pub(crate) const TOPIC_ALIAS_INVALID: Self = Self(0x94);
    pub(crate) const PACKET_TOO_LARGE: Self = Self(0x95);
    pub(crate) const QUOTA_EXCEEDED: Self = Self(0x97);
    pub(crate) const SHARED_NOT_SUPPORTED: Self = Self(0x9E);

    /// Whether the peer says that it did not take the packet.
    pub(crate) fn is_failure(self) -> bool {
        self.0 >= 0x80
    }

    /// Return code of a 3.1.1 CONNACK (§3.2.2.3); `None`: the connection is closed without one.
    pub(crate) fn connack_v311(self) -> Option<u8> {
        match self {
            Self::SUCCESS => Some(0),
            Self::UNSUPPORTED_PROTOCOL_VERSION => Some(1),
            Self::CLIENT_ID_NOT_VALID => Some(2),
            Self::SERVER_UNAVAILABLE | Self::SERVER_BUSY | Self::QUOTA_EXCEEDED => Some(3),
            Self::TOPIC_NAME_INVALID => Some(5),
            _ => None,
        }
    }

    /// Return code of a 3.1.1 SUBACK (§3.9.3): every failure is 0x80.
    pub(crate) fn suback_v311(self) -> u8 {
        if self.is_failure() { 0x80 } else { self.0 }
    }
}
