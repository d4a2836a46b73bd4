//! What engines ask.

use std::sync::Arc;

use bytes::Bytes;
use ha_types::session::{
    Ask, CloseCause, ConnectionId, Lifetime, NewWill, Open, Progress, Refused, SessionKey, Start,
};
use ha_types::{AskNumber, Ticket};

use super::ProtocolError;
use super::message::{message_into, required_message};
use super::session::{
    key_from, limited, offset_from, offset_into, packet_id_from, packet_ids_from, packet_ids_into,
    receive_maximum_from,
};
use super::subscription::{options_from, options_into, subscription_from, subscription_into};
use crate::v1::upstream_item::Item;
use crate::v1::{self, refused::By};

/// Bytes of a client id: the length prefix of MQTT has 16 bits.
const CLIENT_ID_BYTES_MAX: usize = 65_535;

/// Of any ask but a publish, which is an item of its own.
pub(super) fn ask_into(number: AskNumber, ask: &Ask) -> Item {
    let number = number.0;
    match ask {
        Ask::Open(open) => Item::Open(Box::new(open_into(number, open))),
        Ask::Claim { open, seen } => {
            Item::Open(Box::new(v1::Open { claim_seen: Some(*seen), ..open_into(number, open) }))
        }
        Ask::Subscribe { session, ticket, subscriptions } => Item::Subscribe(v1::Subscribe {
            number,
            session: session.id.0,
            session_epoch: session.epoch.0,
            ticket: ticket.0,
            subscriptions: subscriptions.iter().map(options_into).collect(),
        }),
        Ask::Unsubscribe { session, ticket, subscriptions } => Item::Unsubscribe(v1::Unsubscribe {
            number,
            session: session.id.0,
            session_epoch: session.epoch.0,
            ticket: ticket.0,
            filters: subscriptions.iter().map(subscription_into).collect(),
        }),
        Ask::Publish { .. } => unreachable!("a publish is Upstream::Publish, never an ask"),
        Ask::Release { session, packet_id } => Item::Release(v1::Release {
            number,
            session: session.id.0,
            session_epoch: session.epoch.0,
            packet_id: packet_id.get().into(),
        }),
        Ask::Fetch { session, after, messages_max, bytes_max } => Item::Fetch(v1::Fetch {
            number,
            session: session.id.0,
            session_epoch: session.epoch.0,
            after: after.map(offset_into),
            messages_max: *messages_max as u64,
            bytes_max: *bytes_max as u64,
        }),
        Ask::Progress { session, progress } => {
            Item::Progress(progress_into(number, *session, progress))
        }
        Ask::Close { session, cause, progress, lifetime } => {
            Item::Close(close_into(progress_into(number, *session, progress), *cause, *lifetime))
        }
    }
}

pub(super) fn open_from(wire: v1::Open) -> Result<Ask, ProtocolError> {
    let open = Open {
        connection: ConnectionId(wire.connection),
        client_id: client_id_from(&wire.client_id)?,
        start: match wire.clean_start {
            true => Start::Clean,
            false => Start::Resume,
        },
        lifetime: Lifetime::from_expiry_interval(wire.expiry_s),
        will: wire.will.map(will_from).transpose()?,
        receive_maximum: receive_maximum_from(wire.receive_maximum)?,
    };
    Ok(match wire.claim_seen {
        Some(seen) => Ask::Claim { open, seen },
        None => Ask::Open(open),
    })
}

fn open_into(number: u64, open: &Open) -> v1::Open {
    v1::Open {
        number,
        connection: open.connection.0,
        client_id: Bytes::copy_from_slice(open.client_id.as_bytes()),
        clean_start: open.start == Start::Clean,
        expiry_s: expiry_into(open.lifetime),
        will: open.will.as_ref().map(|will| v1::Will {
            message: Some(message_into(&will.message)),
            expires_in_s: will.expires_in_s,
            delay_s: will.delay_s,
        }),
        receive_maximum: open.receive_maximum.into(),
        claim_seen: None,
    }
}

fn client_id_from(wire: &[u8]) -> Result<Arc<str>, ProtocolError> {
    if wire.is_empty() || wire.len() > CLIENT_ID_BYTES_MAX {
        return Err(ProtocolError::out_of_range("client_id", wire.len()));
    }
    let text = std::str::from_utf8(wire).ok().filter(|text| !text.contains('\0'));
    text.map(Arc::from).ok_or(ProtocolError::ClientId)
}

fn will_from(wire: v1::Will) -> Result<NewWill, ProtocolError> {
    Ok(NewWill {
        message: required_message(wire.message)?,
        expires_in_s: wire.expires_in_s,
        delay_s: wire.delay_s,
    })
}

fn expiry_into(lifetime: Lifetime) -> u32 {
    match lifetime {
        Lifetime::Connection => 0,
        Lifetime::Seconds(seconds) => seconds,
        Lifetime::Unlimited => u32::MAX,
    }
}

pub(super) fn subscribe_from(wire: v1::Subscribe) -> Result<Ask, ProtocolError> {
    let subscriptions = limited("subscriptions", wire.subscriptions)?;
    Ok(Ask::Subscribe {
        session: key_from(wire.session, wire.session_epoch)?,
        ticket: Ticket(wire.ticket),
        subscriptions: subscriptions.iter().map(options_from).collect::<Result<_, _>>()?,
    })
}

pub(super) fn unsubscribe_from(wire: v1::Unsubscribe) -> Result<Ask, ProtocolError> {
    let filters = limited("filters", wire.filters)?;
    Ok(Ask::Unsubscribe {
        session: key_from(wire.session, wire.session_epoch)?,
        ticket: Ticket(wire.ticket),
        subscriptions: filters.iter().map(subscription_from).collect::<Result<_, _>>()?,
    })
}

pub(super) fn release_from(wire: &v1::Release) -> Result<Ask, ProtocolError> {
    Ok(Ask::Release {
        session: key_from(wire.session, wire.session_epoch)?,
        packet_id: packet_id_from(wire.packet_id)?,
    })
}

pub(super) fn fetch_from(wire: v1::Fetch) -> Result<Ask, ProtocolError> {
    let size = |value| usize::try_from(value).unwrap_or(usize::MAX);
    if wire.messages_max == 0 {
        return Err(ProtocolError::OutOfRange { field: "messages_max", value: 0 });
    }
    Ok(Ask::Fetch {
        session: key_from(wire.session, wire.session_epoch)?,
        after: wire.after.map(offset_from),
        messages_max: size(wire.messages_max),
        bytes_max: size(wire.bytes_max),
    })
}

pub(super) fn progress_from(wire: v1::Progress) -> Result<(SessionKey, Progress), ProtocolError> {
    let acknowledged = limited("acknowledged", wire.acknowledged)?;
    let refused = limited("refused", wire.refused)?;
    let passed_over = limited("passed_over", wire.passed_over)?;
    let progress = Progress {
        acknowledged: acknowledged.into_iter().map(offset_from).collect(),
        received: packet_ids_from("received", wire.received)?,
        completed: packet_ids_from("completed", wire.completed)?,
        refused: refused.into_iter().map(refused_from).collect::<Result<_, _>>()?,
        passed_over: passed_over.into_iter().map(offset_from).collect(),
    };
    Ok((key_from(wire.session, wire.session_epoch)?, progress))
}

fn progress_into(number: u64, session: SessionKey, progress: &Progress) -> v1::Progress {
    let refused = progress.refused.iter().map(|refused| match refused {
        Refused::Offset(offset) => By::Offset(offset_into(*offset)),
        Refused::Record(packet_id) => By::PacketId(packet_id.get().into()),
    });
    v1::Progress {
        number,
        session: session.id.0,
        session_epoch: session.epoch.0,
        acknowledged: progress.acknowledged.iter().copied().map(offset_into).collect(),
        received: packet_ids_into(&progress.received),
        completed: packet_ids_into(&progress.completed),
        refused: refused.map(|by| v1::Refused { by: Some(by) }).collect(),
        passed_over: progress.passed_over.iter().copied().map(offset_into).collect(),
    }
}

fn refused_from(wire: v1::Refused) -> Result<Refused, ProtocolError> {
    Ok(match wire.by.ok_or(ProtocolError::Missing("refused"))? {
        By::Offset(offset) => Refused::Offset(offset_from(offset)),
        By::PacketId(packet_id) => Refused::Record(packet_id_from(packet_id)?),
    })
}

pub(super) fn close_from(wire: v1::Close) -> Result<Ask, ProtocolError> {
    use v1::close::Cause;
    let cause =
        Cause::try_from(wire.cause).map_err(|_| ProtocolError::unknown("cause", wire.cause))?;
    let v1::Close { number, session, session_epoch, .. } = wire;
    let v1::Close { acknowledged, received, completed, refused, passed_over, .. } = wire;
    let (session, progress) = progress_from(v1::Progress {
        number,
        session,
        session_epoch,
        acknowledged,
        received,
        completed,
        refused,
        passed_over,
    })?;
    let cause = match cause {
        Cause::Disconnect => CloseCause::Disconnect,
        Cause::Failure => CloseCause::Failure,
        Cause::Handover => CloseCause::Handover,
    };
    let lifetime = wire.expiry_s.map(Lifetime::from_expiry_interval);
    Ok(Ask::Close { session, cause, progress, lifetime })
}

fn close_into(progress: v1::Progress, cause: CloseCause, lifetime: Option<Lifetime>) -> v1::Close {
    use v1::close::Cause;
    let cause = match cause {
        CloseCause::Disconnect => Cause::Disconnect,
        CloseCause::Failure => Cause::Failure,
        CloseCause::Handover => Cause::Handover,
    };
    let v1::Progress { number, session, session_epoch, .. } = progress;
    let v1::Progress { acknowledged, received, completed, refused, passed_over, .. } = progress;
    v1::Close {
        number,
        session,
        session_epoch,
        acknowledged,
        received,
        completed,
        refused,
        passed_over,
        cause: cause.into(),
        expiry_s: lifetime.map(expiry_into),
    }
}
