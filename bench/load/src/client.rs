//! As much of an MQTT 3.1.1 client as a load needs, over a raw socket.

use std::io;

use bytes::{Buf, BufMut, BytesMut, TryGetError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

/// Publisher, sequence number and intended time of sending: 2, 6 and 8 bytes.
pub(crate) const STAMP_BYTES: usize = 16;

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
    Completed,
    /// By its type.
    Other(u8),
}

/// What a message carries in front of its padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) publisher: u16,
    /// Below 2^48.
    pub(crate) sequence: u64,
    pub(crate) meant_at_us: u64,
}

/// Connects with a clean session and the longest keep alive; rumqttd refuses to do without.
pub(crate) async fn connect(address: &str, client_id: &str) -> io::Result<(TcpStream, BytesMut)> {
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let mut body = BytesMut::new();
    body.put_slice(b"\x00\x04MQTT\x04\x02\xff\xff");
    put_text(&mut body, client_id);
    let mut packet = BytesMut::new();
    put_packet(&mut packet, 0x10, &body);
    socket.write_all(&packet).await?;
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    expect(&mut socket, &mut buffer, 2).await?;
    Ok((socket, buffer))
}

/// Subscribes and waits for SUBACK.
pub(crate) async fn subscribe(
    socket: &mut TcpStream,
    buffer: &mut BytesMut,
    filter: &str,
    qos: u8,
) -> io::Result<()> {
    let mut body = BytesMut::new();
    body.put_u16(1);
    put_text(&mut body, filter);
    body.put_u8(qos);
    let mut packet = BytesMut::new();
    put_packet(&mut packet, 0x82, &body);
    socket.write_all(&packet).await?;
    expect(socket, buffer, 9).await
}

/// Reads packets until one of this type comes.
async fn expect(socket: &mut TcpStream, buffer: &mut BytesMut, packet_type: u8) -> io::Result<()> {
    loop {
        while let Some(packet) = next(buffer) {
            if packet == Packet::Other(packet_type) {
                return Ok(());
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
    Some(packet.unwrap_or(Packet::Other(0)))
}

fn packet(first: u8, mut body: &[u8]) -> Result<Packet, TryGetError> {
    Ok(match first >> 4 {
        3 => publish(first, body)?,
        4 | 7 => Packet::Completed,
        5 => Packet::Pubrec(body.try_get_u16()?),
        6 => Packet::Pubrel(body.try_get_u16()?),
        other => Packet::Other(other),
    })
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
        Packet::Publish { .. } | Packet::Completed | Packet::Other(_) => return,
    };
    out.put_slice(&[first, 2]);
    out.put_u16(id);
}

/// Reads more, in pieces that suit large messages as well. Returns how much; 0: the end.
pub(crate) async fn read(socket: &mut OwnedReadHalf, buffer: &mut BytesMut) -> io::Result<usize> {
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
        out.put_u16(u16::try_from(stamp.sequence % 65_535).expect("below 65,535") + 1);
    }
    out.put_u16(stamp.publisher);
    out.put_uint(stamp.sequence, 6);
    out.put_u64(stamp.meant_at_us);
    out.put_slice(padding);
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
        assert_eq!(answer(publish(0)), []);
        assert_eq!(answer(publish(1)), [0x40, 2, 1, 2]);
        assert_eq!(answer(publish(2)), [0x50, 2, 1, 2]);
        assert_eq!(answer(Packet::Pubrec(0x0102)), [0x62, 2, 1, 2]);
        assert_eq!(answer(Packet::Pubrel(0x0102)), [0x70, 2, 1, 2]);
        assert_eq!(answer(Packet::Completed), []);
    }

    #[test]
    fn a_message_of_somebody_else_is_passed_over() {
        for short in [&[0x30, 1, 0][..], &[0x30, 4, 0, 9, b'a', b'b'], &[0x50, 1, 0]] {
            let mut packet = BytesMut::from(short);
            assert_eq!(next(&mut packet), Some(Packet::Other(0)), "{short:?}");
            assert!(packet.is_empty());
        }
    }
}
