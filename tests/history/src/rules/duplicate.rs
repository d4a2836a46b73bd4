//! P2 and P3: what may come again, and what may not.

use std::collections::HashMap;

use ha_types::Qos;

use crate::check::World;
use crate::client::Client;
use crate::findings::Findings;
use crate::published::MessageRef;
use crate::rules::{Known, is_after};
use crate::seen::Before;
use crate::verdict::Kind;

/// Whether a repetition has something that can have caused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    None,
    /// The subscriber lost its connection, or a fault came after the message was first sent.
    Some,
}

/// A message came again, as a PUBLISH of its own.
pub(crate) fn again(
    world: &World<'_>,
    client: &mut Client,
    findings: &mut Findings,
    known: &Known,
    before: Before,
) {
    let is_copy = is_message_of_its_own(known) && before != Before::EarlierSession;
    let copies = if is_copy { count_copy(&mut client.copies, known.reference) } else { u32::MAX };
    let is_other_place = matches!(before, Before::EarlierSession | Before::LaterConnection);
    if is_other_place || copies <= u32::from(known.message.copies) {
        findings.counts.duplicates_excused += 1;
        return;
    }
    // Each of several copies may come again on the next connection.
    let has_copies = known.message.copies > 1 && client.last_connection > 1;
    let is_moved = before == Before::SameSession || has_copies;
    judge(world, client, findings, known, cause(world, known, is_moved));
}

/// A message came again with RETAIN: once for each SUBSCRIBE is right.
pub(crate) fn retained_again(
    world: &World<'_>,
    client: &mut Client,
    findings: &mut Findings,
    known: &Known,
) {
    let as_published = if known.allowed.as_published { known.message.copies } else { 0 };
    let expected = known.allowed.requests.saturating_add(u32::from(as_published));
    if is_message_of_its_own(known)
        && count_copy(&mut client.retained_copies, known.reference) <= expected
    {
        return;
    }
    let is_moved = client.last_connection > 1;
    judge(world, client, findings, known, cause(world, known, is_moved));
}

/// At QoS 2 repetitions were told apart by their exchange before; what is left is a message, whose
/// first PUBLISH may have been lost, so that it comes with DUP.
fn is_message_of_its_own(known: &Known) -> bool {
    !known.delivery.dup || known.delivery.qos == Qos::ExactlyOnce
}

/// Counts one more message of its own, and says which it is. The first was not counted.
fn count_copy(copies: &mut HashMap<MessageRef, u32>, message: MessageRef) -> u32 {
    let copies = copies.entry(message).or_insert(1);
    *copies = copies.saturating_add(1);
    *copies
}

fn cause(world: &World<'_>, known: &Known, is_moved: bool) -> Cause {
    let is_caused = is_moved || is_after(world.last_fault, known.message.first_at);
    if is_caused { Cause::Some } else { Cause::None }
}

fn judge(world: &World<'_>, client: &Client, findings: &mut Findings, known: &Known, cause: Cause) {
    let is_excused = match known.delivery.qos {
        Qos::AtMostOnce => cause == Cause::Some,
        Qos::AtLeastOnce => cause == Cause::Some && (known.delivery.dup || known.allowed.is_shared),
        Qos::ExactlyOnce => cause == Cause::Some && !client.session.is_durable(),
    };
    if is_excused {
        findings.counts.duplicates_excused += 1;
        return;
    }
    let (kind, why) = match (known.delivery.qos, cause) {
        (Qos::ExactlyOnce, _) => (Kind::ExactlyOnceTwice, "again, at QoS 2"),
        (_, Cause::None) => (Kind::TwiceWithoutCause, "again, and nothing had failed"),
        (_, Cause::Some) => (Kind::TwiceWithoutCause, "again, without DUP"),
    };
    findings.report(kind, || known.finding(world, client, kind, why));
}
