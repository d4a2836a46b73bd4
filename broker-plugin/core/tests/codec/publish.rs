//! PUBLISH (§3.3).

use broker_core::codec::limits::PROPERTIES_BYTES_MAX;
use broker_core::codec::property::check_opaque;
use broker_core::codec::{DecodeError, Flow, FromClient, FromServer, Publish, Topic, Version};
use bytes::Bytes;

use crate::common::{MALFORMED, PROTOCOL_ERROR, frame, from_client, from_server, id, reason};

fn publish(version: Version, first: u8, body: &[u8]) -> Result<Publish, DecodeError> {
    from_client(version, first, body).map(|packet| match packet {
        FromClient::Publish(publish) => publish,
        other => panic!("not a PUBLISH: {other:?}"),
    })
}

fn name(publish: &Publish) -> &str {
    match &publish.topic {
        Topic::Name(name) | Topic::Both(name, _) => name.as_str(),
        Topic::Alias(_) => "",
    }
}

/// [MQTT-3.3.1-4]
#[test]
fn qos_3_does_not_exist() {
    assert_eq!(reason(publish(Version::V5, 0x36, b"\0\x01t\0\x01\0")), MALFORMED);
    assert!(publish(Version::V311, 0x36, b"\0\x01t\0\x01").is_err());
}

/// [MQTT-3.3.1-2]
#[test]
fn dup_is_for_qos_1_and_2_except_in_3_1() {
    assert_eq!(reason(publish(Version::V5, 0x38, b"\0\x01t\0")), MALFORMED);
    assert!(publish(Version::V311, 0x38, b"\0\x01t").is_err());
    assert!(publish(Version::V31, 0x38, b"\0\x01t").is_ok());
    assert!(publish(Version::V5, 0x3A, b"\0\x01t\0\x01\0").unwrap().dup);
}

/// [MQTT-2.2.1-2], [MQTT-2.2.1-3]
#[test]
fn packet_id_is_there_and_not_0_at_qos_1_and_2_only() {
    assert_eq!(reason(publish(Version::V5, 0x32, b"\0\x01t\0\0\0")), PROTOCOL_ERROR);
    assert_eq!(reason(publish(Version::V311, 0x34, b"\0\x01t\0\0")), PROTOCOL_ERROR);
    assert_eq!(reason(publish(Version::V311, 0x34, b"\0\x01t\0")), MALFORMED);
    let flow = publish(Version::V311, 0x34, b"\0\x01t\0\x07").unwrap().flow;
    assert_eq!(flow, Flow::ExactlyOnce(id(7)));
    let publish = publish(Version::V311, 0x30, b"\0\x01t\0\x07").unwrap();
    assert_eq!((publish.flow, &publish.payload[..]), (Flow::AtMostOnce, &[0, 7][..]));
}

/// [MQTT-3.3.2-2], [MQTT-4.7.0-1]
#[test]
fn topic_has_no_wildcards() {
    for topic in ["#", "a/+", "a+b", "a/#"] {
        let len = u8::try_from(topic.len()).unwrap();
        let body = [&[0, len], topic.as_bytes(), &[0]].concat();
        assert_eq!(reason(publish(Version::V5, 0x30, &body)), 0x90, "{topic}");
    }
}

/// [MQTT-3.3.2-1], [MQTT-1.5.4-1], [MQTT-1.5.4-2]
#[test]
fn topic_is_utf_8_without_null() {
    for body in [&b"\0\x01\xFF\0"[..], b"\0\x02\xC0\x80\0", b"\0\x03\xED\xBF\xBF\0", b"\0\x01\0\0"]
    {
        assert_eq!(reason(publish(Version::V5, 0x30, body)), MALFORMED, "{body:x?}");
    }
}

/// 5.0 §3.3.2.1, 3.1.1 [MQTT-4.7.3-1]
#[test]
fn empty_topic_needs_an_alias() {
    assert_eq!(reason(publish(Version::V5, 0x30, b"\0\0\0x")), PROTOCOL_ERROR);
    assert!(publish(Version::V311, 0x30, b"\0\0x").is_err());
    let by_alias = publish(Version::V5, 0x30, b"\0\0\x03\x23\0\x05x").unwrap();
    assert!(matches!(by_alias.topic, Topic::Alias(alias) if alias.get() == 5));
    let both = publish(Version::V5, 0x30, b"\0\x01t\x03\x23\0\x05x").unwrap();
    assert!(matches!(&both.topic, Topic::Both(_, alias) if alias.get() == 5));
    assert_eq!((name(&both), &both.payload[..]), ("t", &b"x"[..]));
}

/// [MQTT-3.3.2-8]
#[test]
fn topic_alias_is_not_0() {
    assert_eq!(reason(publish(Version::V5, 0x30, b"\0\x01t\x03\x23\0\0")), 0x94);
}

/// [MQTT-3.3.4-6]; §3.3.2.3.8
#[test]
fn subscription_ids_come_from_servers_only_and_are_not_0() {
    let body = b"\0\x01t\x05\x0B\x01\x0B\x80\x01x";
    assert_eq!(reason(publish(Version::V5, 0x30, body)), PROTOCOL_ERROR);
    let Ok(FromServer::Publish(publish)) = from_server(Version::V5, 0x30, body) else { panic!() };
    let ids: Vec<_> = publish.subscription_ids.iter().map(|id| id.get()).collect();
    assert_eq!(ids, [1, 128]);
    let zero = from_server(Version::V5, 0x30, b"\0\x01t\x02\x0B\0x");
    assert_eq!(reason(zero), PROTOCOL_ERROR);
}

/// 5.0 §2.2.2.2, §3.3.2.3
#[test]
fn properties_are_those_of_a_publish_and_appear_once() {
    let wrong = publish(Version::V5, 0x30, b"\0\x01t\x05\x11\0\0\0\x01");
    assert_eq!(reason(wrong), MALFORMED);
    let unknown = publish(Version::V5, 0x30, b"\0\x01t\x02\x04\x01");
    assert_eq!(reason(unknown), MALFORMED);
    let twice = publish(Version::V5, 0x30, b"\0\x01t\x08\x03\0\x01a\x03\0\x01a");
    assert_eq!(reason(twice), PROTOCOL_ERROR);
    let format = publish(Version::V5, 0x30, b"\0\x01t\x02\x01\x02");
    assert_eq!(reason(format), PROTOCOL_ERROR);
}

#[test]
fn property_length_fits() {
    assert_eq!(reason(publish(Version::V5, 0x30, b"\0\x01t\x05\x01\x01")), MALFORMED);
    assert_eq!(reason(publish(Version::V5, 0x30, b"\0\x01t\x01\x01\x01")), MALFORMED);
    assert_eq!(reason(publish(Version::V5, 0x30, b"\0\x01t")), MALFORMED);
}

/// [MQTT-1.5.5-1]
#[test]
fn property_length_is_not_padded() {
    assert_eq!(reason(publish(Version::V5, 0x30, b"\0\x01t\x80\0x")), MALFORMED);
}

/// [MQTT-3.3.2-17], [MQTT-3.3.2-18]: user properties are forwarded unaltered, in their order.
#[test]
fn properties_that_travel_are_one_slice_of_the_packet() {
    let properties = b"\x01\x01\x03\0\x01c\x08\0\x01r\x09\0\x01d\x26\0\x01b\0\0\x26\0\x01a\0\0";
    let len = u8::try_from(properties.len()).unwrap();
    let frame = frame(0x30, &[b"\0\x01t", &[len][..], properties, b"payload"].concat());
    let Ok(FromClient::Publish(publish)) = FromClient::decode(Version::V5, frame.clone()) else {
        panic!("refused")
    };
    assert_eq!(&publish.properties[..], properties);
    assert_eq!(publish.properties.as_ptr(), frame.body[4..].as_ptr());
    assert_eq!(publish.payload.as_ptr(), frame.body[4 + properties.len()..].as_ptr());
    assert_eq!(check_opaque(&publish.properties), Ok(()));
}

#[test]
fn what_is_for_the_broker_is_taken_out_of_the_properties() {
    let body = b"\0\x01t\x0C\x01\x01\x23\0\x01\x02\0\0\0\x09\x01";
    assert!(publish(Version::V5, 0x30, body).is_err());
    let body = b"\0\x01t\x0E\x01\x01\x23\0\x01\x03\0\x01c\x02\0\0\0\x09";
    let publish = publish(Version::V5, 0x30, &body[..]);
    let publish = publish.unwrap();
    assert_eq!(&publish.properties[..], b"\x01\x01\x03\0\x01c");
    assert_eq!(publish.expires_in_s, Some(9));
    assert!(check_opaque(&Bytes::from_static(b"\x23\0\x01")).is_err());
}

#[test]
fn ten_thousand_user_properties_are_refused() {
    let user = b"\x26\0\x01a\0\x01b".repeat(10_000);
    let len = [0x80 | u8::try_from(user.len() & 0x7F).unwrap(), 0x80 | 0x22, 0x04];
    assert_eq!(70_000, user.len());
    let body = [b"\0\x01t", &len[..], &user].concat();
    assert_eq!(reason(publish(Version::V5, 0x30, &body)), 0x97);
}

#[test]
fn properties_have_a_limit_of_bytes() {
    let long = [b"\x26\0\0\xFF\xFF".as_slice(), &[b'a'; 65_535]].concat();
    let properties = long.repeat(3);
    assert!(properties.len() > PROPERTIES_BYTES_MAX);
    let len = properties.len();
    let byte = |shift: u32| u8::try_from(len >> shift & 0x7F).unwrap();
    let body = [b"\0\x01t", &[byte(0) | 0x80, byte(7) | 0x80, byte(14)][..], &properties].concat();
    assert_eq!(reason(publish(Version::V5, 0x30, &body)), 0x97);
}

#[test]
fn topic_of_too_many_levels_is_refused() {
    let topic = "/".repeat(20_000);
    let body = [&20_000_u16.to_be_bytes(), topic.as_bytes(), &[0]].concat();
    assert_eq!(reason(publish(Version::V5, 0x30, &body)), 0x90);
}
