//! A CONNECT for a session that another connection has: the older one may say its last word first.

use std::sync::Arc;

use ha_types::session::{Eviction, Open, RefuseReason, SessionKey, Start, Tell};
use ha_types::{BrokerEpoch, Millis};

use super::{Effect, Proposed, Sessions};
use crate::cluster::{Asked, ClusterState, Command, Owner};

/// How long an older connection has for its last acknowledgements.
const TAKEOVER_MS: u64 = 100;

/// How long a new leader waits for brokers to come back with what an earlier one did not hear. Most are there
/// at once: followers kept their Hellos. Others pause for a quarter of a second.
pub(super) const RETURN_MS: u64 = 300;

/// A CONNECT that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    asked: Asked,
    open: Open,
    pub(super) owner: Owner,
    /// Where the older connection is.
    older: BrokerEpoch,
    pub(super) until: Millis,
    /// Its client is served already, and loses.
    is_claim: bool,
}

/// What becomes of a claim.
enum Claim {
    Granted,
    Refused,
    /// For what this broker has to say, and until when.
    Waits(BrokerEpoch, Millis),
}

impl Sessions {
    /// [MQTT-3.1.4-3]: the newest connection of a client identifier gets it. One that is newer than
    /// the owner and older than another that waits is refused.
    ///
    /// Only an owner that is attached is asked: one whose stream is broken cannot answer, and one that
    /// the log has and that was not told yet is told of both when their outcomes come. One that a new leader
    /// has not seen yet is waited for: it may have closed while there was no leader, and what its client
    /// acknowledged would come again (P3).
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
        if self.waiting.get(&client).is_some_and(|waiting| waiting.is_claim)
            && let Some(claim) = self.waiting.remove(&client)
        {
            refuse(claim.asked, claim.owner, out);
        }
        if let Some(between) = self.waiting.get_mut(&client) {
            let asked = std::mem::replace(&mut between.asked, asked);
            refuse(asked, between.owner, out);
            (between.open, between.owner) = (open, owner);
            return;
        }
        let Some((older, until)) = self.older(now, state, &client, owner, out) else {
            return propose_open(asked, open, out);
        };
        let waiting = Waiting { asked, open, owner, older, until, is_claim: false };
        self.waiting.insert(client, waiting);
    }

    /// A connection that its broker has served while it had no leader. When that began, the log was at `seen` at least.
    pub(super) fn claim(
        &mut self,
        now: Millis,
        state: &ClusterState,
        asked: Asked,
        (open, seen): (Open, u64),
        out: &mut Vec<Effect>,
    ) {
        let owner = Owner { broker: asked.broker, connection: open.connection };
        let known = state.session_of(&open.client_id).and_then(|(_, owner)| owner);
        let is_here = known.is_some_and(|known| known.broker == owner.broker);
        let was_elsewhere = !is_here && state.opened_after(&open.client_id, seen);
        if was_elsewhere || self.waiting.contains_key(&open.client_id) {
            return refuse(asked, owner, out);
        }
        match self.judge(now, state, &open, owner) {
            Claim::Granted => propose_open(asked, open, out),
            Claim::Refused => refuse(asked, owner, out),
            Claim::Waits(older, until) => {
                let client = Arc::clone(&open.client_id);
                let waiting = Waiting { asked, open, owner, older, until, is_claim: true };
                self.waiting.insert(client, waiting);
            }
        }
    }

    /// An older connection of its own broker has closed on the same stream. What another broker has not said yet,
    /// which an earlier leader had, may be the end of its one.
    fn judge(&self, now: Millis, state: &ClusterState, open: &Open, owner: Owner) -> Claim {
        match state.session_of(&open.client_id) {
            None => Claim::Granted,
            Some((_, Some(known))) if known.broker == owner.broker => Claim::Granted,
            Some((_, Some(known))) => match self.returning.get(&known.broker) {
                Some(&until) if until > now => Claim::Waits(known.broker, until),
                _ => Claim::Refused,
            },
            Some((_, None)) if open.start == Start::Clean => Claim::Granted,
            Some((_, None)) => Claim::Refused,
        }
    }

    /// Where another connection is that may say its last word, and until when.
    fn older(
        &self,
        now: Millis,
        state: &ClusterState,
        client: &str,
        owner: Owner,
        out: &mut Vec<Effect>,
    ) -> Option<(BrokerEpoch, Millis)> {
        let (session, known) = state.session_of(client)?;
        if let Some(older) = self.owner(session).filter(|older| *older != owner) {
            out.push(evict(older, session));
            return Some((older.broker, now.plus(TAKEOVER_MS)));
        }
        // What its own broker had to say came before this on the same stream.
        let older = known.filter(|known| known.broker != owner.broker)?;
        let until = self.returning.get(&older.broker).filter(|until| **until > now)?;
        Some((older.broker, *until))
    }

    /// A broker that an earlier leader had is back: what it has to say comes soon.
    pub(super) fn hear_out(&mut self, now: Millis, broker: BrokerEpoch) {
        let Some(until) = self.returning.get_mut(&broker) else { return };
        *until = now.plus(TAKEOVER_MS);
        for waiting in self.waiting.values_mut().filter(|waiting| waiting.older == broker) {
            waiting.until = *until;
        }
    }

    /// It will say nothing more.
    pub(super) fn give_up(&mut self, broker: BrokerEpoch) {
        self.returning.remove(&broker);
        for waiting in self.waiting.values_mut().filter(|waiting| waiting.older == broker) {
            waiting.until = Millis(0);
        }
    }

    /// A connection goes on for which a newer one waits.
    pub(super) fn evict_resumed(
        &self,
        state: &ClusterState,
        owner: Owner,
        session: SessionKey,
        out: &mut Vec<Effect>,
    ) {
        let client = state.client_of(session.id);
        let waiting = client.and_then(|client| self.waiting.get(client));
        if waiting.is_some_and(|waiting| waiting.owner != owner && !waiting.is_claim) {
            out.push(evict(owner, session));
        }
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

    /// The older connection has not closed in time: its epoch ends all the same, but not for a claim, unless its
    /// broker is lost.
    pub(super) fn open_overdue(
        &mut self,
        now: Millis,
        state: &ClusterState,
        out: &mut Vec<Effect>,
    ) {
        let overdue = self.waiting.extract_if(.., |_, waiting| waiting.until <= now);
        for (_, waiting) in overdue.collect::<Vec<_>>() {
            let Waiting { asked, open, owner, until, .. } = waiting;
            let loses = waiting.is_claim
                && until > Millis(0)
                && !matches!(self.judge(now, state, &open, owner), Claim::Granted);
            match loses {
                true => refuse(asked, owner, out),
                false => propose_open(asked, open, out),
            }
        }
    }
}

/// The client has another connection.
fn refuse(asked: Asked, owner: Owner, out: &mut Vec<Effect>) {
    let (connection, reason) = (owner.connection, RefuseReason::Unavailable);
    out.push(Effect::Tell(owner, Tell::OpenRefused { connection, reason }));
    out.push(Effect::Propose(Proposed::Pass(asked), Command::Pass { asked }));
}

fn evict(older: Owner, session: SessionKey) -> Effect {
    Effect::Tell(older, Tell::Evict { session, why: Eviction::TakenOver })
}

fn propose_open(asked: Asked, open: Open, out: &mut Vec<Effect>) {
    let owner = Owner { broker: asked.broker, connection: open.connection };
    let proposed = Proposed::Open(asked, owner, open.receive_maximum);
    out.push(Effect::Propose(proposed, Command::Open { asked, open }));
}
