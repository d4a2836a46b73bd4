//! Properties of 5.0 (§2.2.2): their types, and which packet may have which.

mod kept;
mod scan;
mod write;

pub(super) use kept::Kept;
pub(super) use scan::{Property, scan};
pub(super) use write::{put_field, put_four, put_one, put_two, put_variable};

use bytes::Bytes;

use super::reader::Reader;
use super::{DecodeError, UserProperties};

pub(super) const PAYLOAD_FORMAT: u8 = 0x01;
pub(super) const MESSAGE_EXPIRY: u8 = 0x02;
pub(super) const CONTENT_TYPE: u8 = 0x03;
pub(super) const RESPONSE_TOPIC: u8 = 0x08;
pub(super) const CORRELATION_DATA: u8 = 0x09;
pub(super) const SUBSCRIPTION_ID: u8 = 0x0B;
pub(super) const SESSION_EXPIRY: u8 = 0x11;
pub(super) const ASSIGNED_CLIENT_ID: u8 = 0x12;
pub(super) const SERVER_KEEP_ALIVE: u8 = 0x13;
pub(super) const AUTHENTICATION_METHOD: u8 = 0x15;
pub(super) const AUTHENTICATION_DATA: u8 = 0x16;
pub(super) const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
pub(super) const WILL_DELAY: u8 = 0x18;
pub(super) const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
pub(super) const RESPONSE_INFORMATION: u8 = 0x1A;
pub(super) const SERVER_REFERENCE: u8 = 0x1C;
pub(super) const REASON_STRING: u8 = 0x1F;
pub(super) const RECEIVE_MAXIMUM: u8 = 0x21;
pub(super) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
pub(super) const TOPIC_ALIAS: u8 = 0x23;
pub(super) const MAXIMUM_QOS: u8 = 0x24;
pub(super) const RETAIN_AVAILABLE: u8 = 0x25;
pub(super) const USER_PROPERTY: u8 = 0x26;
pub(super) const MAXIMUM_PACKET_SIZE: u8 = 0x27;
pub(super) const WILDCARDS_AVAILABLE: u8 = 0x28;
pub(super) const SUBSCRIPTION_IDS_AVAILABLE: u8 = 0x29;
pub(super) const SHARED_AVAILABLE: u8 = 0x2A;

/// A set of property identifiers; all that exist are below 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PropertySet(u64);

impl PropertySet {
    pub(super) const EMPTY: Self = Self(0);

    const fn of(ids: &[u8]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < ids.len() {
            bits |= 1 << ids[at];
            at += 1;
        }
        Self(bits)
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn contains(self, id: u8) -> bool {
        id < 64 && self.0 & (1 << id) != 0
    }

    /// Whether `id` was not in it before.
    fn insert(&mut self, id: u8) -> bool {
        let before = self.0;
        self.0 |= 1 << id;
        self.0 != before
    }
}

/// What a message keeps on its way to subscribers, unread by brokers.
pub(super) const OPAQUE: PropertySet = PropertySet::of(&[
    PAYLOAD_FORMAT,
    CONTENT_TYPE,
    RESPONSE_TOPIC,
    CORRELATION_DATA,
    USER_PROPERTY,
]);
pub(super) const USER: PropertySet = PropertySet::of(&[USER_PROPERTY]);
pub(super) const PUBLISH: PropertySet =
    OPAQUE.and(PropertySet::of(&[MESSAGE_EXPIRY, TOPIC_ALIAS, SUBSCRIPTION_ID]));
pub(super) const WILL: PropertySet = OPAQUE.and(PropertySet::of(&[MESSAGE_EXPIRY, WILL_DELAY]));
/// Of PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK; of all other answers too.
pub(super) const REMARKS: PropertySet = USER.and(PropertySet::of(&[REASON_STRING]));
pub(super) const SUBSCRIBE: PropertySet = USER.and(PropertySet::of(&[SUBSCRIPTION_ID]));
pub(super) const CLIENT_DISCONNECT: PropertySet = REMARKS.and(PropertySet::of(&[SESSION_EXPIRY]));
pub(super) const SERVER_DISCONNECT: PropertySet = REMARKS.and(PropertySet::of(&[SERVER_REFERENCE]));
pub(super) const AUTH: PropertySet =
    REMARKS.and(PropertySet::of(&[AUTHENTICATION_METHOD, AUTHENTICATION_DATA]));
pub(super) const CONNECT: PropertySet = USER.and(PropertySet::of(&[
    SESSION_EXPIRY,
    RECEIVE_MAXIMUM,
    MAXIMUM_PACKET_SIZE,
    TOPIC_ALIAS_MAXIMUM,
    REQUEST_RESPONSE_INFORMATION,
    REQUEST_PROBLEM_INFORMATION,
    AUTHENTICATION_METHOD,
    AUTHENTICATION_DATA,
]));
pub(super) const CONNACK: PropertySet = AUTH.and(PropertySet::of(&[
    SESSION_EXPIRY,
    RECEIVE_MAXIMUM,
    MAXIMUM_QOS,
    RETAIN_AVAILABLE,
    MAXIMUM_PACKET_SIZE,
    ASSIGNED_CLIENT_ID,
    TOPIC_ALIAS_MAXIMUM,
    WILDCARDS_AVAILABLE,
    SUBSCRIPTION_IDS_AVAILABLE,
    SHARED_AVAILABLE,
    SERVER_KEEP_ALIVE,
    RESPONSE_INFORMATION,
    SERVER_REFERENCE,
]));

/// Reads properties of which only the user properties are of interest.
pub(super) fn user_properties(reader: &mut Reader<'_>) -> Result<UserProperties, DecodeError> {
    let mut kept = Kept::default();
    scan(reader, USER, |property| {
        property.keep(&mut kept);
        Ok(())
    })?;
    Ok(UserProperties::kept(kept, reader))
}

/// Checks properties that came another way than in a packet: in wire encoding without their length,
/// as `ha_types::Message` has them.
///
/// # Errors
/// As of a PUBLISH with these properties.
pub fn check_opaque(properties: &Bytes) -> Result<(), DecodeError> {
    scan::each(Reader::new(properties), OPAQUE, |_| Ok(()))
}
