//! Sessions that go on through another stream, perhaps with another leader.

use ha_types::BrokerEpoch;
use ha_types::link::Resume;
use ha_types::session::Tell;

use super::attached::Attached;
use super::{Effect, Sessions};
use crate::cluster::{ClusterState, Owner};

/// More cannot be in flight: a packet identifier is one delivery's.
const GIVEN_MAX: usize = 65_535;

impl Sessions {
    /// One that has another owner, or none, is fenced.
    pub(crate) fn resume(
        &mut self,
        state: &ClusterState,
        broker: BrokerEpoch,
        resume: Resume,
        out: &mut Vec<Effect>,
    ) {
        let (session, connection) = (resume.session, resume.connection);
        let owner = Owner { broker, connection };
        let is_its = state.owner_of(session) == Some(owner);
        let Some(attached) = is_its.then(|| resumed(owner, resume, state)).flatten() else {
            return out.push(Effect::Tell(owner, Tell::Fenced { session }));
        };
        self.attached.insert(session.id, Box::new(attached));
        self.evict_resumed(state, owner, session, out);
        self.make_due(session.id);
    }
}

/// What is not acknowledged up to `given_upto` was given.
fn resumed(owner: Owner, resume: Resume, state: &ClusterState) -> Option<Attached> {
    let Resume { session, receive_maximum, given_upto, .. } = resume;
    let mut attached = Attached::new((owner, receive_maximum), session, given_upto);
    let was_given = |offset| Some(offset) <= given_upto;
    if given_upto.is_some() {
        let queued = state.page(session, None, GIVEN_MAX, usize::MAX)?.messages;
        for queued in queued.iter().take_while(|queued| was_given(queued.offset)) {
            attached.note_given(queued);
        }
    }
    for queued in state.begun_by(session)?.iter().filter(|queued| was_given(queued.offset)) {
        attached.note_given(queued);
    }
    for packet_id in state.received_by(session)? {
        attached.note_received(packet_id);
    }
    Some(attached)
}
