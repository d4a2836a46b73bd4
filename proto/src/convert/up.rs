//! From broker to ha-server.

use ha_types::link::{Needs, Resume, Upstream};
use ha_types::session::{Ask, ConnectionId};
use ha_types::{AskNumber, PublishNumber, Qos, Ticket};

use super::ProtocolError;
use super::ask::{
    ask_into, close_from, fetch_from, open_from, progress_from, release_from, subscribe_from,
    unsubscribe_from,
};
use super::hello::{hello_from, hello_into};
use super::message::{filters_from, filters_into, message_into, required_message};
use super::session::{key_from, offset_from, offset_into, packet_id_from, receive_maximum_from};
use crate::v1::{self, upstream_item::Item};

pub(crate) fn upstream_from(item: Item) -> Result<Upstream, ProtocolError> {
    Ok(match item {
        Item::Publish(publish) => publish_from(publish)?,
        Item::Progress(wire) => {
            let number = wire.number;
            let (session, progress) = progress_from(wire)?;
            asked(number, Ask::Progress { session, progress })?
        }
        Item::Received(received) => Upstream::Received { count: received.count },
        Item::Open(wire) => asked(wire.number, open_from(*wire)?)?,
        Item::Subscribe(wire) => asked(wire.number, subscribe_from(wire)?)?,
        Item::Unsubscribe(wire) => asked(wire.number, unsubscribe_from(wire)?)?,
        Item::Release(wire) => asked(wire.number, release_from(&wire)?)?,
        Item::Fetch(wire) => asked(wire.number, fetch_from(wire)?)?,
        Item::Close(wire) => asked(wire.number, close_from(wire)?)?,
        Item::Hello(hello) => Upstream::Hello(hello_from(hello)?),
        Item::Announce(announce) => announce_from(&announce)?,
        Item::Withdraw(withdraw) => {
            Upstream::Withdraw { filters: filters_from(&withdraw.filters)? }
        }
        Item::Resume(resume) => Upstream::Resume(resume_from(resume)?),
        Item::Resumed(v1::Resumed {}) => Upstream::Resumed,
        Item::Leave(v1::Leave {}) => Upstream::Leave,
        Item::Chunk(_) => return Err(ProtocolError::UnexpectedChunk),
    })
}

pub(crate) fn upstream_into(item: &Upstream) -> Item {
    match item {
        Upstream::Publish { number, exchange, message } => Item::Publish(v1::Publish {
            number: number.map_or(0, |number| number.0),
            message: Some(message_into(message)),
            exchange: exchange.map(|(session, packet_id)| v1::Exchange {
                session: session.id.0,
                session_epoch: session.epoch.0,
                packet_id: packet_id.get().into(),
            }),
        }),
        Upstream::Ask { number, ask } => ask_into(*number, ask),
        Upstream::Received { count } => Item::Received(v1::Received { count: *count }),
        Upstream::Hello(hello) => Item::Hello(hello_into(hello)),
        Upstream::Announce { ticket, needs, filters } => {
            let needs = match needs {
                Needs::All => v1::announce::Needs::All,
                Needs::AtMostOnce => v1::announce::Needs::AtMostOnce,
            };
            let filters = filters_into(filters);
            Item::Announce(v1::Announce { ticket: ticket.0, filters, needs: needs.into() })
        }
        Upstream::Withdraw { filters } => {
            Item::Withdraw(v1::Withdraw { filters: filters_into(filters) })
        }
        Upstream::Resume(resume) => Item::Resume(resume_into(resume)),
        Upstream::Resumed => Item::Resumed(v1::Resumed {}),
        Upstream::Leave => Item::Leave(v1::Leave {}),
    }
}

fn asked(number: u64, ask: Ask) -> Result<Upstream, ProtocolError> {
    match number {
        0 => Err(ProtocolError::Missing("the number of an ask")),
        number => Ok(Upstream::Ask { number: AskNumber(number), ask }),
    }
}

fn publish_from(wire: v1::Publish) -> Result<Upstream, ProtocolError> {
    let message = required_message(wire.message)?;
    if wire.exchange.is_some() && (wire.number == 0 || message.qos == Qos::AtMostOnce) {
        return Err(ProtocolError::UnexpectedExchange);
    }
    let exchange = wire.exchange.map(|exchange| {
        let session = key_from(exchange.session, exchange.session_epoch)?;
        Ok::<_, ProtocolError>((session, packet_id_from(exchange.packet_id)?))
    });
    let number = (wire.number > 0).then_some(PublishNumber(wire.number));
    Ok(Upstream::Publish { number, exchange: exchange.transpose()?, message })
}

fn announce_from(wire: &v1::Announce) -> Result<Upstream, ProtocolError> {
    let needs = v1::announce::Needs::try_from(wire.needs)
        .map_err(|_| ProtocolError::unknown("needs", wire.needs))?;
    Ok(Upstream::Announce {
        ticket: Ticket(wire.ticket),
        needs: match needs {
            v1::announce::Needs::All => Needs::All,
            v1::announce::Needs::AtMostOnce => Needs::AtMostOnce,
        },
        filters: filters_from(&wire.filters)?,
    })
}

fn resume_from(wire: v1::Resume) -> Result<Resume, ProtocolError> {
    Ok(Resume {
        session: key_from(wire.session, wire.session_epoch)?,
        connection: ConnectionId(wire.connection),
        receive_maximum: receive_maximum_from(wire.receive_maximum)?,
        given_upto: wire.given_upto.map(offset_from),
    })
}

fn resume_into(resume: &Resume) -> v1::Resume {
    v1::Resume {
        session: resume.session.id.0,
        session_epoch: resume.session.epoch.0,
        connection: resume.connection.0,
        receive_maximum: resume.receive_maximum.into(),
        given_upto: resume.given_upto.map(offset_into),
    }
}
