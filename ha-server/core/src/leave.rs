//! How brokers go: Goodbye, broken streams, leases.
//!
//! A broken stream frees nothing: the broker may be back in a moment, and what it needs is kept for it.
//! It is freed when its lease ends, when it says goodbye, and when a newer life of it joins.

use ha_types::link::{Downstream, Goodbye, GoodbyeReason};
use ha_types::{BrokerEpoch, Millis};

use crate::broker::{Broker, Link, StreamId};
use crate::broker_set::Slot;
use crate::cluster::Command;
use crate::distributor::{Distributor, Stream};
use crate::interface::{Event, LostBy, Output};
use crate::losses::BrokerLoss;
use crate::proposals::Proposed;
use crate::publishes::Publishes;
use crate::receipts::Receipts;
use crate::retained::Transfer;

impl Distributor {
    /// Says goodbye on a stream and detaches its broker, if it has one.
    pub(crate) fn end(
        &mut self,
        stream: StreamId,
        reason: GoodbyeReason,
        detail: String,
        out: &mut Vec<Output>,
    ) {
        let Some(known) = self.streams.get(&stream) else { return };
        let name = match known {
            Stream::AwaitsHello { .. } | Stream::Joins => None,
            Stream::Of(slot) => Some(self.brokers[slot].name.clone()),
        };
        let goodbye = Goodbye { reason, detail, leader: None };
        out.push(Output::Send(stream, Downstream::Goodbye(goodbye.clone()), 0));
        out.push(Output::End(stream));
        out.push(Output::Note(Event::Ended(name, goodbye)));
        self.detach(stream);
    }

    /// The broker said goodbye.
    pub(crate) fn left(&mut self, slot: Slot, stream: StreamId, out: &mut Vec<Output>) {
        self.detach(stream);
        self.lose(slot, LostBy::Goodbye, out);
        out.push(Output::End(stream));
    }

    pub(crate) fn broken(&mut self, stream: StreamId, out: &mut Vec<Output>) {
        if let Some(slot) = self.detach(stream) {
            out.push(Output::Note(Event::Detached(self.brokers[&slot].name.clone())));
        }
    }

    /// Takes the stream from its broker. Returns the broker that was attached through it.
    pub(crate) fn detach(&mut self, stream: StreamId) -> Option<Slot> {
        let Some(Stream::Of(slot)) = self.streams.remove(&stream) else { return None };
        let broker = self.brokers.get_mut(&slot).expect("a stream's broker is known");
        broker.link = Link::Detached;
        broker.queued_bytes = 0;
        broker.answers_bytes = 0;
        broker.transfer = Transfer::Idle;
        for set in [&mut self.attached, &mut self.resumed, &mut self.behind] {
            set.remove(slot);
        }
        self.forget_asks(slot);
        Some(slot)
    }

    /// The broker's life ends. Until the log has that, it gets what it needs and is waited for: another
    /// leader may have it still, and would not give it what was answered here.
    pub(crate) fn lose(&mut self, slot: Slot, by: LostBy, out: &mut Vec<Output>) {
        let broker = self.brokers.get_mut(&slot).expect("only known brokers are lost");
        let (name, epoch) = (broker.name.clone(), broker.epoch);
        if let Some(stream) = broker.stream() {
            let detail = format!("no heartbeat of {name} for {} ms", self.config.lease_ms);
            self.end(stream, GoodbyeReason::LeaseExpired, detail, out);
        }
        self.note_loss(slot, by);
        self.free(slot, by);
        self.leaving.insert(slot);
        self.propose(Proposed::Leave(epoch), Command::Leave { broker: epoch }, out);
        out.push(Output::Note(Event::Lost(name, by)));
    }

    /// For operators.
    pub(crate) fn note_loss(&mut self, slot: Slot, by: LostBy) {
        let broker = &self.brokers[&slot];
        let loss = BrokerLoss {
            name: broker.name.clone(),
            epoch: broker.epoch,
            at: self.cluster_time(),
            by,
            silent_ms: self.now.since(broker.heard_at),
            sessions: 0,
            taken_up: 0,
            first_ms: None,
            last_ms: None,
        };
        self.losses.note(self.now, loss);
    }

    /// Forgets all that a broker without a stream said.
    pub(crate) fn free(&mut self, slot: Slot, by: LostBy) {
        let broker = self.brokers.get_mut(&slot).expect("only known brokers are freed");
        broker.link = Link::Lost(by);
        broker.publishes = Publishes::default();
        self.by_epoch.remove(&broker.epoch);
        self.sessions.lost(broker.epoch);
    }

    /// The log has the end of a broker's life.
    pub(crate) fn gone(&mut self, epoch: BrokerEpoch, out: &mut Vec<Output>) {
        let left = self.brokers.values().find(|broker| broker.epoch == epoch && broker.is_lost());
        if let Some(slot) = left.map(|broker| broker.slot) {
            self.owe_nothing(slot, out);
        }
    }

    /// Nobody waits for this broker any more, and its slot may be another's.
    pub(crate) fn owe_nothing(&mut self, slot: Slot, out: &mut Vec<Output>) {
        self.forget_interest(slot);
        for set in [&mut self.living, &mut self.unknown, &mut self.leaving] {
            set.remove(slot);
        }
        let broker = self.brokers.get_mut(&slot).expect("only known brokers are owed anything");
        broker.receipts = Receipts::default();
        self.stop_waiting_for(slot, out);
    }

    pub(crate) fn end_leases(&mut self, out: &mut Vec<Output>) {
        let expired = |broker: &&Broker| {
            !broker.is_lost() && broker.heard_at.plus(self.config.lease_ms) <= self.now
        };
        let silent: Vec<_> = self.brokers.values().filter(expired).map(|b| b.slot).collect();
        for slot in silent {
            self.lose(slot, LostBy::Lease, out);
        }
    }

    /// Detaches brokers that are behind and have written nothing for too long, or go on asking
    /// for answers: nothing else bounds the queue of who talks and never reads.
    pub(crate) fn end_stalled(&mut self, out: &mut Vec<Output>) {
        let is_stalled = |broker: &&Broker| {
            broker.wrote_at.plus(self.config.stall_ms) <= self.now
                || broker.answers_bytes > self.config.queue_bytes
        };
        let stalled: Vec<_> = self
            .behind
            .iter()
            .filter_map(|slot| self.brokers.get(&slot))
            .filter(is_stalled)
            .filter_map(Broker::stream)
            .collect();
        for stream in stalled {
            let detail = format!(
                "behind, and for {} ms nothing was read, or less than was asked for",
                self.config.stall_ms
            );
            self.end(stream, GoodbyeReason::TooSlow, detail, out);
        }
    }

    /// Ends streams that said no Hello for a whole lease.
    pub(crate) fn end_silent(&mut self, out: &mut Vec<Output>) {
        let lease_ms = self.config.lease_ms;
        let is_late = |&(opened_at, _): &(Millis, _)| opened_at.plus(lease_ms) <= self.now;
        let late: Vec<_> = self.silent_streams().filter(is_late).collect();
        for (_, stream) in late {
            let detail = format!("no Hello for {lease_ms} ms");
            self.end(stream, GoodbyeReason::ProtocolError, detail, out);
        }
    }

    pub(crate) fn shut_down(&mut self, out: &mut Vec<Output>) {
        let streams: Vec<_> = self.streams.keys().copied().collect();
        for stream in streams {
            self.end(stream, GoodbyeReason::ShuttingDown, "ha-server stops".into(), out);
        }
    }
}
