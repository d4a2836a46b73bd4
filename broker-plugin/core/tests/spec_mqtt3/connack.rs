//! §3.2 CONNACK.

use broker_core::codec::{Connack, FromServer, Reason};

use crate::common::sent;

/// Reasons of 5.0 for which 3.1.1 has a return code.
const WITH_CODE: [(u8, u8); 11] = [
    (0x84, 1),
    (0x85, 2),
    (0x86, 4),
    (0x87, 5),
    (0x88, 3),
    (0x89, 3),
    (0x8A, 5),
    (0x97, 3),
    (0x9C, 3),
    (0x9D, 3),
    (0x9F, 3),
];

fn connack(session_present: bool, reason: u8) -> Vec<u8> {
    sent(&FromServer::Connack(Connack {
        session_present,
        reason: Reason(reason),
        ..Connack::default()
    }))
}

/// [MQTT-3.2.2-4]
#[test]
fn refusal_has_no_session() {
    assert_eq!(connack(true, 0), [0x20, 2, 1, 0]);
    for (reason, code) in WITH_CODE {
        assert_eq!(connack(true, reason), [0x20, 2, 0, code], "{reason:#x}");
    }
}

/// [MQTT-3.2.2-6]
#[test]
fn without_a_return_code_that_fits_there_is_no_connack() {
    for reason in 1..=0xFF {
        let has_code = WITH_CODE.iter().any(|&(with, _)| with == reason);
        assert_eq!(connack(false, reason).is_empty(), !has_code, "{reason:#x}");
    }
}
