//! §3.8 to §3.11: SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK.

use broker_core::codec::{PacketType, Reason};

use crate::common::{MALFORMED, PROTOCOL_ERROR, refusal, server_reasons};
use crate::spec::{NOT_UTF_8, field};

fn subscribe(filter: impl AsRef<[u8]>, options: u8) -> Option<Reason> {
    refusal(0x82, &[&[0, 1, 0], &field(filter)[..], &[options]].concat())
}

/// [MQTT-3.8.3-1]
#[test]
fn filter_of_subscribe_is_utf_8() {
    assert_eq!(subscribe("é", 0), None);
    assert!(NOT_UTF_8.into_iter().all(|bytes| subscribe(bytes, 0) == Some(MALFORMED)));
}

/// [MQTT-3.8.3-2]
#[test]
fn subscribe_has_a_filter() {
    assert_eq!(refusal(0x82, b"\0\x01\0"), Some(PROTOCOL_ERROR));
    assert_eq!(refusal(0x82, b"\0\x01\0\0\x01a"), Some(MALFORMED), "without its options");
    assert_eq!(refusal(0x82, b"\0\x01\0\0\x01a\0"), None);
}

/// [MQTT-3.8.3-4]
#[test]
fn no_local_on_a_shared_subscription_is_a_protocol_error() {
    assert_eq!(subscribe("$share/g/a", 0x04), Some(PROTOCOL_ERROR));
    assert_eq!(subscribe("$share/g/a", 0x00), None);
    assert_eq!(subscribe("a", 0x04), None);
}

/// [MQTT-3.8.3-5]
#[test]
fn reserved_bits_of_the_options_are_0() {
    for options in 0x40..=0xFF {
        assert_eq!(subscribe("a", options), Some(MALFORMED), "{options:#x}");
    }
    assert_eq!(subscribe("a", 0x2E), None);
}

/// [MQTT-3.9.3-2]
#[test]
fn suback_has_reasons_of_its_table() {
    let table = [0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2];
    assert_eq!(server_reasons(PacketType::Suback), table);
}

/// [MQTT-3.10.3-1]
#[test]
fn filter_of_unsubscribe_is_utf_8() {
    let with = |filter: &[u8]| refusal(0xA2, &[&[0, 1, 0], &field(filter)[..]].concat());
    assert_eq!(with("é".as_bytes()), None);
    assert!(NOT_UTF_8.into_iter().all(|bytes| with(bytes) == Some(MALFORMED)));
}

/// [MQTT-3.10.3-2]
#[test]
fn unsubscribe_has_a_filter() {
    assert_eq!(refusal(0xA2, b"\0\x01\0"), Some(PROTOCOL_ERROR));
    assert_eq!(refusal(0xA2, b"\0\x01\0\0\x01a"), None);
}

/// [MQTT-3.11.3-2]
#[test]
fn unsuback_has_reasons_of_its_table() {
    let table = [0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91];
    assert_eq!(server_reasons(PacketType::Unsuback), table);
}
