//! The leader's side of sessions: what engines ask becomes commands of the replicated log, and what
//! was applied becomes answers and deliveries.
//!
//! [`Sessions`] is stepped with the state beside it: it reads the state, changes it only by proposing,
//! and keeps nothing that a new leader could not do without. Commands are applied in the order in which
//! they were proposed; their outcomes come back in that order.
//!
//! Flow: a session's messages wait in its queue. While it is connected, its engine is given as many as
//! the client can take twice over; acknowledgements make room for the next. A delivery of QoS 2 is
//! given after its record was applied.
//!
//! What is *not* here: live messages that nobody must keep, interest of brokers, leases.

mod ask;
mod attached;
mod outcome;
mod pump;
mod takeover;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ha_types::session::{Ask, ConnectionId, PacketId, Progress, SessionKey, Tell};
use ha_types::{BrokerEpoch, ClusterMillis, Message, Millis, PublishNumber, SessionId, Ticket};

use self::attached::Attached;
use self::takeover::Waiting;
use crate::cluster::{Applied, ClusterState, Command, Owner};

/// Wills, sessions and connections of lost brokers that are done with one command.
const EXPIRE_AT_MOST: u32 = 1_000;

/// The time, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// For what happens in this process.
    pub now: Millis,
    /// What a batch would be stamped with.
    pub cluster: ClusterMillis,
}

/// Something that happened.
#[derive(Debug)]
pub enum Input {
    /// An engine asks. Not for [`Ask::Publish`], whose number is needed.
    Ask(BrokerEpoch, Ask),
    /// An engine's publish of QoS 1 or 2, or a retained one of QoS 0.
    Publish {
        /// Of which broker.
        broker: BrokerEpoch,
        /// Position among those of the broker's life: the same when it comes again.
        number: PublishNumber,
        /// Whose, and under which packet identifier; `None`: nobody waits for an answer.
        exchange: Option<(SessionKey, PacketId)>,
        /// The message.
        message: Arc<Message>,
    },
    /// A broker's lease has ended, or it said goodbye.
    Lost(BrokerEpoch),
    /// A batch of proposed commands was applied: the oldest that were not.
    Applied(Applied),
    /// The deadline has come.
    Tick,
}

/// Something that the shell must do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// To be replicated, and applied in this order.
    Propose(Command),
    /// For the engine of a connection.
    Tell(Owner, Tell),
    /// For live subscribers on all brokers: a will that was published.
    Live(Arc<Message>),
}

/// What to do with the outcome of a command.
#[derive(Debug)]
enum Proposed {
    /// With the Receive Maximum.
    Open(Owner, u16),
    Subscribe(SessionKey, Ticket),
    Unsubscribe(SessionKey, Ticket),
    Publish {
        broker: BrokerEpoch,
        exchange: Option<(SessionKey, PacketId)>,
        message: Arc<Message>,
    },
    Release(SessionKey, PacketId),
    Progress(SessionKey, Progress),
    Begin(SessionKey),
    Close(SessionKey),
    /// Wills and sessions that are due.
    Expire,
    Nothing,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Sessions {
    /// Commands whose outcomes have not come.
    proposed: VecDeque<Proposed>,
    /// Connected sessions.
    attached: BTreeMap<SessionId, Attached>,
    /// CONNECTs that wait for the end of an older connection.
    waiting: BTreeMap<Arc<str>, Waiting>,
    /// Publishes of each broker that the log does not have: what comes after them must not pass them.
    unanswered: BTreeMap<BrokerEpoch, usize>,
    /// Sessions that may be given more.
    due: BTreeSet<SessionId>,
    is_expiring: bool,
}

impl Sessions {
    /// Of a leader that has just begun: no session is attached.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Advances with one input and appends what must be done.
    pub fn step(&mut self, at: Moment, state: &ClusterState, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Ask(broker, ask) => self.ask(at, state, broker, ask, out),
            Input::Publish { broker, number, exchange, message } => {
                self.publish(state, (broker, number), exchange, message, out);
            }
            Input::Lost(broker) => self.lost(broker, out),
            Input::Applied(applied) => self.applied(state, applied, out),
            Input::Tick => (),
        }
        self.open_overdue(at, out);
        self.expire_due(at, state, out);
        self.pump_due(state, out);
    }

    /// When [`Input::Tick`] is due on the cluster's clock, and on the process's own.
    #[must_use]
    pub fn deadline(&self, state: &ClusterState) -> (Option<ClusterMillis>, Option<Millis>) {
        let cluster = if self.is_expiring { None } else { state.deadline() };
        (cluster, self.waiting.values().map(|waiting| waiting.until).min())
    }

    /// Commands that were proposed and have not been applied.
    #[must_use]
    pub fn proposed(&self) -> usize {
        self.proposed.len()
    }

    fn propose(&mut self, proposed: Proposed, command: Command, out: &mut Vec<Output>) {
        self.proposed.push_back(proposed);
        out.push(Output::Propose(command));
    }

    fn expire_due(&mut self, at: Moment, state: &ClusterState, out: &mut Vec<Output>) {
        if !self.is_expiring && state.deadline().is_some_and(|due| due <= at.cluster) {
            self.is_expiring = true;
            let command = Command::Expire { at_most: EXPIRE_AT_MOST };
            self.propose(Proposed::Expire, command, out);
        }
    }

    fn lost(&mut self, broker: BrokerEpoch, out: &mut Vec<Output>) {
        self.attached.retain(|_, attached| attached.owner.broker != broker);
        self.waiting.retain(|_, waiting| waiting.owner.broker != broker);
        self.unanswered.remove(&broker);
        self.propose(Proposed::Nothing, Command::Leave { broker }, out);
    }

    /// The connection that has a session under this key.
    fn owner(&self, key: SessionKey) -> Option<Owner> {
        let attached = self.attached.get(&key.id).filter(|attached| attached.key == key)?;
        Some(attached.owner)
    }

    fn tell(&self, key: SessionKey, tell: Tell, out: &mut Vec<Output>) {
        // One that is gone was told when it was replaced.
        out.extend(self.owner(key).map(|owner| Output::Tell(owner, tell)));
    }

    fn fence(&mut self, key: SessionKey, out: &mut Vec<Output>) {
        self.tell(key, Tell::Fenced { session: key }, out);
        if self.owner(key).is_some() {
            self.attached.remove(&key.id);
        }
    }
}

fn owner(broker: BrokerEpoch, connection: ConnectionId) -> Owner {
    Owner { broker, connection }
}
