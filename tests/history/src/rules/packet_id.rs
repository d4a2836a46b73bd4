//! A packet identifier belongs to one message until that is acknowledged; at QoS 2 across connections.

use ha_types::Qos;

use crate::check::World;
use crate::client::{Client, Exchange};
use crate::event::Step;
use crate::findings::Findings;
use crate::published::MessageRef;
use crate::rules::Known;
use crate::verdict::Kind;

/// Whether a delivery repeats a PUBLISH of a QoS 2 exchange that is not completed, so that the client
/// takes it for what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resent {
    Yes,
    No,
}

/// A PUBLISH came.
pub(crate) fn delivered(
    world: &World<'_>,
    client: &mut Client,
    findings: &mut Findings,
    known: &Known,
) -> Resent {
    let (qos, id) = (known.delivery.qos, known.delivery.packet_id);
    if qos == Qos::AtMostOnce {
        return Resent::No;
    }
    let connection = &mut client.connections[known.index];
    let (number, is_of_session) = (connection.number, connection.session == client.session.number);
    let mut holder = connection.in_flight.insert(id, known.reference);
    let mut exchange = None;
    if is_of_session {
        exchange = client.session.exchanges.get(&id).copied();
        holder = exchange.map(|exchange| exchange.message).or(holder);
        if qos == Qos::ExactlyOnce {
            let new = Exchange { message: known.reference, connection: number };
            client.session.exchanges.insert(id, new);
        }
    }
    if let Some(other) = holder.filter(|&held| held != known.reference) {
        in_flight(world, client, findings, known, other);
        return Resent::No;
    }
    match exchange {
        Some(exchange) if qos == Qos::ExactlyOnce => {
            resent(world, client, findings, known, exchange.connection, number);
            Resent::Yes
        }
        _ => Resent::No,
    }
}

fn in_flight(
    world: &World<'_>,
    client: &Client,
    findings: &mut Findings,
    known: &Known,
    other: MessageRef,
) {
    let kind = Kind::PacketIdInFlight;
    findings.report(kind, || {
        let (id, number) = (known.delivery.packet_id, world.published.message(other).number);
        let holder = world.names.text(other.publisher);
        let why = format!("with packet id {id}, which message {number} of {holder} still had");
        let mut finding = known.finding(world, client, kind, &why);
        finding.messages.push((other.publisher, number));
        finding
    });
}

/// The PUBLISH of an exchange came once more: right after a reconnect, and with DUP.
fn resent(
    world: &World<'_>,
    client: &Client,
    findings: &mut Findings,
    known: &Known,
    before: u32,
    now: u32,
) {
    let why = match () {
        () if now == before => "again on the same connection",
        () if now > before && !known.delivery.dup => "again, without DUP",
        () => {
            findings.counts.duplicates_excused += 1;
            return;
        }
    };
    let kind = Kind::TwiceWithoutCause;
    findings.report(kind, || known.finding(world, client, kind, why));
}

/// The client is about to acknowledge a delivery, so that its id may be used again.
pub(crate) fn acknowledged(client: &mut Client, index: usize, packet_id: u16, step: Step) {
    let connection = &mut client.connections[index];
    if step == Step::Pubrec {
        return;
    }
    connection.in_flight.remove(&packet_id);
    if step == Step::Pubcomp && connection.session == client.session.number {
        client.session.exchanges.remove(&packet_id);
    }
}
