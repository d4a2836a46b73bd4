//! P1 and P5: what was acknowledged, and sent after a SUBACK, comes to that subscription.

use ha_types::Qos;

use crate::check::World;
use crate::client::Client;
use crate::event::{At, Name, Retain};
use crate::findings::{Finding, Findings};
use crate::published::{Message, MessageRef};
use crate::rules::is_after;
use crate::subscriptions::Active;
use crate::verdict::Kind;

/// Since when a client is owed the messages of a topic.
#[derive(Clone, Copy, Debug)]
struct Since {
    others: At,
    /// Of messages that it published itself.
    own: At,
}

impl Since {
    /// By those subscriptions that match.
    fn of<'a>(subscriptions: impl Iterator<Item = &'a Active>) -> Self {
        let never = Self { others: At::NEVER, own: At::NEVER };
        subscriptions.fold(never, |since, active| Self {
            others: since.others.min(active.since),
            own: if active.no_local { since.own } else { since.own.min(active.since) },
        })
    }
}

/// The client's session goes on and has got everything: what is missing is lost.
pub(crate) fn drained(world: &World<'_>, client: &mut Client, findings: &mut Findings) {
    if client.session.active.is_empty() {
        return;
    }
    for &topic in world.published.used_topics() {
        let active = client.session.active.iter();
        let matching = active.filter(|&(&filter, _)| world.matches(filter, topic));
        let since = Since::of(matching.map(|(_, active)| active));
        for &reference in world.published.since(topic, since.others.min(since.own)) {
            let message = world.published.message(reference);
            if !is_owed(client, reference, message, since) {
                continue;
            }
            findings.counts.owed += 1;
            if client.seen.has(reference) || client.seen.settle(reference) {
                continue;
            }
            if is_excused(world, client, message) {
                findings.counts.lost_excused += 1;
            } else {
                report(world, client, findings, reference, since);
            }
        }
    }
}

/// One subscription ends, or with `None` all do: what is missing by it alone is excused.
pub(crate) fn ended(
    world: &World<'_>,
    client: &mut Client,
    findings: &mut Findings,
    filter: Option<Name>,
) {
    let ends = |name: Name| filter.is_none_or(|filter| filter == name);
    if !client.session.active.keys().any(|&name| ends(name)) {
        return;
    }
    for &topic in world.published.used_topics() {
        let matching =
            client.session.active.iter().filter(|&(&name, _)| world.matches(name, topic));
        let (ended, going_on): (Vec<_>, Vec<_>) = matching.partition(|&(&name, _)| ends(name));
        let since = Since::of(ended.into_iter().map(|(_, active)| active));
        let still = Since::of(going_on.into_iter().map(|(_, active)| active));
        for &reference in world.published.since(topic, since.others.min(since.own)) {
            let message = world.published.message(reference);
            let is_given_up = is_owed(client, reference, message, since)
                && !is_owed(client, reference, message, still);
            if is_given_up && !client.seen.has(reference) && !client.seen.settle(reference) {
                findings.counts.lost_excused += 1;
            }
        }
    }
}

/// An empty message is owed to nobody: nothing in it would tell which one it is.
fn is_owed(client: &Client, reference: MessageRef, message: &Message, since: Since) -> bool {
    let since = if reference.publisher == client.name { since.own } else { since.others };
    message.qos > Qos::AtMostOnce
        && message.is_acknowledged()
        && message.retain != Retain::Clear
        && message.first_at > since
}

fn is_excused(world: &World<'_>, client: &Client, message: &Message) -> bool {
    message.expiry().is_some_and(|expires_s| world.may_expire(expires_s))
        || is_after(client.session.queue_full_at, message.first_at)
}

fn report(
    world: &World<'_>,
    client: &Client,
    findings: &mut Findings,
    reference: MessageRef,
    since: Since,
) {
    let kind = Kind::AcknowledgedAndLost;
    let message = world.published.message(reference);
    let since = if reference.publisher == client.name { since.own } else { since.others };
    findings.report(kind, || {
        let text = |name| world.names.text(name);
        let (who, number, qos) = (text(client.name), message.number, message.qos.level());
        let (publisher, topic) = (text(reference.publisher), text(message.topic));
        Finding {
            kind,
            sentence: format!(
                "{who} never got message {number} of {publisher} on {topic}, acknowledged at QoS {qos}"
            ),
            at: vec![since, message.first_at, message.acknowledged_at, world.now],
            messages: vec![(reference.publisher, number)],
            client: client.name,
        }
    });
}
