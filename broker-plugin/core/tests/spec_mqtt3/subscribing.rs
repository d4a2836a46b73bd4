//! §3.8 to §3.11: SUBSCRIBE, SUBACK, UNSUBSCRIBE.

use broker_core::codec::{FromServer, Reason, Remarks, Suback};

use crate::common::{received, sent};
use crate::spec::{NOT_UTF_8, field, id};

fn subscribe(filter: impl AsRef<[u8]>, options: u8) -> bool {
    received(0x82, &[&[0, 1], &field(filter)[..], &[options]].concat()).is_ok()
}

/// [MQTT-3.8.3-1]
#[test]
fn filter_of_subscribe_is_utf_8() {
    assert!(subscribe("é", 0));
    assert!(!NOT_UTF_8.into_iter().any(|bytes| subscribe(bytes, 0)));
}

/// [MQTT-3.8.3-3]
#[test]
fn subscribe_has_a_filter() {
    assert!(received(0x82, &[0, 1]).is_err());
    assert!(received(0x82, b"\0\x01\0\x01a").is_err(), "a filter without its QoS");
    assert!(received(0x82, b"\0\x01\0\x01a\0").is_ok());
}

/// [MQTT-3-8.3-4]
#[test]
fn requested_qos_is_0_1_or_2_and_nothing_else() {
    let accepted: Vec<_> = (0..=255).filter(|&options| subscribe("a", options)).collect();
    assert_eq!(accepted, [0, 1, 2]);
}

/// [MQTT-3.9.3-2]
#[test]
fn suback_has_no_return_code_but_0_1_2_and_0x80() {
    let reasons: Vec<_> = (0..=2).chain(0x80..=0xFF).map(Reason).collect();
    let suback = Suback { packet_id: id(1), reasons, remarks: Remarks::default() };
    let written = sent(&FromServer::Suback(suback));
    let (granted, failed) = written[5..].split_at(3);
    assert_eq!(granted, [0, 1, 2]);
    assert_eq!(failed, [0x80; 128]);
}

/// [MQTT-3.10.3-1]
#[test]
fn filter_of_unsubscribe_is_utf_8() {
    let is_ok = |filter: &[u8]| received(0xA2, &[&[0, 1], &field(filter)[..]].concat()).is_ok();
    assert!(is_ok("é".as_bytes()) && !NOT_UTF_8.into_iter().any(is_ok));
}

/// [MQTT-3.10.3-2]
#[test]
fn unsubscribe_has_a_filter() {
    assert!(received(0xA2, &[0, 1]).is_err());
    assert!(received(0xA2, b"\0\x01\0\x01a").is_ok());
}
