//! §2: flags of the fixed header, packet identifiers; the same of §3.6, §3.8, §3.10, §3.14.

use broker_core::codec::{Ack, Connack, FromClient, FromServer, Publish, Reason, Suback, Unsuback};
use bytes::Bytes;

use crate::common::{received, sent};
use crate::spec::{id, wrong_flags};

/// The flags of the first byte of what a server writes.
fn flags(answer: &FromServer) -> u8 {
    sent(answer)[0] & 0x0F
}

/// [MQTT-2.2.2-1]
#[test]
fn reserved_flags_of_what_a_server_sends_are_those_of_the_table() {
    let ack = Ack::new(id(1), Reason::SUCCESS);
    let suback =
        Suback { packet_id: id(1), reasons: vec![Reason::SUCCESS], remarks: ack.remarks.clone() };
    let unsuback = Unsuback { packet_id: id(1), reasons: Vec::new(), remarks: ack.remarks.clone() };
    let plain = [
        FromServer::Connack(Connack::default()),
        FromServer::Puback(ack.clone()),
        FromServer::Pubrec(ack.clone()),
        FromServer::Pubcomp(ack.clone()),
        FromServer::Suback(suback),
        FromServer::Unsuback(unsuback),
        FromServer::Pingresp,
    ];
    assert!(plain.iter().all(|answer| flags(answer) == 0));
    assert_eq!(flags(&FromServer::Pubrel(ack)), 0b0010);
}

/// [MQTT-2.2.2-2]
#[test]
fn packet_with_other_flags_ends_the_connection() {
    for first in wrong_flags() {
        for body in [&b""[..], b"\0\x01", b"\0\x01\0\x01a", b"\0\x01\0\x01a\0"] {
            assert!(received(first, body).is_err(), "{first:#x} {body:x?}");
        }
    }
}

/// [MQTT-2.3.1-1]
#[test]
fn packet_identifier_is_not_0() {
    let with = |id: u8| {
        [
            received(0x82, &[0, id, 0, 1, b'a', 0]),
            received(0xA2, &[0, id, 0, 1, b'a']),
            received(0x32, &[0, 1, b't', 0, id]),
            received(0x34, &[0, 1, b't', 0, id]),
        ]
    };
    assert!(with(0).iter().all(Result::is_err));
    assert!(with(1).iter().all(Result::is_ok));
}

/// [MQTT-2.3.1-5]
#[test]
fn publish_at_qos_0_has_no_packet_identifier() {
    let Ok(FromClient::Publish(publish)) = received(0x30, b"\0\x01t\0\x07") else { panic!() };
    assert_eq!((publish.flow.packet_id(), &publish.payload[..]), (None, &[0, 7][..]));
    let empty = Publish { payload: Bytes::new(), ..publish };
    assert_eq!(sent(&FromServer::Publish(empty)), b"\x30\x03\0\x01t");
}

/// [MQTT-3.6.1-1]
#[test]
fn pubrel_has_the_flags_0010() {
    let accepted: Vec<_> =
        (0x60..=0x6F).filter(|&first| received(first, &[0, 1]).is_ok()).collect();
    assert_eq!(accepted, [0x62]);
}

/// [MQTT-3.8.1-1]
#[test]
fn subscribe_has_the_flags_0010() {
    let is_ok = |&first: &u8| received(first, b"\0\x01\0\x01a\0").is_ok();
    assert_eq!((0x80..=0x8F).filter(is_ok).collect::<Vec<_>>(), [0x82]);
}

/// [MQTT-3.10.1-1]
#[test]
fn unsubscribe_has_the_flags_0010() {
    let is_ok = |&first: &u8| received(first, b"\0\x01\0\x01a").is_ok();
    assert_eq!((0xA0..=0xAF).filter(is_ok).collect::<Vec<_>>(), [0xA2]);
}

/// [MQTT-3.14.1-1]
#[test]
fn disconnect_has_no_flags() {
    let accepted: Vec<_> = (0xE0..=0xEF).filter(|&first| received(first, &[]).is_ok()).collect();
    assert_eq!(accepted, [0xE0]);
}
