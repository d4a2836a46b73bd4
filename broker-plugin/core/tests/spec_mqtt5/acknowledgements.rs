//! §3.4 to §3.7: reasons of PUBACK, PUBREC, PUBREL and PUBCOMP, in both directions.

use broker_core::codec::PacketType;

use crate::common::{PROTOCOL_ERROR, refusal, server_reasons};

/// The reason codes with which a client's packet is taken; all others are protocol errors.
fn client_reasons(first: u8) -> Vec<u8> {
    let is_taken = |&code: &u8| match refusal(first, &[0, 1, code]) {
        None => true,
        Some(reason) => {
            assert_eq!(reason, PROTOCOL_ERROR, "{code:#x}");
            false
        }
    };
    (0..=0xFF).filter(is_taken).collect()
}

const RECEIVED: [u8; 9] = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const GOING_ON: [u8; 2] = [0x00, 0x92];

/// [MQTT-3.4.2-1]
#[test]
fn puback_has_a_reason_of_its_table() {
    assert_eq!(client_reasons(0x40), RECEIVED);
    assert_eq!(server_reasons(PacketType::Puback), RECEIVED);
}

/// [MQTT-3.5.2-1]
#[test]
fn pubrec_has_a_reason_of_its_table() {
    assert_eq!(client_reasons(0x50), RECEIVED);
    assert_eq!(server_reasons(PacketType::Pubrec), RECEIVED);
}

/// [MQTT-3.6.2-1]
#[test]
fn pubrel_has_a_reason_of_its_table() {
    assert_eq!(client_reasons(0x62), GOING_ON);
    assert_eq!(server_reasons(PacketType::Pubrel), GOING_ON);
}

/// [MQTT-3.7.2-1]
#[test]
fn pubcomp_has_a_reason_of_its_table() {
    assert_eq!(client_reasons(0x70), GOING_ON);
    assert_eq!(server_reasons(PacketType::Pubcomp), GOING_ON);
}
