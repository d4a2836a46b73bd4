//! Packets of both versions, as they are read.

use super::*;
use crate::compose::Publish;

const STAMP: Stamp = Stamp { publisher: 65_535, sequence: (1 << 48) - 1, meant_at_us: u64::MAX };

const BOTH: [Protocol; 2] = [Protocol::V311, Protocol::V5];

fn published(protocol: Protocol, qos: u8, padding: usize) -> BytesMut {
    let mut packet = BytesMut::new();
    let padding = vec![b'.'; padding];
    Publish { protocol, qos, padding: &padding }.put(&mut packet, "bench/7", STAMP);
    packet
}

#[test]
fn a_publish_of_any_version_qos_and_size_is_read_as_it_was_written() {
    let id = u16::try_from(STAMP.sequence % 65_535).unwrap() + 1;
    for size in [16, 17, 100, 128, 16_383, 16_384, 65_536] {
        for (qos, protocol) in (0..=2).flat_map(|qos| BOTH.map(|protocol| (qos, protocol))) {
            let mut packet = published(protocol, qos, size - STAMP_BYTES);
            let id = if qos > 0 { id } else { 0 };
            let expected = Some(Packet::Publish { qos, id, stamp: STAMP });
            assert_eq!(next(&mut packet, protocol), expected);
            assert!(packet.is_empty(), "{protocol:?}, QoS {qos}, {size} bytes");
        }
    }
}

#[test]
fn properties_of_a_publish_are_passed_over() {
    // Message Expiry Interval and Subscription Identifier.
    let mut packet = BytesMut::from(&[0x32, 29, 0, 1, b'a', 0, 9, 7, 2, 0, 0, 0, 5, 0x0b, 1][..]);
    crate::compose::put_stamp(&mut packet, STAMP);
    let expected = Packet::Publish { qos: 1, id: 9, stamp: STAMP };
    assert_eq!(next(&mut packet, Protocol::V5), Some(expected));
}

#[test]
fn a_packet_is_taken_when_its_last_byte_is_there_and_not_earlier() {
    for protocol in BOTH {
        let mut whole = published(protocol, 2, 200);
        let last = whole.split_off(whole.len() - 1);
        assert_eq!(next(&mut whole, protocol), None);
        whole.unsplit(last);
        assert!(matches!(next(&mut whole, protocol), Some(Packet::Publish { .. })));
    }
}

#[test]
fn answers_to_connect_and_subscribe_say_what_was_granted() {
    let mut answers = BytesMut::from(&[0x20, 2, 1, 0, 0x90, 3, 0, 1, 0x80][..]);
    let connack = Packet::Connack { found: Found::Present, code: 0, receive_maximum: u16::MAX };
    assert_eq!(next(&mut answers, Protocol::V311), Some(connack));
    assert_eq!(next(&mut answers, Protocol::V311), Some(Packet::Suback(0x80)));
}

#[test]
fn answers_of_mqtt_5_have_properties_in_between() {
    let mut answers = BytesMut::from(&[0x20, 6, 0, 0, 3, 0x21, 0, 20, 0x90, 4, 0, 1, 0, 2][..]);
    let connack = Packet::Connack { found: Found::New, code: 0, receive_maximum: 20 };
    assert_eq!(next(&mut answers, Protocol::V5), Some(connack));
    assert_eq!(next(&mut answers, Protocol::V5), Some(Packet::Suback(2)));
}

#[test]
fn server_that_does_not_know_mqtt_5_is_heard_when_it_refuses() {
    let mut answer = BytesMut::from(&[0x20, 2, 0, 1][..]);
    let connack = Packet::Connack { found: Found::New, code: 1, receive_maximum: u16::MAX };
    assert_eq!(next(&mut answer, Protocol::V5), Some(connack));
}

#[test]
fn reason_code_that_refuses_ends_an_exchange_and_another_does_not() {
    let read = |bytes: &[u8]| next(&mut BytesMut::from(bytes), Protocol::V5);
    assert_eq!(read(&[0x40, 4, 1, 2, 0x10, 0]), Some(Packet::Completed(0x0102)));
    assert_eq!(read(&[0x40, 3, 1, 2, 0x97]), Some(Packet::Completed(0x0102)));
    assert_eq!(read(&[0x50, 4, 1, 2, 0x10, 0]), Some(Packet::Pubrec(0x0102)));
    assert_eq!(read(&[0x50, 3, 1, 2, 0x7f]), Some(Packet::Pubrec(0x0102)));
    assert_eq!(read(&[0x50, 3, 1, 2, 0x80]), Some(Packet::Completed(0x0102)));
}

#[test]
fn a_message_of_somebody_else_is_passed_over() {
    let all = [&[0x30, 1, 0][..], &[0x30, 4, 0, 9, b'a', b'b'], &[0x50, 1, 0]];
    for (short, protocol) in all.into_iter().flat_map(|short| BOTH.map(|p| (short, p))) {
        let mut packet = BytesMut::from(short);
        assert_eq!(next(&mut packet, protocol), Some(Packet::Other), "{short:?}");
        assert!(packet.is_empty());
    }
}
