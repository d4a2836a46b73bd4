//! P5: a SUBSCRIBE that is sent after the acknowledgement of a retained message gets it, or a newer.

use ha_types::Qos;

use crate::check::World;
use crate::client::Client;
use crate::event::{Name, Retain};
use crate::findings::{Finding, Findings};
use crate::published::{Message, MessageRef};
use crate::rules::is_after;
use crate::subscriptions::Watch;
use crate::verdict::Kind;

/// The client has got everything that its SUBSCRIBEs made the cluster send.
pub(crate) fn drained(world: &World<'_>, client: &mut Client, findings: &mut Findings) {
    for watch in std::mem::take(&mut client.session.watches) {
        if is_after(client.session.queue_full_at, watch.sent_at) {
            continue;
        }
        for &topic in world.published.used_topics() {
            let Some(retained) = owed(world, topic, watch) else { continue };
            if !world.matches(watch.filter, topic) {
                continue;
            }
            findings.counts.retained_owed += 1;
            let message = world.published.message(retained);
            let newest = client.newest_receipt(topic, watch.sent_at);
            let has_come = newest.is_some_and(|newest| newest >= message.first_at);
            if !has_come && !is_replaced(world, topic, retained) {
                report(world, client, findings, watch, retained);
            }
        }
    }
}

/// The message that a SUBSCRIBE had to see at least: of those that were acknowledged before, the one
/// that was sent last. None when that one removes.
fn owed(world: &World<'_>, topic: Name, watch: Watch) -> Option<MessageRef> {
    let retained = world.published.topic(topic).retained.iter().rev();
    let found = retained.copied().find(|&reference| {
        let message = world.published.message(reference);
        message.qos > Qos::AtMostOnce && message.acknowledged_at < watch.sent_at
    });
    found.filter(|&found| {
        let message = world.published.message(found);
        message.retain == Retain::Keep && !may_have_expired(world, message)
    })
}

fn may_have_expired(world: &World<'_>, message: &Message) -> bool {
    message.expiry().is_some_and(|expires_s| world.may_expire(expires_s))
}

/// Whether a message that is not certainly older may have taken its place and need not have come: it
/// removes, it may have expired, or it is at QoS 0.
fn is_replaced(world: &World<'_>, topic: Name, retained: MessageRef) -> bool {
    let sent_at = world.published.message(retained).first_at;
    let all = world.published.topic(topic).retained.iter();
    all.filter(|&&other| other != retained).any(|&reference| {
        let other = world.published.message(reference);
        let may_be_missing = other.qos == Qos::AtMostOnce
            || other.retain == Retain::Clear
            || may_have_expired(world, other);
        may_be_missing && !world.published.is_settled(reference, sent_at)
    })
}

fn report(
    world: &World<'_>,
    client: &Client,
    findings: &mut Findings,
    watch: Watch,
    retained: MessageRef,
) {
    let kind = Kind::RetainedMissing;
    findings.report(kind, || {
        let message = world.published.message(retained);
        let text = |name| world.names.text(name);
        let (who, number, filter) = (text(client.name), message.number, text(watch.filter));
        let (publisher, topic) = (text(retained.publisher), text(message.topic));
        Finding {
            kind,
            sentence: format!(
                "{who} subscribed to {filter} and got neither the retained message {number} of \
                 {publisher} on {topic} nor a newer one"
            ),
            at: vec![message.first_at, message.acknowledged_at, watch.sent_at, world.now],
            messages: vec![(retained.publisher, number)],
            client: client.name,
        }
    });
}
