//! A CONNECT for a session that another connection has: the older one may say its last word first.

use std::sync::Arc;

use ha_types::Millis;
use ha_types::session::{Eviction, Open, RefuseReason, SessionKey, Tell};

use super::{Effect, Proposed, Sessions};
use crate::cluster::{Asked, ClusterState, Command, Owner};

/// How long an older connection has for its last acknowledgements.
const TAKEOVER_MS: u64 = 100;

/// A CONNECT that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    asked: Asked,
    open: Open,
    pub(super) owner: Owner,
    pub(super) until: Millis,
}

impl Sessions {
    /// [MQTT-3.1.4-3]: the newest connection of a client identifier gets it. One that is newer than
    /// the owner and older than another that waits is refused.
    ///
    /// Only an owner that is attached is asked: one whose stream is broken cannot answer, and one that
    /// the log has and that was not told yet is told of both when their outcomes come.
    pub(super) fn open(
        &mut self,
        now: Millis,
        state: &ClusterState,
        asked: Asked,
        open: Open,
        out: &mut Vec<Effect>,
    ) {
        let client = Arc::clone(&open.client_id);
        let owner = Owner { broker: asked.broker, connection: open.connection };
        if let Some(between) = self.waiting.get_mut(&client) {
            let connection = between.owner.connection;
            let reason = RefuseReason::Unavailable;
            out.push(Effect::Tell(between.owner, Tell::OpenRefused { connection, reason }));
            let asked = std::mem::replace(&mut between.asked, asked);
            out.push(Effect::Propose(Proposed::Pass(asked), Command::Pass { asked }));
            (between.open, between.owner) = (open, owner);
            return;
        }
        let known = state.session_of(&client).map(|(session, _)| session);
        let older = known.and_then(|session| Some((session, self.owner(session)?)));
        let Some((session, older)) = older.filter(|(_, older)| *older != owner) else {
            return propose_open(asked, open, out);
        };
        out.push(Effect::Tell(older, Tell::Evict { session, why: Eviction::TakenOver }));
        let until = now.plus(TAKEOVER_MS);
        self.waiting.insert(client, Waiting { asked, open, owner, until });
    }

    /// The older connection has closed.
    pub(super) fn open_after(
        &mut self,
        closed: SessionKey,
        state: &ClusterState,
        out: &mut Vec<Effect>,
    ) {
        let Some(client) = state.client_of(closed.id) else { return };
        if let Some(Waiting { asked, open, .. }) = self.waiting.remove(client) {
            propose_open(asked, open, out);
        }
    }

    /// The older connection has not closed in time: its epoch ends all the same.
    pub(super) fn open_overdue(&mut self, now: Millis, out: &mut Vec<Effect>) {
        for (_, waiting) in self.waiting.extract_if(.., |_, waiting| waiting.until <= now) {
            propose_open(waiting.asked, waiting.open, out);
        }
    }
}

fn propose_open(asked: Asked, open: Open, out: &mut Vec<Effect>) {
    let owner = Owner { broker: asked.broker, connection: open.connection };
    let proposed = Proposed::Open(asked, owner, open.receive_maximum);
    out.push(Effect::Propose(proposed, Command::Open { asked, open }));
}
