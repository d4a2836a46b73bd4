//! Between generated types and the values of `ha_types::link`. Parsing is strict: what comes out is
//! valid, whoever sent it.

use std::sync::Arc;

use bytes::Bytes;
use ha_types::limits::{FILTERS_PER_ITEM_MAX, PACKET_BYTES_MAX, PROPERTIES_BYTES_MAX};
use ha_types::link::{
    Downstream, Goodbye, GoodbyeReason, Hello, PublishOutcome, RetainedChange, RetainedCopy,
    Upstream, VersionRange, Welcome,
};
use ha_types::{
    BrokerEpoch, BrokerName, ClusterMillis, Incarnation, InvalidBrokerName, InvalidTopic, Message,
    PublishNumber, Publisher, Qos, RetainedVersion, ServerIncarnation, SessionId, Ticket,
    TopicFilter, TopicName,
};

use crate::v1;

/// How the other side broke the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// An item of a kind that this version does not know, or an item without content.
    #[error("an item of unknown kind")]
    UnknownItem,
    /// A field that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A number outside its range.
    #[error("{field} = {value} is out of range")]
    OutOfRange {
        /// Name of the field.
        field: &'static str,
        /// What was sent.
        value: u64,
    },
    /// Not a topic name or filter.
    #[error("invalid topic: {0}")]
    Topic(#[from] InvalidTopic),
    /// A retained message of another topic than its change.
    #[error("a retained message with another topic")]
    TopicsDiffer,
    /// Not a broker name.
    #[error("invalid broker name: {0}")]
    Name(#[from] InvalidBrokerName),
    /// A chunk without a message that announced it, or too long for it.
    #[error("a chunk that no message announced")]
    UnexpectedChunk,
    /// A message before the last one was complete.
    #[error("a message inside a chunked message")]
    Interleaved,
}

fn out_of_range(field: &'static str, value: usize) -> ProtocolError {
    ProtocolError::OutOfRange { field, value: value as u64 }
}

pub(crate) fn message_from(wire: v1::Message) -> Result<Message, ProtocolError> {
    if wire.properties.len() > PROPERTIES_BYTES_MAX {
        return Err(out_of_range("properties", wire.properties.len()));
    }
    if wire.payload.len() > PACKET_BYTES_MAX {
        return Err(out_of_range("payload", wire.payload.len()));
    }
    let qos = Qos::from_level(wire.qos)
        .ok_or(ProtocolError::OutOfRange { field: "qos", value: wire.qos.into() })?;
    Ok(Message {
        topic: TopicName::parse(wire.topic)?,
        payload: wire.payload,
        properties: wire.properties,
        qos,
        retain: wire.retain,
        expires_at: (wire.expires_at_ms > 0).then_some(ClusterMillis(wire.expires_at_ms)),
        publisher: Publisher { session: SessionId(wire.session), epoch: BrokerEpoch(wire.epoch) },
    })
}

pub(crate) fn message_into(message: &Message) -> v1::Message {
    v1::Message {
        topic: message.topic.as_bytes().clone(),
        payload: message.payload.clone(),
        properties: message.properties.clone(),
        qos: message.qos.level().into(),
        retain: message.retain,
        // Zero would mean never.
        expires_at_ms: message.expires_at.map_or(0, |at| at.0.max(1)),
        session: message.publisher.session.0,
        epoch: message.publisher.epoch.0,
        more_bytes: 0,
    }
}

fn required_message(wire: Option<v1::Message>) -> Result<Arc<Message>, ProtocolError> {
    message_from(wire.ok_or(ProtocolError::Missing("message"))?).map(Arc::new)
}

fn filters_from(wire: &[Bytes]) -> Result<Vec<TopicFilter>, ProtocolError> {
    if wire.len() > FILTERS_PER_ITEM_MAX {
        return Err(out_of_range("filters", wire.len()));
    }
    wire.iter().map(|bytes| TopicFilter::parse(bytes).map_err(ProtocolError::from)).collect()
}

fn filters_into(filters: &[TopicFilter]) -> Vec<Bytes> {
    filters.iter().map(|filter| Bytes::copy_from_slice(filter.as_str().as_bytes())).collect()
}

fn change_from(wire: v1::RetainedChange) -> Result<RetainedChange, ProtocolError> {
    let message = wire.message.map(message_from).transpose()?.map(Arc::new);
    let topic = TopicName::parse(wire.topic)?;
    if message.as_ref().is_some_and(|message| message.topic != topic) {
        return Err(ProtocolError::TopicsDiffer);
    }
    Ok(RetainedChange { topic, version: RetainedVersion(wire.version), message })
}

fn change_into(change: &RetainedChange) -> v1::RetainedChange {
    v1::RetainedChange {
        topic: change.topic.as_bytes().clone(),
        version: change.version.0,
        message: change.message.as_deref().map(message_into),
    }
}

fn hello_from(wire: v1::Hello) -> Result<Hello, ProtocolError> {
    Ok(Hello {
        versions: VersionRange { min: wire.version_min, max: wire.version_max },
        name: BrokerName::parse(&wire.name)?,
        incarnation: Incarnation(wire.incarnation),
        software: wire.software.chars().take(128).collect(),
        copy_of: (wire.copy_of > 0).then_some(ServerIncarnation(wire.copy_of)),
    })
}

fn hello_into(hello: &Hello) -> v1::Hello {
    v1::Hello {
        version_min: hello.versions.min,
        version_max: hello.versions.max,
        name: hello.name.as_str().to_owned(),
        incarnation: hello.incarnation.0,
        software: hello.software.clone(),
        capabilities: Vec::new(),
        copy_of: hello.copy_of.map_or(0, |server| server.0),
    }
}

fn welcome_from(wire: v1::Welcome) -> Welcome {
    Welcome {
        version: wire.version,
        epoch: BrokerEpoch(wire.epoch),
        server: ServerIncarnation(wire.server),
        lease_ms: wire.lease_ms,
        heartbeat_ms: wire.heartbeat_ms,
        taken_upto: PublishNumber(wire.taken_upto),
        publish_window: wire.publish_window,
        cluster_time: ClusterMillis(wire.cluster_time_ms),
        retained_copy: match wire.retained_copy_wanted {
            true => RetainedCopy::Wanted,
            false => RetainedCopy::NotWanted,
        },
        leader_hint: (!wire.leader_hint.is_empty()).then_some(wire.leader_hint),
        software: wire.software.chars().take(128).collect(),
    }
}

fn welcome_into(welcome: &Welcome) -> v1::Welcome {
    v1::Welcome {
        version: welcome.version,
        epoch: welcome.epoch.0,
        server: welcome.server.0,
        lease_ms: welcome.lease_ms,
        heartbeat_ms: welcome.heartbeat_ms,
        taken_upto: welcome.taken_upto.0,
        publish_window: welcome.publish_window,
        cluster_time_ms: welcome.cluster_time.0,
        retained_copy_wanted: welcome.retained_copy == RetainedCopy::Wanted,
        leader_hint: welcome.leader_hint.clone().unwrap_or_default(),
        software: welcome.software.clone(),
        capabilities: Vec::new(),
    }
}

fn goodbye_from(wire: v1::Goodbye) -> Result<Goodbye, ProtocolError> {
    use v1::goodbye::Reason;
    let reason = match wire.reason() {
        Reason::Unspecified => return Err(ProtocolError::Missing("reason")),
        Reason::ShuttingDown => GoodbyeReason::ShuttingDown,
        Reason::UnsupportedVersion => GoodbyeReason::UnsupportedVersion,
        Reason::NameInUse => GoodbyeReason::NameInUse,
        Reason::TooManyBrokers => GoodbyeReason::TooManyBrokers,
        Reason::LeaseExpired => GoodbyeReason::LeaseExpired,
        Reason::Replaced => GoodbyeReason::Replaced,
        Reason::ProtocolError => GoodbyeReason::ProtocolError,
        Reason::NotLeader => GoodbyeReason::NotLeader,
        Reason::TooSlow => GoodbyeReason::TooSlow,
    };
    Ok(Goodbye { reason, detail: wire.detail.chars().take(512).collect(), leader: None })
}

fn goodbye_into(goodbye: &Goodbye) -> v1::Goodbye {
    use v1::goodbye::Reason;
    let reason = match goodbye.reason {
        GoodbyeReason::ShuttingDown => Reason::ShuttingDown,
        GoodbyeReason::UnsupportedVersion => Reason::UnsupportedVersion,
        GoodbyeReason::NameInUse => Reason::NameInUse,
        GoodbyeReason::TooManyBrokers => Reason::TooManyBrokers,
        GoodbyeReason::LeaseExpired => Reason::LeaseExpired,
        GoodbyeReason::Replaced => Reason::Replaced,
        GoodbyeReason::ProtocolError => Reason::ProtocolError,
        GoodbyeReason::NotLeader => Reason::NotLeader,
        GoodbyeReason::TooSlow => Reason::TooSlow,
    };
    v1::Goodbye { reason: reason.into(), detail: goodbye.detail.clone(), leader: None }
}

pub(crate) fn upstream_from(item: v1::upstream_item::Item) -> Result<Upstream, ProtocolError> {
    use v1::upstream_item::Item;
    Ok(match item {
        Item::Hello(hello) => Upstream::Hello(hello_from(hello)?),
        Item::Publish(publish) => Upstream::Publish {
            number: (publish.number > 0).then_some(PublishNumber(publish.number)),
            message: required_message(publish.message)?,
        },
        Item::Announce(announce) => Upstream::Announce {
            ticket: Ticket(announce.ticket),
            filters: filters_from(&announce.filters)?,
        },
        Item::Withdraw(withdraw) => {
            Upstream::Withdraw { filters: filters_from(&withdraw.filters)? }
        }
        Item::RetainedCopy(change) => Upstream::RetainedCopy(change_from(change)?),
        Item::RetainedCopyEnd(v1::RetainedCopyEnd {}) => Upstream::RetainedCopyEnd,
        Item::Leave(v1::Leave {}) => Upstream::Leave,
        Item::Chunk(_) => return Err(ProtocolError::UnexpectedChunk),
    })
}

pub(crate) fn upstream_into(item: &Upstream) -> v1::upstream_item::Item {
    use v1::upstream_item::Item;
    match item {
        Upstream::Hello(hello) => Item::Hello(hello_into(hello)),
        Upstream::Publish { number, exchange: None, message } => Item::Publish(v1::Publish {
            number: number.map_or(0, |number| number.0),
            message: Some(message_into(message)),
        }),
        Upstream::Announce { ticket, needs: Needs::All, filters } => {
            Item::Announce(v1::Announce { ticket: ticket.0, filters: filters_into(filters) })
        }
        Upstream::Withdraw { filters } => {
            Item::Withdraw(v1::Withdraw { filters: filters_into(filters) })
        }
        Upstream::RetainedCopy(change) => Item::RetainedCopy(change_into(change)),
        Upstream::RetainedCopyEnd => Item::RetainedCopyEnd(v1::RetainedCopyEnd {}),
        Upstream::Leave => Item::Leave(v1::Leave {}),
    }
}

pub(crate) fn downstream_from(
    item: v1::downstream_item::Item,
) -> Result<Downstream, ProtocolError> {
    use v1::downstream_item::Item;
    use v1::publish_result::Outcome;
    Ok(match item {
        Item::Welcome(welcome) => Downstream::Welcome(welcome_from(welcome)),
        Item::PublishResult(result) => Downstream::PublishResult {
            number: PublishNumber(result.number),
            outcome: match result.outcome() {
                Outcome::Accepted => PublishOutcome::Accepted,
                Outcome::RetainedFull => PublishOutcome::RetainedFull,
            },
            retained: RetainedVersion(result.retained_version),
        },
        Item::InterestTaken(taken) => Downstream::InterestTaken { ticket: Ticket(taken.ticket) },
        Item::Deliver(deliver) => Downstream::Deliver {
            message: required_message(deliver.message)?,
            retained: RetainedVersion(deliver.retained_version),
        },
        Item::RetainedUpdate(change) => Downstream::RetainedUpdate(change_from(change)?),
        Item::RetainedBegin(v1::RetainedBegin {}) => Downstream::RetainedBegin,
        Item::RetainedSynced(synced) => {
            Downstream::RetainedSynced { version: RetainedVersion(synced.version) }
        }
        Item::Goodbye(goodbye) => Downstream::Goodbye(goodbye_from(goodbye)?),
        Item::Chunk(_) => return Err(ProtocolError::UnexpectedChunk),
    })
}

pub(crate) fn downstream_into(item: &Downstream) -> v1::downstream_item::Item {
    use v1::downstream_item::Item;
    use v1::publish_result::Outcome;
    match item {
        Downstream::Welcome(welcome) => Item::Welcome(welcome_into(welcome)),
        Downstream::PublishResult { number, outcome, retained } => {
            let outcome = match outcome {
                PublishOutcome::Accepted => Outcome::Accepted,
                PublishOutcome::RetainedFull => Outcome::RetainedFull,
            };
            Item::PublishResult(v1::PublishResult {
                number: number.0,
                outcome: outcome.into(),
                retained_version: retained.0,
            })
        }
        Downstream::InterestTaken { ticket } => {
            Item::InterestTaken(v1::InterestTaken { ticket: ticket.0 })
        }
        Downstream::Deliver { origin: None, message, retained } => Item::Deliver(v1::Deliver {
            message: Some(message_into(message)),
            retained_version: retained.0,
        }),
        Downstream::RetainedUpdate(change) => Item::RetainedUpdate(change_into(change)),
        Downstream::RetainedBegin => Item::RetainedBegin(v1::RetainedBegin {}),
        Downstream::RetainedSynced { version } => {
            Item::RetainedSynced(v1::RetainedSynced { version: version.0 })
        }
        Downstream::Goodbye(goodbye) => Item::Goodbye(goodbye_into(goodbye)),
    }
}
