//! CONNECT (§3.1) of both versions on one port, by protocol name and level.

use bytes::Bytes;
use ha_types::{Qos, TopicName};

use super::frame::Frame;
use super::properties as prop;
use super::publish::bounded;
use super::reader::Reader;
use super::{DecodeError, Reason, Version};

const PROPERTIES: &[u8] = &[
    prop::SESSION_EXPIRY,
    prop::RECEIVE_MAXIMUM,
    prop::MAXIMUM_PACKET_SIZE,
    prop::TOPIC_ALIAS_MAXIMUM,
    prop::REQUEST_RESPONSE_INFORMATION,
    prop::REQUEST_PROBLEM_INFORMATION,
    prop::USER_PROPERTY,
    prop::AUTHENTICATION_METHOD,
    prop::AUTHENTICATION_DATA,
];

const WILL_PROPERTIES: &[u8] = &[
    prop::WILL_DELAY,
    prop::PAYLOAD_FORMAT,
    prop::MESSAGE_EXPIRY,
    prop::CONTENT_TYPE,
    prop::RESPONSE_TOPIC,
    prop::CORRELATION_DATA,
    prop::USER_PROPERTY,
];

/// Session Expiry Interval of a session that does not expire.
pub(crate) const NEVER_EXPIRES: u32 = u32::MAX;

/// A CONNECT packet. User name and password are checked for form and then ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Connect {
    pub(crate) version: Version,
    /// Empty: the client asks for one.
    pub(crate) client_id: String,
    /// Clean Session of 3.1.1.
    pub(crate) clean_start: bool,
    /// Zero: none.
    pub(crate) keep_alive_s: u16,
    /// Zero: the session ends with the connection. 3.1.1: zero or [`NEVER_EXPIRES`].
    pub(crate) session_expiry_s: u32,
    pub(crate) receive_maximum: u16,
    pub(crate) packet_bytes_max: usize,
    /// Whether Reason Strings may be sent in other packets than CONNACK and DISCONNECT.
    pub(crate) wants_reasons: bool,
    pub(crate) will: Option<Will>,
}

/// A Will Message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Will {
    pub(crate) topic: TopicName,
    pub(crate) payload: Bytes,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) properties: Bytes,
    pub(crate) expires_in_s: Option<u32>,
    pub(crate) delay_s: u32,
}

/// Why a CONNECT is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Not MQTT, or not a CONNECT: the connection is closed without an answer.
    #[error("the first packet is not a CONNECT of MQTT")]
    NotMqtt,
    /// Answered with a CONNACK in the form of this version.
    #[error("CONNECT refused with reason {reason:?}")]
    Refused {
        /// How to answer.
        version: Version,
        /// Why.
        reason: Reason,
    },
}

/// Decodes the first packet of a connection.
pub(crate) fn decode(frame: Frame) -> Result<Connect, ConnectError> {
    if frame.packet_type() != 1 {
        return Err(ConnectError::NotMqtt);
    }
    let flags = frame.flags();
    let mut reader = Reader::new(frame.body);
    let version = version(&mut reader)?;
    let refuse = |error: DecodeError| ConnectError::Refused { version, reason: error.reason() };
    if flags != 0 {
        return Err(refuse(DecodeError::Malformed("reserved flags of the fixed header")));
    }
    let mut fields = fields(version, &mut reader).map_err(refuse)?;
    if fields.has_authentication {
        return Err(ConnectError::Refused { version, reason: Reason::BAD_AUTHENTICATION_METHOD });
    }
    if fields.flags & 0x04 != 0 {
        fields.connect.will = Some(will(version, fields.flags, &mut reader)?);
    }
    credentials(fields.flags, &mut reader).and_then(|()| reader.finish()).map_err(refuse)?;
    Ok(fields.connect)
}

struct Fields {
    connect: Connect,
    flags: u8,
    has_authentication: bool,
}

/// Protocol name and level.
fn version(reader: &mut Reader) -> Result<Version, ConnectError> {
    let name = reader.binary().map_err(|_| ConnectError::NotMqtt)?;
    let level = reader.byte().map_err(|_| ConnectError::NotMqtt)?;
    let unsupported = |version| {
        Err(ConnectError::Refused { version, reason: Reason::UNSUPPORTED_PROTOCOL_VERSION })
    };
    match (&name[..], level) {
        (b"MQTT", 4) => Ok(Version::V311),
        (b"MQTT", 5) => Ok(Version::V5),
        (b"MQTT", 6..) => unsupported(Version::V5),
        (b"MQTT" | b"MQIsdp", _) => unsupported(Version::V311),
        _ => Err(ConnectError::NotMqtt),
    }
}

fn fields(version: Version, reader: &mut Reader) -> Result<Fields, DecodeError> {
    let flags = reader.byte()?;
    check_flags(version, flags)?;
    let keep_alive_s = reader.two_bytes()?;
    let properties = match version {
        Version::V311 => Vec::new(),
        Version::V5 => prop::read(reader, PROPERTIES)?,
    };
    let number = |id| prop::number(&properties, id);
    let has_authentication = number(prop::AUTHENTICATION_METHOD).is_some();
    if number(prop::AUTHENTICATION_DATA).is_some() && !has_authentication {
        return Err(DecodeError::Protocol("authentication data without a method"));
    }
    let client_id = utf8(&reader.text()?);
    let clean_start = flags & 0x02 != 0;
    let session_expiry_s = match version {
        Version::V311 if clean_start => 0,
        Version::V311 => NEVER_EXPIRES,
        Version::V5 => number(prop::SESSION_EXPIRY).unwrap_or(0),
    };
    let receive_maximum = number(prop::RECEIVE_MAXIMUM).and_then(|max| u16::try_from(max).ok());
    let packet_bytes_max = number(prop::MAXIMUM_PACKET_SIZE).map(usize::try_from);
    let connect = Connect {
        version,
        client_id,
        clean_start,
        keep_alive_s,
        session_expiry_s,
        receive_maximum: receive_maximum.unwrap_or(u16::MAX),
        packet_bytes_max: packet_bytes_max.and_then(Result::ok).unwrap_or(usize::MAX),
        wants_reasons: number(prop::REQUEST_PROBLEM_INFORMATION) != Some(0),
        will: None,
    };
    Ok(Fields { connect, flags, has_authentication })
}

/// [MQTT-3.1.2-3], [MQTT-3.1.2-11] to [MQTT-3.1.2-14], 3.1.1 [MQTT-3.1.2-22]
fn check_flags(version: Version, flags: u8) -> Result<(), DecodeError> {
    let (has_will, will_flags) = (flags & 0x04 != 0, flags & 0x38);
    let has_only_password = flags & 0xC0 == 0x40;
    if flags & 0x01 != 0 {
        return Err(DecodeError::Malformed("reserved flag of CONNECT"));
    }
    if will_flags & 0x18 == 0x18 || (!has_will && will_flags != 0) {
        return Err(DecodeError::Malformed("will flags"));
    }
    if version == Version::V311 && has_only_password {
        return Err(DecodeError::Malformed("a password without a user name"));
    }
    Ok(())
}

fn will(version: Version, flags: u8, reader: &mut Reader) -> Result<Will, ConnectError> {
    let refuse = |error: DecodeError| ConnectError::Refused { version, reason: error.reason() };
    let properties = match version {
        Version::V311 => Vec::new(),
        Version::V5 => prop::read(reader, WILL_PROPERTIES).map_err(refuse)?,
    };
    let topic = reader.text().map_err(refuse)?;
    let payload = reader.binary().map_err(refuse)?;
    let topic = TopicName::parse(topic)
        .map_err(|_| ConnectError::Refused { version, reason: Reason::TOPIC_NAME_INVALID })?;
    Ok(Will {
        topic,
        payload,
        qos: Qos::from_level(u32::from((flags >> 3) & 0x03)).unwrap_or_default(),
        retain: flags & 0x20 != 0,
        properties: bounded(prop::opaque(&properties)).map_err(refuse)?,
        expires_in_s: prop::number(&properties, prop::MESSAGE_EXPIRY),
        delay_s: prop::number(&properties, prop::WILL_DELAY).unwrap_or(0),
    })
}

/// User name and password must be there when their flags say so. Nothing else is asked of them.
fn credentials(flags: u8, reader: &mut Reader) -> Result<(), DecodeError> {
    if flags & 0x80 != 0 {
        reader.text()?;
    }
    if flags & 0x40 != 0 {
        reader.binary()?;
    }
    Ok(())
}

fn utf8(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(body: &'static [u8]) -> Result<Connect, ConnectError> {
        super::decode(Frame { first: 0x10, body: Bytes::from_static(body) })
    }

    fn refused(version: Version, reason: Reason) -> Result<Connect, ConnectError> {
        Err(ConnectError::Refused { version, reason })
    }

    #[test]
    fn versions_4_and_5_are_told_apart_by_their_level() {
        assert_eq!(decode(b"\0\x04MQTT\x04\x02\0\0\0\x01c").unwrap().version, Version::V311);
        assert_eq!(decode(b"\0\x04MQTT\x05\x02\0\0\0\0\x01c").unwrap().version, Version::V5);
    }

    #[test]
    fn other_versions_are_refused_in_a_form_that_they_understand() {
        let unsupported = Reason::UNSUPPORTED_PROTOCOL_VERSION;
        assert_eq!(decode(b"\0\x06MQIsdp\x03\x02"), refused(Version::V311, unsupported));
        assert_eq!(decode(b"\0\x04MQTT\x03\x02"), refused(Version::V311, unsupported));
        assert_eq!(decode(b"\0\x04MQTT\x06\x02"), refused(Version::V5, unsupported));
        assert_eq!(decode(b"\0\x04HTTP\x05\x02"), Err(ConnectError::NotMqtt));
    }

    #[test]
    fn connect_flags_must_be_consistent() {
        let malformed = refused(Version::V311, Reason::MALFORMED_PACKET);
        assert_eq!(decode(b"\0\x04MQTT\x04\x03\0\0\0\x01c"), malformed);
        assert_eq!(decode(b"\0\x04MQTT\x04\x0A\0\0\0\x01c"), malformed);
        assert_eq!(decode(b"\0\x04MQTT\x04\x1E\0\0\0\x01c\0\x01w\0\0"), malformed);
        assert_eq!(decode(b"\0\x04MQTT\x04\x42\0\0\0\x01c\0\x01p"), malformed);
        assert!(decode(b"\0\x04MQTT\x05\x42\0\0\0\0\x01c\0\x01p").is_ok());
    }

    #[test]
    fn authentication_method_is_refused() {
        let body = b"\0\x04MQTT\x05\x02\0\0\x04\x15\0\x01m\0\x01c";
        assert_eq!(decode(body), refused(Version::V5, Reason::BAD_AUTHENTICATION_METHOD));
    }

    #[test]
    fn will_topic_must_be_a_topic_name() {
        let body = b"\0\x04MQTT\x05\x06\0\0\0\0\x01c\0\0\x01#\0\0";
        assert_eq!(decode(body), refused(Version::V5, Reason::TOPIC_NAME_INVALID));
    }

    #[test]
    fn session_of_3_1_1_lives_for_ever_unless_it_is_clean() {
        let kept = decode(b"\0\x04MQTT\x04\0\0\0\0\x01c").unwrap();
        assert_eq!(kept.session_expiry_s, NEVER_EXPIRES);
        let clean = decode(b"\0\x04MQTT\x04\x02\0\0\0\x01c").unwrap();
        assert_eq!(clean.session_expiry_s, 0);
    }
}
