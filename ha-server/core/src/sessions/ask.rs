//! What engines ask becomes commands.

use std::sync::Arc;

use ha_types::session::{Ask, Open, PacketId, Page, PageEnd, SessionKey, Tell};
use ha_types::{BrokerEpoch, Message, PublishNumber, Qos};

use super::{Moment, Output, Proposed, Sessions, owner};
use crate::cluster::{ClusterState, Command};

impl Sessions {
    pub(super) fn ask(
        &mut self,
        at: Moment,
        state: &ClusterState,
        broker: BrokerEpoch,
        ask: Ask,
        out: &mut Vec<Output>,
    ) {
        match ask {
            Ask::Open(open) => self.open(at, state, broker, open, out),
            Ask::Subscribe { session, ticket, subscriptions } => {
                let command = Command::Subscribe { session, subscriptions };
                self.propose(Proposed::Subscribe(session, ticket), command, out);
            }
            Ask::Unsubscribe { session, ticket, subscriptions } => {
                let command = Command::Unsubscribe { session, subscriptions };
                self.propose(Proposed::Unsubscribe(session, ticket), command, out);
            }
            Ask::Release { session, packet_id } => {
                let command = Command::Release { session, packet_id };
                self.propose(Proposed::Release(session, packet_id), command, out);
            }
            Ask::Progress { session, progress } => {
                let command = Command::Progress { session, progress: progress.clone() };
                self.propose(Proposed::Progress(session, progress), command, out);
            }
            Ask::Close { session, cause, progress, lifetime } => {
                let command = Command::Close { session, cause, progress, lifetime };
                self.propose(Proposed::Close(session), command, out);
                self.open_after(session, state, out);
            }
            Ask::Fetch { session, after, .. } => {
                if self.owner(session).is_some() {
                    self.give_again(session, after, out);
                }
            }
            Ask::Publish { .. } => debug_assert!(false, "a publish has a number"),
        }
    }

    pub(super) fn propose_open(&mut self, broker: BrokerEpoch, open: Open, out: &mut Vec<Output>) {
        let owner = owner(broker, open.connection);
        self.propose(
            Proposed::Open(owner, open.receive_maximum),
            Command::Open { broker, open },
            out,
        );
    }

    /// A message that nobody must keep is answered at once, unless it would pass one that waits for
    /// the log. Whoever is connected gets it from its broker.
    pub(super) fn publish(
        &mut self,
        state: &ClusterState,
        (broker, number): (BrokerEpoch, PublishNumber),
        exchange: Option<(SessionKey, PacketId)>,
        message: Arc<Message>,
        out: &mut Vec<Output>,
    ) {
        let is_kept = message.retain
            || message.qos == Qos::ExactlyOnce
            || (message.qos == Qos::AtLeastOnce && state.is_durable(&message.topic));
        let would_pass = message.qos > Qos::AtMostOnce && self.unanswered.contains_key(&broker);
        if !is_kept && !would_pass {
            if let Some((session, packet_id)) = exchange {
                let tell = Tell::Published { session, packet_id, outcome: Ok(()) };
                self.tell(session, tell, out);
            }
            return;
        }
        *self.unanswered.entry(broker).or_default() += 1;
        let known_by = exchange.filter(|_| message.qos == Qos::ExactlyOnce);
        let command =
            Command::Publish { broker, number, exchange: known_by, message: Arc::clone(&message) };
        self.propose(Proposed::Publish { broker, exchange, message }, command, out);
    }

    /// An engine had no room for what came after `after`. It all comes again, unasked.
    fn give_again(
        &mut self,
        session: SessionKey,
        after: Option<ha_types::session::Offset>,
        out: &mut Vec<Output>,
    ) {
        let page = Page { messages: Vec::new(), end: PageEnd::Live(after.unwrap_or_default()) };
        self.tell(session, Tell::Page { session, page }, out);
        if let Some(attached) = self.attached.get_mut(&session.id) {
            attached.take_back(after);
            self.due.insert(session.id);
        }
    }
}
