//! §1.5: strings, variable byte integers, pairs of strings.

use broker_core::codec::frame::split;
use broker_core::codec::{DecodeError, Flow, FromClient, FromServer, Publish, SubscriptionId};
use broker_core::codec::{Topic, Version};
use bytes::{Bytes, BytesMut};
use ha_types::TopicName;

use crate::common::{MALFORMED, connect, connect_refusal, counted, received, refusal, sent};
use crate::spec::{NOT_UTF_8, field};

/// [MQTT-1.5.4-1]
#[test]
fn string_that_is_no_utf_8_is_malformed() {
    for bytes in NOT_UTF_8 {
        let publish = [field(bytes), vec![0]].concat();
        assert_eq!(refusal(0x30, &publish), Some(MALFORMED), "{bytes:x?}");
        assert_eq!(connect_refusal(0x02, &[&field(bytes)]), Some(MALFORMED), "{bytes:x?}");
    }
    assert!(received(0x30, &[field("é€😀"), vec![0]].concat()).is_ok());
}

/// [MQTT-1.5.4-2]
#[test]
fn string_with_u_0000_is_malformed() {
    assert_eq!(refusal(0x30, b"\0\x03a\0b\0"), Some(MALFORMED));
    assert_eq!(connect_refusal(0x02, &[b"\0\x03a\0b"]), Some(MALFORMED));
    assert!(received(0x30, b"\0\x03a\x01b\0").is_ok());
}

/// [MQTT-1.5.4-3]
#[test]
fn byte_order_mark_is_a_character_like_any_other() {
    let client_id = connect(0x02, &[&field(b"\xEF\xBB\xBFa")]).unwrap().client_id;
    assert_eq!(client_id.as_str(), "\u{FEFF}a");
}

/// What a server writes for a message with this subscription identifier.
fn with_subscription_id(id: u32) -> Vec<u8> {
    let topic = TopicName::parse(Bytes::from_static(b"t")).unwrap();
    sent(&FromServer::Publish(Publish {
        flow: Flow::AtMostOnce,
        dup: false,
        retain: false,
        topic: Topic::Name(topic),
        expires_in_s: None,
        subscription_ids: vec![SubscriptionId::new(id).unwrap()],
        properties: Bytes::new(),
        payload: Bytes::new(),
    }))
}

/// [MQTT-1.5.5-1]
#[test]
fn variable_byte_integer_has_as_few_bytes_as_possible() {
    let shortest: [(u32, &[u8]); 6] = [
        (127, &[0x7F]),
        (128, &[0x80, 0x01]),
        (16_383, &[0xFF, 0x7F]),
        (16_384, &[0x80, 0x80, 0x01]),
        (2_097_152, &[0x80, 0x80, 0x80, 0x01]),
        (268_435_455, &[0xFF, 0xFF, 0xFF, 0x7F]),
    ];
    for (id, bytes) in shortest {
        assert_eq!(with_subscription_id(id)[7..], *bytes);
    }
    let padded = split(&mut BytesMut::from(&[0xC0, 0x80, 0][..]), 100).unwrap().unwrap();
    let refused = FromClient::decode(Version::V5, padded).map_err(DecodeError::reason);
    assert_eq!(refused, Err(MALFORMED));
    assert_eq!(refusal(0x30, b"\0\x01t\x80\0"), Some(MALFORMED));
    assert_eq!(refusal(0x82, b"\0\x01\x03\x0B\x81\0\0\x01a\0"), Some(MALFORMED));
}

/// [MQTT-1.5.7-1]
#[test]
fn both_strings_of_a_pair_keep_the_rules() {
    let publish = |name: &[u8], value: &[u8]| {
        let pair = [&[0x26], &field(name)[..], &field(value)].concat();
        refusal(0x30, &[b"\0\x01t", &counted(&pair)[..]].concat())
    };
    assert_eq!(publish("é".as_bytes(), b""), None);
    for bytes in NOT_UTF_8.into_iter().chain([&b"\0"[..]]) {
        assert_eq!(publish(bytes, b"v"), Some(MALFORMED), "{bytes:x?}");
        assert_eq!(publish(b"n", bytes), Some(MALFORMED), "{bytes:x?}");
    }
}
