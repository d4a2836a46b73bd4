//! CONNECT (§3.1).

use broker_core::codec::{Connect, ConnectError, NEVER_EXPIRES, ProblemInformation, Version};

use crate::common::{MALFORMED, PROTOCOL_ERROR, connect, frame};

fn refusal(result: Result<Connect, ConnectError>) -> (Version, u8) {
    match result {
        Err(ConnectError::Refused { version, error }) => (version, error.reason().0),
        other => panic!("not refused: {other:?}"),
    }
}

/// With the flags given, keep alive 0, and then `rest`.
fn v311(flags: u8, rest: &[u8]) -> Result<Connect, ConnectError> {
    connect(&[b"\0\x04MQTT\x04", &[flags, 0, 0][..], rest].concat())
}

fn v31(flags: u8, rest: &[u8]) -> Result<Connect, ConnectError> {
    connect(&[b"\0\x06MQIsdp\x03", &[flags, 0, 0][..], rest].concat())
}

fn v5(flags: u8, rest: &[u8]) -> Result<Connect, ConnectError> {
    connect(&[b"\0\x04MQTT\x05", &[flags, 0, 0][..], rest].concat())
}

#[test]
fn versions_are_told_apart_by_name_and_level() {
    assert_eq!(v31(2, b"\0\x01c").unwrap().version, Version::V31);
    assert_eq!(v311(2, b"\0\x01c").unwrap().version, Version::V311);
    assert_eq!(v5(2, b"\0\0\x01c").unwrap().version, Version::V5);
}

/// [MQTT-3.1.2-2]
#[test]
fn other_levels_are_refused_in_a_form_that_the_client_understands() {
    assert_eq!(refusal(connect(b"\0\x04MQTT\x03\x02")), (Version::V311, 0x84));
    assert_eq!(refusal(connect(b"\0\x06MQIsdp\x04\x02")), (Version::V311, 0x84));
    assert_eq!(refusal(connect(b"\0\x06MQIsdp\x83\x02")), (Version::V311, 0x84));
    assert_eq!(refusal(connect(b"\0\x04MQTT\x84\x02")), (Version::V311, 0x84));
    assert_eq!(refusal(connect(b"\0\x04MQTT\x06\x02")), (Version::V5, 0x84));
}

/// [MQTT-3.1.0-1], [MQTT-3.1.2-1]
#[test]
fn first_packet_that_is_no_connect_of_mqtt_gets_no_answer() {
    for body in [&b""[..], b"\0", b"\0\x04MQTT", b"\0\x04mqtt\x04\x02", b"\0\x04HTTP\x05\x02"] {
        assert_eq!(connect(body), Err(ConnectError::NotMqtt), "{body:?}");
    }
    let publish = frame(0x30, b"\0\x01t");
    assert_eq!(Connect::decode(&publish), Err(ConnectError::NotMqtt));
}

/// [MQTT-2.1.3-1], 3.1.1 [MQTT-2.2.2-2]
#[test]
fn flags_of_the_fixed_header_are_reserved() {
    let flagged = Connect::decode(&frame(0x11, b"\0\x04MQTT\x05\x02\0\0\0\0\x01c"));
    assert_eq!(refusal(flagged), (Version::V5, MALFORMED));
}

/// [MQTT-3.1.2-3]
#[test]
fn reserved_connect_flag_is_0_except_in_3_1() {
    assert_eq!(refusal(v5(0x03, b"\0\0\x01c")), (Version::V5, MALFORMED));
    assert_eq!(refusal(v311(0x03, b"\0\x01c")), (Version::V311, MALFORMED));
    assert!(v31(0x03, b"\0\x01c").is_ok());
}

/// [MQTT-3.1.2-11], [MQTT-3.1.2-12], [MQTT-3.1.2-13]; 3.1.1 [MQTT-3.1.2-13] to [MQTT-3.1.2-15]
#[test]
fn will_flags_are_consistent() {
    assert_eq!(refusal(v5(0x0A, b"\0\0\x01c")), (Version::V5, MALFORMED));
    assert_eq!(refusal(v5(0x22, b"\0\0\x01c")), (Version::V5, MALFORMED));
    assert_eq!(refusal(v5(0x1E, b"\0\0\x01c\0\0\x01w\0\0")), (Version::V5, MALFORMED));
    assert_eq!(refusal(v311(0x1E, b"\0\x01c\0\x01w\0\0")), (Version::V311, MALFORMED));
    assert!(v311(0x36, b"\0\x01c\0\x01w\0\0").unwrap().will.is_some());
}

/// [MQTT-3.1.2-9], 3.1.1 [MQTT-3.1.2-9]
#[test]
fn will_is_there_when_its_flag_is_set() {
    assert_eq!(refusal(v311(0x06, b"\0\x01c")), (Version::V311, MALFORMED));
    assert_eq!(refusal(v5(0x06, b"\0\0\x01c\0\0\x01w")), (Version::V5, MALFORMED));
}

#[test]
fn will_topic_is_a_topic_name() {
    assert_eq!(refusal(v5(0x06, b"\0\0\x01c\0\0\x01#\0\0")), (Version::V5, 0x90));
    assert_eq!(refusal(v5(0x06, b"\0\0\x01c\0\0\0\0\0")), (Version::V5, 0x90));
    assert_eq!(refusal(v5(0x06, b"\0\0\x01c\0\0\x01\xFF\0\0")), (Version::V5, MALFORMED));
}

#[test]
fn will_keeps_its_properties_and_gives_delay_and_expiry() {
    let will = b"\x0C\x01\x01\x18\0\0\0\x05\x02\0\0\0\x09";
    let body = [b"\0\0\x01c", &will[..], b"\0\x01w\0\x01m"].concat();
    let will = v5(0x06, &body).unwrap().will.unwrap();
    assert_eq!((will.delay_s, will.expires_in_s), (5, Some(9)));
    assert_eq!(&will.properties[..], [1, 1]);
}

/// 3.1.1 [MQTT-3.1.2-22]
#[test]
fn password_needs_a_user_name_before_5_0() {
    assert_eq!(refusal(v311(0x42, b"\0\x01c\0\x01p")), (Version::V311, MALFORMED));
    assert_eq!(refusal(v31(0x42, b"\0\x01c\0\x01p")), (Version::V31, MALFORMED));
    let connect = v5(0x42, b"\0\0\x01c\0\x01p").unwrap();
    assert_eq!(&connect.password.unwrap().as_bytes()[..], b"p");
}

/// [MQTT-3.1.2-17], [MQTT-3.1.2-19]; 3.1 §3.1: the remaining length takes precedence
#[test]
fn credentials_are_there_when_their_flags_are_set_except_in_3_1() {
    assert_eq!(refusal(v311(0xC2, b"\0\x01c\0\x01u")), (Version::V311, MALFORMED));
    assert_eq!(refusal(v5(0x82, b"\0\0\x01c")), (Version::V5, MALFORMED));
    let connect = v31(0xC2, b"\0\x01c\0\x01u").unwrap();
    assert_eq!((connect.user_name.unwrap().as_str(), connect.password), ("u", None));
}

/// [MQTT-3.1.2-16], [MQTT-3.1.2-18]
#[test]
fn nothing_follows_the_last_field() {
    assert_eq!(refusal(v311(0x02, b"\0\x01c\0\x01u")), (Version::V311, MALFORMED));
    assert_eq!(refusal(v5(0x02, b"\0\0\x01c\0")), (Version::V5, MALFORMED));
}

/// 3.1.1 [MQTT-3.1.3-7]; 5.0 §3.1.3.1
#[test]
fn client_id_may_be_empty_in_5_0_and_for_a_clean_session_of_3_1_1() {
    assert!(v5(0x00, b"\0\0\0").is_ok());
    assert!(v311(0x02, b"\0\0").is_ok());
    assert_eq!(refusal(v311(0x00, b"\0\0")), (Version::V311, 0x85));
    assert_eq!(refusal(v31(0x02, b"\0\0")), (Version::V31, 0x85));
}

/// [MQTT-3.1.3-5]: at least these characters; all others are welcome too.
#[test]
fn client_id_may_be_long_and_have_any_characters() {
    let id = "/+#$é".repeat(20);
    let body = [&[0, 0, u8::try_from(id.len()).unwrap()], id.as_bytes()].concat();
    assert_eq!(v5(2, &body).unwrap().client_id.as_str(), id);
}

/// [MQTT-3.1.3-4], [MQTT-3.1.3-12]
#[test]
fn client_id_and_user_name_are_utf_8() {
    assert_eq!(refusal(v5(2, b"\0\0\x01\xFF")), (Version::V5, MALFORMED));
    assert_eq!(refusal(v5(2, b"\0\0\x03\xED\xA0\x80")), (Version::V5, MALFORMED));
    assert_eq!(refusal(v5(0x82, b"\0\0\x01c\0\x01\0")), (Version::V5, MALFORMED));
}

#[test]
fn session_before_5_0_lives_for_ever_unless_it_is_clean() {
    assert_eq!(v311(0x00, b"\0\x01c").unwrap().session_expiry_s, NEVER_EXPIRES);
    assert_eq!(v31(0x02, b"\0\x01c").unwrap().session_expiry_s, 0);
    assert_eq!(v5(0x00, b"\0\0\x01c").unwrap().session_expiry_s, 0);
    assert_eq!(v5(0x00, b"\x05\x11\0\0\0\x07\0\x01c").unwrap().session_expiry_s, 7);
}

#[test]
fn what_connect_does_not_say_has_its_default() {
    let connect = v5(0x02, b"\0\0\x01c").unwrap();
    assert_eq!((connect.receive_maximum, connect.topic_alias_maximum), (65_535, 0));
    assert_eq!(connect.packet_bytes_max, u32::MAX);
    assert_eq!(connect.problem_information, ProblemInformation::Wanted);
    let connect = v5(0x02, b"\x0D\x21\0\x01\x22\0\x02\x27\0\0\0\x64\x17\0\0\x01c").unwrap();
    assert_eq!((connect.receive_maximum, connect.topic_alias_maximum), (1, 2));
    assert_eq!(connect.recipient().packet_bytes_max, 100);
    assert_eq!(connect.recipient().problem_information, ProblemInformation::Unwanted);
}

/// 5.0 §3.1.2.11
#[test]
fn properties_have_the_values_that_they_may_have() {
    for properties in [
        &b"\x03\x21\0\0"[..],        // Receive Maximum 0
        b"\x05\x27\0\0\0\0",         // Maximum Packet Size 0
        b"\x02\x17\x02",             // Request Problem Information 2
        b"\x02\x19\x02",             // Request Response Information 2
        b"\x06\x21\0\x01\x21\0\x01", // twice
        b"\x04\x16\0\x01d",          // authentication data without a method
    ] {
        let refused = refusal(v5(0x02, &[properties, b"\0\x01c"].concat()));
        assert_eq!(refused, (Version::V5, PROTOCOL_ERROR), "{properties:x?}");
    }
    let wrong = refusal(v5(0x02, b"\x03\x23\0\x01\0\x01c"));
    assert_eq!(wrong, (Version::V5, MALFORMED));
}

#[test]
fn authentication_method_may_be_without_data() {
    let connect = v5(0x02, b"\x04\x15\0\x01m\0\x01c").unwrap();
    let authentication = connect.authentication.unwrap();
    assert_eq!((authentication.method.as_str(), authentication.data), ("m", None));
}
