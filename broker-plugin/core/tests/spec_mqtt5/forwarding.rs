//! §3.3.2.3 and §3.1.3.2: properties that travel with a message, from client to client.

use broker_core::codec::{
    AliasUse, EncodedPublish, Envelope, Flow, FromClient, FromServer, Publish, Recipient, Version,
    frame,
};
use bytes::{Bytes, BytesMut};
use ha_types::{Message, Publisher, Qos, TopicName};

use crate::common::{connect, counted, received};

/// What a subscriber gets of a message with these properties.
fn delivered(properties: Bytes) -> Publish {
    let message = Message {
        topic: TopicName::parse(Bytes::from_static(b"t")).unwrap(),
        payload: Bytes::from_static(b"m"),
        properties,
        qos: Qos::AtMostOnce,
        retain: false,
        expires_at: None,
        publisher: Publisher::default(),
    };
    let alias = AliasUse::None;
    let flow = Flow::AtMostOnce;
    let envelope = Envelope { flow, dup: false, retain: false, subscription_ids: &[], alias };
    let encoded = EncodedPublish::new(Version::V5, Qos::AtMostOnce, &message, None);
    let mut out = BytesMut::new();
    encoded.write_to(&mut out, &Recipient::any(Version::V5), &envelope).unwrap();
    let frame = frame::split(&mut out, usize::MAX).unwrap().unwrap();
    let Ok(FromServer::Publish(publish)) = FromServer::decode(Version::V5, frame) else {
        panic!("not a PUBLISH")
    };
    publish
}

/// The properties of a message that a client publishes with `sent`, as a subscriber gets them.
fn forwarded(sent: &[u8]) -> Bytes {
    let body = [b"\0\x01t", &counted(sent)[..], b"m"].concat();
    let Ok(FromClient::Publish(publish)) = received(0x30, &body) else { panic!("refused") };
    delivered(publish.properties).properties
}

/// [MQTT-3.3.2-4]
#[test]
fn payload_format_is_forwarded_as_it_came() {
    assert_eq!(forwarded(b"\x01\x00")[..], b"\x01\x00"[..]);
    assert_eq!(forwarded(b"\x23\0\x01\x01\x01")[..], b"\x01\x01"[..]);
    assert!(forwarded(b"").is_empty());
}

/// [MQTT-3.3.2-15]
#[test]
fn response_topic_is_forwarded_as_it_came() {
    assert_eq!(forwarded(b"\x23\0\x01\x08\0\x03r/s")[..], b"\x08\0\x03r/s"[..]);
}

/// [MQTT-3.3.2-16]
#[test]
fn correlation_data_is_forwarded_as_it_came() {
    let data = b"\x09\0\x04\x00\xFF\x00\x80";
    assert_eq!(forwarded(&[&data[..], b"\x02\0\0\0\x09"].concat())[..], data[..]);
}

/// [MQTT-3.3.2-17]
#[test]
fn user_properties_are_forwarded_as_they_came() {
    let pairs = b"\x26\0\x01n\0\x02\xC3\xA9\x26\0\0\0\0\x26\0\x01n\0\x02\xC3\xA9";
    assert_eq!(forwarded(pairs)[..], pairs[..]);
}

/// [MQTT-3.3.2-18]
#[test]
fn user_properties_are_forwarded_in_their_order() {
    let between = b"\x26\0\x01b\0\x011\x23\0\x01\x26\0\x01a\0\x012\x02\0\0\0\x09\x26\0\x01b\0\x013";
    let pairs = b"\x26\0\x01b\0\x011\x26\0\x01a\0\x012\x26\0\x01b\0\x013";
    assert_eq!(forwarded(between)[..], pairs[..]);
}

/// [MQTT-3.3.2-20]
#[test]
fn content_type_is_forwarded_as_it_came() {
    assert_eq!(forwarded(b"\x23\0\x01\x03\0\x02\xC3\xA9")[..], b"\x03\0\x02\xC3\xA9"[..]);
}

/// [MQTT-3.1.3-10]
#[test]
fn user_properties_of_a_will_are_published_in_their_order() {
    let properties = b"\x26\0\x01b\0\x011\x18\0\0\0\x05\x26\0\x01a\0\x012\x26\0\x01b\0\x013";
    let fields = [&b"\0\x01c"[..], &counted(properties), b"\0\x01w\0\x01m"];
    let will = connect(0x06, &fields).unwrap().will.unwrap();
    let pairs = b"\x26\0\x01b\0\x011\x26\0\x01a\0\x012\x26\0\x01b\0\x013";
    assert_eq!(delivered(will.properties).properties[..], pairs[..]);
}
