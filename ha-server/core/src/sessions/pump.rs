//! Engines are given what their clients can take.

use ha_types::session::{Offset, PageEnd, Queued, Tell};
use ha_types::{Millis, Qos, SessionId};

use super::attached::Attached;
use super::{Effect, Proposed, Sessions};
use crate::cluster::{ClusterState, Command};

/// Bytes that an engine is given at a time, but one message always.
const BYTES_AT_ONCE: usize = 1 << 20;

impl Sessions {
    /// What follows from a whole step.
    pub(crate) fn finish(&mut self, now: Millis, state: &ClusterState, out: &mut Vec<Effect>) {
        self.open_overdue(now, state, out);
        self.returning.retain(|_, until| *until > now);
        for id in std::mem::take(&mut self.due) {
            self.pump(id, state, out);
        }
    }

    fn pump(&mut self, id: SessionId, state: &ClusterState, out: &mut Vec<Effect>) {
        if self.held.contains_key(&id) {
            return;
        }
        let Some(attached) = self.attached.get_mut(&id).filter(|of| !of.is_beginning) else {
            return;
        };
        if let Some(waits) = self.held_back.get_mut(&attached.owner.broker) {
            waits.insert(id);
            return;
        }
        // A key that is stale was replaced; its outcome says so.
        let Some((next, live)) = next(attached, state) else { return };
        let (session, owner) = (attached.key, attached.owner);
        let mut next = next.into_iter().peekable();
        while let Some(queued) = next.next_if(|queued| attached.takes(queued)) {
            attached.give(queued.offset, queued.record.is_some());
            out.push(Effect::Tell(owner, Tell::Deliver { session, queued }));
        }
        if next.peek().is_none() {
            attached.given_upto = attached.given_upto.max(live);
            attached.is_caught_up = live.is_some();
            return;
        }
        let not_begun = next.filter(is_not_begun).map(|queued| queued.offset);
        let offsets: Vec<Offset> = not_begun.take(attached.room_for_records()).collect();
        // What was refused has to wait for an acknowledgement: asking again would never end.
        let refused_at = attached.asked_at.filter(|_| attached.is_refused);
        if offsets.first().is_some_and(|&first| refused_at != Some(first)) {
            attached.is_beginning = true;
            attached.is_refused = false;
            attached.asked_at = offsets.first().copied();
            let command = Command::Begin { session, offsets };
            out.push(Effect::Propose(Proposed::Begin(session), command));
        }
    }
}

impl Attached {
    pub(super) fn takes(&self, queued: &Queued) -> bool {
        self.room() > 0 && self.may_give(queued.offset) && !is_not_begun(queued)
    }
}

fn is_not_begun(queued: &Queued) -> bool {
    queued.qos == Qos::ExactlyOnce && queued.record.is_none()
}

/// What a session is given next, in order, and where it is then if that is all there is. `None`: it is
/// stale.
fn next(attached: &Attached, state: &ClusterState) -> Option<(Vec<Queued>, Option<Offset>)> {
    let after = attached.given_upto;
    let room = attached.room().max(1);
    let page = state.page(attached.key, after, room, BYTES_AT_ONCE)?;
    let (upto, live) = match page.end {
        PageEnd::Live(upto) => (None, Some(upto)),
        PageEnd::More(upto) => (Some(upto), None),
    };
    let is_next = |queued: &Queued| {
        !attached.has(queued.offset) && upto.is_none_or(|upto| queued.offset < upto)
    };
    let begun = state.begun_by(attached.key)?;
    let mut next = page.messages;
    next.extend(begun.into_iter().filter(is_next));
    next.sort_by_key(|queued| queued.offset);
    Some((next, live))
}
