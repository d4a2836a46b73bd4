//! What was applied becomes answers.

use std::sync::Arc;

use ha_types::session::{
    Granted, Opened, PacketId, PageEnd, Progress, RefuseReason, SessionKey, Tell,
};
use ha_types::{BrokerEpoch, Message, SessionId};

use super::attached::Attached;
use super::{Output, Proposed, Sessions};
use crate::cluster::{self, Applied, ClusterState, Outcome, Owner, Refused, Stored};

impl Sessions {
    pub(super) fn applied(
        &mut self,
        state: &ClusterState,
        applied: Applied,
        out: &mut Vec<Output>,
    ) {
        for outcome in applied.outcomes {
            let Some(proposed) = self.proposed.pop_front() else {
                debug_assert!(false, "an outcome belongs to a proposal");
                return;
            };
            self.outcome(state, proposed, outcome, out);
        }
        for fired in applied.fired {
            self.wake(state, &fired.message);
            out.push(Output::Live(fired.message));
        }
    }

    fn outcome(
        &mut self,
        state: &ClusterState,
        proposed: Proposed,
        outcome: Outcome,
        out: &mut Vec<Output>,
    ) {
        match (proposed, outcome) {
            (Proposed::Open(owner, receive_maximum), outcome) => {
                self.opened((owner, receive_maximum), outcome, out);
            }
            (Proposed::Publish { broker, exchange, message }, Outcome::Published(stored)) => {
                self.published(state, (broker, &message), exchange, &stored, out);
            }
            (Proposed::Expire, _) => self.is_expiring = false,
            (
                Proposed::Subscribe(key, _)
                | Proposed::Unsubscribe(key, _)
                | Proposed::Release(key, _)
                | Proposed::Progress(key, _)
                | Proposed::Begin(key)
                | Proposed::Close(key),
                Outcome::Fenced,
            ) => self.fence(key, out),
            (Proposed::Subscribe(session, ticket), Outcome::Subscribed(granted)) => {
                // What is queued comes as everything that is queued.
                let unqueued = |granted: Granted| Granted { retained: Vec::new(), ..granted };
                let granted = granted.into_iter().map(|answer| answer.map(unqueued)).collect();
                self.tell(session, Tell::Subscribed { session, ticket, granted }, out);
                self.due.insert(session.id);
            }
            (Proposed::Unsubscribe(session, ticket), Outcome::Unsubscribed(existed)) => {
                self.tell(session, Tell::Unsubscribed { session, ticket, existed }, out);
            }
            (Proposed::Release(session, packet_id), _) => {
                self.tell(session, Tell::Released { session, packet_id }, out);
            }
            (Proposed::Progress(session, progress), _) => self.recorded(session, progress, out),
            (Proposed::Begin(session), Outcome::Begun(_)) => self.begun(session),
            (Proposed::Close(session), _) => {
                if self.owner(session).is_some() {
                    self.attached.remove(&session.id);
                }
            }
            (proposed, outcome) => debug_assert!(
                matches!(proposed, Proposed::Nothing),
                "{outcome:?} is no answer to {proposed:?}"
            ),
        }
    }

    fn opened(
        &mut self,
        (owner, receive_maximum): (Owner, u16),
        outcome: Outcome,
        out: &mut Vec<Output>,
    ) {
        let connection = owner.connection;
        let reason = match outcome {
            Outcome::Opened(opened) => return self.attach((owner, receive_maximum), *opened, out),
            Outcome::Refused(reason) => reason,
            _ => RefuseReason::Unavailable,
        };
        out.push(Output::Tell(owner, Tell::OpenRefused { connection, reason }));
    }

    fn attach(
        &mut self,
        (owner, receive_maximum): (Owner, u16),
        opened: cluster::Opened,
        out: &mut Vec<Output>,
    ) {
        if let Some((older, session)) = opened.fenced {
            out.push(Output::Tell(older, Tell::Fenced { session }));
        }
        let (PageEnd::Live(upto) | PageEnd::More(upto)) = opened.backlog;
        let opened = Opened {
            connection: owner.connection,
            session: opened.session,
            is_present: opened.is_present,
            subscriptions: opened.subscriptions,
            inbound: opened.inbound,
            records: opened.records,
            // What is queued beyond the records comes unasked, as the client takes it.
            backlog: PageEnd::Live(upto),
        };
        let id = opened.session.id;
        self.attached.insert(id, Attached::new(owner, receive_maximum, &opened));
        out.push(Output::Tell(owner, Tell::Opened(opened)));
        self.due.insert(id);
    }

    fn published(
        &mut self,
        state: &ClusterState,
        (broker, message): (BrokerEpoch, &Arc<Message>),
        exchange: Option<(SessionKey, PacketId)>,
        stored: &Result<Stored, Refused>,
        out: &mut Vec<Output>,
    ) {
        if let Some(unanswered) = self.unanswered.get_mut(&broker) {
            *unanswered -= 1;
            if *unanswered == 0 {
                self.unanswered.remove(&broker);
            }
        }
        if stored.as_ref().is_ok_and(|stored| stored.number.is_some()) {
            self.wake(state, message);
        }
        let Some((session, packet_id)) = exchange else { return };
        let outcome = match stored {
            Ok(_) => Ok(()),
            Err(Refused::QuotaExceeded) => Err(RefuseReason::QuotaExceeded),
            Err(Refused::Fenced) => return self.fence(session, out),
        };
        self.tell(session, Tell::Published { session, packet_id, outcome }, out);
    }

    /// Connected sessions of this topic may be given it.
    fn wake(&mut self, state: &ClusterState, message: &Message) {
        let is_attached = |id: &SessionId| self.attached.contains_key(id);
        let connected = state.connected_to(&message.topic);
        self.due.extend(connected.into_iter().filter(is_attached));
    }

    fn recorded(&mut self, session: SessionKey, progress: Progress, out: &mut Vec<Output>) {
        if self.owner(session).is_none() {
            return;
        }
        if let Some(attached) = self.attached.get_mut(&session.id) {
            attached.done(&progress);
            self.due.insert(session.id);
        }
        let Progress { received, completed, .. } = progress;
        if !(received.is_empty() && completed.is_empty()) {
            self.tell(session, Tell::Recorded { session, received, completed }, out);
        }
    }

    /// The records are in the state, and with them what is given next.
    fn begun(&mut self, session: SessionKey) {
        if let Some(attached) = self.attached.get_mut(&session.id).filter(|of| of.key == session) {
            attached.is_beginning = false;
            self.due.insert(session.id);
        }
    }
}
