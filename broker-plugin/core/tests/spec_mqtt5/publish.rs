//! §3.3 PUBLISH, as it comes from a client.

use broker_core::codec::{FromClient, Reason, Topic, TopicAlias};

use crate::common::{MALFORMED, PROTOCOL_ERROR, counted, received, refusal};
use crate::spec::{NOT_UTF_8, field};

/// A PUBLISH at QoS 0 with these properties.
fn with_properties(properties: &[u8]) -> Option<Reason> {
    refusal(0x30, &[b"\0\x01t", &counted(properties)[..]].concat())
}

fn to_topic(topic: impl AsRef<[u8]>) -> Option<Reason> {
    refusal(0x30, &[field(topic), vec![0]].concat())
}

/// [MQTT-3.3.1-2]
#[test]
fn dup_at_qos_0_is_malformed() {
    assert_eq!(refusal(0x38, b"\0\x01t\0"), Some(MALFORMED));
    assert_eq!(refusal(0x3A, b"\0\x01t\0\x01\0"), None);
    assert_eq!(refusal(0x3C, b"\0\x01t\0\x01\0"), None);
}

/// [MQTT-3.3.1-4]
#[test]
fn qos_3_is_malformed() {
    for first in [0x36, 0x37, 0x3E, 0x3F] {
        assert_eq!(refusal(first, b"\0\x01t\0\x01\0"), Some(MALFORMED), "{first:#x}");
    }
}

/// [MQTT-3.3.2-1]
#[test]
fn topic_name_comes_first_and_is_utf_8() {
    let Ok(FromClient::Publish(publish)) = received(0x32, b"\0\x02\xC3\xA9\0\x01\0m") else {
        panic!("refused")
    };
    assert!(matches!(publish.topic, Topic::Name(name) if name.as_str() == "é"));
    assert_eq!(refusal(0x30, b""), Some(MALFORMED));
    assert!(NOT_UTF_8.into_iter().all(|bytes| to_topic(bytes) == Some(MALFORMED)));
}

/// [MQTT-3.3.2-2]
#[test]
fn topic_name_has_no_wildcards() {
    for name in ["#", "+", "a/#", "a/+/b", "a#", "+a"] {
        assert_eq!(to_topic(name), Some(Reason::TOPIC_NAME_INVALID), "{name}");
    }
}

/// [MQTT-3.3.2-8]
#[test]
fn topic_alias_0_does_not_exist() {
    assert_eq!(with_properties(b"\x23\0\0"), Some(Reason::TOPIC_ALIAS_INVALID));
    assert_eq!(with_properties(b"\x23\0\x01"), None);
    assert_eq!(TopicAlias::new(0), None);
}

/// [MQTT-3.3.2-13]
#[test]
fn response_topic_is_utf_8() {
    let with = |topic: &[u8]| with_properties(&[&[0x08], &field(topic)[..]].concat());
    assert_eq!(with("é".as_bytes()), None);
    assert!(NOT_UTF_8.into_iter().all(|bytes| with(bytes) == Some(MALFORMED)));
}

/// [MQTT-3.3.2-14]
#[test]
fn response_topic_has_no_wildcards() {
    for topic in ["#", "+", "a/#", "a/+/b"] {
        let refused = with_properties(&[&[0x08], &field(topic)[..]].concat());
        assert_eq!(refused, Some(PROTOCOL_ERROR), "{topic}");
    }
}

/// [MQTT-3.3.2-19]
#[test]
fn content_type_is_utf_8() {
    let with = |content_type: &[u8]| with_properties(&[&[0x03], &field(content_type)[..]].concat());
    assert_eq!(with("é".as_bytes()), None);
    assert!(NOT_UTF_8.into_iter().all(|bytes| with(bytes) == Some(MALFORMED)));
}

/// [MQTT-3.3.4-6]
#[test]
fn publish_of_a_client_has_no_subscription_identifier() {
    assert_eq!(with_properties(b"\x0B\x01"), Some(PROTOCOL_ERROR));
}
