//! As much of an MQTT 3.1.1 client as a load needs, over a raw socket.

use std::io;

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Publisher, sequence number and intended time of sending, 8 bytes each.
pub(crate) const STAMP_BYTES: usize = 24;

/// What a packet from the broker is, as far as a load cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    Publish { id: Option<u16>, stamp: Stamp },
    Puback,
    Other(u8),
}

/// What a message carries in front of its padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) publisher: u64,
    pub(crate) sequence: u64,
    pub(crate) meant_at_us: u64,
}

/// Connects with a clean session and keep alive off.
pub(crate) async fn connect(address: &str, client_id: &str) -> io::Result<(TcpStream, BytesMut)> {
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let mut body = BytesMut::new();
    body.put_slice(b"\x00\x04MQTT\x04\x02\x00\x00");
    put_text(&mut body, client_id);
    let mut packet = BytesMut::new();
    put_packet(&mut packet, 0x10, &body);
    socket.write_all(&packet).await?;
    let mut buffer = BytesMut::with_capacity(1 << 16);
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
    let first = buffer[0];
    let mut body = &buffer[header..header + length];
    let packet = match first >> 4 {
        3 => publish(first, &mut body),
        4 => Packet::Puback,
        other => Packet::Other(other),
    };
    buffer.advance(header + length);
    Some(packet)
}

fn publish(first: u8, body: &mut &[u8]) -> Packet {
    let topic = usize::from(body.get_u16());
    body.advance(topic);
    let id = (first & 0x06 != 0).then(|| body.get_u16());
    let stamp =
        Stamp { publisher: body.get_u64(), sequence: body.get_u64(), meant_at_us: body.get_u64() };
    Packet::Publish { id, stamp }
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
    out.put_u64(stamp.publisher);
    out.put_u64(stamp.sequence);
    out.put_u64(stamp.meant_at_us);
    out.put_slice(padding);
}

/// Appends a PUBACK.
pub(crate) fn put_puback(out: &mut BytesMut, id: u16) {
    out.put_slice(&[0x40, 2]);
    out.put_u16(id);
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
