//! Packets of clients in a few words.

use broker_core::codec::{
    Ack, Disconnect, FilterRequest, Flow, FromClient, FromServer, Publish, Reason, Remarks, Suback,
    Subscribe, SubscriptionOptions, Text, Topic, Unsubscribe, UserProperties,
};
use bytes::Bytes;
use ha_types::{Qos, Subscription, TopicName};

use super::id;

/// A PUBLISH of QoS 0.
pub(crate) fn publish(topic: &str, payload: &str) -> Publish {
    Publish {
        flow: Flow::AtMostOnce,
        dup: false,
        retain: false,
        topic: Topic::Name(name(topic)),
        expires_in_s: None,
        subscription_ids: Vec::new(),
        properties: Bytes::new(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
    }
}

/// A PUBLISH of QoS 1.
pub(crate) fn publish_1(packet_id: u16, topic: &str, payload: &str) -> Publish {
    Publish { flow: Flow::AtLeastOnce(id(packet_id)), ..publish(topic, payload) }
}

/// A PUBLISH of QoS 2.
pub(crate) fn publish_2(packet_id: u16, topic: &str, payload: &str) -> Publish {
    Publish { flow: Flow::ExactlyOnce(id(packet_id)), ..publish(topic, payload) }
}

/// A SUBSCRIBE with one filter.
pub(crate) fn subscribe(packet_id: u16, filter: &str, qos: Qos) -> FromClient {
    subscribe_with(packet_id, filter, SubscriptionOptions { qos, ..Default::default() })
}

/// The same with all options.
pub(crate) fn subscribe_with(
    packet_id: u16,
    filter: &str,
    options: SubscriptionOptions,
) -> FromClient {
    FromClient::Subscribe(Subscribe {
        packet_id: id(packet_id),
        subscription_id: None,
        user_properties: UserProperties::default(),
        filters: vec![FilterRequest { subscription: subscription(filter), options }],
    })
}

/// An UNSUBSCRIBE with one filter.
pub(crate) fn unsubscribe(packet_id: u16, filter: &str) -> FromClient {
    FromClient::Unsubscribe(Unsubscribe {
        packet_id: id(packet_id),
        user_properties: UserProperties::default(),
        filters: vec![subscription(filter)],
    })
}

pub(crate) fn subscription(filter: &str) -> Subscription {
    Subscription::parse(filter.as_bytes()).unwrap()
}

/// A DISCONNECT with a reason.
pub(crate) fn disconnect(reason: Reason) -> FromClient {
    FromClient::Disconnect(Disconnect { reason, ..Disconnect::default() })
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP with success, for instance `ack(FromClient::Puback, 1)`.
pub(crate) fn ack<T>(packet: fn(Ack) -> T, packet_id: u16) -> T {
    packet(Ack::new(id(packet_id), Reason::SUCCESS))
}

/// A SUBACK with these reasons.
pub(crate) fn suback(packet_id: u16, reasons: &[Reason]) -> FromServer {
    let reasons = reasons.to_vec();
    FromServer::Suback(Suback { packet_id: id(packet_id), reasons, remarks: Remarks::default() })
}

/// The PUBLISH packets among `packets`.
pub(crate) fn publishes(packets: &[FromServer]) -> Vec<Publish> {
    let publish = |packet: &FromServer| match packet {
        FromServer::Publish(publish) => Some(publish.clone()),
        _ => None,
    };
    packets.iter().filter_map(publish).collect()
}

/// The payloads of the PUBLISH packets among `packets`.
pub(crate) fn payloads(packets: &[FromServer]) -> Vec<String> {
    let payload = |publish: &Publish| String::from_utf8(publish.payload.to_vec()).unwrap();
    publishes(packets).iter().map(payload).collect()
}

pub(crate) fn text(text: &str) -> Text {
    Text::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

pub(crate) fn name(topic: &str) -> TopicName {
    TopicName::parse(Bytes::copy_from_slice(topic.as_bytes())).unwrap()
}
