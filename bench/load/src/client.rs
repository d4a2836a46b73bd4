//! As much of an MQTT 3.1.1 client as a measurement needs, over a raw socket.

use std::io;

use bytes::{Buf, BufMut, BytesMut, TryGetError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Publisher, sequence number and intended time of sending: 2, 6 and 8 bytes.
pub(crate) const STAMP_BYTES: usize = 16;

/// Room for the first answers; many connections may be open.
const ANSWER_BYTES: usize = 64;

/// Room for what is read.
const READ_BYTES: usize = 1 << 16;

/// First bytes of the answers.
const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;

/// What a packet from the broker is, as far as a load cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    /// `id` is 0 at QoS 0.
    Publish {
        qos: u8,
        id: u16,
        stamp: Stamp,
    },
    Pubrec(u16),
    Pubrel(u16),
    /// PUBACK or PUBCOMP.
    Completed(u16),
    Connack {
        found: Found,
        code: u8,
    },
    /// The QoS that was granted; 0x80: none.
    Suback(u8),
    /// Neither of these, or too short.
    Other,
}

/// Whether a session outlives its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Session {
    /// It begins and ends with it.
    Clean,
    /// It is resumed, or begins, and is kept.
    Kept,
}

/// Session Present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    New,
    Present,
}

/// What a message carries in front of its padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) publisher: u16,
    /// Below 2^48.
    pub(crate) sequence: u64,
    pub(crate) meant_at_us: u64,
}

/// An accepted connection.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) socket: TcpStream,
    /// What came behind CONNACK.
    pub(crate) buffer: BytesMut,
    pub(crate) found: Found,
}

/// A Will Message of QoS 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Will<'a> {
    pub(crate) topic: &'a str,
    /// At most 65,535 bytes.
    pub(crate) payload: &'a [u8],
}

/// Connects with the longest keep alive; rumqttd refuses to do without.
pub(crate) async fn connect(
    address: &str,
    client_id: &str,
    session: Session,
) -> io::Result<Connected> {
    open(address, client_id, session, None).await
}

/// The same with a will, and a session that ends with the connection.
pub(crate) async fn connect_with_will(
    address: &str,
    client_id: &str,
    will: Will<'_>,
) -> io::Result<Connected> {
    open(address, client_id, Session::Clean, Some(will)).await
}

async fn open(
    address: &str,
    client_id: &str,
    session: Session,
    will: Option<Will<'_>>,
) -> io::Result<Connected> {
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let mut packet = BytesMut::new();
    put_packet(&mut packet, 0x10, &connect_body(client_id, session, will));
    socket.write_all(&packet).await?;
    let mut buffer = BytesMut::with_capacity(ANSWER_BYTES);
    let connack = |packet| match packet {
        Packet::Connack { found, code } => Some((found, code)),
        _ => None,
    };
    match expect(&mut socket, &mut buffer, connack).await? {
        (found, 0) => Ok(Connected { socket, buffer, found }),
        (_, code) => Err(io::Error::other(format!("CONNECT was refused with {code}"))),
    }
}

fn connect_body(client_id: &str, session: Session, will: Option<Will<'_>>) -> BytesMut {
    let mut body = BytesMut::new();
    body.put_slice(b"\x00\x04MQTT\x04");
    let clean = if session == Session::Clean { 2 } else { 0 };
    // Will Flag and Will QoS 1.
    body.put_u8(clean | if will.is_some() { 0b1100 } else { 0 });
    body.put_u16(u16::MAX);
    put_text(&mut body, client_id);
    if let Some(will) = will {
        put_text(&mut body, will.topic);
        body.put_u16(u16::try_from(will.payload.len()).expect("as its documentation says"));
        body.put_slice(will.payload);
    }
    body
}

impl Connected {
    /// Subscribes and waits until it is granted.
    pub(crate) async fn subscribe(&mut self, filter: &str, qos: u8) -> io::Result<()> {
        let mut body = BytesMut::new();
        body.put_u16(1);
        put_text(&mut body, filter);
        body.put_u8(qos);
        let mut packet = BytesMut::new();
        put_packet(&mut packet, 0x82, &body);
        self.socket.write_all(&packet).await?;
        let suback = |packet| if let Packet::Suback(code) = packet { Some(code) } else { None };
        match expect(&mut self.socket, &mut self.buffer, suback).await? {
            granted if granted == qos => Ok(()),
            code => Err(io::Error::other(format!("SUBSCRIBE was answered with {code:#04x}"))),
        }
    }

    /// Says goodbye and waits until the broker closes.
    pub(crate) async fn leave(mut self) -> io::Result<()> {
        self.socket.write_all(&[0xe0, 0]).await?;
        while self.socket.read_buf(&mut self.buffer).await? > 0 {
            self.buffer.clear();
        }
        Ok(())
    }
}

/// Ends a session that is kept.
pub(crate) async fn forget(address: &str, client_id: &str) -> io::Result<()> {
    connect(address, client_id, Session::Clean).await?.leave().await
}

/// Reads packets until one comes that is waited for.
async fn expect<T>(
    socket: &mut TcpStream,
    buffer: &mut BytesMut,
    take: impl Fn(Packet) -> Option<T>,
) -> io::Result<T> {
    loop {
        while let Some(packet) = next(buffer) {
            if let Some(taken) = take(packet) {
                return Ok(taken);
            }
        }
        if socket.read_buf(buffer).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the broker closed"));
        }
    }
}

/// Takes the next complete packet.
pub(crate) fn next(buffer: &mut BytesMut) -> Option<Packet> {
    let (length, header) = remaining_length(buffer)?;
    if buffer.len() < header + length {
        return None;
    }
    let packet = packet(buffer[0], &buffer[header..header + length]);
    buffer.advance(header + length);
    // What is too short for its type comes from nobody that was asked.
    Some(packet.unwrap_or(Packet::Other))
}

fn packet(first: u8, mut body: &[u8]) -> Result<Packet, TryGetError> {
    Ok(match first >> 4 {
        2 => connack(body)?,
        3 => publish(first, body)?,
        4 | 7 => Packet::Completed(body.try_get_u16()?),
        5 => Packet::Pubrec(body.try_get_u16()?),
        6 => Packet::Pubrel(body.try_get_u16()?),
        9 => {
            body.try_get_u16()?;
            Packet::Suback(body.try_get_u8()?)
        }
        _ => Packet::Other,
    })
}

fn connack(mut body: &[u8]) -> Result<Packet, TryGetError> {
    let found = if body.try_get_u8()? & 1 == 1 { Found::Present } else { Found::New };
    Ok(Packet::Connack { found, code: body.try_get_u8()? })
}

fn publish(first: u8, mut body: &[u8]) -> Result<Packet, TryGetError> {
    let qos = first >> 1 & 3;
    let topic = usize::from(body.try_get_u16()?);
    body = body.get(topic..).unwrap_or_default();
    let id = if qos > 0 { body.try_get_u16()? } else { 0 };
    let stamp = Stamp {
        publisher: body.try_get_u16()?,
        sequence: body.try_get_uint(6)?,
        meant_at_us: body.try_get_u64()?,
    };
    Ok(Packet::Publish { qos, id, stamp })
}

/// Appends what a client answers, if anything.
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

/// Reads more, in pieces that suit large messages as well. Returns how much; 0: the end.
pub(crate) async fn read(
    socket: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> io::Result<usize> {
    if buffer.capacity() - buffer.len() < READ_BYTES / 4 {
        buffer.reserve(READ_BYTES);
    }
    socket.read_buf(buffer).await
}

/// The remaining length and the length of the fixed header.
fn remaining_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (at, byte) in bytes.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((length, at + 2));
        }
    }
    None
}

/// Appends a PUBLISH.
pub(crate) fn put_publish(out: &mut BytesMut, topic: &str, qos: u8, stamp: Stamp, padding: &[u8]) {
    let id_bytes = if qos > 0 { 2 } else { 0 };
    out.put_u8(0x30 | qos << 1);
    put_length(out, 2 + topic.len() + id_bytes + STAMP_BYTES + padding.len());
    put_text(out, topic);
    if qos > 0 {
        out.put_u16(packet_id(stamp.sequence));
    }
    put_stamp(out, stamp);
    out.put_slice(padding);
}

pub(crate) fn put_stamp(out: &mut BytesMut, stamp: Stamp) {
    out.put_u16(stamp.publisher);
    out.put_uint(stamp.sequence, 6);
    out.put_u64(stamp.meant_at_us);
}

/// What follows the stamp in a payload of so many bytes.
pub(crate) fn padding(size: u32) -> Vec<u8> {
    vec![b'.'; (size as usize).saturating_sub(STAMP_BYTES)]
}

/// Of the message with this sequence number.
pub(crate) fn packet_id(sequence: u64) -> u16 {
    u16::try_from(sequence % 65_535).expect("below 65,535") + 1
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

    const STAMP: Stamp =
        Stamp { publisher: 65_535, sequence: (1 << 48) - 1, meant_at_us: u64::MAX };

    fn published(qos: u8, padding: usize) -> BytesMut {
        let mut packet = BytesMut::new();
        put_publish(&mut packet, "bench/7", qos, STAMP, &vec![b'.'; padding]);
        packet
    }

    #[test]
    fn a_publish_of_any_qos_and_size_is_read_as_it_was_written() {
        let id = u16::try_from(STAMP.sequence % 65_535).unwrap() + 1;
        for size in [16, 17, 100, 128, 16_383, 16_384, 65_536] {
            for qos in 0..=2 {
                let mut packet = published(qos, size - STAMP_BYTES);
                let id = if qos > 0 { id } else { 0 };
                assert_eq!(next(&mut packet), Some(Packet::Publish { qos, id, stamp: STAMP }));
                assert!(packet.is_empty(), "QoS {qos}, {size} bytes");
            }
        }
    }

    #[test]
    fn a_packet_is_taken_when_its_last_byte_is_there_and_not_earlier() {
        let mut whole = published(2, 200);
        let last = whole.split_off(whole.len() - 1);
        assert_eq!(next(&mut whole), None);
        whole.unsplit(last);
        assert!(matches!(next(&mut whole), Some(Packet::Publish { .. })));
    }

    #[test]
    fn each_side_of_an_exchange_gives_the_answer_that_the_qos_asks_for() {
        let answer = |packet| {
            let mut out = BytesMut::new();
            put_answer(&mut out, packet);
            out.to_vec()
        };
        let publish = |qos| Packet::Publish { qos, id: 0x0102, stamp: STAMP };
        assert!(answer(publish(0)).is_empty());
        assert_eq!(answer(publish(1)), [0x40, 2, 1, 2]);
        assert_eq!(answer(publish(2)), [0x50, 2, 1, 2]);
        assert_eq!(answer(Packet::Pubrec(0x0102)), [0x62, 2, 1, 2]);
        assert_eq!(answer(Packet::Pubrel(0x0102)), [0x70, 2, 1, 2]);
        assert!(answer(Packet::Completed(0x0102)).is_empty());
    }

    #[test]
    fn answers_to_connect_and_subscribe_say_what_was_granted() {
        let mut answers = BytesMut::from(&[0x20, 2, 1, 0, 0x90, 3, 0, 1, 0x80][..]);
        let connack = Packet::Connack { found: Found::Present, code: 0 };
        assert_eq!(next(&mut answers), Some(connack));
        assert_eq!(next(&mut answers), Some(Packet::Suback(0x80)));
    }

    #[test]
    fn a_message_of_somebody_else_is_passed_over() {
        for short in [&[0x30, 1, 0][..], &[0x30, 4, 0, 9, b'a', b'b'], &[0x50, 1, 0]] {
            let mut packet = BytesMut::from(short);
            assert_eq!(next(&mut packet), Some(Packet::Other), "{short:?}");
            assert!(packet.is_empty());
        }
    }
}
