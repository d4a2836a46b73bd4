//! What engines ask through their broker, and what they are told.

use ha_types::link::{Downstream, GoodbyeReason, Resume};
use ha_types::session::{Ask, Tell};
use ha_types::{AskNumber, Millis};

use crate::broker::StreamId;
use crate::broker_set::{BrokerSet, Slot};
use crate::cluster::{Asked, ClusterState, Owner};
use crate::distributor::Distributor;
use crate::interface::Output;
use crate::proposals::Proposed;
use crate::sessions::Effect;

/// Asks of one stream that are not done. As many as the state remembers out of their order.
const ASKS_MAX: usize = 65_536;

impl Distributor {
    pub(crate) fn ask(
        &mut self,
        (slot, stream): (Slot, StreamId),
        state: &ClusterState,
        number: AskNumber,
        ask: Ask,
        out: &mut Vec<Output>,
    ) {
        let broker = self.brokers.get_mut(&slot).expect("the stream's broker is known");
        let asks = &mut broker.asks;
        let detail = if matches!(ask, Ask::Publish { .. }) {
            Some("a publish is not asked".into())
        } else if number <= asks.last {
            Some(format!("ask {number} after {}", asks.last))
        } else {
            (asks.pending.len() >= ASKS_MAX).then(|| format!("more than {ASKS_MAX} asks"))
        };
        if let Some(detail) = detail {
            return self.end(stream, GoodbyeReason::ProtocolError, detail, out);
        }
        asks.last = number;
        asks.pending.insert(number);
        let asked = Asked { broker: broker.epoch, number };
        self.sessions.ask(self.now, state, asked, ask, &mut self.effects);
        self.perform(out);
    }

    /// A session goes on through a new stream.
    pub(crate) fn resume(
        &mut self,
        (slot, stream): (Slot, StreamId),
        state: &ClusterState,
        resume: Resume,
        out: &mut Vec<Output>,
    ) {
        if self.resumed.contains(slot) {
            let detail = "a session after all were resumed".into();
            return self.end(stream, GoodbyeReason::ProtocolError, detail, out);
        }
        let epoch = self.brokers[&slot].epoch;
        self.sessions.resume(state, epoch, resume, &mut self.effects);
        self.perform(out);
    }

    /// All filters are announced: what was announced before and is not any more is forgotten, and what
    /// was kept is given.
    pub(crate) fn all_resumed(&mut self, slot: Slot, stream: StreamId, out: &mut Vec<Output>) {
        if self.resumed.contains(slot) {
            let detail = "all were resumed before".into();
            return self.end(stream, GoodbyeReason::ProtocolError, detail, out);
        }
        self.unknown.remove(slot);
        self.resumed.insert(slot);
        self.forget_stale(slot);
        self.give_kept(slot, out);
    }

    /// Does what sessions want. What is for a broker without a stream is dropped: it asks again, or is
    /// given again what its sessions have.
    pub(crate) fn perform(&mut self, out: &mut Vec<Output>) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Propose(proposed, command) => {
                    self.propose(Proposed::Session(proposed), command, out);
                }
                Effect::Tell(owner, tell) => self.tell(owner, tell, out),
                Effect::Done(asked) => self.done(asked),
            }
        }
        // Its room serves the next time.
        self.effects = effects;
    }

    fn tell(&mut self, owner: Owner, tell: Tell, out: &mut Vec<Output>) {
        let Some(&slot) = self.by_epoch.get(&owner.broker) else { return };
        self.send(slot, Downstream::Tell { connection: owner.connection, tell }, out);
    }

    fn done(&mut self, Asked { broker, number }: Asked) {
        let Some(&slot) = self.by_epoch.get(&broker) else { return };
        let asks = &mut self.brokers.get_mut(&slot).expect("found by its epoch").asks;
        if asks.pending.remove(&number) {
            self.asked.insert(slot);
        }
    }

    /// Once in each step, after what the asks were answered with.
    pub(crate) fn tell_asked(&mut self, out: &mut Vec<Output>) {
        let slots = std::mem::take(&mut self.asked);
        for slot in slots.and(self.attached).iter() {
            let asks = &mut self.brokers.get_mut(&slot).expect("attached brokers are known").asks;
            let upto = asks.done_upto();
            if upto > asks.told {
                asks.told = upto;
                self.send(slot, Downstream::Asked { upto }, out);
            }
        }
    }

    pub(crate) fn serve_sessions(&mut self, state: &ClusterState, out: &mut Vec<Output>) {
        self.sessions.finish(self.now, state, &mut self.effects);
        self.perform(out);
    }

    pub(crate) fn sessions_due(&self) -> Option<Millis> {
        self.sessions.deadline()
    }

    /// Nothing asked on its stream is answered there any more.
    pub(crate) fn forget_asks(&mut self, slot: Slot) {
        let broker = self.brokers.get_mut(&slot).expect("its stream was open");
        broker.asks = Default::default();
        self.sessions.unlink(broker.epoch);
        self.asked = self.asked.minus(BrokerSet::only(slot));
    }
}
