//! §3.14 and §3.15: reasons of DISCONNECT and AUTH.

use broker_core::codec::PacketType;

use crate::common::{PROTOCOL_ERROR, refusal, server_reasons};

/// [MQTT-3.14.2-1]
#[test]
fn disconnect_has_a_reason_of_its_table() {
    let of_clients =
        [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
    for code in 0..=0xFF {
        let refused = (!of_clients.contains(&code)).then_some(PROTOCOL_ERROR);
        assert_eq!(refusal(0xE0, &[code]), refused, "{code:#x}");
    }
    let of_servers = [
        0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95,
        0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
    ];
    assert_eq!(server_reasons(PacketType::Disconnect), of_servers);
}

/// [MQTT-3.15.2-1]
#[test]
fn auth_has_a_reason_of_its_table() {
    for code in 0..=0xFF {
        let refused = (![0x18, 0x19].contains(&code)).then_some(PROTOCOL_ERROR);
        let body = [&[code], &b"\x04\x15\0\x01m"[..]].concat();
        assert_eq!(refusal(0xF0, &body), refused, "{code:#x}");
    }
    assert_eq!(server_reasons(PacketType::Auth), [0x00, 0x18]);
}
