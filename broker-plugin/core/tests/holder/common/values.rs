//! Values that tests are about, each from the few words that matter.

use std::sync::Arc;

use broker_core::host::Delivery;
use bytes::Bytes;
use ha_types::session::{
    ConnectionId, Lifetime, NewWill, Offset, Open, PacketId, Progress, RetainHandling, Start,
    SubscribeOptions, SubscriptionId,
};
use ha_types::{
    BrokerEpoch, ClusterMillis, Message, Publisher, Qos, SessionId, Subscription, TopicName,
};

use super::CLUSTER_TIME;

/// A client that takes 10 messages at a time and begins a session for ever.
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

/// A client whose session ends with its connection.
pub(crate) fn ephemeral(client_id: &str) -> Open {
    Open { lifetime: Lifetime::Connection, start: Start::Clean, ..durable(client_id) }
}

/// Kept for so long after its connection.
pub(crate) fn lasting_s(client_id: &str, seconds: u32) -> Open {
    Open { lifetime: Lifetime::Seconds(seconds), ..durable(client_id) }
}

/// A will of this payload.
pub(crate) fn will(payload: &str, delay_s: u32) -> Option<NewWill> {
    Some(NewWill { message: Arc::new(qos_1("will", payload)), expires_in_s: None, delay_s })
}

pub(crate) fn subscription(text: &str) -> Subscription {
    Subscription::parse(text.as_bytes()).unwrap()
}

/// QoS 1, no options.
pub(crate) fn to(filter: &str) -> SubscribeOptions {
    at(filter, Qos::AtLeastOnce)
}

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

/// With a subscription identifier.
pub(crate) fn named(id: u32, options: SubscribeOptions) -> SubscribeOptions {
    SubscribeOptions { subscription_id: SubscriptionId::new(id), ..options }
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

pub(crate) fn qos_0(topic: &str, payload: &str) -> Message {
    message(topic, payload, Qos::AtMostOnce)
}

pub(crate) fn qos_1(topic: &str, payload: &str) -> Message {
    message(topic, payload, Qos::AtLeastOnce)
}

pub(crate) fn qos_2(topic: &str, payload: &str) -> Message {
    message(topic, payload, Qos::ExactlyOnce)
}

/// Expires when the bench's clock says `at`.
pub(crate) fn expiring(at: u64, message: Message) -> Message {
    Message { expires_at: Some(ClusterMillis(CLUSTER_TIME + at)), ..message }
}

/// As the plugin hands a retained message out.
pub(crate) fn retained(message: Message) -> Delivery {
    let message = Arc::new(Message { retain: true, ..message });
    Delivery { message, expires_in_s: None }
}

/// A client of this broker.
pub(crate) fn publisher(session: SessionId) -> Publisher {
    Publisher { session, epoch: BrokerEpoch(0) }
}

pub(crate) fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

pub(crate) fn acknowledged(offsets: &[Offset]) -> Progress {
    Progress { acknowledged: offsets.to_vec(), ..Progress::default() }
}

pub(crate) fn received(ids: &[PacketId]) -> Progress {
    Progress { received: ids.to_vec(), ..Progress::default() }
}

pub(crate) fn completed(ids: &[PacketId]) -> Progress {
    Progress { completed: ids.to_vec(), ..Progress::default() }
}
