//! Who gets a published message.
//!
//! Every broker with a matching filter gets it once. The broker that published it does not, because it served its own
//! subscribers; but one of QoS 2 of a session comes back to it. Of QoS 1 and 2 only those get it that need all
//! messages of the filter: the others have it in the queues of their sessions. A message that is not numbered is dropped, counted,
//! for a broker that is behind; a numbered one is always queued, and is answered when all have it. So a
//! slow broker slows down the publishers that send to it, and nobody else.

use std::sync::Arc;

use ha_types::link::{Downstream, Origin};
use ha_types::{Message, Qos, RetainedVersion};

use crate::broker_set::{BrokerSet, Slot};
use crate::distributor::Distributor;
use crate::interface::{FanOut, Output};
use crate::publish::Source;
use crate::receipts::Unreceived;

/// Brokers with a filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interested {
    /// They need all that matches.
    pub(crate) all: BrokerSet,
    /// They need QoS 0.
    pub(crate) at_most_once: BrokerSet,
}

impl Distributor {
    /// Gives a message of QoS 1 or 2, or a will, to all that need it. Returns those: each has it when it says so.
    pub(crate) fn fan_out_numbered(
        &mut self,
        source: Source,
        message: &Arc<Message>,
        retained: RetainedVersion,
        out: &mut Vec<Output>,
    ) -> BrokerSet {
        let mut targets = self.targets(message);
        self.by_epoch.get(&source.broker).into_iter().for_each(|&slot| targets.remove(slot));
        let (source, message) = (Some(source), Arc::clone(message));
        let item = Unreceived { source, known_as: Vec::new(), message, retained };
        self.give_all(targets, &item, out)
    }

    /// Gives a message of QoS 2 to the broker that published it, in the order of all that its subscribers get (P4). They
    /// could have it with the answer, which would cost nothing; but an answer waits for others, or behind one that
    /// does, or for a stream, and the client may be on another broker and publish more meanwhile. Also without
    /// interest: it must not come with the answer, behind what was published after it.
    pub(crate) fn fan_out_back(
        &mut self,
        source: Source,
        message: &Arc<Message>,
        out: &mut Vec<Output>,
    ) -> BrokerSet {
        let origin = self.by_epoch.get(&source.broker).copied().map(BrokerSet::only);
        let (source, message) = (Some(source), Arc::clone(message));
        let item =
            Unreceived { source, known_as: Vec::new(), message, retained: RetainedVersion(0) };
        self.give_all(origin.unwrap_or_default(), &item, out)
    }

    /// The same for a message of QoS 2 that its client has sent more than once: whoever was given it under
    /// one of its origins has it. The broker that sent it now gets it as well: its answer brings it nothing.
    pub(crate) fn fan_out_again(
        &mut self,
        source: Source,
        known_as: Vec<Origin>,
        message: &Arc<Message>,
        out: &mut Vec<Output>,
    ) -> BrokerSet {
        let (message, retained) = (Arc::clone(message), RetainedVersion(0));
        let item = Unreceived { source: Some(source), known_as, message, retained };
        self.give_all(self.targets(&item.message), &item, out)
    }

    fn give_all(
        &mut self,
        targets: BrokerSet,
        item: &Unreceived,
        out: &mut Vec<Output>,
    ) -> BrokerSet {
        if item.message.is_expired(self.cluster_time()) {
            return BrokerSet::default();
        }
        targets.iter().for_each(|slot| self.give(slot, item.clone(), out));
        targets
    }

    /// Sends a message that nobody waits for to all that are there. Returns those, also where it was
    /// dropped.
    pub(crate) fn fan_out_once(
        &mut self,
        from: Slot,
        message: &Arc<Message>,
        retained: RetainedVersion,
        out: &mut Vec<Output>,
    ) -> BrokerSet {
        if message.is_expired(self.cluster_time()) {
            return BrokerSet::default();
        }
        let targets = self.targets(message).and(self.attached).minus(BrokerSet::only(from));
        for slot in targets.iter() {
            let is_behind = self.behind.contains(slot);
            let counters = &mut self.brokers.get_mut(&slot).expect("targets are known").counters;
            if is_behind {
                counters.dropped += 1;
                self.transfer_again(slot, retained);
            } else {
                counters.delivered += 1;
                let message = Arc::clone(message);
                let known_as = Vec::new();
                let deliver = Downstream::Deliver { origin: None, known_as, message, retained };
                self.send(slot, deliver, out);
            }
        }
        targets
    }

    /// Gives a will that the state does not owe to all that need it: of QoS 1 and 2 also to those that are
    /// not there, when they are back. Returns those that are.
    pub(crate) fn fan_out_will(
        &mut self,
        message: &Arc<Message>,
        retained: RetainedVersion,
        out: &mut Vec<Output>,
    ) -> BrokerSet {
        if message.is_expired(self.cluster_time()) {
            return BrokerSet::default();
        }
        let present = if message.qos == Qos::AtMostOnce { self.resumed } else { self.living };
        let targets = self.targets(message).and(present);
        for slot in targets.iter() {
            let message = Arc::clone(message);
            let known_as = Vec::new();
            self.give(slot, Unreceived { source: None, known_as, message, retained }, out);
        }
        targets.and(self.resumed)
    }

    /// Brokers that are not lost and need this message. One that a new leader has not heard of yet may
    /// need anything.
    pub(crate) fn targets(&self, message: &Message) -> BrokerSet {
        let mut found = Interested::default();
        self.interest.for_each_match(&message.topic, |of: &Interested| {
            found.all = found.all.union(of.all);
            found.at_most_once = found.at_most_once.union(of.at_most_once);
        });
        let is_live = message.qos == Qos::AtMostOnce;
        let known = match (self.config.fan_out, is_live) {
            (FanOut::Interest, true) => found.all.union(found.at_most_once),
            (FanOut::Interest, false) => found.all,
            (FanOut::All, true) => self.living,
            (FanOut::All, false) => self.living.minus(found.at_most_once.minus(found.all)),
        };
        known.union(self.unknown)
    }
}
