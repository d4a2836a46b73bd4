//! §3.1 CONNECT.

use broker_core::codec::{
    Ack, Connack, Connect, ConnectError, FromServer, Reason, Recipient, Remarks, TooLarge, Version,
};
use ha_types::Qos;

use crate::common::{
    MALFORMED, PROTOCOL_ERROR, connect, connect_refusal, connect_with, refusal, sent, sent_to,
};
use crate::spec::{NOT_UTF_8, field, id, packet};

const CLIENT: &[u8] = b"\0\x01c";
/// Will properties, will topic and will payload.
const WILL: &[u8] = b"\0\0\x01w\0\x01m";
const CLEAN: u8 = 0x02;
const WILL_FLAG: u8 = 0x04;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;

/// [MQTT-3.1.0-1]
#[test]
fn first_packet_is_connect() {
    for first in (0..=255).filter(|first| first & 0xF0 != 0x10) {
        let refused = Connect::decode(&packet(first, b"\0\x04MQTT\x05\x02\0\0\0\0\x01c"));
        assert_eq!(refused, Err(ConnectError::NotMqtt), "{first:#x}");
    }
}

/// [MQTT-3.1.0-2]
#[test]
fn second_connect_is_a_protocol_error() {
    assert_eq!(refusal(0x10, b"\0\x04MQTT\x05\x02\0\0\0\0\x01c"), Some(PROTOCOL_ERROR));
}

/// [MQTT-3.1.2-1]
#[test]
fn connect_of_another_protocol_is_not_served() {
    for name in ["", "MQT", "mqtt", "MQTTT", "HTTP"] {
        let body = [&field(name), &b"\x05\x02\0\0\0\0\x01c"[..]].concat();
        assert_eq!(Connect::decode(&packet(0x10, &body)), Err(ConnectError::NotMqtt), "{name}");
    }
}

/// [MQTT-3.1.2-2]
#[test]
fn later_version_is_answered_with_0x84() {
    for level in [6, 7, 0x7F] {
        let body = [b"\0\x04MQTT", &[level][..], b"\x02\0\0\0\0\x01c"].concat();
        let Err(ConnectError::Refused { version, error }) = Connect::decode(&packet(0x10, &body))
        else {
            panic!("{level}")
        };
        assert_eq!(version, Version::V5);
        let connack = Connack::refusal(error.reason(), Remarks::default());
        assert_eq!(sent(&FromServer::Connack(connack)), [0x20, 3, 0, 0x84, 0]);
    }
}

/// [MQTT-3.1.2-3]
#[test]
fn reserved_connect_flag_is_0() {
    assert_eq!(connect_refusal(CLEAN, &[CLIENT]), None);
    assert_eq!(connect_refusal(CLEAN | 0x01, &[CLIENT]), Some(MALFORMED));
}

/// [MQTT-3.1.2-9]
#[test]
fn will_flag_says_that_properties_topic_and_payload_are_there() {
    let flags = CLEAN | WILL_FLAG | WILL_RETAIN | 0x10;
    let will = connect(flags, &[CLIENT, WILL]).unwrap().will.unwrap();
    assert_eq!((will.topic.as_str(), &will.payload.as_bytes()[..]), ("w", &b"m"[..]));
    assert_eq!((will.qos, will.retain), (Qos::ExactlyOnce, true));
    for cut in 0..WILL.len() {
        let refused = connect_refusal(flags, &[CLIENT, &WILL[..cut]]);
        assert_eq!(refused, Some(MALFORMED), "{cut}");
    }
}

/// [MQTT-3.1.2-11]
#[test]
fn without_will_flag_the_will_qos_is_0() {
    for qos in 1..=3 {
        assert_eq!(connect_refusal(CLEAN | qos << 3, &[CLIENT]), Some(MALFORMED), "{qos}");
    }
}

/// [MQTT-3.1.2-12]
#[test]
fn will_qos_is_0_1_or_2() {
    let qos = |qos: u8| connect_refusal(CLEAN | WILL_FLAG | qos << 3, &[CLIENT, WILL]);
    assert_eq!([0, 1, 2, 3].map(qos), [None, None, None, Some(MALFORMED)]);
}

/// [MQTT-3.1.2-13]
#[test]
fn without_will_flag_will_retain_is_0() {
    assert_eq!(connect_refusal(CLEAN | WILL_RETAIN, &[CLIENT]), Some(MALFORMED));
}

/// [MQTT-3.1.2-16]
#[test]
fn without_user_name_flag_there_is_no_user_name() {
    assert_eq!(connect_refusal(CLEAN, &[CLIENT, b"\0\x01u"]), Some(MALFORMED));
    assert_eq!(connect(CLEAN, &[CLIENT]).unwrap().user_name, None);
}

/// [MQTT-3.1.2-17]
#[test]
fn user_name_flag_says_that_a_user_name_is_there() {
    let user_name = connect(CLEAN | USER_NAME, &[CLIENT, b"\0\x01u"]).unwrap().user_name;
    assert_eq!(user_name.unwrap().as_str(), "u");
    assert_eq!(connect_refusal(CLEAN | USER_NAME, &[CLIENT]), Some(MALFORMED));
}

/// [MQTT-3.1.2-18]
#[test]
fn without_password_flag_there_is_no_password() {
    let fields: &[&[u8]] = &[CLIENT, b"\0\x01u", b"\0\x01p"];
    assert_eq!(connect_refusal(CLEAN | USER_NAME, fields), Some(MALFORMED));
    assert_eq!(connect(CLEAN | USER_NAME, &fields[..2]).unwrap().password, None);
}

/// [MQTT-3.1.2-19]
#[test]
fn password_flag_says_that_a_password_is_there_with_or_without_user_name() {
    let password = connect(CLEAN | PASSWORD, &[CLIENT, b"\0\x01p"]).unwrap().password;
    assert_eq!(&password.unwrap().as_bytes()[..], b"p");
    let refused = connect_refusal(CLEAN | USER_NAME | PASSWORD, &[CLIENT, b"\0\x01u"]);
    assert_eq!(refused, Some(MALFORMED));
}

/// [MQTT-3.1.2-24]
#[test]
fn packet_above_the_maximum_packet_size_is_not_written() {
    let limited = |max: u8| {
        let connect = connect_with(CLEAN, &[0x27, 0, 0, 0, max], &[CLIENT]).unwrap();
        connect.recipient()
    };
    let puback = FromServer::Puback(Ack::new(id(1), Reason::NOT_AUTHORIZED));
    let connack = FromServer::Connack(Connack::default());
    for packet in [&puback, &connack] {
        let len = sent(packet).len();
        assert_eq!(sent_to(&limited(u8::try_from(len).unwrap()), packet), Ok(sent(packet)));
        assert_eq!(sent_to(&limited(u8::try_from(len).unwrap() - 1), packet), Err(TooLarge));
    }
    assert!(sent_to(&Recipient::any(Version::V5), &puback).is_ok());
}

/// [MQTT-3.1.3-1]
#[test]
fn fields_of_the_payload_have_their_order() {
    let flags = CLEAN | WILL_FLAG | USER_NAME | PASSWORD;
    let will = [b"\x02\x01\x01", &field("w")[..], &field("m")].concat();
    let fields = [field("c"), will, field("u"), field("p")].concat();
    let connect = connect(flags, &[&fields]).unwrap();
    let will = connect.will.unwrap();
    assert_eq!((connect.client_id.as_str(), will.topic.as_str()), ("c", "w"));
    assert_eq!((&will.properties[..], &will.payload.as_bytes()[..]), (&[1, 1][..], &b"m"[..]));
    assert_eq!(connect.user_name.unwrap().as_str(), "u");
    assert_eq!(&connect.password.unwrap().as_bytes()[..], b"p");
}

/// [MQTT-3.1.3-3]
#[test]
fn client_id_is_there() {
    assert_eq!(connect_refusal(CLEAN, &[]), Some(MALFORMED));
    assert_eq!(connect(CLEAN, &[CLIENT]).unwrap().client_id.as_str(), "c");
}

/// [MQTT-3.1.3-4]
#[test]
fn client_id_is_utf_8() {
    for bytes in NOT_UTF_8 {
        assert_eq!(connect_refusal(CLEAN, &[&field(bytes)]), Some(MALFORMED), "{bytes:x?}");
    }
}

/// [MQTT-3.1.3-5]
#[test]
fn client_id_of_up_to_23_digits_and_letters_is_taken() {
    let characters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for id in [&characters[..23], &characters[23..46], &characters[39..], "0"] {
        assert_eq!(connect(0, &[&field(id)]).unwrap().client_id.as_str(), id);
    }
}

/// [MQTT-3.1.3-11]
#[test]
fn will_topic_is_utf_8() {
    let with =
        |topic: &[u8]| connect_refusal(CLEAN | WILL_FLAG, &[CLIENT, b"\0", &field(topic), b"\0\0"]);
    assert_eq!(with("é".as_bytes()), None);
    assert!(NOT_UTF_8.into_iter().all(|bytes| with(bytes) == Some(MALFORMED)));
}

/// [MQTT-3.1.3-12]
#[test]
fn user_name_is_utf_8() {
    let with = |name: &[u8]| connect_refusal(CLEAN | USER_NAME, &[CLIENT, &field(name)]);
    assert_eq!(with("é".as_bytes()), None);
    assert!(NOT_UTF_8.into_iter().all(|bytes| with(bytes) == Some(MALFORMED)));
}

/// [MQTT-3.1.4-1]
#[test]
fn connect_of_another_form_is_refused() {
    let with = |properties: &[u8]| connect_with(CLEAN, properties, &[CLIENT]).is_ok();
    assert!(with(b"\x21\0\x01"));
    let wrong: [&[u8]; 8] = [
        b"\x01\x01",             // a property of PUBLISH
        b"\x04",                 // one that does not exist
        b"\x21\0\0",             // Receive Maximum 0
        b"\x27\0\0\0\0",         // Maximum Packet Size 0
        b"\x17\x02",             // Request Problem Information 2
        b"\x19\x02",             // Request Response Information 2
        b"\x21\0\x01\x21\0\x01", // twice
        b"\x11\0\0\0",           // cut
    ];
    for properties in wrong {
        assert!(!with(properties), "{properties:x?}");
    }
    assert_eq!(connect_refusal(CLEAN, &[CLIENT, b"\0"]), Some(MALFORMED));
    let flagged = Connect::decode(&packet(0x11, b"\0\x04MQTT\x05\x02\0\0\0\0\x01c"));
    assert!(matches!(flagged, Err(ConnectError::Refused { version: Version::V5, .. })));
}
