//! What engines ask becomes commands.

use ha_types::Millis;
use ha_types::session::Ask;

use super::{Effect, Proposed, Sessions};
use crate::cluster::{Asked, ClusterState, Command};

impl Sessions {
    /// Not for [`Ask::Publish`], which is not asked.
    pub(crate) fn ask(
        &mut self,
        now: Millis,
        state: &ClusterState,
        asked: Asked,
        ask: Ask,
        out: &mut Vec<Effect>,
    ) {
        let (proposed, command) = match ask {
            Ask::Open(open) => return self.open(now, state, asked, open, out),
            Ask::Claim { open, seen } => return self.claim(now, state, asked, (open, seen), out),
            Ask::Subscribe { session, ticket, subscriptions } => {
                let given_upto = self.hold(session);
                (
                    Proposed::Subscribe(asked, session, ticket),
                    Command::Subscribe { asked, session, given_upto, subscriptions },
                )
            }
            Ask::Unsubscribe { session, ticket, subscriptions } => {
                let given_upto = self.hold(session);
                (
                    Proposed::Unsubscribe(asked, session, ticket),
                    Command::Unsubscribe { asked, session, given_upto, subscriptions },
                )
            }
            Ask::Release { session, packet_id } => (
                Proposed::Release(asked, session, packet_id),
                Command::Release { asked, session, packet_id },
            ),
            Ask::Progress { session, progress } => (
                Proposed::Progress(asked, session, progress.clone()),
                Command::Progress { asked, session, progress },
            ),
            Ask::Close { session, cause, progress, lifetime } => {
                let command = Command::Close { asked, session, cause, progress, lifetime };
                out.push(Effect::Propose(Proposed::Close(asked, session), command));
                return self.open_after(session, state, out);
            }
            // Through the log as well, so that it is answered after what came before it.
            Ask::Fetch { session, after, .. } => {
                (Proposed::Fetch(asked, session, after), Command::Pass { asked })
            }
            Ask::Publish { .. } => (Proposed::Pass(asked), Command::Pass { asked }),
        };
        out.push(Effect::Propose(proposed, command));
    }
}
