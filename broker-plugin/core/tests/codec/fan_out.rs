//! A message encoded once is, for each subscriber, the plain encoding of its PUBLISH.

use broker_core::codec::{
    AliasUse, EncodedPublish, Envelope, Flow, FromServer, Publish, Recipient, SubscriptionId,
    TooLarge, Topic, TopicAlias, Version,
};
use bytes::{Bytes, BytesMut};
use ha_types::{Message, Publisher, Qos, TopicName};
use proptest::prelude::*;

use crate::common::any::{flow, opaque, subscription_ids, topic_name, version};
use crate::common::id;

fn message() -> Message {
    Message {
        topic: TopicName::parse(Bytes::from_static(b"a/b")).unwrap(),
        payload: Bytes::from_static(b"payload"),
        properties: Bytes::from_static(&[1, 1]),
        qos: Qos::AtLeastOnce,
        retain: false,
        expires_at: None,
        publisher: Publisher::default(),
    }
}

const PLAIN: Envelope<'_> = Envelope {
    flow: Flow::AtMostOnce,
    dup: false,
    retain: false,
    subscription_ids: &[],
    alias: AliasUse::None,
};

/// The same as a packet of its own.
fn plain(version: Version, message: &Message, expiry: Option<u32>, to: &Envelope<'_>) -> Publish {
    let name = message.topic.clone();
    let is_v5 = version == Version::V5;
    let topic = match to.alias {
        AliasUse::Introduce(alias) if is_v5 => Topic::Both(name, alias),
        AliasUse::Known(alias) if is_v5 => Topic::Alias(alias),
        AliasUse::None | AliasUse::Introduce(_) | AliasUse::Known(_) => Topic::Name(name),
    };
    Publish {
        flow: to.flow,
        dup: to.dup,
        retain: to.retain,
        topic,
        expires_in_s: expiry.filter(|_| is_v5),
        subscription_ids: if is_v5 { to.subscription_ids.to_vec() } else { Vec::new() },
        properties: if is_v5 { message.properties.clone() } else { Bytes::new() },
        payload: message.payload.clone(),
    }
}

fn alias_use() -> impl Strategy<Value = AliasUse> {
    let alias = (1..=u16::MAX).prop_map(|alias| TopicAlias::new(alias).unwrap());
    prop_oneof![
        Just(AliasUse::None),
        alias.clone().prop_map(AliasUse::Introduce),
        alias.prop_map(AliasUse::Known),
    ]
}

proptest! {
    #[test]
    fn frame_is_byte_for_byte_the_plain_encoding(
        version in version(),
        flow in flow(),
        (dup, retain) in any::<(bool, bool)>(),
        topic in topic_name(),
        properties in opaque(),
        payload in prop::collection::vec(any::<u8>(), 0..300),
        expiry in any::<Option<u32>>(),
        ids in subscription_ids(),
        alias in alias_use(),
    ) {
        let payload = Bytes::from(payload);
        let message = Message { topic, properties, payload, ..message() };
        let shared = EncodedPublish::new(version, flow.qos(), &message, expiry);
        let envelope = Envelope { flow, dup, retain, subscription_ids: &ids, alias };
        let packet = FromServer::Publish(plain(version, &message, expiry, &envelope));

        let recipient = Recipient::any(version);
        let mut expected = BytesMut::new();
        packet.encode(&recipient, &mut expected).unwrap();
        let mut frame = BytesMut::new();
        shared.write_to(&mut frame, &recipient, &envelope).unwrap();
        prop_assert_eq!(&frame, &expected);

        let mut beside = BytesMut::new();
        shared.write_head(&mut beside, &recipient, &envelope).unwrap();
        beside.extend_from_slice(shared.payload());
        prop_assert_eq!(&beside, &expected);

        let exact = u32::try_from(expected.len()).unwrap();
        let fits = Recipient { packet_bytes_max: exact, ..recipient };
        let small = Recipient { packet_bytes_max: exact - 1, ..recipient };
        frame.clear();
        prop_assert_eq!(shared.write_to(&mut frame, &small, &envelope), Err(TooLarge));
        prop_assert_eq!(packet.encode(&small, &mut frame), Err(TooLarge));
        prop_assert!(frame.is_empty());
        prop_assert_eq!(shared.write_to(&mut frame, &fits, &envelope), Ok(()));
        prop_assert_eq!(packet.encode(&fits, &mut frame), Ok(()));
    }
}

/// [MQTT-3.3.2-4]; 5.0 §3.3.2.3.8
#[test]
fn subscriber_of_5_0_gets_the_properties_and_its_subscription_ids() {
    let shared = EncodedPublish::new(Version::V5, Qos::AtLeastOnce, &message(), Some(9));
    let ids = [SubscriptionId::new(1).unwrap(), SubscriptionId::new(200).unwrap()];
    let flow = Flow::AtLeastOnce(id(7));
    let envelope = Envelope { flow, retain: true, subscription_ids: &ids, ..PLAIN };
    let mut out = BytesMut::new();
    shared.write_to(&mut out, &Recipient::any(Version::V5), &envelope).unwrap();
    let expected = b"\x33\x1B\0\x03a/b\0\x07\x0C\x0B\x01\x0B\xC8\x01\x02\0\0\0\x09\x01\x01payload";
    assert_eq!(&out[..], expected);
}

#[test]
fn subscriber_before_5_0_gets_no_properties() {
    let shared = EncodedPublish::new(Version::V311, Qos::AtMostOnce, &message(), Some(9));
    let mut out = BytesMut::new();
    let ids = [SubscriptionId::new(1).unwrap()];
    let envelope = Envelope { subscription_ids: &ids, ..PLAIN };
    shared.write_to(&mut out, &Recipient::any(Version::V311), &envelope).unwrap();
    assert_eq!(&out[..], b"\x30\x0C\0\x03a/bpayload");
}

#[test]
#[should_panic(expected = "a frame is of one QoS")]
fn frame_of_another_qos_is_our_own_mistake() {
    let shared = EncodedPublish::new(Version::V311, Qos::AtLeastOnce, &message(), None);
    let _ = shared.write_to(&mut BytesMut::new(), &Recipient::any(Version::V311), &PLAIN);
}
