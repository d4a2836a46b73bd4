//! §3.2 CONNACK.

use broker_core::codec::frame::split;
use broker_core::codec::{Connack, DecodeError, FromServer, PacketType, Reason, Version};
use bytes::BytesMut;

use crate::common::{MALFORMED, sent, server_reasons};
use crate::spec::packet;

/// [MQTT-3.2.2-1]
#[test]
fn reserved_flags_of_connack_are_0() {
    for session_present in [false, true] {
        let connack = Connack { session_present, ..Connack::default() };
        assert_eq!(sent(&FromServer::Connack(connack))[2], u8::from(session_present));
    }
    for flags in 2..=0xFF {
        let read = FromServer::decode(Version::V5, packet(0x20, &[flags, 0, 0]));
        assert_eq!(read.map_err(DecodeError::reason), Err(MALFORMED), "{flags:#x}");
    }
}

/// [MQTT-3.2.2-6]
#[test]
fn refusal_has_no_session() {
    for code in server_reasons(PacketType::Connack) {
        let connack = Connack { session_present: true, reason: Reason(code), ..Connack::default() };
        let flags = sent(&FromServer::Connack(connack))[2];
        assert_eq!(flags, u8::from(code == 0), "{code:#x}");
    }
}

/// [MQTT-3.2.2-8]
#[test]
fn connack_has_a_reason_of_its_table() {
    let table = [
        0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95,
        0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
    ];
    assert_eq!(server_reasons(PacketType::Connack), table);
}

/// [MQTT-3.2.2-15]
#[test]
fn packet_above_our_maximum_packet_size_is_refused() {
    let bytes = b"\x30\x04\0\x01t\0";
    let taken = |max| split(&mut BytesMut::from(&bytes[..]), max).map_err(DecodeError::reason);
    assert!(taken(bytes.len()).unwrap().is_some());
    assert_eq!(taken(bytes.len() - 1), Err(Reason::PACKET_TOO_LARGE));
}
