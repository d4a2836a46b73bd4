//! Values that tests are about, each from the few words that matter.

use std::sync::Arc;

use broker_core::host::{HostPublish, NewSubscription, RetainedWanted};
use bytes::Bytes;
use ha_types::link::{Downstream, Goodbye, GoodbyeReason, RetainedChange, Welcome};
use ha_types::{
    AskNumber, BrokerEpoch, ClusterMillis, Message, PublishNumber, Publisher, Qos, RetainedVersion,
    ServerIncarnation, SessionId, Subscription, TopicFilter, TopicName,
};

/// A lease of 1,000 ms with heartbeats every 250 ms, a window of 4.
pub(crate) fn welcome() -> Welcome {
    Welcome {
        version: 1,
        epoch: BrokerEpoch(5),
        server: ServerIncarnation(1),
        lease_ms: 1_000,
        heartbeat_ms: 250,
        taken_upto: PublishNumber(0),
        asked_upto: AskNumber(0),
        publish_window: 4,
        cluster_time: ClusterMillis(5_000_000),
        software: "ha-server test".into(),
    }
}

/// A client's message, by default of QoS 1.
pub(crate) struct Publish(pub(crate) HostPublish);

pub(crate) fn publish(topic: &str, payload: &str) -> Publish {
    Publish(HostPublish {
        topic: topic_name(topic),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        properties: Bytes::new(),
        qos: Qos::AtLeastOnce,
        retain: false,
        expires_in_s: None,
        session: SessionId(1),
        exchange: None,
    })
}

impl Publish {
    pub(crate) fn qos_0(mut self) -> Self {
        self.0.qos = Qos::AtMostOnce;
        self
    }

    pub(crate) fn retained(mut self) -> Self {
        self.0.retain = true;
        self
    }

    pub(crate) fn expires_in_s(mut self, seconds: u32) -> Self {
        self.0.expires_in_s = Some(seconds);
        self
    }
}

/// A retained message of another broker's client.
pub(crate) fn message(topic: &str, payload: &str) -> Arc<Message> {
    Arc::new(Message {
        topic: topic_name(topic),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        properties: Bytes::new(),
        qos: Qos::AtLeastOnce,
        retain: true,
        expires_at: None,
        publisher: Publisher::default(),
    })
}

pub(crate) fn deliver(topic: &str, payload: &str, version: u64) -> Downstream {
    Downstream::Deliver {
        origin: None,
        known_as: vec![],
        message: message(topic, payload),
        retained: RetainedVersion(version),
    }
}

pub(crate) fn change(topic: &str, payload: &str, version: u64) -> RetainedChange {
    let kept = (!payload.is_empty()).then(|| message(topic, payload));
    RetainedChange { topic: topic_name(topic), version: RetainedVersion(version), message: kept }
}

/// A retained message, or with an empty payload a clear.
pub(crate) fn update(topic: &str, payload: &str, version: u64) -> Downstream {
    Downstream::RetainedUpdate(change(topic, payload, version))
}

pub(crate) fn goodbye(reason: GoodbyeReason, detail: &str) -> Downstream {
    Downstream::Goodbye(Goodbye { reason, detail: detail.into(), leader: None })
}

pub(crate) fn topic_name(text: &str) -> TopicName {
    TopicName::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

pub(crate) fn topic_filter(text: &str) -> TopicFilter {
    TopicFilter::parse(text.as_bytes()).unwrap()
}

pub(crate) fn subscription(text: &str) -> Subscription {
    Subscription::parse(text.as_bytes()).unwrap()
}

pub(crate) fn always(text: &str) -> NewSubscription {
    wanting(text, RetainedWanted::Always)
}

pub(crate) fn wanting(text: &str, retained: RetainedWanted) -> NewSubscription {
    NewSubscription { subscription: subscription(text), retained }
}
