//! Values in a few words.

use bytes::Bytes;
use ha_core::{Config, FanOut};
use ha_types::link::{
    Downstream, Hello, Needs, PROTOCOL_VERSIONS, PublishOutcome, Resume, RetainedChange,
    RetainedUse, Upstream,
};
use ha_types::session::{
    Ask, ConnectionId, Lifetime, Offset, Open, Opened, RetainHandling, SessionKey, Start,
    SubscribeOptions, Tell,
};
use ha_types::{
    AskNumber, BrokerEpoch, BrokerName, ClusterMillis, Incarnation, Message, PublishNumber,
    Publisher, Qos, RetainedVersion, ServerIncarnation, SessionId, Subscription, Ticket,
    TopicFilter, TopicName,
};

/// How long a new leader waits for brokers that an earlier one had.
pub(crate) const RETURN_MS: u64 = 300;

pub(crate) const LEASE_MS: u64 = 1_000;
pub(crate) const STALL_MS: u64 = 300;

pub(crate) fn config() -> Config {
    Config {
        server: ServerIncarnation(7),
        software: "ha-server".into(),
        wall_time: ClusterMillis(1_000_000),
        lease_ms: LEASE_MS,
        heartbeat_ms: 300,
        fan_out: FanOut::Interest,
        brokers_max: 5,
        filters_max: 10,
        queue_bytes: 100_000,
        stall_ms: STALL_MS,
        publish_window: 4,
    }
}

pub(crate) fn hello(name: &str, incarnation: u64) -> Hello {
    Hello {
        versions: PROTOCOL_VERSIONS,
        name: BrokerName::parse(name).unwrap(),
        incarnation: Incarnation(incarnation),
        software: "test".into(),
        retained: RetainedUse::None,
    }
}

pub(crate) fn copier(name: &str) -> Hello {
    Hello { retained: RetainedUse::Copy, ..hello(name, 1) }
}

pub(crate) fn topic(text: &str) -> TopicName {
    TopicName::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

pub(crate) fn filters(texts: &[&str]) -> Vec<TopicFilter> {
    texts.iter().map(|text| TopicFilter::parse(text.as_bytes()).unwrap()).collect()
}

/// Of QoS 1.
pub(crate) fn message(at: &str, payload: &str) -> Message {
    Message {
        topic: topic(at),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        properties: Bytes::new(),
        qos: Qos::AtLeastOnce,
        retain: false,
        expires_at: None,
        publisher: Publisher { session: SessionId(1_000), epoch: BrokerEpoch(1) },
    }
}

pub(crate) fn with_qos(qos: Qos, message: Message) -> Message {
    Message { qos, ..message }
}

pub(crate) fn retained(at: &str, payload: &str) -> Message {
    Message { retain: true, ..message(at, payload) }
}

pub(crate) fn publish(message: Message) -> Upstream {
    Upstream::Publish { number: None, exchange: None, message: message.into() }
}

pub(crate) fn numbered(number: u64, message: Message) -> Upstream {
    let number = Some(PublishNumber(number));
    Upstream::Publish { number, exchange: None, message: message.into() }
}

pub(crate) fn announce(ticket: u64, texts: &[&str]) -> Upstream {
    Upstream::Announce { ticket: Ticket(ticket), needs: Needs::All, filters: filters(texts) }
}

/// As a broker announces the filters of durable sessions.
pub(crate) fn announce_qos_0(texts: &[&str]) -> Upstream {
    let needs = Needs::AtMostOnce;
    Upstream::Announce { ticket: Ticket(0), needs, filters: filters(texts) }
}

pub(crate) fn withdraw(texts: &[&str]) -> Upstream {
    Upstream::Withdraw { filters: filters(texts) }
}

pub(crate) fn update(at: &str, version: u64, payload: &str) -> Downstream {
    let message = (!payload.is_empty()).then(|| retained(at, payload).into());
    let version = RetainedVersion(version);
    Downstream::RetainedUpdate(RetainedChange { topic: topic(at), version, message })
}

pub(crate) fn synced(version: u64) -> Downstream {
    Downstream::RetainedSynced { version: RetainedVersion(version) }
}

pub(crate) fn result(number: u64, outcome: PublishOutcome, retained: u64) -> Downstream {
    let (number, retained) = (PublishNumber(number), RetainedVersion(retained));
    Downstream::PublishResult { number, outcome, retained }
}

pub(crate) fn accepted(number: u64, retained: u64) -> Downstream {
    result(number, PublishOutcome::Accepted, retained)
}

pub(crate) fn asked(upto: u64) -> Downstream {
    Downstream::Asked { upto: AskNumber(upto) }
}

pub(crate) fn text(message: &Message) -> String {
    String::from_utf8(message.payload.to_vec()).unwrap()
}

/// A payload that puts a broker behind whose queue holds `queue_bytes`.
pub(crate) fn large(config: &Config) -> String {
    "x".repeat(config.queue_bytes)
}

pub(crate) fn ask(number: u64, ask: Ask) -> Upstream {
    Upstream::Ask { number: AskNumber(number), ask }
}

/// A CONNECT that resumes a session which never expires.
pub(crate) fn durable(client_id: &str, connection: u64) -> Open {
    Open {
        connection: ConnectionId(connection),
        client_id: client_id.into(),
        start: Start::Resume,
        lifetime: Lifetime::Unlimited,
        will: None,
        receive_maximum: 10,
    }
}

pub(crate) fn subscribe(session: SessionKey, filter: &str, qos: Qos) -> Ask {
    let options = SubscribeOptions {
        subscription: Subscription::parse(filter.as_bytes()).unwrap(),
        qos,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::AtSubscribe,
        subscription_id: None,
    };
    Ask::Subscribe { session, ticket: Ticket(1), subscriptions: vec![options] }
}

pub(crate) fn resume(session: SessionKey, connection: u64, given_upto: Option<Offset>) -> Upstream {
    let connection = ConnectionId(connection);
    Upstream::Resume(Resume { session, connection, receive_maximum: 10, given_upto })
}

/// The one session that was opened.
pub(crate) fn opened(tells: &[Tell]) -> Opened {
    let opened = tells.iter().find_map(|tell| match tell {
        Tell::Opened(opened) => Some(opened.clone()),
        _ => None,
    });
    opened.unwrap_or_else(|| panic!("{tells:?}"))
}

/// Offsets and payloads of what a session was given.
pub(crate) fn given(tells: &[Tell]) -> Vec<(Offset, String)> {
    let deliveries = tells.iter().filter_map(|tell| match tell {
        Tell::Deliver { queued, .. } => Some((queued.offset, text(&queued.message))),
        _ => None,
    });
    deliveries.collect()
}
