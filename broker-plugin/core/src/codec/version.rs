//! Everything that the versions of the protocol do differently, in one place.
//!
//! The oldest version is read as leniently as its text asks: 3.1 leaves to custom what 3.1.1 made a
//! rule. Its limit of 23 bytes for a client identifier is not enforced; hardly any client of 3.1 that
//! is still in use keeps it.

use ha_types::Qos;

use super::frame::LengthForm;
use super::{ConnectError, DecodeError, Frame, PacketType, Reason};

const RESERVED_FLAGS: DecodeError = DecodeError::Malformed("reserved flags of the fixed header");

/// Protocol version of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 3.1: protocol `MQIsdp`, level 3.
    V31,
    /// 3.1.1: protocol `MQTT`, level 4.
    V311,
    /// 5.0: protocol `MQTT`, level 5.
    V5,
}

impl Version {
    /// All that are served.
    pub const ALL: [Self; 3] = [Self::V31, Self::V311, Self::V5];

    /// Whether packets have properties and reason codes, DISCONNECT goes both ways, AUTH exists.
    #[must_use]
    pub fn has_properties(self) -> bool {
        self == Self::V5
    }

    /// Protocol name and level of CONNECT.
    #[must_use]
    pub fn protocol(self) -> (&'static [u8], u8) {
        match self {
            Self::V31 => (b"MQIsdp", 3),
            Self::V311 => (b"MQTT", 4),
            Self::V5 => (b"MQTT", 5),
        }
    }

    /// The version that a CONNECT names [MQTT-3.1.2-1], [MQTT-3.1.2-2].
    pub(super) fn named(name: &[u8], level: u8) -> Result<Self, ConnectError> {
        if let Some(version) = Self::ALL.into_iter().find(|v| v.protocol() == (name, level)) {
            return Ok(version);
        }
        // Bridges set the highest bit, and try again without it when a CONNACK refuses them.
        let version = match (name, level & 0x7F) {
            (b"MQTT", 5..) => Self::V5,
            (b"MQTT" | b"MQIsdp", _) => Self::V311,
            _ => return Err(ConnectError::NotMqtt),
        };
        Err(ConnectError::Refused { version, error: DecodeError::UnsupportedVersion })
    }

    /// Flags and length of the fixed header [MQTT-2.1.3-1], [MQTT-1.5.5-1]. 3.1 has a DUP flag also
    /// in packets that are not PUBLISH.
    pub(super) fn check_header(self, frame: &Frame) -> Result<PacketType, DecodeError> {
        let kind = frame.packet_type().ok_or(DecodeError::Malformed("packet type 0"))?;
        if self.has_properties() && frame.length == LengthForm::Padded {
            return Err(DecodeError::Malformed("the remaining length is padded"));
        }
        let (expected, ignored) = match kind {
            PacketType::Publish => return Ok(kind), // DUP, QoS and RETAIN.
            PacketType::Pubrel | PacketType::Subscribe | PacketType::Unsubscribe => {
                (0b0010, if self == Self::V31 { 0b1000 } else { 0 })
            }
            _ => (0, 0),
        };
        if frame.flags() & !ignored != expected {
            return Err(RESERVED_FLAGS);
        }
        Ok(kind)
    }

    /// [MQTT-3.3.1-2], not in 3.1.
    pub(super) fn check_dup(self, qos: Qos, flags: u8) -> Result<(), DecodeError> {
        if self != Self::V31 && qos == Qos::AtMostOnce && flags & 0x08 != 0 {
            return Err(DecodeError::Malformed("DUP at QoS 0"));
        }
        Ok(())
    }

    /// [MQTT-3.1.2-3] (not in 3.1), [MQTT-3.1.2-11] to [MQTT-3.1.2-13], 3.1.1 [MQTT-3.1.2-22].
    pub(super) fn check_connect_flags(self, flags: u8) -> Result<(), DecodeError> {
        let (has_will, will_flags) = (flags & 0x04 != 0, flags & 0x38);
        if self != Self::V31 && flags & 0x01 != 0 {
            return Err(DecodeError::Malformed("reserved flag of CONNECT"));
        }
        if will_flags & 0x18 == 0x18 {
            return Err(DecodeError::Malformed("will QoS 3"));
        }
        if !has_will && will_flags != 0 {
            return Err(DecodeError::Malformed("will QoS or will retain without a will"));
        }
        if self != Self::V5 && flags & 0xC0 == 0x40 {
            return Err(DecodeError::Malformed("a password without a user name"));
        }
        Ok(())
    }

    /// Whether the server chooses a client identifier when the client has none: 5.0 always, 3.1.1
    /// with a clean session [MQTT-3.1.3-8], 3.1 never.
    pub(super) fn check_client_id(self, id: &str, flags: u8) -> Result<(), DecodeError> {
        let clean = flags & 0x02 != 0;
        match self {
            _ if !id.is_empty() => Ok(()),
            Self::V31 => Err(DecodeError::ClientId("it is empty")),
            Self::V311 if !clean => Err(DecodeError::ClientId("it is empty and names a session")),
            Self::V311 | Self::V5 => Ok(()),
        }
    }

    /// In 3.1 the remaining length takes precedence over the flags for user name and password: they
    /// may be missing.
    pub(super) fn credentials_may_be_missing(self) -> bool {
        self == Self::V31
    }

    /// Reserved bits of a topic filter's options [MQTT-3.8.3-5], 3.1.1 [MQTT-3-8.3-4].
    pub(super) fn reserved_options(self) -> u8 {
        match self {
            Self::V31 | Self::V311 => 0b1111_1100,
            Self::V5 => 0b1100_0000,
        }
    }

    /// What CONNACK says; `None`: there is no code for it, and the connection is closed without one
    /// (3.1.1 §3.2.2.3).
    #[must_use]
    pub fn connack_code(self, reason: Reason) -> Option<u8> {
        if self.has_properties() {
            return Some(reason.0);
        }
        match reason {
            Reason::SUCCESS => Some(0),
            Reason::UNSUPPORTED_PROTOCOL_VERSION => Some(1),
            Reason::CLIENT_ID_NOT_VALID => Some(2),
            Reason::SERVER_UNAVAILABLE
            | Reason::SERVER_BUSY
            | Reason::QUOTA_EXCEEDED
            | Reason::USE_ANOTHER_SERVER
            | Reason::SERVER_MOVED
            | Reason::CONNECTION_RATE_EXCEEDED => Some(3),
            Reason::BAD_USER_NAME_OR_PASSWORD => Some(4),
            Reason::NOT_AUTHORIZED | Reason::BANNED => Some(5),
            _ => None,
        }
    }

    /// The reason for a code of CONNACK; `None`: there is no such code.
    pub(super) fn connack_reason(self, code: u8) -> Option<Reason> {
        let reason = match code {
            _ if self.has_properties() => Reason(code),
            0 => Reason::SUCCESS,
            1 => Reason::UNSUPPORTED_PROTOCOL_VERSION,
            2 => Reason::CLIENT_ID_NOT_VALID,
            3 => Reason::SERVER_UNAVAILABLE,
            4 => Reason::BAD_USER_NAME_OR_PASSWORD,
            5 => Reason::NOT_AUTHORIZED,
            _ => return None,
        };
        Some(reason)
    }

    /// What SUBACK says of one filter. Before 5.0 every failure is 0x80; 3.1 has no failures, but to
    /// claim a granted QoS would be a lie.
    #[must_use]
    pub fn suback_code(self, reason: Reason) -> u8 {
        if self.has_properties() || !reason.is_failure() { reason.0 } else { 0x80 }
    }

    /// Whether CONNACK says that there is a session: not in 3.1.
    pub(super) fn has_session_present(self) -> bool {
        self != Self::V31
    }
}
