//! P4: per publisher, topic and QoS ≥ 1, first deliveries come in the order of publishing.

use ha_types::Qos;

use crate::check::World;
use crate::client::Client;
use crate::findings::Findings;
use crate::rules::Known;
use crate::verdict::Kind;

/// A message came for the first time. It is late only when its *last* attempt was before the *first*
/// attempt of one that came before: a publisher that sends an old message again gives it a new place.
pub(crate) fn first(
    world: &World<'_>,
    client: &mut Client,
    findings: &mut Findings,
    known: &Known,
) {
    if known.delivery.qos == Qos::AtMostOnce || known.allowed.is_shared {
        return;
    }
    let lane = client.lanes.entry((known.delivery.publisher, known.delivery.topic)).or_default();
    let latest = &mut lane.latest[usize::from(known.message.qos.level())];
    let sent = (known.message.first_at, known.reference);
    let Some((at, overtaking)) = latest.replace(sent) else { return };
    if at > known.message.first_at {
        *latest = Some((at, overtaking));
    }
    if at > known.message.last_at {
        let kind = Kind::OutOfOrder;
        findings.report(kind, || {
            let number = world.published.message(overtaking).number;
            let why = format!("after message {number}, which was published later");
            let mut finding = known.finding(world, client, kind, &why);
            finding.messages.push((overtaking.publisher, number));
            finding
        });
    }
}
