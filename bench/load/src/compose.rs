//! What a client sends: MQTT 3.1.1 and 5.

use bytes::{BufMut, BytesMut};

use crate::packet::{Packet, Protocol, STAMP_BYTES, Stamp};

/// First bytes of the answers.
const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;

/// Ends a connection, in both versions.
pub(crate) const DISCONNECT: [u8; 2] = [0xe0, 0];

/// Of a session that is kept. MQTT 3.1.1 leaves that to the server.
const SESSION_EXPIRY_SECONDS: u32 = 3_600;

/// Whether a session outlives its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Session {
    /// It begins and ends with it.
    Clean,
    /// It is resumed, or begins, and is kept; in MQTT 5 for an hour.
    Kept,
}

/// A Will Message of QoS 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Will<'a> {
    pub(crate) topic: &'a str,
    /// At most 65,535 bytes.
    pub(crate) payload: &'a [u8],
}

/// A CONNECT with the longest keep alive; rumqttd refuses to do without.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connect<'a> {
    pub(crate) protocol: Protocol,
    pub(crate) client_id: &'a str,
    pub(crate) session: Session,
    pub(crate) will: Option<Will<'a>>,
}

impl Connect<'_> {
    pub(crate) fn put(&self, out: &mut BytesMut) {
        let mut body = BytesMut::new();
        put_text(&mut body, "MQTT");
        body.put_u8(if self.protocol == Protocol::V5 { 5 } else { 4 });
        let clean = if self.session == Session::Clean { 2 } else { 0 };
        // Will Flag and Will QoS 1.
        body.put_u8(clean | if self.will.is_some() { 0b1100 } else { 0 });
        body.put_u16(u16::MAX);
        if self.protocol == Protocol::V5 {
            put_connect_properties(&mut body, self.session);
        }
        put_text(&mut body, self.client_id);
        if let Some(will) = self.will {
            put_no_properties(&mut body, self.protocol);
            put_text(&mut body, will.topic);
            body.put_u16(u16::try_from(will.payload.len()).expect("as its documentation says"));
            body.put_slice(will.payload);
        }
        put_packet(out, 0x10, &body);
    }
}

/// Session Expiry Interval and Receive Maximum.
fn put_connect_properties(body: &mut BytesMut, session: Session) {
    let mut properties = BytesMut::new();
    if session == Session::Kept {
        properties.put_u8(0x11);
        properties.put_u32(SESSION_EXPIRY_SECONDS);
    }
    properties.put_u8(0x21);
    properties.put_u16(u16::MAX);
    put_length(body, properties.len());
    body.put_slice(&properties);
}

/// Appends a SUBSCRIBE of one filter.
pub(crate) fn put_subscribe(out: &mut BytesMut, protocol: Protocol, filter: &str, qos: u8) {
    let mut body = BytesMut::new();
    body.put_u16(1);
    put_no_properties(&mut body, protocol);
    put_text(&mut body, filter);
    body.put_u8(qos);
    put_packet(out, 0x82, &body);
}

/// What all messages of a load have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publish<'a> {
    pub(crate) protocol: Protocol,
    pub(crate) qos: u8,
    /// What follows the stamp.
    pub(crate) padding: &'a [u8],
}

impl Publish<'_> {
    pub(crate) fn put(&self, out: &mut BytesMut, topic: &str, stamp: Stamp) {
        let id_bytes = if self.qos > 0 { 2 } else { 0 };
        let property_bytes = if self.protocol == Protocol::V5 { 1 } else { 0 };
        let head = 2 + topic.len() + id_bytes + property_bytes;
        out.put_u8(0x30 | self.qos << 1);
        put_length(out, head + STAMP_BYTES + self.padding.len());
        put_text(out, topic);
        if self.qos > 0 {
            out.put_u16(packet_id(stamp.sequence));
        }
        put_no_properties(out, self.protocol);
        put_stamp(out, stamp);
        out.put_slice(self.padding);
    }
}

pub(crate) fn put_stamp(out: &mut BytesMut, stamp: Stamp) {
    out.put_u16(stamp.publisher);
    out.put_uint(stamp.sequence, 6);
    out.put_u64(stamp.meant_at_us);
}

/// Appends what a client answers, if anything. Success needs no reason code in MQTT 5.
pub(crate) fn put_answer(out: &mut BytesMut, packet: Packet) {
    let (first, id) = match packet {
        Packet::Publish { qos: 1, id, .. } => (PUBACK, id),
        Packet::Publish { qos: 2, id, .. } => (PUBREC, id),
        Packet::Pubrec(id) => (PUBREL, id),
        Packet::Pubrel(id) => (PUBCOMP, id),
        Packet::Publish { .. }
        | Packet::Completed(_)
        | Packet::Connack { .. }
        | Packet::Suback(_)
        | Packet::Other => return,
    };
    out.put_slice(&[first, 2]);
    out.put_u16(id);
}

/// What follows the stamp in a payload of so many bytes.
pub(crate) fn padding(size: u32) -> Vec<u8> {
    vec![b'.'; (size as usize).saturating_sub(STAMP_BYTES)]
}

/// Of the message with this sequence number.
fn packet_id(sequence: u64) -> u16 {
    u16::try_from(sequence % 65_535).expect("below 65,535") + 1
}

fn put_no_properties(out: &mut BytesMut, protocol: Protocol) {
    if protocol == Protocol::V5 {
        out.put_u8(0);
    }
}

fn put_packet(out: &mut BytesMut, first: u8, body: &[u8]) {
    out.put_u8(first);
    put_length(out, body.len());
    out.put_slice(body);
}

fn put_length(out: &mut BytesMut, mut length: usize) {
    loop {
        let byte = u8::try_from(length % 128).expect("below 128");
        length /= 128;
        out.put_u8(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            return;
        }
    }
}

fn put_text(out: &mut BytesMut, text: &str) {
    out.put_u16(u16::try_from(text.len()).expect("short"));
    out.put_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { publisher: 1, sequence: 2, meant_at_us: 3 };

    fn written(put: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
        let mut out = BytesMut::new();
        put(&mut out);
        out.to_vec()
    }

    fn connect(protocol: Protocol, session: Session) -> Vec<u8> {
        let connect = Connect { protocol, client_id: "me", session, will: None };
        written(|out| connect.put(out))
    }

    #[test]
    fn connect_of_3_1_1_has_no_properties() {
        let expected = b"\x10\x0e\x00\x04MQTT\x04\x02\xff\xff\x00\x02me";
        assert_eq!(connect(Protocol::V311, Session::Clean), expected);
        assert_eq!(connect(Protocol::V311, Session::Kept)[9], 0);
    }

    #[test]
    fn connect_of_5_says_how_much_it_takes_and_how_long_its_session_is_kept() {
        let clean = b"\x10\x12\x00\x04MQTT\x05\x02\xff\xff\x03\x21\xff\xff\x00\x02me";
        assert_eq!(connect(Protocol::V5, Session::Clean), clean);
        let kept =
            b"\x10\x17\x00\x04MQTT\x05\x00\xff\xff\x08\x11\x00\x00\x0e\x10\x21\xff\xff\x00\x02me";
        assert_eq!(connect(Protocol::V5, Session::Kept), kept);
    }

    #[test]
    fn will_follows_the_client_id_and_has_its_own_properties_in_5() {
        let will = Some(Will { topic: "w", payload: b"x" });
        let tail = |protocol, length: usize| {
            let connect = Connect { protocol, client_id: "me", session: Session::Clean, will };
            let bytes = written(|out| connect.put(out));
            assert_eq!(bytes[9], 0b1110);
            bytes[bytes.len() - length..].to_vec()
        };
        assert_eq!(tail(Protocol::V311, 8), b"me\x00\x01w\x00\x01x");
        assert_eq!(tail(Protocol::V5, 9), b"me\x00\x00\x01w\x00\x01x");
    }

    #[test]
    fn subscribe_of_5_has_a_property_length() {
        let subscribe = |protocol| written(|out| put_subscribe(out, protocol, "a/+", 1));
        assert_eq!(subscribe(Protocol::V311), b"\x82\x08\x00\x01\x00\x03a/+\x01");
        assert_eq!(subscribe(Protocol::V5), b"\x82\x09\x00\x01\x00\x00\x03a/+\x01");
    }

    #[test]
    fn each_side_of_an_exchange_gives_the_answer_that_the_qos_asks_for() {
        let answer = |packet| written(|out| put_answer(out, packet));
        let publish = |qos| Packet::Publish { qos, id: 0x0102, stamp: STAMP };
        assert!(answer(publish(0)).is_empty());
        assert_eq!(answer(publish(1)), [0x40, 2, 1, 2]);
        assert_eq!(answer(publish(2)), [0x50, 2, 1, 2]);
        assert_eq!(answer(Packet::Pubrec(0x0102)), [0x62, 2, 1, 2]);
        assert_eq!(answer(Packet::Pubrel(0x0102)), [0x70, 2, 1, 2]);
        assert!(answer(Packet::Completed(0x0102)).is_empty());
    }
}
