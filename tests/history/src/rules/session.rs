//! P6: a session goes on until something ends it, and Session Present says so.

use crate::check::World;
use crate::client::{Client, Connection, Existence, Owner};
use crate::event::{NEVER_EXPIRES, Present, Start};
use crate::findings::{Finding, Findings};
use crate::rules::lost;
use crate::verdict::Kind;

/// Whether there is a session for a CONNECT that is sent at this moment.
fn existence(world: &World<'_>, client: &Client) -> Existence {
    let session = &client.session;
    let expires = session.expires_s != NEVER_EXPIRES && world.may_expire(session.expires_s);
    if session.existence == Existence::Yes && expires {
        Existence::Maybe
    } else {
        session.existence
    }
}

/// A CONNECT is about to be sent. From here until the CONNACK only its effects are uncertain.
pub(crate) fn connecting(
    world: &World<'_>,
    client: &mut Client,
    findings: &mut Findings,
    (number, start, expires_s): (u32, Start, u32),
) {
    if number <= client.last_connection {
        return findings.misrecorded(world.now, client.name, "connection numbers must grow");
    }
    client.last_connection = number;
    let existing = existence(world, client);
    let is_waiting = client.connections.iter().any(|open| open.connected_at.is_none());
    let found = match (start, existing) {
        (Start::Clean, _) => Existence::No,
        (Start::Resume, _) if is_waiting => Existence::Maybe,
        (Start::Resume, existing) => existing,
    };
    if start == Start::Clean {
        give_up(world, client, findings);
    }
    for other in &mut client.connections {
        if other.connected_at.is_none() {
            other.found = Existence::Maybe;
        }
    }
    let goes_on = start == Start::Resume && existing == Existence::Yes && expires_s > 0;
    client.session.existence = if goes_on { Existence::Yes } else { Existence::Maybe };
    client.session.expires_s = client.session.expires_s.min(expires_s);
    client.connections.push(Connection {
        number,
        start,
        expires_s,
        connecting_at: world.now,
        connected_at: None,
        found,
        session: client.session.number,
        served_at: None,
        is_reported: false,
        publishing: Default::default(),
        subscribing: Default::default(),
        in_flight: Default::default(),
    });
}

/// Nothing that the session was owed is certain any more.
fn give_up(world: &World<'_>, client: &mut Client, findings: &mut Findings) {
    lost::ended(world, client, findings, None);
    client.session.active.clear();
    client.session.watches.clear();
    client.session.began_at = world.now;
}

/// A connection is gone. If its CONNECT was not answered and may have found no session, it may have
/// begun one: what is present later may be that.
pub(crate) fn closed(world: &World<'_>, client: &mut Client, findings: &mut Findings, number: u32) {
    let Some(index) = client.connections.iter().position(|open| open.number == number) else {
        return findings.misrecorded(world.now, client.name, "this connection is not open");
    };
    let gone = client.connections.remove(index);
    if gone.connected_at.is_none() && gone.found == Existence::Maybe {
        give_up(world, client, findings);
        client.session.exchanges.clear();
    }
}

/// A CONNACK came.
pub(crate) fn connected(
    world: &World<'_>,
    client: &mut Client,
    findings: &mut Findings,
    (number, present): (u32, Present),
) {
    let waits = |open: &Connection| open.number == number && open.connected_at.is_none();
    let Some(index) = client.connections.iter().position(waits) else {
        return findings.misrecorded(world.now, client.name, "no CONNECT waits for this");
    };
    judge(world, client, findings, index, present);
    if present == Present::New {
        lost::ended(world, client, findings, None);
        client.begin_session(world.now);
    }
    let expires_s = client.connections[index].expires_s;
    let is_durable = expires_s > 0;
    client.session.existence = if is_durable { Existence::Yes } else { Existence::Maybe };
    client.session.expires_s = expires_s;
    let connection = &mut client.connections[index];
    connection.connected_at = Some(world.now);
    connection.session = client.session.number;
    let (connecting_at, connected_at) = (connection.connecting_at, world.now);
    if client.owner.is_none_or(|owner| owner.connecting_at < connecting_at) {
        client.owner = Some(Owner { connecting_at, connected_at });
    }
}

fn judge(
    world: &World<'_>,
    client: &Client,
    findings: &mut Findings,
    index: usize,
    present: Present,
) {
    let connection = &client.connections[index];
    let why = match (connection.start, connection.found, present) {
        (Start::Clean, _, Present::Present) => "asked for a new session and got an old one",
        (_, Existence::No, Present::Present) => "got a session that never was",
        (_, Existence::Yes, Present::New) => "lost its session, which nothing had ended",
        _ => return,
    };
    let who = world.names.text(client.name);
    let mut at = vec![connection.connecting_at, world.now];
    at.extend(client.owner.map(|owner| owner.connected_at));
    findings.report(Kind::SessionPresent, || Finding {
        kind: Kind::SessionPresent,
        sentence: format!("{who} {why}"),
        at,
        messages: Vec::new(),
        client: client.name,
    });
}

/// A DISCONNECT is about to be sent; it may not arrive.
pub(crate) fn closing(client: &mut Client, expires_s: Option<u32>) {
    let session = &mut client.session;
    match expires_s {
        Some(0) => session.existence = Existence::Maybe,
        Some(expires_s) => session.expires_s = session.expires_s.min(expires_s),
        None => (),
    }
}
