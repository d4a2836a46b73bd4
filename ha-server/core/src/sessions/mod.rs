//! The leader's side of sessions: what engines ask becomes commands of the replicated log, and what
//! was applied becomes answers and deliveries.
//!
//! [`Sessions`] is stepped with the state beside it: it reads the state, changes it only by proposing,
//! and keeps nothing that a new leader could not do without. The state may be further than the outcomes
//! that have come: what is told follows from the outcomes, what is given from offsets that only grow.
//!
//! Flow: a session's messages wait in its queue. While it is attached, its engine is given as many as
//! the client can take twice over; acknowledgements make room for the next. A delivery of QoS 2 is
//! given after its record was applied. A session is attached when it was opened or resumed on the
//! present stream of its broker.
//!
//! What is *not* here: publishes, live messages that nobody must keep, interest of brokers, leases.

mod ask;
mod attached;
mod outcome;
mod pump;
mod resume;
mod share;
mod takeover;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ha_types::session::{Offset, PacketId, Progress, SessionKey, Tell};
use ha_types::{BrokerEpoch, Millis, SessionId, Ticket};

use self::attached::Attached;
use self::takeover::Waiting;
use crate::cluster::{Asked, ClusterState, Command, Owner, Turns};

/// Something that must be done, in the order given.
#[derive(Debug)]
pub(crate) enum Effect {
    /// To be replicated; the outcome comes back with the note.
    Propose(Proposed, Command),
    /// For the engine of a connection, if its broker is there.
    Tell(Owner, Tell),
    /// An ask is done; what it is answered with was told before.
    Done(Asked),
}

/// What to do with the outcome of a command.
#[derive(Debug)]
pub(crate) enum Proposed {
    /// With the Receive Maximum.
    Open(Asked, Owner, u16),
    Subscribe(Asked, SessionKey, Ticket),
    Unsubscribe(Asked, SessionKey, Ticket),
    Release(Asked, SessionKey, PacketId),
    Progress(Asked, SessionKey, Progress),
    Close(Asked, SessionKey),
    /// After this offset everything shall come again.
    Fetch(Asked, SessionKey, Option<Offset>),
    /// It was refused already.
    Pass(Asked),
    Begin(SessionKey),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    /// Brokers with an open stream.
    linked: BTreeSet<BrokerEpoch>,
    /// Those that an earlier leader had, and until when one of them may say what that one did not hear.
    returning: BTreeMap<BrokerEpoch, Millis>,
    /// Sessions that are connected through one, bounded by those of the state. In boxes, as there.
    attached: BTreeMap<SessionId, Box<Attached>>,
    /// CONNECTs that wait for the end of an older connection: one for each client identifier.
    waiting: BTreeMap<Arc<str>, Waiting>,
    /// Attached sessions that may be given more.
    due: BTreeSet<SessionId>,
    /// Sessions that are given nothing while SUBSCRIBEs and UNSUBSCRIBEs of theirs are proposed, and how
    /// many: these say what was given. Bounded by the asks of the brokers.
    held: BTreeMap<SessionId, u32>,
    /// Brokers whose queues are full, and which of their sessions may be given more then.
    held_back: BTreeMap<BrokerEpoch, BTreeSet<SessionId>>,
    numbers: Numbers,
    /// Whose turn it was last in each share group, for messages that nobody keeps.
    turns: Turns,
}

/// How the numbers of stored messages come in one batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Numbers {
    /// In their order.
    #[default]
    Growing,
    /// Others come after them.
    Mixed,
}

impl Sessions {
    /// Of a leader that begins with this state, at the first moment of its clock.
    pub(crate) fn new(state: &ClusterState) -> Self {
        let until = Millis(takeover::RETURN_MS);
        let returning = state.alive().map(|(broker, ..)| (broker, until)).collect();
        Self { returning, ..Self::default() }
    }

    /// Outcomes of a batch follow, and then wills and what groups give, if there are any.
    pub(crate) fn begin_batch(&mut self, nothing_else: bool) {
        self.numbers = if nothing_else { Numbers::Growing } else { Numbers::Mixed };
    }

    /// A broker has a new stream. Its sessions are attached when it resumes them.
    pub(crate) fn link(&mut self, now: Millis, broker: BrokerEpoch) {
        self.linked.insert(broker);
        self.hear_out(now, broker);
    }

    /// Its stream is gone. What waits there is asked again on the next.
    pub(crate) fn unlink(&mut self, broker: BrokerEpoch) {
        self.linked.remove(&broker);
        self.held_back.remove(&broker);
        self.attached.retain(|_, attached| attached.owner.broker != broker);
        self.waiting.retain(|_, waiting| waiting.owner.broker != broker);
        self.due.retain(|id| self.attached.contains_key(id));
    }

    /// A broker's life has ended.
    pub(crate) fn lost(&mut self, broker: BrokerEpoch) {
        self.unlink(broker);
        self.give_up(broker);
    }

    /// Its queue is full: its sessions are given nothing more.
    pub(crate) fn hold_back(&mut self, broker: BrokerEpoch) {
        self.held_back.entry(broker).or_default();
    }

    /// Its queue has room again.
    pub(crate) fn go_on(&mut self, broker: BrokerEpoch) {
        for id in self.held_back.remove(&broker).into_iter().flatten() {
            self.make_due(id);
        }
    }

    /// When [`finish`](Self::finish) is due.
    pub(crate) fn deadline(&self) -> Option<Millis> {
        self.waiting.values().map(|waiting| waiting.until).min()
    }

    /// Gives a session nothing more until [`release`](Self::release). Up to where it was given its queue.
    fn hold(&mut self, key: SessionKey) -> Option<Offset> {
        *self.held.entry(key.id).or_default() += 1;
        let attached = self.attached.get(&key.id).filter(|attached| attached.key == key);
        attached.and_then(|attached| attached.given_upto)
    }

    /// What was proposed has its outcome.
    fn release(&mut self, key: SessionKey) {
        if let Some(held) = self.held.get_mut(&key.id) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&key.id);
            }
        }
        self.make_due(key.id);
    }

    fn make_due(&mut self, id: SessionId) {
        if let Some(attached) = self.attached.get_mut(&id) {
            attached.is_caught_up = false;
            self.due.insert(id);
        }
    }

    /// The connection that has a session under this key.
    pub(crate) fn owner(&self, key: SessionKey) -> Option<Owner> {
        let attached = self.attached.get(&key.id).filter(|attached| attached.key == key)?;
        Some(attached.owner)
    }

    fn tell(&self, key: SessionKey, tell: Tell, out: &mut Vec<Effect>) {
        // One that is gone was told when it was replaced.
        out.extend(self.owner(key).map(|owner| Effect::Tell(owner, tell)));
    }

    fn fence(&mut self, key: SessionKey, out: &mut Vec<Effect>) {
        self.tell(key, Tell::Fenced { session: key }, out);
        self.forget(key);
    }

    fn forget(&mut self, key: SessionKey) {
        if self.owner(key).is_some() {
            self.attached.remove(&key.id);
            self.due.remove(&key.id);
        }
    }
}
