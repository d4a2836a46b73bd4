//! Reason codes of 5.0 (§2.4), and which packet may have which.

use super::{DecodeError, PacketType, Sender};

/// A reason code. Values from 0x80 are failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason(pub u8);

macro_rules! reasons {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        impl Reason {
            $(#[doc = $text] pub const $name: Self = Self($code);)*

            /// A few words for a log.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self.0 {
                    $($code => $text,)*
                    _ => "unknown reason",
                }
            }
        }
    };
}

reasons! {
    SUCCESS = 0x00, "success";
    GRANTED_QOS_1 = 0x01, "granted QoS 1";
    GRANTED_QOS_2 = 0x02, "granted QoS 2";
    DISCONNECT_WITH_WILL = 0x04, "disconnect with will message";
    NO_MATCHING_SUBSCRIBERS = 0x10, "no matching subscribers";
    NO_SUBSCRIPTION_EXISTED = 0x11, "no subscription existed";
    CONTINUE_AUTHENTICATION = 0x18, "continue authentication";
    REAUTHENTICATE = 0x19, "re-authenticate";
    UNSPECIFIED_ERROR = 0x80, "unspecified error";
    MALFORMED_PACKET = 0x81, "malformed packet";
    PROTOCOL_ERROR = 0x82, "protocol error";
    IMPLEMENTATION_SPECIFIC = 0x83, "implementation specific error";
    UNSUPPORTED_PROTOCOL_VERSION = 0x84, "unsupported protocol version";
    CLIENT_ID_NOT_VALID = 0x85, "client identifier not valid";
    BAD_USER_NAME_OR_PASSWORD = 0x86, "bad user name or password";
    NOT_AUTHORIZED = 0x87, "not authorized";
    SERVER_UNAVAILABLE = 0x88, "server unavailable";
    SERVER_BUSY = 0x89, "server busy";
    BANNED = 0x8A, "banned";
    SERVER_SHUTTING_DOWN = 0x8B, "server shutting down";
    BAD_AUTHENTICATION_METHOD = 0x8C, "bad authentication method";
    KEEP_ALIVE_TIMEOUT = 0x8D, "keep alive timeout";
    SESSION_TAKEN_OVER = 0x8E, "session taken over";
    TOPIC_FILTER_INVALID = 0x8F, "topic filter invalid";
    TOPIC_NAME_INVALID = 0x90, "topic name invalid";
    PACKET_ID_IN_USE = 0x91, "packet identifier in use";
    PACKET_ID_NOT_FOUND = 0x92, "packet identifier not found";
    RECEIVE_MAXIMUM_EXCEEDED = 0x93, "receive maximum exceeded";
    TOPIC_ALIAS_INVALID = 0x94, "topic alias invalid";
    PACKET_TOO_LARGE = 0x95, "packet too large";
    MESSAGE_RATE_TOO_HIGH = 0x96, "message rate too high";
    QUOTA_EXCEEDED = 0x97, "quota exceeded";
    ADMINISTRATIVE_ACTION = 0x98, "administrative action";
    PAYLOAD_FORMAT_INVALID = 0x99, "payload format invalid";
    RETAIN_NOT_SUPPORTED = 0x9A, "retain not supported";
    QOS_NOT_SUPPORTED = 0x9B, "QoS not supported";
    USE_ANOTHER_SERVER = 0x9C, "use another server";
    SERVER_MOVED = 0x9D, "server moved";
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E, "shared subscriptions not supported";
    CONNECTION_RATE_EXCEEDED = 0x9F, "connection rate exceeded";
    MAXIMUM_CONNECT_TIME = 0xA0, "maximum connect time";
    SUBSCRIPTION_IDS_NOT_SUPPORTED = 0xA1, "subscription identifiers not supported";
    WILDCARDS_NOT_SUPPORTED = 0xA2, "wildcard subscriptions not supported";
}

impl Reason {
    /// Whether the sender of the packet says that something was not done.
    #[must_use]
    pub fn is_failure(self) -> bool {
        self.0 >= 0x80
    }

    /// Whether `sender` may put it into this packet of 5.0.
    #[must_use]
    pub fn is_allowed_in(self, packet: PacketType, sender: Sender) -> bool {
        allowed(packet, sender).contains(&self.0)
    }

    /// The reason code `code` of a packet [MQTT-3.4.2-1], [MQTT-3.14.2-1] and their like.
    pub(super) fn check(self, packet: PacketType, sender: Sender) -> Result<Self, DecodeError> {
        if !self.is_allowed_in(packet, sender) {
            return Err(DecodeError::Protocol("a reason code that this packet cannot have"));
        }
        Ok(self)
    }
}

/// The table of §2.4, packet by packet.
fn allowed(packet: PacketType, sender: Sender) -> &'static [u8] {
    match (packet, sender) {
        (PacketType::Connack, _) => &[
            0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90,
            0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
        ],
        (PacketType::Puback | PacketType::Pubrec, _) => {
            &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]
        }
        (PacketType::Pubrel | PacketType::Pubcomp, _) => &[0x00, 0x92],
        (PacketType::Suback, _) => {
            &[0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2]
        }
        (PacketType::Unsuback, _) => &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91],
        (PacketType::Disconnect, Sender::Client) => {
            &[0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99]
        }
        (PacketType::Disconnect, Sender::Server) => &[
            0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94,
            0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
        ],
        (PacketType::Auth, Sender::Client) => &[0x18, 0x19],
        (PacketType::Auth, Sender::Server) => &[0x00, 0x18],
        (
            PacketType::Connect
            | PacketType::Publish
            | PacketType::Subscribe
            | PacketType::Unsubscribe
            | PacketType::Pingreq
            | PacketType::Pingresp,
            _,
        ) => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disconnect_has_other_reasons_in_each_direction() {
        let disconnect = PacketType::Disconnect;
        assert!(Reason::DISCONNECT_WITH_WILL.is_allowed_in(disconnect, Sender::Client));
        assert!(!Reason::DISCONNECT_WITH_WILL.is_allowed_in(disconnect, Sender::Server));
        assert!(!Reason::SESSION_TAKEN_OVER.is_allowed_in(disconnect, Sender::Client));
        assert!(Reason::SESSION_TAKEN_OVER.is_allowed_in(disconnect, Sender::Server));
    }

    #[test]
    fn reason_has_a_text() {
        assert_eq!(Reason::PACKET_TOO_LARGE.as_str(), "packet too large");
        assert_eq!(Reason(0x42).as_str(), "unknown reason");
    }
}
