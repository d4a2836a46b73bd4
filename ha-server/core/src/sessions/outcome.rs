//! What was applied becomes answers.

use ha_types::TopicName;
use ha_types::session::{
    Granted, Offset, Opened, Page, PageEnd, Progress, RefuseReason, SessionKey, Tell,
};

use super::attached::Attached;
use super::{Effect, Numbers, Proposed, Sessions};
use crate::cluster::{self, Asked, ClusterState, Outcome, Owner};

impl Sessions {
    pub(crate) fn outcome(&mut self, proposed: Proposed, outcome: Outcome, out: &mut Vec<Effect>) {
        let asked = self.answer(proposed, outcome, out);
        out.extend(asked.map(Effect::Done));
    }

    /// Returns which ask is done.
    fn answer(
        &mut self,
        proposed: Proposed,
        outcome: Outcome,
        out: &mut Vec<Effect>,
    ) -> Option<Asked> {
        let is_fenced = outcome == Outcome::Fenced;
        match proposed {
            Proposed::Open(asked, owner, receive_maximum) => {
                self.opened((owner, receive_maximum), outcome, out);
                Some(asked)
            }
            Proposed::Subscribe(asked, key, ticket) => {
                self.release(key);
                match outcome {
                    Outcome::Subscribed(granted) => self.subscribed(key, ticket, granted, out),
                    _ => self.fence(key, out),
                }
                Some(asked)
            }
            Proposed::Unsubscribe(asked, session, ticket) => {
                self.release(session);
                match outcome {
                    Outcome::Unsubscribed(existed) => {
                        self.tell(session, Tell::Unsubscribed { session, ticket, existed }, out);
                    }
                    _ => self.fence(session, out),
                }
                Some(asked)
            }
            Proposed::Release(asked, session, packet_id) => {
                match is_fenced {
                    true => self.fence(session, out),
                    false => self.tell(session, Tell::Released { session, packet_id }, out),
                }
                Some(asked)
            }
            Proposed::Progress(asked, session, progress) => {
                match is_fenced {
                    true => self.fence(session, out),
                    false => self.recorded(session, progress, out),
                }
                Some(asked)
            }
            Proposed::Close(asked, session) => {
                self.forget(session);
                Some(asked)
            }
            Proposed::Fetch(asked, session, after) => {
                self.give_again(session, after, out);
                Some(asked)
            }
            Proposed::Pass(asked) => Some(asked),
            Proposed::Begin(session) => {
                match outcome {
                    Outcome::Begun(begun) => self.begun(session, begun.len()),
                    _ => self.fence(session, out),
                }
                None
            }
        }
    }

    fn opened(&mut self, owner: (Owner, u16), outcome: Outcome, out: &mut Vec<Effect>) {
        let connection = owner.0.connection;
        let reason = match outcome {
            Outcome::Opened(opened) => return self.attach(owner, *opened, out),
            Outcome::Refused(reason) => reason,
            _ => RefuseReason::Unavailable,
        };
        out.push(Effect::Tell(owner.0, Tell::OpenRefused { connection, reason }));
    }

    fn attach(&mut self, owner: (Owner, u16), opened: cluster::Opened, out: &mut Vec<Effect>) {
        if let Some((older, session)) = opened.fenced {
            out.push(Effect::Tell(older, Tell::Fenced { session }));
            self.forget(session);
        }
        // Without a stream it is asked again; attached, it was answered before.
        if !self.linked.contains(&owner.0.broker) || self.owner(opened.session).is_some() {
            return;
        }
        let (PageEnd::Live(upto) | PageEnd::More(upto)) = opened.backlog;
        let opened = Opened {
            connection: owner.0.connection,
            session: opened.session,
            is_present: opened.is_present,
            subscriptions: opened.subscriptions,
            inbound: opened.inbound,
            records: opened.records,
            // What is queued beyond the records comes unasked, as the client takes it.
            backlog: PageEnd::Live(upto),
        };
        let id = opened.session.id;
        self.attached.insert(id, Box::new(Attached::opened(owner, &opened)));
        out.push(Effect::Tell(owner.0, Tell::Opened(opened)));
        self.make_due(id);
    }

    fn subscribed(
        &mut self,
        session: SessionKey,
        ticket: ha_types::Ticket,
        granted: Vec<Result<Granted, RefuseReason>>,
        out: &mut Vec<Effect>,
    ) {
        // What is queued comes as everything that is queued.
        let unqueued = |granted: Granted| Granted { retained: Vec::new(), ..granted };
        let granted = granted.into_iter().map(|answer| answer.map(unqueued)).collect();
        self.tell(session, Tell::Subscribed { session, ticket, granted }, out);
    }

    /// A message was stored under this number: attached sessions of its topic may be given it. One
    /// that has everything before it is given it as it is.
    pub(crate) fn stored(
        &mut self,
        state: &ClusterState,
        topic: &TopicName,
        number: u64,
        out: &mut Vec<Effect>,
    ) {
        for id in state.connected_to(topic) {
            let Some(attached) = self.attached.get_mut(&id) else { continue };
            let is_next = attached.is_caught_up
                && !self.held.contains_key(&id)
                && self.numbers == Numbers::Growing
                && !self.held_back.contains_key(&attached.owner.broker);
            let offset = Offset::new(number);
            if is_next && attached.given_upto >= Some(offset) {
                continue;
            }
            let queued = is_next.then(|| state.queued_at(attached.key, number)).flatten();
            match queued.filter(|queued| attached.takes(queued)) {
                Some(queued) => {
                    attached.give(queued.offset, queued.record.is_some());
                    let session = attached.key;
                    out.push(Effect::Tell(attached.owner, Tell::Deliver { session, queued }));
                }
                None => self.make_due(id),
            }
        }
    }

    fn recorded(&mut self, session: SessionKey, progress: Progress, out: &mut Vec<Effect>) {
        let Some(attached) = self.attached.get_mut(&session.id).filter(|of| of.key == session)
        else {
            return;
        };
        attached.done(&progress);
        if !attached.is_caught_up {
            self.due.insert(session.id);
        }
        if let Some(recorded) = progress.into_recorded(session) {
            self.tell(session, recorded, out);
        }
    }

    /// The records are in the state, and with them what is given next. If there are none, others are
    /// in their way, or they are gone.
    fn begun(&mut self, session: SessionKey, begun: usize) {
        let Some(attached) = self.attached.get_mut(&session.id).filter(|of| of.key == session)
        else {
            return;
        };
        attached.is_beginning = false;
        attached.is_refused = begun == 0;
        self.make_due(session.id);
    }

    /// An engine had no room for what came after `after`. It all comes again, unasked.
    fn give_again(&mut self, session: SessionKey, after: Option<Offset>, out: &mut Vec<Effect>) {
        let page = Page { messages: Vec::new(), end: PageEnd::Live(after.unwrap_or_default()) };
        self.tell(session, Tell::Page { session, page }, out);
        let known = self.attached.get_mut(&session.id).filter(|attached| attached.key == session);
        if let Some(attached) = known {
            attached.take_back(after);
            self.make_due(session.id);
        }
    }
}
