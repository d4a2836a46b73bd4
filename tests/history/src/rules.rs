//! The promises, one module each, and the way of a delivery through those that concern it.

pub(crate) mod duplicate;
pub(crate) mod lost;
pub(crate) mod one_connection;
pub(crate) mod order;
pub(crate) mod packet_id;
pub(crate) mod provenance;
pub(crate) mod retained;
pub(crate) mod session;

use ha_types::Qos;

use crate::check::World;
use crate::client::{Client, Receipt};
use crate::event::{At, Name, Retain};
use crate::findings::{Finding, Findings};
use crate::published::{Message, MessageRef};
use crate::seen::Before;
use crate::subscriptions::Allowed;
use crate::verdict::Kind;

/// A PUBLISH that a client got.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    pub(crate) publisher: Name,
    pub(crate) number: u32,
    pub(crate) topic: Name,
    pub(crate) qos: Qos,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    pub(crate) packet_id: u16,
}

/// A delivery and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) delivery: Delivery,
    pub(crate) reference: MessageRef,
    pub(crate) message: Message,
    pub(crate) allowed: Allowed,
    /// The place of its connection among the client's.
    pub(crate) index: usize,
}

impl Known {
    /// A finding about this delivery.
    pub(crate) fn finding(
        &self,
        world: &World<'_>,
        client: &Client,
        kind: Kind,
        why: &str,
    ) -> Finding {
        let Delivery { publisher, number, topic, .. } = self.delivery;
        let text = |name| world.names.text(name);
        let (who, publisher_text, topic) = (text(client.name), text(publisher), text(topic));
        let sentence = format!("{who} got message {number} of {publisher_text} on {topic} {why}");
        let messages = vec![(publisher, number)];
        Finding { kind, sentence, at: vec![world.now], messages, client: client.name }
    }
}

/// Judges a delivery.
pub(crate) fn delivered(
    world: &World<'_>,
    client: &mut Client,
    findings: &mut Findings,
    index: usize,
    delivery: Delivery,
) {
    let Some(reference) = provenance::published(world, client, findings, delivery) else {
        return;
    };
    let message = *world.published.message(reference);
    let lane = client.lanes.entry((delivery.publisher, delivery.topic)).or_default();
    let (mut allowed, version) = (lane.allowed, lane.version);
    if version != client.version {
        allowed = world.allowed(client, delivery.topic);
        let lane = client.lanes.entry((delivery.publisher, delivery.topic)).or_default();
        (lane.allowed, lane.version) = (allowed, client.version);
    }
    let known = Known { delivery, reference, message, allowed, index };
    provenance::qos(world, client, findings, &known);
    one_connection::delivered(world, client, findings, &known);
    let resent = packet_id::delivered(world, client, findings, &known);
    if message.retain != Retain::No {
        let acknowledged_at = message.acknowledged_at;
        client.note_receipt(delivery.topic, Receipt { at: world.now, acknowledged_at });
    }
    if resent == packet_id::Resent::No {
        once_more_or_first(world, client, findings, &known);
    }
}

fn once_more_or_first(
    world: &World<'_>,
    client: &mut Client,
    findings: &mut Findings,
    known: &Known,
) {
    if known.delivery.retain {
        if !client.seen.take_retained(known.reference) {
            duplicate::retained_again(world, client, findings, known);
        }
        return;
    }
    let place = client.connections[known.index].place();
    match client.seen.take(place, known.reference) {
        Before::Never => order::first(world, client, findings, known),
        before => duplicate::again(world, client, findings, known, before),
    }
}

/// Whether `event` came after `other`, if both came.
pub(crate) fn is_after(event: Option<At>, other: At) -> bool {
    event.is_some_and(|event| event > other)
}
