//! §3.1 CONNECT.

use broker_core::codec::{Connect, ConnectError};
use ha_types::Qos;

use crate::common::{answer, connect, received};
use crate::spec::{NOT_UTF_8, field, packet};

const CLIENT: &[u8] = b"\0\x01c";
/// Will topic and will message.
const WILL: &[u8] = b"\0\x01w\0\x01m";
const CLEAN: u8 = 0x02;
const WILL_FLAG: u8 = 0x04;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;

fn is_accepted(flags: u8, fields: &[&[u8]]) -> bool {
    connect(flags, fields).is_ok()
}

/// [MQTT-3.1.0-1]
#[test]
fn first_packet_is_connect() {
    for first in (0..=255).filter(|first| first & 0xF0 != 0x10) {
        let refused = Connect::decode(&packet(first, b"\0\x04MQTT\x04\x02\0\0\0\x01c"));
        assert_eq!(refused, Err(ConnectError::NotMqtt), "{first:#x}");
    }
}

/// [MQTT-3.1.0-2]
#[test]
fn second_connect_ends_the_connection() {
    assert!(received(0x10, b"\0\x04MQTT\x04\x02\0\0\0\x01c").is_err());
}

/// [MQTT-3.1.2-1]
#[test]
fn connect_of_another_protocol_is_not_served() {
    for name in ["", "MQT", "mqtt", "MQTTT", "HTTP"] {
        let body = [&field(name), &b"\x04\x02\0\0\0\x01c"[..]].concat();
        assert_eq!(Connect::decode(&packet(0x10, &body)), Err(ConnectError::NotMqtt), "{name}");
    }
}

/// [MQTT-3.1.2-2]
#[test]
fn level_that_is_not_served_is_answered_with_return_code_1() {
    for level in [0, 1, 2, 3] {
        let body = [b"\0\x04MQTT", &[level][..], b"\x02\0\0\0\x01c"].concat();
        assert_eq!(answer(Connect::decode(&packet(0x10, &body))), [0x20, 2, 0, 1], "{level}");
    }
}

/// [MQTT-3.1.2-3]
#[test]
fn reserved_connect_flag_is_0() {
    assert!(is_accepted(CLEAN, &[CLIENT]));
    assert!(!is_accepted(CLEAN | 0x01, &[CLIENT]));
}

/// [MQTT-3.1.2-9]
#[test]
fn will_flag_says_that_topic_and_message_are_there() {
    let flags = CLEAN | WILL_FLAG | WILL_RETAIN | 0x10;
    let will = connect(flags, &[CLIENT, WILL]).unwrap().will.unwrap();
    assert_eq!((will.topic.as_str(), &will.payload.as_bytes()[..]), ("w", &b"m"[..]));
    assert_eq!((will.qos, will.retain), (Qos::ExactlyOnce, true));
    assert!(!is_accepted(flags, &[CLIENT]));
    assert!(!is_accepted(flags, &[CLIENT, b"\0\x01w"]));
}

/// [MQTT-3.1.2-11]
#[test]
fn without_will_flag_there_are_no_will_fields() {
    assert!(!is_accepted(CLEAN, &[CLIENT, WILL]));
    assert_eq!(connect(CLEAN, &[CLIENT]).unwrap().will, None);
}

/// [MQTT-3.1.2-13]
#[test]
fn without_will_flag_the_will_qos_is_0() {
    for qos in 1..=3 {
        assert!(!is_accepted(CLEAN | qos << 3, &[CLIENT]), "{qos}");
    }
}

/// [MQTT-3.1.2-14]
#[test]
fn will_qos_is_0_1_or_2() {
    let is_ok = |qos: &u8| is_accepted(CLEAN | WILL_FLAG | qos << 3, &[CLIENT, WILL]);
    assert_eq!((0..=3).filter(is_ok).collect::<Vec<_>>(), [0, 1, 2]);
}

/// [MQTT-3.1.2-15]
#[test]
fn without_will_flag_will_retain_is_0() {
    assert!(!is_accepted(CLEAN | WILL_RETAIN, &[CLIENT]));
}

/// [MQTT-3.1.2-18]
#[test]
fn without_user_name_flag_there_is_no_user_name() {
    assert!(!is_accepted(CLEAN, &[CLIENT, b"\0\x01u"]));
    assert_eq!(connect(CLEAN, &[CLIENT]).unwrap().user_name, None);
}

/// [MQTT-3.1.2-19]
#[test]
fn user_name_flag_says_that_a_user_name_is_there() {
    let user_name = connect(CLEAN | USER_NAME, &[CLIENT, b"\0\x01u"]).unwrap().user_name;
    assert_eq!(user_name.unwrap().as_str(), "u");
    assert!(!is_accepted(CLEAN | USER_NAME, &[CLIENT]));
}

/// [MQTT-3.1.2-20]
#[test]
fn without_password_flag_there_is_no_password() {
    assert!(!is_accepted(CLEAN | USER_NAME, &[CLIENT, b"\0\x01u", b"\0\x01p"]));
    assert_eq!(connect(CLEAN | USER_NAME, &[CLIENT, b"\0\x01u"]).unwrap().password, None);
}

/// [MQTT-3.1.2-21]
#[test]
fn password_flag_says_that_a_password_is_there() {
    let flags = CLEAN | USER_NAME | PASSWORD;
    let password = connect(flags, &[CLIENT, b"\0\x01u", b"\0\x01p"]).unwrap().password;
    assert_eq!(&password.unwrap().as_bytes()[..], b"p");
    assert!(!is_accepted(flags, &[CLIENT, b"\0\x01u"]));
}

/// [MQTT-3.1.2-22]
#[test]
fn password_needs_a_user_name() {
    assert!(!is_accepted(CLEAN | PASSWORD, &[CLIENT, b"\0\x01p"]));
}

/// [MQTT-3.1.3-1]
#[test]
fn fields_of_the_payload_have_their_order() {
    let flags = CLEAN | WILL_FLAG | USER_NAME | PASSWORD;
    let fields = ["c", "w", "m", "u", "p"].map(field).concat();
    let connect = connect(flags, &[&fields]).unwrap();
    let will = connect.will.unwrap();
    let texts = [
        connect.client_id.as_str(),
        will.topic.as_str(),
        connect.user_name.as_ref().unwrap().as_str(),
    ];
    assert_eq!(texts, ["c", "w", "u"]);
    assert_eq!(&will.payload.as_bytes()[..], b"m");
    assert_eq!(&connect.password.unwrap().as_bytes()[..], b"p");
}

/// [MQTT-3.1.3-3]
#[test]
fn client_id_is_there() {
    assert!(!is_accepted(CLEAN, &[]));
    assert_eq!(connect(CLEAN, &[CLIENT]).unwrap().client_id.as_str(), "c");
}

/// [MQTT-3.1.3-4]
#[test]
fn client_id_is_utf_8() {
    assert!(NOT_UTF_8.iter().all(|bytes| !is_accepted(CLEAN, &[&field(bytes)])));
}

/// [MQTT-3.1.3-5]
#[test]
fn client_id_of_up_to_23_digits_and_letters_is_taken() {
    let characters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for id in [&characters[..23], &characters[23..46], &characters[39..], "0"] {
        assert_eq!(connect(0, &[&field(id)]).unwrap().client_id.as_str(), id);
    }
}

/// [MQTT-3.1.3-7]
#[test]
fn empty_client_id_comes_with_a_clean_session() {
    assert!(is_accepted(CLEAN, &[b"\0\0"]));
    assert!(!is_accepted(0, &[b"\0\0"]));
}

/// [MQTT-3.1.3-8]
#[test]
fn empty_client_id_without_a_clean_session_is_answered_with_return_code_2() {
    assert_eq!(answer(connect(0, &[b"\0\0"])), [0x20, 2, 0, 2]);
}

/// [MQTT-3.1.3-10]
#[test]
fn will_topic_is_utf_8() {
    let is_ok = |topic: &[u8]| is_accepted(CLEAN | WILL_FLAG, &[CLIENT, &field(topic), b"\0\0"]);
    assert!(is_ok("é".as_bytes()) && !NOT_UTF_8.into_iter().any(is_ok));
}

/// [MQTT-3.1.3-11]
#[test]
fn user_name_is_utf_8() {
    let is_ok = |name: &[u8]| is_accepted(CLEAN | USER_NAME, &[CLIENT, &field(name)]);
    assert!(is_ok("é".as_bytes()) && !NOT_UTF_8.into_iter().any(is_ok));
}

/// [MQTT-3.1.4-1]
#[test]
fn connect_of_another_form_is_not_answered() {
    let malformed = [
        connect(CLEAN | 0x01, &[CLIENT]),
        connect(CLEAN, &[]),
        connect(CLEAN, &[b"\0\x02c"]),
        connect(CLEAN, &[CLIENT, b"\0"]),
        connect(CLEAN | PASSWORD, &[CLIENT, b"\0\x01p"]),
        connect(CLEAN | WILL_FLAG, &[CLIENT, b"\0\x01#\0\0"]),
        Connect::decode(&packet(0x11, b"\0\x04MQTT\x04\x02\0\0\0\x01c")),
        Connect::decode(&packet(0x10, b"\0\x04MQTT\x04\x02\0")),
    ];
    for refused in malformed {
        assert!(answer(refused).is_empty());
    }
}
