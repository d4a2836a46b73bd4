//! Values in a few words.

use std::sync::Arc;

use bytes::Bytes;
use ha_types::session::{
    ConnectionId, Lifetime, NewWill, Offset, Open, PacketId, RetainHandling, Start,
    SubscribeOptions,
};
use ha_types::{Message, Publisher, Qos, Subscription, TopicName};

/// A CONNECT that resumes a session which never expires.
pub(crate) fn durable(client_id: &str) -> Open {
    Open {
        connection: ConnectionId(0),
        client_id: client_id.into(),
        start: Start::Resume,
        lifetime: Lifetime::Unlimited,
        will: None,
        receive_maximum: 10,
    }
}

/// A CONNECT whose session ends with the connection.
pub(crate) fn ephemeral(client_id: &str) -> Open {
    Open { start: Start::Clean, lifetime: Lifetime::Connection, ..durable(client_id) }
}

pub(crate) fn will(payload: &str, delay_s: u32) -> Option<NewWill> {
    let message = Arc::new(message("will", payload, Qos::AtLeastOnce));
    Some(NewWill { message, expires_in_s: None, delay_s })
}

pub(crate) fn message(topic: &str, payload: &str, qos: Qos) -> Message {
    Message {
        topic: TopicName::parse(Bytes::copy_from_slice(topic.as_bytes())).unwrap(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        properties: Bytes::new(),
        qos,
        retain: false,
        expires_at: None,
        publisher: Publisher::default(),
    }
}

pub(crate) fn payload(message: &Message) -> String {
    String::from_utf8(message.payload.to_vec()).unwrap()
}

pub(crate) fn subscription(filter: &str) -> Subscription {
    Subscription::parse(filter.as_bytes()).unwrap()
}

/// A subscription without options.
pub(crate) fn at(filter: &str, qos: Qos) -> SubscribeOptions {
    SubscribeOptions {
        subscription: subscription(filter),
        qos,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::AtSubscribe,
        subscription_id: None,
    }
}

/// Of the first message, the second, and so on. They have these packet identifiers as well.
pub(crate) fn offset(nth: u64) -> Offset {
    Offset::new(65_534 + nth)
}

pub(crate) fn packet_id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}
