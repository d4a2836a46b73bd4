//! Commands on their way through the log, and what becomes of their outcomes.
//!
//! They are applied in the order in which they were proposed, and their outcomes come back in that
//! order, while the state may be further already.

use std::sync::Arc;

use ha_types::{BrokerEpoch, Message};

use crate::attach::Joining;
use crate::cluster::{Applied, ClusterState, Command, Outcome, Refused};
use crate::distributor::Distributor;
use crate::interface::Output;
use crate::publish::Published;
use crate::sessions;

/// Room that is kept while nothing is on its way.
const PROPOSED_KEPT: usize = 256;

/// What to do with the outcome of a command.
#[derive(Debug)]
pub(crate) enum Proposed {
    Join(Box<Joining>),
    Publish(Published, Arc<Message>),
    Session(sessions::Proposed),
    Leave(BrokerEpoch),
    Expire,
    Sweep,
    WillsReceived,
    /// Of an operator, who looks at the state.
    Forget,
}

impl Distributor {
    pub(crate) fn propose(&mut self, proposed: Proposed, command: Command, out: &mut Vec<Output>) {
        self.proposed.push_back(proposed);
        out.push(Output::Propose(command));
    }

    pub(crate) fn applied(
        &mut self,
        state: &ClusterState,
        applied: Applied,
        out: &mut Vec<Output>,
    ) {
        // Wills and what groups give come after all outcomes, but may be stored before.
        self.sessions.begin_batch(applied.fired.is_empty() && applied.given.is_empty());
        for outcome in applied.outcomes {
            // Only the shell could give more than was proposed.
            let Some(proposed) = self.proposed.pop_front() else { return };
            self.outcome(state, proposed, outcome, out);
        }
        for fired in applied.fired {
            self.fired(state, fired, out);
        }
        self.sessions.given(applied.given);
        self.sessions.live(applied.live, &mut self.effects);
        self.perform(out);
        if self.proposed.is_empty() {
            self.proposed.shrink_to(PROPOSED_KEPT);
        }
    }

    fn outcome(
        &mut self,
        state: &ClusterState,
        proposed: Proposed,
        outcome: Outcome,
        out: &mut Vec<Output>,
    ) {
        match proposed {
            Proposed::Join(joining) => self.joined(state, *joining, &outcome, out),
            Proposed::Publish(published, message) => {
                let stored = match outcome {
                    Outcome::Published(stored) => stored,
                    _ => Err(Refused::Fenced),
                };
                self.published(state, (published, &message), stored, out);
            }
            Proposed::Session(proposed) => {
                if let Outcome::Opened(opened) = &outcome
                    && let Some(client_id) = state.client_of(opened.session.id)
                {
                    self.losses.connected(self.now, client_id);
                }
                self.sessions.outcome(proposed, outcome, &mut self.effects);
                self.perform(out);
            }
            Proposed::Leave(epoch) => self.gone(epoch, out),
            Proposed::Expire => self.is_expiring = false,
            Proposed::Sweep => self.is_sweeping = false,
            Proposed::WillsReceived => self.wills.told(),
            Proposed::Forget => (),
        }
    }
}
