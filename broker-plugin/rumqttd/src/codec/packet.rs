//! The packets that a connected client may send.

use bytes::Bytes;
use ha_types::Qos;

use super::frame::Frame;
use super::properties as prop;
use super::publish::{self, Publish};
use super::reader::Reader;
use super::{DecodeError, Reason, Version};

/// A packet from a connected client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    Publish(Publish),
    Puback(Ack),
    Pubrec(Ack),
    Pubrel(Ack),
    Pubcomp(Ack),
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
    Pingreq,
    Disconnect(Disconnect),
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) packet_id: u16,
    pub(crate) reason: Reason,
}

/// SUBSCRIBE (§3.8). Filters are UTF-8 and not yet checked as topic filters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscribe {
    pub(crate) packet_id: u16,
    /// Of all filters of this packet.
    pub(crate) subscription_id: Option<u32>,
    pub(crate) filters: Vec<FilterRequest>,
}

/// One topic filter of a SUBSCRIBE and its options (5.0 §3.8.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilterRequest {
    pub(crate) filter: Bytes,
    pub(crate) options: Options,
}

/// Subscription options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) qos: Qos,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    /// 0, 1 or 2.
    pub(crate) retain_handling: u8,
}

/// UNSUBSCRIBE (§3.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unsubscribe {
    pub(crate) packet_id: u16,
    pub(crate) filters: Vec<Bytes>,
}

/// DISCONNECT (§3.14) from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Disconnect {
    pub(crate) reason: Reason,
    /// Replaces the one of CONNECT.
    pub(crate) session_expiry_s: Option<u32>,
}

/// Decodes any packet that a client may send after its CONNECT.
pub(crate) fn decode(version: Version, frame: Frame) -> Result<Packet, DecodeError> {
    check_flags(&frame)?;
    match frame.packet_type() {
        3 => publish::decode(version, frame).map(Packet::Publish),
        4 => ack(version, frame).map(Packet::Puback),
        5 => ack(version, frame).map(Packet::Pubrec),
        6 => ack(version, frame).map(Packet::Pubrel),
        7 => ack(version, frame).map(Packet::Pubcomp),
        8 => subscribe(version, frame).map(Packet::Subscribe),
        10 => unsubscribe(version, frame).map(Packet::Unsubscribe),
        12 => Reader::new(frame.body).finish().map(|()| Packet::Pingreq),
        14 => disconnect(version, frame).map(Packet::Disconnect),
        1 => Err(DecodeError::Protocol("a second CONNECT")),
        15 => Err(DecodeError::Protocol("AUTH without an authentication method")),
        0 => Err(DecodeError::Malformed("packet type 0")),
        _ => Err(DecodeError::Protocol("a packet that only servers send")),
    }
}

/// [MQTT-2.1.3-1], 3.1.1 [MQTT-2.2.2-1], [MQTT-2.2.2-2]
fn check_flags(frame: &Frame) -> Result<(), DecodeError> {
    let expected = match frame.packet_type() {
        3 => return Ok(()), // DUP, QoS and RETAIN.
        6 | 8 | 10 => 0b0010,
        _ => 0,
    };
    if frame.flags() != expected {
        return Err(DecodeError::Malformed("reserved flags of the fixed header"));
    }
    Ok(())
}

fn ack(version: Version, frame: Frame) -> Result<Ack, DecodeError> {
    let mut reader = Reader::new(frame.body);
    let packet_id = reader.packet_id()?;
    let mut reason = Reason::SUCCESS;
    if version == Version::V5 && !reader.is_empty() {
        reason = Reason(reader.byte()?);
        if !reader.is_empty() {
            prop::read(&mut reader, &[prop::REASON_STRING, prop::USER_PROPERTY])?;
        }
    }
    reader.finish()?;
    Ok(Ack { packet_id, reason })
}

fn subscribe(version: Version, frame: Frame) -> Result<Subscribe, DecodeError> {
    let mut reader = Reader::new(frame.body);
    let packet_id = reader.packet_id()?;
    let properties = match version {
        Version::V311 => Vec::new(),
        Version::V5 => prop::read(&mut reader, &[prop::SUBSCRIPTION_ID, prop::USER_PROPERTY])?,
    };
    let mut filters = Vec::new();
    while !reader.is_empty() {
        let filter = reader.text()?;
        filters.push(FilterRequest { filter, options: options(version, reader.byte()?)? });
    }
    if filters.is_empty() {
        return Err(DecodeError::Protocol("SUBSCRIBE without a topic filter"));
    }
    let subscription_id = prop::number(&properties, prop::SUBSCRIPTION_ID);
    Ok(Subscribe { packet_id, subscription_id, filters })
}

fn options(version: Version, byte: u8) -> Result<Options, DecodeError> {
    let reserved = match version {
        Version::V311 => 0b1111_1100,
        Version::V5 => 0b1100_0000,
    };
    let retain_handling = (byte >> 4) & 0x03;
    if byte & reserved != 0 || retain_handling == 3 {
        return Err(DecodeError::Malformed("reserved bits of the subscription options"));
    }
    let qos = Qos::from_level(u32::from(byte & 0x03)).ok_or(DecodeError::Malformed("QoS 3"))?;
    Ok(Options {
        qos,
        no_local: byte & 0x04 != 0,
        retain_as_published: byte & 0x08 != 0,
        retain_handling,
    })
}

fn unsubscribe(version: Version, frame: Frame) -> Result<Unsubscribe, DecodeError> {
    let mut reader = Reader::new(frame.body);
    let packet_id = reader.packet_id()?;
    if version == Version::V5 {
        prop::read(&mut reader, &[prop::USER_PROPERTY])?;
    }
    let mut filters = Vec::new();
    while !reader.is_empty() {
        filters.push(reader.text()?);
    }
    if filters.is_empty() {
        return Err(DecodeError::Protocol("UNSUBSCRIBE without a topic filter"));
    }
    Ok(Unsubscribe { packet_id, filters })
}

fn disconnect(version: Version, frame: Frame) -> Result<Disconnect, DecodeError> {
    let mut reader = Reader::new(frame.body);
    let mut disconnect = Disconnect { reason: Reason::SUCCESS, session_expiry_s: None };
    if version == Version::V5 && !reader.is_empty() {
        disconnect.reason = Reason(reader.byte()?);
        if !reader.is_empty() {
            let allowed = &[prop::SESSION_EXPIRY, prop::REASON_STRING, prop::USER_PROPERTY];
            let properties = prop::read(&mut reader, allowed)?;
            disconnect.session_expiry_s = prop::number(&properties, prop::SESSION_EXPIRY);
        }
    }
    reader.finish()?;
    Ok(disconnect)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};
    use proptest::sample::Index;

    use super::*;
    use crate::codec::connect;

    fn decode(version: Version, first: u8, body: &[u8]) -> Result<Packet, DecodeError> {
        super::decode(version, Frame { first, body: Bytes::copy_from_slice(body) })
    }

    #[test]
    fn packets_that_only_servers_send_are_protocol_errors() {
        for first in [0x20, 0x90, 0xB0, 0xD0, 0xF0, 0x10] {
            let decoded = decode(Version::V5, first, &[0, 0]);
            assert!(matches!(decoded, Err(DecodeError::Protocol(_))), "{first:#x}");
        }
        assert!(matches!(decode(Version::V5, 0, &[]), Err(DecodeError::Malformed(_))));
    }

    /// [MQTT-3.6.1-1], [MQTT-3.8.1-1], [MQTT-3.10.1-1]
    #[test]
    fn reserved_flags_of_the_fixed_header_must_be_as_specified() {
        for (first, body) in [(0x60, &[0, 1][..]), (0x80, b"\0\x01\0\0\x01a\0"), (0xC1, &[])] {
            assert!(matches!(decode(Version::V5, first, body), Err(DecodeError::Malformed(_))));
        }
        assert!(decode(Version::V5, 0x62, &[0, 1]).is_ok());
    }

    #[test]
    fn packet_identifier_0_and_trailing_bytes_are_refused() {
        assert!(decode(Version::V311, 0x40, &[0, 0]).is_err());
        assert!(decode(Version::V311, 0x40, &[0, 1, 0]).is_err());
        assert!(decode(Version::V5, 0x40, &[0, 1, 0, 0, 9]).is_err());
        assert!(decode(Version::V5, 0xC0, &[1]).is_err());
        assert!(decode(Version::V311, 0x82, b"\0\0\0\x01a\0").is_err());
    }

    /// [MQTT-3.8.3-2], [MQTT-3.10.3-2]
    #[test]
    fn subscribe_and_unsubscribe_need_a_filter() {
        assert!(decode(Version::V311, 0x82, &[0, 1]).is_err());
        assert!(decode(Version::V5, 0xA2, &[0, 1, 0]).is_err());
    }

    #[test]
    fn subscription_identifier_0_is_a_protocol_error() {
        let decoded = decode(Version::V5, 0x82, b"\0\x01\x02\x0B\0\0\x01a\0");
        assert_eq!(decoded.unwrap_err().reason(), Reason::PROTOCOL_ERROR);
    }

    #[test]
    fn subscription_options_have_reserved_bits() {
        assert!(decode(Version::V311, 0x82, b"\0\x01\0\x01a\x04").is_err());
        assert!(decode(Version::V5, 0x82, b"\0\x01\0\0\x01a\x04").is_ok());
        assert!(decode(Version::V5, 0x82, b"\0\x01\0\0\x01a\x30").is_err());
        assert!(decode(Version::V5, 0x82, b"\0\x01\0\0\x01a\x03").is_err());
    }

    /// Valid packets: mutations of these reach deeper than random bytes.
    const SEEDS: &[(u8, &[u8])] = &[
        (0x10, b"\0\x04MQTT\x05\xCE\0\x3C\x05\x11\0\0\0\x09\0\x01c\x05\x18\0\0\0\x01\0\x01w\0\x01m\0\x01u\0\x01p"),
        (0x10, b"\0\x04MQTT\x04\xEE\0\x3C\0\x01c\0\x01w\0\x01m\0\x01u\0\x01p"),
        (0x3B, b"\0\x01t\0\x01\x0B\x02\0\0\0\x01\x08\0\x01r\x01\x01payload"),
        (0x40, b"\0\x01\x10\x04\x1F\0\x01a"),
        (0x62, b"\0\x01\x92\0"),
        (0x82, b"\0\x01\x02\x0B\x01\0\x03a/+\x2D"),
        (0xA2, b"\0\x01\x07\x26\0\x01a\0\x01b\0\x03a/+"),
        (0xE0, b"\x04\x05\x11\0\0\0\x01"),
    ];

    fn decode_everything(first: u8, body: &[u8]) {
        for version in [Version::V311, Version::V5] {
            let _ = decode(version, first, body);
        }
        let _ = connect::decode(Frame { first, body: Bytes::copy_from_slice(body) });
    }

    proptest! {
        #[test]
        fn no_bytes_panic_the_decoders(
            first in any::<u8>(),
            body in vec(any::<u8>(), 0..64),
        ) {
            decode_everything(first, &body);
        }

        #[test]
        fn no_mutation_of_a_valid_packet_panics_the_decoders(
            seed in 0..SEEDS.len(),
            at in any::<Index>(),
            byte in any::<u8>(),
            cut in any::<Index>(),
        ) {
            let (first, body) = SEEDS[seed];
            let mut body = body.to_vec();
            let index = at.index(body.len());
            body[index] = byte;
            decode_everything(first, &body);
            body.truncate(cut.index(body.len()));
            decode_everything(first, &body);
        }
    }
}
