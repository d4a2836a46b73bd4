//! P7: when a newer connection of a client was accepted, the older is not served any more.

use crate::check::World;
use crate::client::{Client, Connection, Owner};
use crate::event::At;
use crate::findings::{Finding, Findings};
use crate::rules::Known;
use crate::verdict::Kind;

/// The newer connection, if its CONNECT was sent after `connection` was accepted.
fn replaced(client: &Client, connection: &Connection) -> Option<Owner> {
    let accepted = connection.connected_at?;
    client.owner.filter(|owner| owner.connecting_at > accepted)
}

/// A request that was sent at `sent_at` was answered. Proof of two connections is a request that was
/// sent when the newer one had been accepted; or when both had, if neither is the newer.
pub(crate) fn served(
    world: &World<'_>,
    client: &mut Client,
    findings: &mut Findings,
    index: usize,
    sent_at: At,
) {
    let connection = &client.connections[index];
    let newer = replaced(client, connection).filter(|owner| owner.connected_at < sent_at);
    let other = newer.map(|owner| owner.connected_at).or_else(|| {
        let others = client.connections.iter().filter(|other| other.number != connection.number);
        others.filter_map(|other| both_served(connection, other, sent_at)).next()
    });
    if let Some(other) = other {
        report(world, client, findings, index, vec![other, sent_at, world.now]);
    }
    let connection = &mut client.connections[index];
    connection.served_at = connection.served_at.max(Some(sent_at));
}

/// When the other was served although both had been accepted, if so.
fn both_served(one: &Connection, other: &Connection, sent_at: At) -> Option<At> {
    let both_accepted = one.connected_at?.max(other.connected_at?);
    let is_race =
        one.connecting_at < other.connected_at? && other.connecting_at < one.connected_at?;
    other.served_at.filter(|&served| is_race && served > both_accepted && sent_at > both_accepted)
}

/// A message came that was first sent when the newer connection had been accepted. A broker that was
/// cut off may still serve its ephemeral clients.
pub(crate) fn delivered(
    world: &World<'_>,
    client: &mut Client,
    findings: &mut Findings,
    known: &Known,
) {
    let may_be_cut_off = world.last_fault.is_some() && !client.session.is_durable();
    if may_be_cut_off {
        return;
    }
    let sent_at = known.message.first_at;
    let newer = replaced(client, &client.connections[known.index]);
    if let Some(owner) = newer.filter(|owner| owner.connected_at < sent_at) {
        report(world, client, findings, known.index, vec![owner.connected_at, sent_at, world.now]);
    }
}

/// Once for each connection.
fn report(
    world: &World<'_>,
    client: &mut Client,
    findings: &mut Findings,
    index: usize,
    mut at: Vec<At>,
) {
    let connection = &mut client.connections[index];
    if std::mem::replace(&mut connection.is_reported, true) {
        return;
    }
    at.extend(connection.connected_at);
    let (who, number) = (world.names.text(client.name), connection.number);
    findings.report(Kind::ConnectedTwice, || Finding {
        kind: Kind::ConnectedTwice,
        sentence: format!("connection {number} of {who} was served after another was accepted"),
        at,
        messages: Vec::new(),
        client: client.name,
    });
}
