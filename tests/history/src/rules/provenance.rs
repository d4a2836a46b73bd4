//! Nothing is delivered that was not published so, or with a higher QoS than published or granted,
//! or to somebody who never subscribed to it.

use crate::check::World;
use crate::client::Client;
use crate::event::Retain;
use crate::findings::{Finding, Findings};
use crate::published::MessageRef;
use crate::rules::{Delivery, Known};
use crate::verdict::Kind;

/// The message that was delivered; `None` after it was reported that there is none.
pub(crate) fn published(
    world: &World<'_>,
    client: &Client,
    findings: &mut Findings,
    delivery: Delivery,
) -> Option<MessageRef> {
    let found = world.published.find(delivery.publisher, delivery.number);
    let why = match found.map(|found| world.published.message(found)) {
        None => "which was never published",
        Some(message) if message.topic != delivery.topic => "which was published to another topic",
        Some(message) if delivery.retain && message.retain == Retain::No => {
            "with RETAIN, which was published without"
        }
        Some(_) => return found,
    };
    findings.report(Kind::NeverPublished, || never_published(world, client, delivery, why));
    None
}

fn never_published(world: &World<'_>, client: &Client, of: Delivery, why: &str) -> Finding {
    let text = |name| world.names.text(name);
    let (who, publisher, topic) = (text(client.name), text(of.publisher), text(of.topic));
    let number = of.number;
    Finding {
        kind: Kind::NeverPublished,
        sentence: format!("{who} got message {number} of {publisher} on {topic}, {why}"),
        at: vec![world.now],
        messages: vec![(of.publisher, number)],
        client: client.name,
    }
}

/// Not more than was published, and not more than any matching subscription was granted.
pub(crate) fn qos(world: &World<'_>, client: &Client, findings: &mut Findings, known: &Known) {
    let delivered = known.delivery.qos;
    let Some(granted) = known.allowed.qos else {
        let why = "without a subscription that matches";
        let kind = Kind::NotSubscribed;
        return findings.report(kind, || known.finding(world, client, kind, why));
    };
    if delivered > granted.min(known.message.qos) {
        let (published, granted) = (known.message.qos.level(), granted.level());
        let delivered = delivered.level();
        let why = format!("at QoS {delivered}; published was {published}, granted {granted}");
        let kind = Kind::QosTooHigh;
        findings.report(kind, || known.finding(world, client, kind, &why));
    }
}
