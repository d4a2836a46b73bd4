//! What a broker sends, as far as a measurement cares: MQTT 3.1.1 and 5.

use bytes::{Buf, BytesMut, TryGetError};
use clap::ValueEnum;

mod properties;

/// Publisher, sequence number and intended time of sending: 2, 6 and 8 bytes.
pub(crate) const STAMP_BYTES: usize = 16;

/// Reason codes from here on are errors.
const REFUSED: u8 = 0x80;

/// Version of MQTT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    #[default]
    #[value(name = "3.1.1")]
    V311,
    #[value(name = "5")]
    V5,
}

/// What a packet from the broker is.
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
    /// PUBACK or PUBCOMP, or a PUBREC that refuses: nothing follows it.
    Completed(u16),
    Connack {
        found: Found,
        code: u8,
        /// Exchanges that may be open at a time. MQTT 3.1.1 knows no limit but the packet identifiers.
        receive_maximum: u16,
    },
    /// The QoS that was granted; from 0x80 on: none.
    Suback(u8),
    /// None of these, or malformed.
    Other,
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

/// Neither version of MQTT has it like that, or it is too short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Malformed;

impl From<TryGetError> for Malformed {
    fn from(_: TryGetError) -> Self {
        Self
    }
}

/// Takes the next complete packet.
pub(crate) fn next(buffer: &mut BytesMut, protocol: Protocol) -> Option<Packet> {
    let (length, header) = remaining_length(buffer)?;
    if buffer.len() < header + length {
        return None;
    }
    let packet = packet(buffer[0], &buffer[header..header + length], protocol);
    buffer.advance(header + length);
    // What is malformed comes from nobody that was asked.
    Some(packet.unwrap_or(Packet::Other))
}

fn packet(first: u8, mut body: &[u8], protocol: Protocol) -> Result<Packet, Malformed> {
    Ok(match first >> 4 {
        2 => connack(body, protocol)?,
        3 => publish(first, body, protocol)?,
        4 | 7 => Packet::Completed(body.try_get_u16()?),
        5 => pubrec(body)?,
        6 => Packet::Pubrel(body.try_get_u16()?),
        9 => suback(body, protocol)?,
        _ => Packet::Other,
    })
}

fn connack(mut body: &[u8], protocol: Protocol) -> Result<Packet, Malformed> {
    let found = if body.try_get_u8()? & 1 == 1 { Found::Present } else { Found::New };
    let code = body.try_get_u8()?;
    let receive_maximum = match protocol {
        Protocol::V311 => u16::MAX,
        // A server that refuses the version answers as an older one does.
        Protocol::V5 if body.is_empty() => u16::MAX,
        Protocol::V5 => properties::receive_maximum(properties::take(&mut body)?)?,
    };
    Ok(Packet::Connack { found, code, receive_maximum })
}

fn publish(first: u8, mut body: &[u8], protocol: Protocol) -> Result<Packet, Malformed> {
    let qos = first >> 1 & 3;
    let topic = usize::from(body.try_get_u16()?);
    body = body.get(topic..).unwrap_or_default();
    let id = if qos > 0 { body.try_get_u16()? } else { 0 };
    if protocol == Protocol::V5 {
        properties::take(&mut body)?;
    }
    let stamp = Stamp {
        publisher: body.try_get_u16()?,
        sequence: body.try_get_uint(6)?,
        meant_at_us: body.try_get_u64()?,
    };
    Ok(Packet::Publish { qos, id, stamp })
}

/// MQTT 3.1.1 has no reason code, and in MQTT 5 it may be missing.
fn pubrec(mut body: &[u8]) -> Result<Packet, Malformed> {
    let id = body.try_get_u16()?;
    let is_refused = body.first().is_some_and(|&reason| reason >= REFUSED);
    Ok(if is_refused { Packet::Completed(id) } else { Packet::Pubrec(id) })
}

fn suback(mut body: &[u8], protocol: Protocol) -> Result<Packet, Malformed> {
    body.try_get_u16()?;
    if protocol == Protocol::V5 {
        properties::take(&mut body)?;
    }
    Ok(Packet::Suback(body.try_get_u8()?))
}

/// The remaining length and the length of the fixed header.
fn remaining_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let (length, bytes) = variable(bytes.get(1..)?)?;
    Some((length, 1 + bytes))
}

/// A Variable Byte Integer, and how many bytes it has.
fn variable(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut number = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        number |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((number, at + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests;
