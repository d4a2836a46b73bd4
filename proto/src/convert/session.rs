//! What asks and tells have in common: keys, places, packet ids, queued messages.

use ha_types::SessionId;
use ha_types::session::{
    Offset, PacketId, PageEnd, Queued, RefuseReason, SessionEpoch, SessionKey, SubscriptionId,
};

use super::ProtocolError;
use super::message::{message_into, qos_from, required_message};
use crate::v1;

/// Entries of a list of packet ids, offsets, records, subscription ids, or of what one packet
/// subscribes to.
const ENTRIES_MAX: usize = 65_535;

pub(super) fn limited<T>(field: &'static str, list: Vec<T>) -> Result<Vec<T>, ProtocolError> {
    match list.len() > ENTRIES_MAX {
        true => Err(ProtocolError::out_of_range(field, list.len())),
        false => Ok(list),
    }
}

/// Zero is no session.
pub(super) fn key_from(session: u64, epoch: u64) -> Result<SessionKey, ProtocolError> {
    match session {
        0 => Err(ProtocolError::Missing("session")),
        id => Ok(SessionKey { id: SessionId(id), epoch: SessionEpoch(epoch) }),
    }
}

pub(super) fn packet_id_from(wire: u32) -> Result<PacketId, ProtocolError> {
    let id = u16::try_from(wire).ok().and_then(PacketId::new);
    id.ok_or(ProtocolError::OutOfRange { field: "packet_id", value: wire.into() })
}

/// Zero is none.
fn optional_packet_id(wire: u32) -> Result<Option<PacketId>, ProtocolError> {
    (wire > 0).then(|| packet_id_from(wire)).transpose()
}

pub(super) fn packet_ids_from(
    field: &'static str,
    wire: Vec<u32>,
) -> Result<Vec<PacketId>, ProtocolError> {
    limited(field, wire)?.into_iter().map(packet_id_from).collect()
}

pub(super) fn packet_ids_into(ids: &[PacketId]) -> Vec<u32> {
    ids.iter().map(|id| id.get().into()).collect()
}

pub(super) fn offset_from(wire: v1::Offset) -> Offset {
    Offset { message: wire.message, private: wire.private }
}

pub(super) fn offset_into(offset: Offset) -> v1::Offset {
    v1::Offset { message: offset.message, private: offset.private }
}

pub(super) fn receive_maximum_from(wire: u32) -> Result<u16, ProtocolError> {
    let value = u16::try_from(wire).ok().filter(|value| *value > 0);
    value.ok_or(ProtocolError::OutOfRange { field: "receive_maximum", value: wire.into() })
}

/// Zero is none.
pub(super) fn subscription_id_from(wire: u32) -> Result<Option<SubscriptionId>, ProtocolError> {
    let known = |id| {
        let out_of_range =
            ProtocolError::OutOfRange { field: "subscription_id", value: u64::from(id) };
        SubscriptionId::new(id).ok_or(out_of_range)
    };
    (wire > 0).then(|| known(wire)).transpose()
}

pub(super) fn subscription_id_into(id: Option<SubscriptionId>) -> u32 {
    id.map_or(0, SubscriptionId::get)
}

pub(super) fn queued_from(wire: v1::Queued) -> Result<Queued, ProtocolError> {
    let ids = limited("subscription_ids", wire.subscription_ids)?.into_iter();
    let ids =
        ids.map(|id| subscription_id_from(id)?.ok_or(ProtocolError::Missing("subscription_id")));
    Ok(Queued {
        offset: Offset { message: wire.offset, private: wire.private_offset },
        message: required_message(wire.message)?,
        qos: qos_from(wire.qos)?,
        retain: wire.retain,
        subscription_ids: ids.collect::<Result<_, _>>()?,
        record: optional_packet_id(wire.record)?,
    })
}

pub(super) fn required_queued(wire: Option<v1::Queued>) -> Result<Queued, ProtocolError> {
    queued_from(wire.ok_or(ProtocolError::Missing("queued"))?)
}

pub(super) fn queued_into(queued: &Queued) -> v1::Queued {
    v1::Queued {
        message: Some(message_into(&queued.message)),
        offset: queued.offset.message,
        private_offset: queued.offset.private,
        qos: queued.qos.level().into(),
        retain: queued.retain,
        subscription_ids: queued.subscription_ids.iter().map(|id| id.get()).collect(),
        record: queued.record.map_or(0, |id| id.get().into()),
    }
}

pub(super) fn page_end_from(
    after: Option<v1::Offset>,
    is_live: bool,
) -> Result<PageEnd, ProtocolError> {
    let after = offset_from(after.ok_or(ProtocolError::Missing("the end of a page"))?);
    Ok(match is_live {
        true => PageEnd::Live(after),
        false => PageEnd::More(after),
    })
}

/// The offset, and whether nothing is queued.
pub(super) fn page_end_into(end: PageEnd) -> (Option<v1::Offset>, bool) {
    match end {
        PageEnd::Live(after) => (Some(offset_into(after)), true),
        PageEnd::More(after) => (Some(offset_into(after)), false),
    }
}

pub(super) fn reason_from(wire: u32) -> Result<RefuseReason, ProtocolError> {
    Ok(match wire {
        0x87 => RefuseReason::NotAuthorized,
        0x88 => RefuseReason::Unavailable,
        0x97 => RefuseReason::QuotaExceeded,
        0x9E => RefuseReason::SharedNotSupported,
        _ => return Err(ProtocolError::OutOfRange { field: "reason", value: wire.into() }),
    })
}

pub(super) fn reason_into(reason: RefuseReason) -> u32 {
    match reason {
        RefuseReason::NotAuthorized => 0x87,
        RefuseReason::Unavailable => 0x88,
        RefuseReason::QuotaExceeded => 0x97,
        RefuseReason::SharedNotSupported => 0x9E,
    }
}
