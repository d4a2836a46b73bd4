//! The packets that this broker sends, appended to a connection's buffer.

use bytes::{BufMut, Bytes, BytesMut};
use ha_types::Qos;

use super::properties as prop;
use super::{Reason, Version};

/// How a client is written to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) version: Version,
    /// Maximum Packet Size of the client.
    pub(crate) packet_bytes_max: usize,
    /// Whether PUBACK and the like may carry a Reason String.
    pub(crate) wants_reasons: bool,
}

/// What a CONNACK of 5.0 announces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Announcement<'a> {
    pub(crate) receive_maximum: u16,
    pub(crate) packet_bytes_max: u32,
    pub(crate) topic_alias_maximum: u16,
    pub(crate) assigned_client_id: Option<&'a str>,
}

/// Whether CONNACK says that we have the client's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionPresent {
    No,
    Yes,
}

/// Which acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AckKind {
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
}

impl AckKind {
    fn first_byte(self) -> u8 {
        match self {
            Self::Puback => 0x40,
            Self::Pubrec => 0x50,
            Self::Pubrel => 0x62,
            Self::Pubcomp => 0x70,
        }
    }
}

/// A message to one subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) topic: Bytes,
    pub(crate) payload: Bytes,
    /// Wire encoding without length: what the publisher sent.
    pub(crate) properties: Bytes,
    pub(crate) expires_in_s: Option<u32>,
    pub(crate) subscription_id: Option<u32>,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
}

pub(crate) const PINGRESP: [u8; 2] = [0xD0, 0];

/// CONNACK that accepts.
pub(crate) fn connack(
    out: &mut BytesMut,
    version: Version,
    present: SessionPresent,
    announced: &Announcement<'_>,
) {
    let flags = u8::from(present == SessionPresent::Yes);
    let mut body = BytesMut::from(&[flags, 0][..]);
    if version == Version::V5 {
        let mut properties = BytesMut::new();
        properties.put_u8(prop::RECEIVE_MAXIMUM);
        properties.put_u16(announced.receive_maximum);
        properties.put_u8(prop::MAXIMUM_PACKET_SIZE);
        properties.put_u32(announced.packet_bytes_max);
        properties.put_u8(prop::TOPIC_ALIAS_MAXIMUM);
        properties.put_u16(announced.topic_alias_maximum);
        if let Some(id) = announced.assigned_client_id {
            properties.put_u8(prop::ASSIGNED_CLIENT_ID);
            put_text(&mut properties, id);
        }
        put_variable(&mut body, properties.len());
        body.extend_from_slice(&properties);
    }
    put_packet(out, 0x20, &body);
}

/// CONNACK that refuses. Nothing for what 3.1.1 only answers by closing.
pub(crate) fn connack_refusal(out: &mut BytesMut, version: Version, reason: Reason) {
    match version {
        Version::V5 => put_packet(out, 0x20, &[0, reason.0, 0]),
        Version::V311 => {
            if let Some(code) = reason.connack_v311() {
                put_packet(out, 0x20, &[0, code]);
            }
        }
    }
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP. `why` is sent when the client wants it and it fits.
pub(crate) fn ack(
    out: &mut BytesMut,
    peer: &Peer,
    (kind, packet_id): (AckKind, u16),
    (reason, why): (Reason, Option<&str>),
) {
    let mut body = BytesMut::new();
    body.put_u16(packet_id);
    if peer.version == Version::V5 && reason != Reason::SUCCESS {
        body.put_u8(reason.0);
        if let Some(why) = why.filter(|_| peer.wants_reasons) {
            put_reason(&mut body, peer, why);
        }
    }
    put_packet(out, kind.first_byte(), &body);
}

/// SUBACK with one reason per filter.
pub(crate) fn suback(out: &mut BytesMut, version: Version, packet_id: u16, reasons: &[Reason]) {
    let mut body = BytesMut::new();
    body.put_u16(packet_id);
    match version {
        Version::V311 => body.extend(reasons.iter().map(|reason| reason.suback_v311())),
        Version::V5 => {
            body.put_u8(0);
            body.extend(reasons.iter().map(|reason| reason.0));
        }
    }
    put_packet(out, 0x90, &body);
}

/// UNSUBACK; only 5.0 has reasons.
pub(crate) fn unsuback(out: &mut BytesMut, version: Version, packet_id: u16, reasons: &[Reason]) {
    let mut body = BytesMut::new();
    body.put_u16(packet_id);
    if version == Version::V5 {
        body.put_u8(0);
        body.extend(reasons.iter().map(|reason| reason.0));
    }
    put_packet(out, 0xB0, &body);
}

/// DISCONNECT, which only 5.0 allows servers to send.
pub(crate) fn disconnect(out: &mut BytesMut, peer: &Peer, reason: Reason, why: Option<&str>) {
    if peer.version != Version::V5 {
        return;
    }
    let mut body = BytesMut::from(&[reason.0][..]);
    if let Some(why) = why {
        put_reason(&mut body, peer, why);
    }
    put_packet(out, 0xE0, &body);
}

/// Why a message was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("larger than the client's Maximum Packet Size")]
pub(crate) struct TooLargeForClient;

/// PUBLISH. `packet_id` is zero at QoS 0.
///
/// # Errors
/// [`TooLargeForClient`], and nothing is written [MQTT-3.1.2-24].
pub(crate) fn publish(
    out: &mut BytesMut,
    peer: &Peer,
    message: &Outgoing,
    packet_id: u16,
) -> Result<(), TooLargeForClient> {
    let properties_len = publish_properties_len(message);
    let mut len = 2 + message.topic.len() + message.payload.len();
    if message.qos != Qos::AtMostOnce {
        len += 2;
    }
    if peer.version == Version::V5 {
        len += variable_len(properties_len) + properties_len;
    }
    if 1 + variable_len(len) + len > peer.packet_bytes_max {
        return Err(TooLargeForClient);
    }
    out.reserve(5 + len);
    out.put_u8(0x30 | message.qos.level() << 1 | u8::from(message.retain));
    put_variable(out, len);
    put_bytes(out, &message.topic);
    if message.qos != Qos::AtMostOnce {
        out.put_u16(packet_id);
    }
    if peer.version == Version::V5 {
        put_variable(out, properties_len);
        put_publish_properties(out, message);
    }
    out.extend_from_slice(&message.payload);
    Ok(())
}

fn publish_properties_len(message: &Outgoing) -> usize {
    let expiry = if message.expires_in_s.is_some() { 5 } else { 0 };
    let id = message.subscription_id.map_or(0, |id| 1 + variable_len(id as usize));
    message.properties.len() + expiry + id
}

fn put_publish_properties(out: &mut BytesMut, message: &Outgoing) {
    out.extend_from_slice(&message.properties);
    if let Some(expires_in_s) = message.expires_in_s {
        out.put_u8(prop::MESSAGE_EXPIRY);
        out.put_u32(expires_in_s);
    }
    if let Some(id) = message.subscription_id {
        out.put_u8(prop::SUBSCRIPTION_ID);
        put_variable(out, id as usize);
    }
}

/// Properties with one Reason String, or nothing when the client could not take the packet.
fn put_reason(body: &mut BytesMut, peer: &Peer, why: &str) {
    let properties_len = 3 + why.len();
    if body.len() + 5 + 4 + properties_len > peer.packet_bytes_max {
        return;
    }
    put_variable(body, properties_len);
    body.put_u8(prop::REASON_STRING);
    put_text(body, why);
}

fn put_packet(out: &mut BytesMut, first: u8, body: &[u8]) {
    out.put_u8(first);
    put_variable(out, body.len());
    out.extend_from_slice(body);
}

fn put_text(out: &mut BytesMut, text: &str) {
    put_bytes(out, text.as_bytes());
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u16(u16::try_from(bytes.len()).expect("strings are parsed from 16-bit lengths"));
    out.extend_from_slice(bytes);
}

fn variable_len(value: usize) -> usize {
    match value {
        0..128 => 1,
        128..16_384 => 2,
        16_384..2_097_152 => 3,
        _ => 4,
    }
}

/// Variable Byte Integer.
pub(crate) fn put_variable(out: &mut BytesMut, mut value: usize) {
    loop {
        let byte = u8::try_from(value & 0x7F).expect("seven bits");
        value >>= 7;
        if value == 0 {
            return out.put_u8(byte);
        }
        out.put_u8(byte | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V5: Peer =
        Peer { version: Version::V5, packet_bytes_max: usize::MAX, wants_reasons: true };
    const V311: Peer = Peer { version: Version::V311, ..V5 };

    fn message() -> Outgoing {
        Outgoing {
            topic: Bytes::from_static(b"t"),
            payload: Bytes::from_static(b"p"),
            properties: Bytes::from_static(&[prop::PAYLOAD_FORMAT, 1]),
            expires_in_s: Some(9),
            subscription_id: Some(200),
            qos: Qos::AtLeastOnce,
            retain: true,
        }
    }

    #[test]
    fn publish_to_a_3_1_1_subscriber_has_no_properties() {
        let mut out = BytesMut::new();
        publish(&mut out, &V311, &message(), 7).unwrap();
        assert_eq!(&out[..], b"\x33\x06\0\x01t\0\x07p");
    }

    #[test]
    fn publish_to_a_5_0_subscriber_has_what_was_sent_and_expiry_and_subscription_id() {
        let mut out = BytesMut::new();
        publish(&mut out, &V5, &message(), 7).unwrap();
        assert_eq!(&out[..], b"\x33\x11\0\x01t\0\x07\x0A\x01\x01\x02\0\0\0\x09\x0B\xC8\x01p");
    }

    /// [MQTT-3.1.2-24]
    #[test]
    fn publish_above_the_clients_maximum_packet_size_is_not_written() {
        let mut out = BytesMut::new();
        let peer = Peer { packet_bytes_max: 18, ..V5 };
        assert_eq!(publish(&mut out, &peer, &message(), 7), Err(TooLargeForClient));
        assert!(out.is_empty());
        assert_eq!(publish(&mut out, &Peer { packet_bytes_max: 19, ..V5 }, &message(), 7), Ok(()));
        assert_eq!(out.len(), 19);
    }

    #[test]
    fn disconnect_is_well_formed_and_only_for_5_0() {
        let mut out = BytesMut::new();
        disconnect(&mut out, &V311, Reason::PROTOCOL_ERROR, Some("why"));
        assert!(out.is_empty());
        disconnect(&mut out, &V5, Reason::PROTOCOL_ERROR, None);
        assert_eq!(&out[..], [0xE0, 1, 0x82]);
        out.clear();
        disconnect(&mut out, &V5, Reason::PROTOCOL_ERROR, Some("why"));
        assert_eq!(&out[..], b"\xE0\x08\x82\x06\x1F\0\x03why");
    }

    #[test]
    fn reason_string_is_left_out_when_the_client_does_not_want_it() {
        let mut out = BytesMut::new();
        let peer = Peer { wants_reasons: false, ..V5 };
        let answer = (Reason::TOPIC_NAME_INVALID, Some("why"));
        ack(&mut out, &peer, (AckKind::Puback, 1), answer);
        assert_eq!(&out[..], [0x40, 3, 0, 1, 0x90]);
    }
}
