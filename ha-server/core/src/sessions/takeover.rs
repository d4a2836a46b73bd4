//! A CONNECT for a session that another connection has: the older one may say its last word first.

use std::sync::Arc;

use ha_types::session::{Open, RefuseReason, SessionKey, Tell};
use ha_types::{BrokerEpoch, Millis};

use super::{Moment, Output, Sessions, owner};
use crate::cluster::{ClusterState, Owner};

/// How long an older connection has for its last acknowledgements.
const TAKEOVER_MS: u64 = 100;

/// A CONNECT that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    open: Open,
    pub(super) owner: Owner,
    pub(super) until: Millis,
}

impl Sessions {
    /// [MQTT-3.1.4-3]: the newest connection of a client identifier gets it. One that is newer than
    /// the owner and older than another that waits is refused.
    pub(super) fn open(
        &mut self,
        at: Moment,
        state: &ClusterState,
        broker: BrokerEpoch,
        open: Open,
        out: &mut Vec<Output>,
    ) {
        let client = Arc::clone(&open.client_id);
        let new = owner(broker, open.connection);
        if let Some(between) = self.waiting.get_mut(&client) {
            let connection = between.owner.connection;
            let reason = RefuseReason::Unavailable;
            out.push(Output::Tell(between.owner, Tell::OpenRefused { connection, reason }));
            (between.open, between.owner) = (open, new);
            return;
        }
        let Some((session, Some(older))) = state.session_of(&client) else {
            return self.propose_open(broker, open, out);
        };
        out.push(Output::Tell(older, Tell::Evict { session }));
        let until = at.now.plus(TAKEOVER_MS);
        self.waiting.insert(client, Waiting { open, owner: new, until });
    }

    /// The older connection has closed.
    pub(super) fn open_after(
        &mut self,
        closed: SessionKey,
        state: &ClusterState,
        out: &mut Vec<Output>,
    ) {
        let Some(client) = state.client_of(closed.id) else { return };
        if let Some(Waiting { open, owner, .. }) = self.waiting.remove(client) {
            self.propose_open(owner.broker, open, out);
        }
    }

    /// The older connection has not closed in time: its epoch ends all the same.
    pub(super) fn open_overdue(&mut self, at: Moment, out: &mut Vec<Output>) {
        let overdue = self.waiting.iter().filter(|(_, waiting)| waiting.until <= at.now);
        let overdue: Vec<Arc<str>> = overdue.map(|(client, _)| Arc::clone(client)).collect();
        for client in overdue {
            if let Some(Waiting { open, owner, .. }) = self.waiting.remove(&client) {
                self.propose_open(owner.broker, open, out);
            }
        }
    }
}
