//! Reads properties one by one, and checks all that can be checked of each.

use std::ops::Range;

use crate::codec::limits::{PROPERTIES_BYTES_MAX, USER_PROPERTIES_MAX};
use crate::codec::reader::{Reader, share};
use crate::codec::{Binary, DecodeError, Text};

use super::*;

/// One property. Fields are borrowed from the packet's body until they are kept.
#[derive(Clone, Debug)]
pub(in crate::codec) struct Property<'a> {
    pub(in crate::codec) id: u8,
    /// Of a number; zero for strings and binary data.
    pub(in crate::codec) number: u32,
    /// Where it is in the body, identifier included.
    whole: Range<usize>,
    /// Where its string or binary data is.
    field: Range<usize>,
    body: &'a Bytes,
}

impl Property<'_> {
    /// A number that the table of types makes at most 65,535.
    pub(in crate::codec) fn two_bytes(&self) -> u16 {
        u16::try_from(self.number).expect("read from two bytes")
    }

    /// Adds it, as it was sent, to others.
    pub(in crate::codec) fn keep(&self, kept: &mut Kept) {
        kept.push(self.whole.clone(), self.body);
    }

    /// A string.
    pub(in crate::codec) fn text(&self) -> Text {
        Text::parse(share(self.body, self.field.clone())).expect("checked when it was read")
    }

    /// Binary data.
    pub(in crate::codec) fn binary(&self) -> Binary {
        Binary::parse(share(self.body, self.field.clone())).expect("its length has 16 bits")
    }
}

/// Reads a property length and that many bytes of properties, and gives each to `visit`.
///
/// Each must be in `allowed` (§2.2.2.2: otherwise malformed), and appear once unless it is a user
/// property or a subscription identifier, which `visit` must judge.
pub(in crate::codec) fn scan<'a>(
    reader: &mut Reader<'a>,
    allowed: PropertySet,
    visit: impl FnMut(Property<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let len = usize::try_from(reader.variable()?).unwrap_or(usize::MAX);
    if len == 0 {
        return Ok(());
    }
    let part = reader.split(len)?;
    if len > PROPERTIES_BYTES_MAX {
        return Err(DecodeError::Quota("too many bytes of properties"));
    }
    each(part, allowed, visit)
}

/// [`scan`] of a reader that holds the properties alone.
pub(super) fn each<'a>(
    mut reader: Reader<'a>,
    allowed: PropertySet,
    mut visit: impl FnMut(Property<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut seen = PropertySet::EMPTY;
    let mut user_properties = 0;
    while !reader.is_empty() {
        let property = read(&mut reader, allowed)?;
        match property.id {
            USER_PROPERTY => user_properties += 1,
            SUBSCRIPTION_ID => (),
            id if seen.insert(id) => (),
            _ => return Err(DecodeError::Protocol("a property appears twice")),
        }
        if user_properties > USER_PROPERTIES_MAX {
            return Err(DecodeError::Quota("too many user properties"));
        }
        visit(property)?;
    }
    Ok(())
}

fn read<'a>(reader: &mut Reader<'a>, allowed: PropertySet) -> Result<Property<'a>, DecodeError> {
    let start = reader.position();
    let id = reader.byte()?;
    let (number, field) = read_value(reader, id)?;
    // First: what is wrong with its value has reasons that only its own packets can be answered with.
    if !allowed.contains(id) {
        return Err(DecodeError::Malformed("a property that this packet cannot have"));
    }
    check_number(id, number)?;
    Ok(Property { id, number, whole: start..reader.position(), field, body: reader.body() })
}

/// The table of types (§2.2.2.2).
fn read_value(reader: &mut Reader<'_>, id: u8) -> Result<(u32, Range<usize>), DecodeError> {
    let number = |number| Ok((number, 0..0));
    match id {
        PAYLOAD_FORMAT
        | REQUEST_PROBLEM_INFORMATION
        | REQUEST_RESPONSE_INFORMATION
        | MAXIMUM_QOS
        | RETAIN_AVAILABLE
        | WILDCARDS_AVAILABLE
        | SUBSCRIPTION_IDS_AVAILABLE
        | SHARED_AVAILABLE => number(u32::from(reader.byte()?)),
        SERVER_KEEP_ALIVE | RECEIVE_MAXIMUM | TOPIC_ALIAS_MAXIMUM | TOPIC_ALIAS => {
            number(u32::from(reader.two_bytes()?))
        }
        MESSAGE_EXPIRY | SESSION_EXPIRY | WILL_DELAY | MAXIMUM_PACKET_SIZE => {
            number(reader.four_bytes()?)
        }
        SUBSCRIPTION_ID => number(reader.variable()?),
        CORRELATION_DATA | AUTHENTICATION_DATA => Ok((0, reader.field()?)),
        CONTENT_TYPE
        | ASSIGNED_CLIENT_ID
        | AUTHENTICATION_METHOD
        | RESPONSE_INFORMATION
        | SERVER_REFERENCE
        | REASON_STRING => Ok((0, reader.text_field()?)),
        RESPONSE_TOPIC => {
            let field = reader.text_field()?;
            check_response_topic(reader.bytes(field.clone()))?;
            Ok((0, field))
        }
        USER_PROPERTY => {
            reader.text_field()?;
            Ok((0, reader.text_field()?))
        }
        _ => Err(DecodeError::Malformed("an unknown property")),
    }
}

/// [MQTT-3.3.2-14], [MQTT-4.7.3-1]
fn check_response_topic(topic: &[u8]) -> Result<(), DecodeError> {
    if topic.is_empty() || topic.iter().any(|byte| matches!(byte, b'+' | b'#')) {
        return Err(DecodeError::Protocol("a response topic that is empty or has wildcards"));
    }
    Ok(())
}

fn check_number(id: u8, number: u32) -> Result<(), DecodeError> {
    match id {
        PAYLOAD_FORMAT
        | REQUEST_PROBLEM_INFORMATION
        | REQUEST_RESPONSE_INFORMATION
        | MAXIMUM_QOS
        | RETAIN_AVAILABLE
        | WILDCARDS_AVAILABLE
        | SUBSCRIPTION_IDS_AVAILABLE
        | SHARED_AVAILABLE
            if number > 1 =>
        {
            Err(DecodeError::Protocol("a property is neither 0 nor 1"))
        }
        RECEIVE_MAXIMUM | MAXIMUM_PACKET_SIZE | SUBSCRIPTION_ID if number == 0 => {
            Err(DecodeError::Protocol("a property that cannot be 0 is 0"))
        }
        TOPIC_ALIAS if number == 0 => Err(DecodeError::TopicAlias),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan_all(bytes: &'static [u8], allowed: PropertySet) -> Result<usize, DecodeError> {
        let body = Bytes::from_static(bytes);
        let mut count = 0;
        let visit = |_| {
            count += 1;
            Ok(())
        };
        scan(&mut Reader::new(&body), allowed, visit).map(|()| count)
    }

    /// 5.0 §2.2.2.2
    #[test]
    fn property_that_the_packet_cannot_have_is_malformed() {
        assert_eq!(scan_all(&[2, PAYLOAD_FORMAT, 1], OPAQUE), Ok(1));
        for bytes in [&[2, PAYLOAD_FORMAT, 1][..], &[1, 0x00], &[1, 0x04], &[1, 0x7F], &[1, 0xFF]] {
            let scanned = scan_all(bytes, REMARKS);
            assert!(matches!(scanned, Err(DecodeError::Malformed(_))), "{bytes:x?}");
        }
        // Whatever its value is: CONNACK, for one, has no reason for a wrong topic alias.
        let alias = scan_all(&[3, TOPIC_ALIAS, 0, 0], CONNECT);
        assert!(matches!(alias, Err(DecodeError::Malformed(_))), "{alias:?}");
    }

    #[test]
    fn property_appears_once_unless_it_is_a_user_property() {
        let twice = scan_all(&[4, PAYLOAD_FORMAT, 1, PAYLOAD_FORMAT, 1], OPAQUE);
        assert_eq!(twice, Err(DecodeError::Protocol("a property appears twice")));
        let user = b"\x0E\x26\0\x01a\0\x01b\x26\0\x01a\0\x01b";
        assert_eq!(scan_all(user, OPAQUE), Ok(2));
    }

    #[test]
    fn property_that_reaches_over_the_end_is_malformed() {
        for bytes in [&b"\x05\x08\0\x09a"[..], b"\x01\x02", b"\x02\x0B\x80", b"\x09", b"\x03\x01"] {
            let scanned = scan_all(bytes, PUBLISH);
            assert!(matches!(scanned, Err(DecodeError::Malformed(_))), "{bytes:?}: {scanned:?}");
        }
    }

    #[test]
    fn flag_is_0_or_1_and_some_numbers_are_not_0() {
        let protocol = |bytes, allowed| {
            let scanned = scan_all(bytes, allowed);
            assert!(matches!(scanned, Err(DecodeError::Protocol(_))), "{bytes:x?}: {scanned:?}");
        };
        protocol(&[2, PAYLOAD_FORMAT, 2], PUBLISH);
        protocol(&[2, REQUEST_PROBLEM_INFORMATION, 2], CONNECT);
        protocol(&[2, REQUEST_RESPONSE_INFORMATION, 0xFF], CONNECT);
        protocol(&[3, RECEIVE_MAXIMUM, 0, 0], CONNECT);
        protocol(&[5, MAXIMUM_PACKET_SIZE, 0, 0, 0, 0], CONNECT);
        protocol(&[2, SUBSCRIPTION_ID, 0], SUBSCRIBE);
        assert_eq!(scan_all(&[3, TOPIC_ALIAS, 0, 0], PUBLISH), Err(DecodeError::TopicAlias));
        assert_eq!(scan_all(&[3, TOPIC_ALIAS_MAXIMUM, 0, 0], CONNECT), Ok(1));
    }

    /// [MQTT-3.3.2-14]
    #[test]
    fn response_topic_is_a_topic_name() {
        for bytes in [&b"\x03\x08\0\0"[..], b"\x04\x08\0\x01+", b"\x06\x08\0\x03a/#"] {
            assert!(matches!(scan_all(bytes, OPAQUE), Err(DecodeError::Protocol(_))), "{bytes:?}");
        }
        assert_eq!(scan_all(b"\x06\x08\0\x03a/b", OPAQUE), Ok(1));
    }

    #[test]
    fn user_properties_are_counted() {
        let some = |count| Bytes::from(b"\x26\0\0\0\0".repeat(count));
        assert_eq!(check_opaque(&some(USER_PROPERTIES_MAX)), Ok(()));
        let many = check_opaque(&some(USER_PROPERTIES_MAX + 1));
        assert_eq!(many, Err(DecodeError::Quota("too many user properties")));
    }
}
