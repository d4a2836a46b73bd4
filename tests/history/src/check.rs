//! First pass: follows the events and asks the rules.

use ha_types::Qos;

use crate::client::{Asked, Client};
use crate::event::{At, Event, Name, RetainedWanted, Step, What};
use crate::findings::Findings;
use crate::names::Names;
use crate::published::{Attempt, Published, Retry};
use crate::rules::{self, Delivery};
use crate::subscriptions::{Active, Allowed, Filters, Watch};
use crate::verdict::Counts;

/// What rules may know beside the client they judge.
#[derive(Debug)]
pub(crate) struct World<'a> {
    pub(crate) names: &'a Names,
    /// The event that is judged.
    pub(crate) now: At,
    pub(crate) published: Published,
    pub(crate) filters: Filters,
    pub(crate) last_fault: Option<At>,
    lasts_s: Option<u32>,
}

impl World<'_> {
    /// Whether something with this expiry may have expired.
    pub(crate) fn may_expire(&self, expires_s: u32) -> bool {
        self.lasts_s.is_none_or(|lasts_s| expires_s <= lasts_s)
    }

    pub(crate) fn matches(&self, filter: Name, topic: Name) -> bool {
        self.filters.matches(self.names, filter, topic)
    }

    /// What a client's subscriptions to a topic allow.
    pub(crate) fn allowed(&self, client: &Client, topic: Name) -> Allowed {
        let mut allowed = Allowed::default();
        for (&filter, grant) in &client.grants {
            if self.matches(filter, topic) {
                allowed.qos = allowed.qos.max(grant.granted).max(grant.pending);
                allowed.requests = allowed.requests.saturating_add(grant.requests);
                allowed.is_shared |= self.filters.is_shared(filter);
                allowed.as_published |= grant.as_published;
            }
        }
        allowed
    }
}

/// Takes events in the order of observation.
#[derive(Debug)]
pub(crate) struct Checker<'a> {
    world: World<'a>,
    clients: Vec<Option<Box<Client>>>,
    findings: Findings,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(names: &'a Names) -> Self {
        let world = World {
            names,
            now: At(0),
            published: Published::new(names.len()),
            filters: Filters::default(),
            last_fault: None,
            lasts_s: None,
        };
        let clients = std::iter::repeat_with(|| None).take(names.len()).collect();
        Self { world, clients, findings: Findings::default() }
    }

    /// What was found.
    pub(crate) fn finish(self) -> (Counts, Findings) {
        (self.findings.counts, self.findings)
    }

    /// Takes the event at a place; places grow.
    pub(crate) fn observe(&mut self, at: At, event: Event) {
        self.world.now = at;
        self.findings.counts.events += 1;
        match event.what {
            What::Fault => self.world.last_fault = Some(at),
            What::LastsAtMost { seconds } => self.world.lasts_s = Some(seconds),
            _ => self.of_client(event),
        }
    }

    fn of_client(&mut self, Event { who, connection, what }: Event) {
        let Self { world, clients, findings } = self;
        let client = &mut **clients[who.index()].get_or_insert_with(|| Box::new(Client::new(who)));
        match what {
            What::Connecting { start, expires_s } => {
                rules::session::connecting(world, client, findings, (connection, start, expires_s));
                return;
            }
            What::Connected { session } => {
                rules::session::connected(world, client, findings, (connection, session));
                return;
            }
            What::Closed => {
                rules::session::closed(world, client, findings, connection);
                return;
            }
            // It may have overflowed while the client was away.
            What::QueueFull => {
                client.session.queue_full_at = Some(world.now);
                return;
            }
            // A will is published with its CONNECT.
            What::Publishing { number, topic, qos, retain, dup, expires_s } => {
                let attempt = Attempt { number, topic, qos, retain, expires_s };
                publishing(world, client, findings, (connection, dup, attempt));
                return;
            }
            _ => (),
        }
        let Some(index) = client.connected(connection) else {
            return findings.misrecorded(world.now, who, "this connection is not open");
        };
        on_connection(world, client, findings, index, what);
    }
}

/// What happens on connections that were accepted and are open.
fn on_connection(
    world: &mut World<'_>,
    client: &mut Client,
    findings: &mut Findings,
    index: usize,
    what: What,
) {
    match what {
        What::Closing { expires_s } => rules::session::closing(client, expires_s),
        What::Subscribing { filter, qos, retained, no_local, as_published } => {
            let known = client.session.known.contains(&filter);
            let wants = match retained {
                RetainedWanted::Always => true,
                RetainedWanted::IfNew => !known,
                RetainedWanted::Never => false,
            };
            let asked = Asked { at: world.now, no_local, sees_retained: wants && !no_local };
            subscribing(world, client, findings, index, (filter, qos, as_published, asked));
        }
        What::Subscribed { filter, granted } => {
            subscribed(world, client, findings, index, (filter, granted));
        }
        What::Unsubscribing { filter } => {
            rules::lost::ended(world, client, findings, Some(filter));
            client.session.active.remove(&filter);
            client.session.watches.retain(|watch| watch.filter != filter);
            client.connections[index].subscribing.remove(&filter);
        }
        What::Acknowledged { number, step } => {
            acknowledged(world, client, findings, index, (number, step));
        }
        What::Delivered { publisher, number, topic, qos, dup, retain, packet_id } => {
            findings.counts.delivered += 1;
            let delivery = Delivery { publisher, number, topic, qos, dup, retain, packet_id };
            rules::delivered(world, client, findings, index, delivery);
        }
        What::DeliveryAcknowledged { packet_id, step } => {
            rules::packet_id::acknowledged(client, index, packet_id, step);
        }
        What::Drained => {
            if client.connections[index].number != client.last_connection {
                return findings.misrecorded(world.now, client.name, "there is a newer connection");
            }
            findings.counts.drained += 1;
            rules::lost::drained(world, client, findings);
            rules::retained::drained(world, client, findings);
        }
        What::Connecting { .. }
        | What::Connected { .. }
        | What::Closed
        | What::Publishing { .. }
        | What::QueueFull
        | What::Fault
        | What::LastsAtMost { .. } => unreachable!("observe takes these"),
    }
}

fn publishing(
    world: &mut World<'_>,
    client: &mut Client,
    findings: &mut Findings,
    (connection, dup, attempt): (u32, bool, Attempt),
) {
    let Some(open) = client.connections.iter_mut().find(|open| open.number == connection) else {
        return findings.misrecorded(world.now, client.name, "this connection is not open");
    };
    if attempt.qos > Qos::AtMostOnce {
        open.publishing.insert(attempt.number, world.now);
    }
    let Some(known) = world.published.find(client.name, attempt.number) else {
        findings.counts.published += 1;
        world.published.add(client.name, world.now, attempt);
        return;
    };
    let message = world.published.message(known);
    if message.topic != attempt.topic {
        return findings.misrecorded(world.now, client.name, "the number belongs to another topic");
    }
    let is_resumed = message.last_at >= client.session.began_at;
    let is_same = attempt.qos == Qos::ExactlyOnce && dup && is_resumed;
    let retry = if is_same { Retry::SameExchange } else { Retry::Copy };
    world.published.retry(known, world.now, retry);
}

fn acknowledged(
    world: &mut World<'_>,
    client: &mut Client,
    findings: &mut Findings,
    index: usize,
    (number, step): (u32, Step),
) {
    let Some(message) = world.published.find(client.name, number) else {
        return findings.misrecorded(
            world.now,
            client.name,
            "nothing was published by this number",
        );
    };
    if world.published.acknowledge(message, world.now) {
        findings.counts.acknowledged += 1;
    }
    let sent_at = client.connections[index].publishing.remove(&number);
    if let (Some(sent_at), Step::Puback | Step::Pubrec) = (sent_at, step) {
        rules::one_connection::served(world, client, findings, index, sent_at);
    }
}

fn subscribing(
    world: &mut World<'_>,
    client: &mut Client,
    findings: &mut Findings,
    index: usize,
    (filter, qos, as_published, asked): (Name, Qos, bool, Asked),
) {
    if !world.filters.learn(world.names, filter) {
        return findings.misrecorded(world.now, client.name, "this is not a topic filter");
    }
    client.session.known.insert(filter);
    client.connections[index].subscribing.insert(filter, asked);
    let grant = client.grants.entry(filter).or_default();
    grant.requests += 1;
    // One that was not answered may be in force all the same, and what it queued keeps its QoS.
    grant.granted = grant.granted.max(grant.pending.replace(qos));
    grant.as_published |= as_published;
    client.version += 1;
}

fn subscribed(
    world: &mut World<'_>,
    client: &mut Client,
    findings: &mut Findings,
    index: usize,
    (filter, granted): (Name, Option<Qos>),
) {
    let Some(asked) = client.connections[index].subscribing.remove(&filter) else {
        return findings.misrecorded(world.now, client.name, "no SUBSCRIBE waits for this");
    };
    let grant = client.grants.entry(filter).or_default();
    grant.pending = None;
    grant.granted = grant.granted.max(granted);
    client.version += 1;
    rules::one_connection::served(world, client, findings, index, asked.at);
    if client.connections[index].session != client.session.number {
        return;
    }
    match granted {
        None => (),
        Some(Qos::AtMostOnce) => {
            client.session.active.remove(&filter);
        }
        Some(_) if world.filters.is_shared(filter) => (),
        Some(_) => {
            let new = Active { since: world.now, no_local: asked.no_local };
            let active = client.session.active.entry(filter).or_insert(new);
            active.no_local |= asked.no_local;
            if asked.sees_retained {
                client.session.watches.push(Watch { filter, sent_at: asked.at });
            }
        }
    }
}
