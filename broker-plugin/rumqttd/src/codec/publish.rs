//! PUBLISH (§3.3) as a client sends it.

use bytes::Bytes;
use ha_types::Qos;
use ha_types::limits::PROPERTIES_BYTES_MAX;

use super::frame::Frame;
use super::properties as prop;
use super::reader::Reader;
use super::{DecodeError, Version};

const ALLOWED: &[u8] = &[
    prop::PAYLOAD_FORMAT,
    prop::MESSAGE_EXPIRY,
    prop::CONTENT_TYPE,
    prop::RESPONSE_TOPIC,
    prop::CORRELATION_DATA,
    prop::TOPIC_ALIAS,
    prop::USER_PROPERTY,
];

/// A PUBLISH packet. The topic is UTF-8 without U+0000 and not yet checked as a topic name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Publish {
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    /// Zero at QoS 0 only.
    pub(crate) packet_id: u16,
    /// Empty: named by the alias.
    pub(crate) topic: Bytes,
    pub(crate) topic_alias: Option<u16>,
    pub(crate) expires_in_s: Option<u32>,
    /// What travels with the message: wire encoding without length.
    pub(crate) properties: Bytes,
    pub(crate) payload: Bytes,
}

/// Decodes a PUBLISH.
pub(crate) fn decode(version: Version, frame: Frame) -> Result<Publish, DecodeError> {
    let flags = frame.flags();
    let qos =
        Qos::from_level(u32::from((flags >> 1) & 0x03)).ok_or(DecodeError::Malformed("QoS 3"))?;
    if qos == Qos::AtMostOnce && flags & 0x08 != 0 {
        return Err(DecodeError::Malformed("DUP at QoS 0"));
    }
    let mut reader = Reader::new(frame.body);
    let topic = reader.text()?;
    let packet_id = if qos == Qos::AtMostOnce { 0 } else { reader.packet_id()? };
    let properties = match version {
        Version::V311 => Vec::new(),
        Version::V5 => prop::read(&mut reader, ALLOWED)?,
    };
    let topic_alias =
        prop::number(&properties, prop::TOPIC_ALIAS).and_then(|alias| u16::try_from(alias).ok());
    if topic.is_empty() && topic_alias.is_none() {
        return Err(DecodeError::Protocol("neither topic name nor topic alias"));
    }
    Ok(Publish {
        qos,
        retain: flags & 0x01 != 0,
        packet_id,
        topic,
        topic_alias,
        expires_in_s: prop::number(&properties, prop::MESSAGE_EXPIRY),
        properties: bounded(prop::opaque(&properties))?,
        payload: reader.rest(),
    })
}

/// Properties above the cluster's limit would be refused by every other broker.
pub(crate) fn bounded(properties: Bytes) -> Result<Bytes, DecodeError> {
    if properties.len() > PROPERTIES_BYTES_MAX {
        return Err(DecodeError::TooLarge);
    }
    Ok(properties)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(version: Version, first: u8, body: &'static [u8]) -> Result<Publish, DecodeError> {
        super::decode(version, Frame { first, body: Bytes::from_static(body) })
    }

    /// [MQTT-3.3.1-4], [MQTT-3.3.1-2], [MQTT-2.2.1-2]
    #[test]
    fn publish_refuses_qos_3_and_dup_at_qos_0_and_packet_id_0() {
        assert!(decode(Version::V5, 0x36, b"\0\x01t\0\x01\0").is_err());
        assert!(decode(Version::V5, 0x38, b"\0\x01t\0").is_err());
        assert!(decode(Version::V5, 0x32, b"\0\x01t\0\0\0").is_err());
        assert!(decode(Version::V5, 0x3A, b"\0\x01t\0\x01\0").is_ok());
    }

    #[test]
    fn publish_needs_a_topic_or_an_alias() {
        let empty = DecodeError::Protocol("neither topic name nor topic alias");
        assert_eq!(decode(Version::V311, 0x30, b"\0\0payload"), Err(empty));
        assert_eq!(decode(Version::V5, 0x30, b"\0\0\0"), Err(empty));
        let aliased = decode(Version::V5, 0x30, b"\0\0\x03\x23\0\x05x").unwrap();
        assert_eq!((aliased.topic_alias, &aliased.payload[..]), (Some(5), &b"x"[..]));
        let zero = decode(Version::V5, 0x30, b"\0\0\x03\x23\0\0x");
        assert_eq!(zero, Err(DecodeError::TopicAlias));
    }

    #[test]
    fn subscription_identifier_from_a_client_is_a_protocol_error() {
        let decoded = decode(Version::V5, 0x30, b"\0\x01t\x02\x0B\x01x");
        assert!(matches!(decoded, Err(DecodeError::Protocol(_))));
    }
}
