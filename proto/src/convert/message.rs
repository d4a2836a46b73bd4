//! Messages, and what is retained.

use std::sync::Arc;

use bytes::Bytes;
use ha_types::limits::{FILTERS_PER_ITEM_MAX, PACKET_BYTES_MAX, PROPERTIES_BYTES_MAX};
use ha_types::link::RetainedChange;
use ha_types::{
    BrokerEpoch, ClusterMillis, Message, Publisher, Qos, RetainedVersion, SessionId, TopicFilter,
    TopicName,
};

use super::ProtocolError;
use crate::v1;

pub(super) fn message_from(wire: v1::Message) -> Result<Message, ProtocolError> {
    if wire.more_bytes > 0 {
        return Err(ProtocolError::Incomplete);
    }
    if wire.properties.len() > PROPERTIES_BYTES_MAX {
        return Err(ProtocolError::out_of_range("properties", wire.properties.len()));
    }
    if wire.payload.len() > PACKET_BYTES_MAX {
        return Err(ProtocolError::out_of_range("payload", wire.payload.len()));
    }
    Ok(Message {
        topic: TopicName::parse(wire.topic)?,
        payload: wire.payload,
        properties: wire.properties,
        qos: qos_from(wire.qos)?,
        retain: wire.retain,
        expires_at: (wire.expires_at_ms > 0).then_some(ClusterMillis(wire.expires_at_ms)),
        publisher: Publisher { session: SessionId(wire.session), epoch: BrokerEpoch(wire.epoch) },
    })
}

pub(super) fn message_into(message: &Message) -> v1::Message {
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

pub(super) fn required_message(wire: Option<v1::Message>) -> Result<Arc<Message>, ProtocolError> {
    message_from(wire.ok_or(ProtocolError::Missing("message"))?).map(Arc::new)
}

pub(super) fn qos_from(level: u32) -> Result<Qos, ProtocolError> {
    Qos::from_level(level).ok_or(ProtocolError::OutOfRange { field: "qos", value: level.into() })
}

pub(super) fn filters_from(wire: &[Bytes]) -> Result<Vec<TopicFilter>, ProtocolError> {
    if wire.len() > FILTERS_PER_ITEM_MAX {
        return Err(ProtocolError::out_of_range("filters", wire.len()));
    }
    wire.iter().map(|bytes| TopicFilter::parse(bytes).map_err(ProtocolError::from)).collect()
}

pub(super) fn filters_into(filters: &[TopicFilter]) -> Vec<Bytes> {
    filters.iter().map(|filter| Bytes::copy_from_slice(filter.as_str().as_bytes())).collect()
}

pub(super) fn change_from(wire: v1::RetainedChange) -> Result<RetainedChange, ProtocolError> {
    let message = wire.message.map(message_from).transpose()?.map(Arc::new);
    let topic = TopicName::parse(wire.topic)?;
    if message.as_ref().is_some_and(|message| message.topic != topic) {
        return Err(ProtocolError::TopicsDiffer);
    }
    Ok(RetainedChange { topic, version: RetainedVersion(wire.version), message })
}

pub(super) fn change_into(change: &RetainedChange) -> v1::RetainedChange {
    v1::RetainedChange {
        topic: change.topic.as_bytes().clone(),
        version: change.version.0,
        message: change.message.as_deref().map(message_into),
    }
}
