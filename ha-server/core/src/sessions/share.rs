//! Messages of share groups: what the state gave to members, and what nobody keeps.

use std::sync::Arc;

use ha_types::session::Tell;
use ha_types::{Message, SessionId};

use super::{Effect, Sessions};
use crate::cluster::{ClusterState, Live};

impl Sessions {
    /// The state gave these sessions something.
    pub(crate) fn given(&mut self, sessions: Vec<SessionId>) {
        sessions.into_iter().for_each(|id| self.make_due(id));
    }

    /// Messages for members of QoS 0. Those that cannot be reached lose them.
    pub(crate) fn live(&mut self, live: Vec<Live>, out: &mut Vec<Effect>) {
        for Live { session, owner, queued } in live {
            let is_held_back = self.held_back.contains_key(&owner.broker);
            if self.owner(session) == Some(owner) && !is_held_back {
                out.push(Effect::Tell(owner, Tell::Deliver { session, queued }));
            }
        }
    }

    /// A message that the state does not keep goes to one member of each group: the next that can be
    /// reached.
    pub(crate) fn share(
        &mut self,
        state: &ClusterState,
        message: &Arc<Message>,
        out: &mut Vec<Effect>,
    ) {
        if state.counts().groups == 0 {
            return;
        }
        let mut turns = std::mem::take(&mut self.turns);
        let live = state.share_live(message, &mut turns, |session, owner| {
            self.owner(session) == Some(owner) && !self.held_back.contains_key(&owner.broker)
        });
        self.turns = turns;
        self.live(live, out);
    }
}
