//! §2: flags of the fixed header, packet identifiers, property length; the flags of §3.6 to §3.15.

use broker_core::codec::{
    Ack, Auth, Authentication, Connack, Disconnect, FromClient, FromServer, PacketId, Publish,
    Reason, Remarks, Suback, Text, Unsuback,
};
use bytes::Bytes;

use crate::common::{MALFORMED, PROTOCOL_ERROR, received, refusal, sent};
use crate::spec::{id, wrong_flags};

fn remarks() -> Remarks {
    Remarks::default()
}

fn suback() -> FromServer {
    FromServer::Suback(Suback { packet_id: id(1), reasons: vec![Reason(1)], remarks: remarks() })
}

fn unsuback() -> FromServer {
    let reasons = vec![Reason(0x11)];
    FromServer::Unsuback(Unsuback { packet_id: id(1), reasons, remarks: remarks() })
}

fn auth() -> FromServer {
    let method = Text::parse(Bytes::from_static(b"m")).unwrap();
    let authentication = Authentication { method, data: None };
    FromServer::Auth(Auth { reason: Reason(0x18), authentication, remarks: remarks() })
}

/// [MQTT-2.1.3-1]
#[test]
fn reserved_flags_are_those_of_the_table() {
    for first in wrong_flags().chain(0xF1..=0xFF) {
        assert_eq!(refusal(first, b"\0\x01\0\0\x01a"), Some(MALFORMED), "{first:#x}");
    }
    let ack = Ack::new(id(1), Reason::SUCCESS);
    let plain = [
        FromServer::Connack(Connack::default()),
        FromServer::Puback(ack.clone()),
        FromServer::Pubrec(ack.clone()),
        FromServer::Pubcomp(ack.clone()),
        suback(),
        unsuback(),
        FromServer::Pingresp,
        FromServer::Disconnect(Disconnect::default()),
        auth(),
    ];
    assert!(plain.iter().all(|answer| sent(answer)[0] & 0x0F == 0));
    assert_eq!(sent(&FromServer::Pubrel(ack))[0] & 0x0F, 0b0010);
}

/// [MQTT-2.2.1-2]
#[test]
fn publish_at_qos_0_has_no_packet_identifier() {
    let Ok(FromClient::Publish(publish)) = received(0x30, b"\0\x01t\0\0\x07") else { panic!() };
    assert_eq!((publish.flow.packet_id(), &publish.payload[..]), (None, &[0, 7][..]));
    let empty = Publish { payload: Bytes::new(), ..publish };
    assert_eq!(sent(&FromServer::Publish(empty)), b"\x30\x04\0\x01t\0");
}

/// [MQTT-2.2.1-3]
#[test]
fn packet_identifier_0_is_a_protocol_error() {
    let with = |id: u8| {
        [
            refusal(0x82, &[0, id, 0, 0, 1, b'a', 0]),
            refusal(0xA2, &[0, id, 0, 0, 1, b'a']),
            refusal(0x32, &[0, 1, b't', 0, id, 0]),
            refusal(0x34, &[0, 1, b't', 0, id, 0]),
        ]
    };
    assert_eq!(with(0), [Some(PROTOCOL_ERROR); 4]);
    assert_eq!(with(1), [None; 4]);
    assert_eq!(PacketId::new(0), None);
}

/// [MQTT-2.2.2-1]
#[test]
fn no_properties_are_a_property_length_of_0() {
    assert_eq!(sent(&FromServer::Connack(Connack::default())), [0x20, 3, 0, 0, 0]);
    assert_eq!(sent(&suback()), [0x90, 4, 0, 1, 0, 1]);
    assert_eq!(sent(&unsuback()), [0xB0, 4, 0, 1, 0, 0x11]);
    assert_eq!(refusal(0x30, b"\0\x01t"), Some(MALFORMED));
    assert_eq!(refusal(0x82, b"\0\x01"), Some(MALFORMED));
}

/// First bytes from `type_bits` on with which the packet is not malformed.
fn accepted(type_bits: u8, body: &[u8]) -> Vec<u8> {
    let firsts = type_bits..=type_bits | 0x0F;
    firsts.filter(|&first| refusal(first, body) != Some(MALFORMED)).collect()
}

/// [MQTT-3.6.1-1]
#[test]
fn pubrel_has_the_flags_0010() {
    assert_eq!(accepted(0x60, &[0, 1]), [0x62]);
}

/// [MQTT-3.8.1-1]
#[test]
fn subscribe_has_the_flags_0010() {
    assert_eq!(accepted(0x80, b"\0\x01\0\0\x01a\0"), [0x82]);
}

/// [MQTT-3.10.1-1]
#[test]
fn unsubscribe_has_the_flags_0010() {
    assert_eq!(accepted(0xA0, b"\0\x01\0\0\x01a"), [0xA2]);
}

/// [MQTT-3.14.1-1]
#[test]
fn disconnect_has_no_flags() {
    assert_eq!(accepted(0xE0, &[]), [0xE0]);
}

/// [MQTT-3.15.1-1]
#[test]
fn auth_has_no_flags() {
    assert_eq!(accepted(0xF0, b"\x18\x04\x15\0\x01m"), [0xF0]);
}
