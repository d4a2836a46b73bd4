//! What engines are told.

use ha_types::link::Downstream;
use ha_types::session::{
    ConnectionId, Eviction, Granted, Opened, Page, Record, RecordStage, RefuseReason, SessionKey,
    Tell, Unqueued,
};
use ha_types::{Qos, Ticket};

use super::ProtocolError;
use super::message::{message_into, qos_from, required_message};
use super::session::{
    key_from, limited, offset_from, offset_into, packet_id_from, packet_ids_from, packet_ids_into,
    page_end_from, page_end_into, queued_from, queued_into, reason_from, reason_into,
    required_queued, subscription_id_from, subscription_id_into,
};
use super::subscription::{options_from, options_into};
use crate::v1::{self, downstream_item::Item};

/// Of an item that is a tell.
pub(super) fn tell_from(item: Item) -> Result<Downstream, ProtocolError> {
    let (connection, tell) = match item {
        Item::SessionDeliver(wire) => {
            let session = key_from(wire.session, wire.session_epoch)?;
            (wire.connection, Tell::Deliver { session, queued: required_queued(wire.queued)? })
        }
        Item::Recorded(wire) => {
            let session = key_from(wire.session, wire.session_epoch)?;
            let received = packet_ids_from("received", wire.received)?;
            let completed = packet_ids_from("completed", wire.completed)?;
            let passed_over = limited("passed_over", wire.passed_over)?;
            let passed_over = passed_over.into_iter().map(offset_from).collect();
            (wire.connection, Tell::Recorded { session, received, completed, passed_over })
        }
        Item::Opened(wire) => (wire.connection, Tell::Opened(opened_from(wire)?)),
        Item::OpenRefused(wire) => {
            let connection = ConnectionId(wire.connection);
            (wire.connection, Tell::OpenRefused { connection, reason: reason_from(wire.reason)? })
        }
        Item::Subscribed(wire) => (wire.connection, subscribed_from(wire)?),
        Item::Unsubscribed(wire) => {
            let session = key_from(wire.session, wire.session_epoch)?;
            let existed = limited("existed", wire.existed)?;
            (wire.connection, Tell::Unsubscribed { session, ticket: Ticket(wire.ticket), existed })
        }
        Item::Released(wire) => {
            let session = key_from(wire.session, wire.session_epoch)?;
            (
                wire.connection,
                Tell::Released { session, packet_id: packet_id_from(wire.packet_id)? },
            )
        }
        Item::Page(wire) => (wire.connection, page_from(wire)?),
        Item::Evict(wire) => {
            let why = match wire.why() {
                v1::evict::Why::TakenOver => Eviction::TakenOver,
                v1::evict::Why::Kicked => Eviction::Kicked,
                v1::evict::Why::Forgotten => Eviction::Forgotten,
            };
            let session = key_from(wire.session, wire.session_epoch)?;
            (wire.connection, Tell::Evict { session, why })
        }
        Item::Fenced(wire) => {
            (wire.connection, Tell::Fenced { session: key_from(wire.session, wire.session_epoch)? })
        }
        _ => return Err(ProtocolError::UnknownItem),
    };
    Ok(Downstream::Tell { connection: ConnectionId(connection), tell })
}

/// Of any tell but the answer to a publish, which is an item of its own.
pub(super) fn tell_into(ConnectionId(connection): ConnectionId, tell: &Tell) -> Item {
    let key = |session: &SessionKey| (session.id.0, session.epoch.0);
    match tell {
        Tell::Deliver { session, queued } => {
            let ((session, session_epoch), queued) = (key(session), Some(queued_into(queued)));
            Item::SessionDeliver(v1::SessionDeliver { connection, session, session_epoch, queued })
        }
        Tell::Recorded { session, received, completed, passed_over } => {
            let (session, session_epoch) = key(session);
            let (received, completed) = (packet_ids_into(received), packet_ids_into(completed));
            let passed_over = passed_over.iter().copied().map(offset_into).collect();
            Item::Recorded(v1::Recorded {
                connection,
                session,
                session_epoch,
                received,
                completed,
                passed_over,
            })
        }
        Tell::Opened(opened) => Item::Opened(opened_into(opened)),
        Tell::OpenRefused { reason, .. } => {
            Item::OpenRefused(v1::OpenRefused { connection, reason: reason_into(*reason) })
        }
        Tell::Subscribed { session, ticket, granted } => {
            Item::Subscribed(subscribed_into(connection, key(session), *ticket, granted))
        }
        Tell::Unsubscribed { session, ticket, existed } => {
            let ((session, session_epoch), existed) = (key(session), existed.clone());
            let ticket = ticket.0;
            Item::Unsubscribed(v1::Unsubscribed {
                connection,
                session,
                session_epoch,
                ticket,
                existed,
            })
        }
        Tell::Published { .. } => unreachable!("its answer is Downstream::PublishResult"),
        Tell::Released { session, packet_id } => {
            let ((session, session_epoch), packet_id) = (key(session), packet_id.get().into());
            Item::Released(v1::Released { connection, session, session_epoch, packet_id })
        }
        Tell::Page { session, page } => Item::Page(page_into(connection, key(session), page)),
        Tell::Evict { session, why } => {
            let (session, session_epoch) = key(session);
            let why = match why {
                Eviction::TakenOver => v1::evict::Why::TakenOver,
                Eviction::Kicked => v1::evict::Why::Kicked,
                Eviction::Forgotten => v1::evict::Why::Forgotten,
            };
            let why = why.into();
            Item::Evict(v1::Evict { connection, session, session_epoch, why })
        }
        Tell::Fenced { session } => {
            let (session, session_epoch) = key(session);
            Item::Fenced(v1::Fenced { connection, session, session_epoch })
        }
    }
}

fn opened_from(wire: v1::Opened) -> Result<Opened, ProtocolError> {
    let records = limited("records", wire.records)?.into_iter().map(record_from);
    Ok(Opened {
        connection: ConnectionId(wire.connection),
        session: key_from(wire.session, wire.session_epoch)?,
        is_present: wire.is_present,
        subscriptions: wire.subscriptions.iter().map(options_from).collect::<Result<_, _>>()?,
        inbound: packet_ids_from("inbound", wire.inbound)?,
        records: records.collect::<Result<_, _>>()?,
        backlog: page_end_from(wire.backlog, wire.is_live)?,
    })
}

fn opened_into(opened: &Opened) -> v1::Opened {
    let (backlog, is_live) = page_end_into(opened.backlog);
    v1::Opened {
        connection: opened.connection.0,
        session: opened.session.id.0,
        session_epoch: opened.session.epoch.0,
        is_present: opened.is_present,
        subscriptions: opened.subscriptions.iter().map(options_into).collect(),
        inbound: packet_ids_into(&opened.inbound),
        records: opened.records.iter().map(record_into).collect(),
        backlog,
        is_live,
    }
}

fn record_from(wire: v1::Record) -> Result<Record, ProtocolError> {
    let stage = match wire.sent {
        Some(queued) => RecordStage::Sent(queued_from(queued)?),
        None => RecordStage::Received,
    };
    Ok(Record { packet_id: packet_id_from(wire.packet_id)?, stage })
}

fn record_into(record: &Record) -> v1::Record {
    let sent = match &record.stage {
        RecordStage::Sent(queued) => Some(queued_into(queued)),
        RecordStage::Received => None,
    };
    v1::Record { packet_id: record.packet_id.get().into(), sent }
}

fn page_from(wire: v1::Page) -> Result<Tell, ProtocolError> {
    let messages = wire.messages.into_iter().map(queued_from).collect::<Result<_, _>>()?;
    let end = page_end_from(wire.end, wire.is_live)?;
    let session = key_from(wire.session, wire.session_epoch)?;
    Ok(Tell::Page { session, page: Page { messages, end } })
}

fn page_into(connection: u64, (session, session_epoch): (u64, u64), page: &Page) -> v1::Page {
    let (end, is_live) = page_end_into(page.end);
    let messages = page.messages.iter().map(queued_into).collect();
    v1::Page { connection, session, session_epoch, messages, end, is_live }
}

fn subscribed_from(wire: v1::Subscribed) -> Result<Tell, ProtocolError> {
    let mut granted: Vec<_> = limited("reasons", wire.reasons)?
        .into_iter()
        .map(granted_from)
        .collect::<Result<_, ProtocolError>>()?;
    for found in wire.retained {
        let queued = required_queued(found.queued)?;
        of(found.subscription, &mut granted)?.retained.push(queued);
    }
    for found in wire.unqueued {
        let unqueued = Unqueued {
            message: required_message(found.message)?,
            qos: qos_from(found.qos)?,
            subscription_id: subscription_id_from(found.subscription_id)?,
        };
        of(found.subscription, &mut granted)?.unqueued.push(unqueued);
    }
    let session = key_from(wire.session, wire.session_epoch)?;
    Ok(Tell::Subscribed { session, ticket: Ticket(wire.ticket), granted })
}

fn granted_from(reason: u32) -> Result<Result<Granted, RefuseReason>, ProtocolError> {
    match Qos::from_level(reason) {
        Some(qos) => Ok(Ok(Granted { qos, retained: Vec::new(), unqueued: Vec::new() })),
        None => reason_from(reason).map(Err),
    }
}

/// The subscription that found a message, if it was granted.
fn of(
    subscription: u32,
    granted: &mut [Result<Granted, RefuseReason>],
) -> Result<&mut Granted, ProtocolError> {
    let found =
        usize::try_from(subscription).ok().and_then(|at| granted.get_mut(at)?.as_mut().ok());
    found.ok_or(ProtocolError::OutOfRange { field: "subscription", value: subscription.into() })
}

fn subscribed_into(
    connection: u64,
    (session, session_epoch): (u64, u64),
    Ticket(ticket): Ticket,
    granted: &[Result<Granted, RefuseReason>],
) -> v1::Subscribed {
    let reasons = granted.iter().map(|answer| match answer {
        Ok(granted) => granted.qos.level().into(),
        Err(reason) => reason_into(*reason),
    });
    let (mut retained, mut unqueued) = (Vec::new(), Vec::new());
    let taken = (0..).zip(granted).filter_map(|(at, answer)| Some((at, answer.as_ref().ok()?)));
    for (subscription, granted) in taken {
        let queued = granted.retained.iter().map(queued_into);
        retained.extend(queued.map(|queued| v1::Retained { subscription, queued: Some(queued) }));
        unqueued.extend(granted.unqueued.iter().map(|found| unqueued_into(subscription, found)));
    }
    let reasons = reasons.collect();
    v1::Subscribed { connection, session, session_epoch, ticket, reasons, retained, unqueued }
}

fn unqueued_into(subscription: u32, found: &Unqueued) -> v1::Unqueued {
    v1::Unqueued {
        subscription,
        message: Some(message_into(&found.message)),
        qos: found.qos.level().into(),
        subscription_id: subscription_id_into(found.subscription_id),
    }
}
