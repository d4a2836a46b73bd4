//! Properties of MQTT 5.0 (§2.2.2): types, where each is allowed, how often, with which values.

use bytes::{Bytes, BytesMut};

use super::DecodeError;
use super::reader::Reader;

pub(crate) const PAYLOAD_FORMAT: u8 = 0x01;
pub(crate) const MESSAGE_EXPIRY: u8 = 0x02;
pub(crate) const CONTENT_TYPE: u8 = 0x03;
pub(crate) const RESPONSE_TOPIC: u8 = 0x08;
pub(crate) const CORRELATION_DATA: u8 = 0x09;
pub(crate) const SUBSCRIPTION_ID: u8 = 0x0B;
pub(crate) const SESSION_EXPIRY: u8 = 0x11;
pub(crate) const ASSIGNED_CLIENT_ID: u8 = 0x12;
pub(crate) const AUTHENTICATION_METHOD: u8 = 0x15;
pub(crate) const AUTHENTICATION_DATA: u8 = 0x16;
pub(crate) const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
pub(crate) const WILL_DELAY: u8 = 0x18;
pub(crate) const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
pub(crate) const REASON_STRING: u8 = 0x1F;
pub(crate) const RECEIVE_MAXIMUM: u8 = 0x21;
pub(crate) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
pub(crate) const TOPIC_ALIAS: u8 = 0x23;
pub(crate) const USER_PROPERTY: u8 = 0x26;
pub(crate) const MAXIMUM_PACKET_SIZE: u8 = 0x27;

/// What a message keeps on its way to subscribers, unread by brokers.
pub(crate) const OPAQUE: &[u8] =
    &[PAYLOAD_FORMAT, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION_DATA, USER_PROPERTY];

/// One property: its value, and its bytes on the wire with the identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Property {
    pub(crate) id: u8,
    /// Of a number; zero for text and binary data.
    pub(crate) number: u32,
    pub(crate) wire: Bytes,
}

/// Reads a property length and that many bytes of properties.
///
/// Each property must be in `allowed`, and appear once unless it is a user property.
pub(crate) fn read(reader: &mut Reader, allowed: &[u8]) -> Result<Vec<Property>, DecodeError> {
    let len = reader.variable()?;
    let bytes = reader.take(usize::try_from(len).unwrap_or(usize::MAX))?;
    read_all(bytes, allowed)
}

/// Checks properties as they cross the cluster: [`OPAQUE`] ones without their length.
pub(crate) fn check_opaque(bytes: &Bytes) -> Result<(), DecodeError> {
    if bytes.is_empty() {
        return Ok(());
    }
    read_all(bytes.clone(), OPAQUE).map(|_| ())
}

/// The [`OPAQUE`] ones of `properties`, as they were sent, in their order.
pub(crate) fn opaque(properties: &[Property]) -> Bytes {
    let mut kept = properties.iter().filter(|property| OPAQUE.contains(&property.id));
    let Some(first) = kept.next() else { return Bytes::new() };
    let Some(second) = kept.next() else { return first.wire.clone() };
    let mut wire = BytesMut::from(&first.wire[..]);
    wire.extend_from_slice(&second.wire);
    kept.for_each(|property| wire.extend_from_slice(&property.wire));
    wire.freeze()
}

/// The number of property `id`, when it is there.
pub(crate) fn number(properties: &[Property], id: u8) -> Option<u32> {
    properties.iter().find(|property| property.id == id).map(|property| property.number)
}

fn read_all(bytes: Bytes, allowed: &[u8]) -> Result<Vec<Property>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let mut seen = 0_u64;
    let mut properties = Vec::new();
    while !reader.is_empty() {
        let property = read_one(&mut reader)?;
        if !allowed.contains(&property.id) {
            return Err(DecodeError::Protocol("a property that this packet cannot have"));
        }
        let bit = 1 << property.id;
        if seen & bit != 0 && property.id != USER_PROPERTY {
            return Err(DecodeError::Protocol("a property appears twice"));
        }
        seen |= bit;
        properties.push(property);
    }
    Ok(properties)
}

fn read_one(reader: &mut Reader) -> Result<Property, DecodeError> {
    let before = reader.clone();
    let id = reader.byte()?;
    let number = read_value(reader, id)?;
    check_value(id, number)?;
    let wire = before.rest();
    let len = wire.len() - reader.len();
    Ok(Property { id, number, wire: wire.slice(..len) })
}

/// Identifiers that the table does not have are malformed; all that it has are below 64.
fn read_value(reader: &mut Reader, id: u8) -> Result<u32, DecodeError> {
    match id {
        PAYLOAD_FORMAT | REQUEST_PROBLEM_INFORMATION | REQUEST_RESPONSE_INFORMATION => {
            reader.byte().map(u32::from)
        }
        RECEIVE_MAXIMUM | TOPIC_ALIAS_MAXIMUM | TOPIC_ALIAS => reader.two_bytes().map(u32::from),
        MESSAGE_EXPIRY | SESSION_EXPIRY | WILL_DELAY | MAXIMUM_PACKET_SIZE => reader.four_bytes(),
        SUBSCRIPTION_ID => reader.variable(),
        CORRELATION_DATA | AUTHENTICATION_DATA => reader.binary().map(|_| 0),
        CONTENT_TYPE | AUTHENTICATION_METHOD | REASON_STRING => reader.text().map(|_| 0),
        RESPONSE_TOPIC => check_response_topic(&reader.text()?),
        USER_PROPERTY => reader.text().and_then(|_| reader.text()).map(|_| 0),
        _ => Err(DecodeError::Malformed("an unknown property")),
    }
}

/// [MQTT-3.3.2-14]
fn check_response_topic(topic: &[u8]) -> Result<u32, DecodeError> {
    if topic.is_empty() || topic.iter().any(|byte| matches!(byte, b'+' | b'#')) {
        return Err(DecodeError::Protocol("a response topic that is empty or has wildcards"));
    }
    Ok(0)
}

fn check_value(id: u8, number: u32) -> Result<(), DecodeError> {
    let flags = [PAYLOAD_FORMAT, REQUEST_PROBLEM_INFORMATION, REQUEST_RESPONSE_INFORMATION];
    let positive = [RECEIVE_MAXIMUM, MAXIMUM_PACKET_SIZE, SUBSCRIPTION_ID];
    if flags.contains(&id) && number > 1 {
        return Err(DecodeError::Protocol("a property is neither 0 nor 1"));
    }
    if positive.contains(&id) && number == 0 {
        return Err(DecodeError::Protocol("a property that cannot be 0 is 0"));
    }
    if id == TOPIC_ALIAS && number == 0 {
        return Err(DecodeError::TopicAlias);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_from(bytes: &'static [u8], allowed: &[u8]) -> Result<Vec<Property>, DecodeError> {
        read(&mut Reader::new(Bytes::from_static(bytes)), allowed)
    }

    #[test]
    fn property_must_be_allowed_and_appear_once() {
        assert!(read_from(&[2, PAYLOAD_FORMAT, 1], OPAQUE).is_ok());
        assert!(read_from(&[2, PAYLOAD_FORMAT, 1], &[]).is_err());
        assert!(read_from(&[4, PAYLOAD_FORMAT, 1, PAYLOAD_FORMAT, 1], OPAQUE).is_err());
        assert!(read_from(&[2, PAYLOAD_FORMAT, 2], OPAQUE).is_err());
    }

    #[test]
    fn user_property_may_appear_twice() {
        let twice = b"\x0E\x26\0\x01a\0\x01b\x26\0\x01a\0\x01b";
        assert_eq!(read_from(twice, OPAQUE).unwrap().len(), 2);
    }

    #[test]
    fn property_that_reaches_over_the_end_is_malformed() {
        for bytes in [&b"\x05\x08\0\x09a"[..], b"\x01\x02", b"\x02\x0B\x80", b"\x01\x7F", b"\x09"] {
            let allowed = &[RESPONSE_TOPIC, MESSAGE_EXPIRY, SUBSCRIPTION_ID];
            let read = read(&mut Reader::new(Bytes::from_static(bytes)), allowed);
            assert!(matches!(read, Err(DecodeError::Malformed(_))), "{bytes:?}: {read:?}");
        }
    }

    #[test]
    fn opaque_keeps_the_bytes_and_leaves_out_what_is_for_the_broker() {
        let allowed = &[OPAQUE, &[MESSAGE_EXPIRY, TOPIC_ALIAS]].concat();
        let all = b"\x0A\x01\x01\x23\0\x01\x02\0\0\0\x09";
        let properties = read_from(all, allowed).unwrap();
        assert_eq!(&opaque(&properties)[..], [PAYLOAD_FORMAT, 1]);
        assert_eq!(number(&properties, MESSAGE_EXPIRY), Some(9));
        assert_eq!(check_opaque(&opaque(&properties)), Ok(()));
        assert!(check_opaque(&Bytes::from_static(b"\x23\0\x01")).is_err());
    }
}
