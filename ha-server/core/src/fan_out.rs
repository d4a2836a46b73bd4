//! Who gets a published message.
//!
//! Every broker with a matching filter gets it once; the broker that published it never does (it
//! served its own subscribers). A message that is not numbered is dropped, counted, for a broker
//! that is behind; a numbered one is always queued, and its result waits until no broker that got
//! it is behind. So a slow broker slows down the publishers that send to it, and nobody else.

use std::sync::Arc;

use ha_types::link::{Downstream, GoodbyeReason, PublishOutcome};
use ha_types::{Message, PublishNumber, RetainedVersion};

use crate::broker::StreamId;
use crate::broker_set::{BrokerSet, Slot};
use crate::distributor::{Distributor, FanOut, Output};

/// Whether a message may be dropped for brokers that are behind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Drop {
    Allowed,
    Forbidden,
}

impl Distributor {
    /// A message without a number.
    pub(crate) fn publish(&mut self, slot: Slot, message: &Arc<Message>, out: &mut Vec<Output>) {
        self.count_published(slot);
        let change = self.retain(message);
        let version = change.unwrap_or_default();
        let sent_to = self.deliver(slot, message, version, Drop::Allowed, out);
        // The origin needs the version as well: no result will tell it.
        let others = self.attached.minus(sent_to);
        self.tell_retained(others, message, version, out);
    }

    /// A message with a number, taken once.
    pub(crate) fn publish_numbered(
        &mut self,
        slot: Slot,
        stream: StreamId,
        number: PublishNumber,
        message: &Arc<Message>,
        out: &mut Vec<Output>,
    ) {
        let broker = self.brokers.get_mut(&slot).expect("the stream's broker is known");
        if let Some(detail) = broker.number_error(number, self.config.publish_window) {
            return self.end(stream, GoodbyeReason::ProtocolError, detail, out);
        }
        broker.last_number = Some(number);
        if broker.taken_upto.is_some_and(|upto| number <= upto) {
            let none = BrokerSet::default();
            let taken = (PublishOutcome::Accepted, RetainedVersion(0));
            return self.answer(slot, number, taken, none, out);
        }
        broker.taken_upto = Some(number);
        self.count_published(slot);
        let change = self.retain(message);
        let version = change.unwrap_or_default();
        let sent_to = self.deliver(slot, message, version, Drop::Forbidden, out);
        let others = self.attached.minus(sent_to).minus(BrokerSet::only(slot));
        self.tell_retained(others, message, version, out);
        let outcome = match change {
            Ok(_) => PublishOutcome::Accepted,
            Err(_) => PublishOutcome::RetainedFull,
        };
        self.answer(slot, number, (outcome, version), sent_to.and(self.behind), out);
    }

    /// Sends to every broker that needs it. Returns those, also where it was dropped.
    fn deliver(
        &mut self,
        origin: Slot,
        message: &Arc<Message>,
        version: RetainedVersion,
        drop: Drop,
        out: &mut Vec<Output>,
    ) -> BrokerSet {
        if message.is_expired(self.cluster_time()) {
            return BrokerSet::default();
        }
        let targets = self.targets(message).minus(BrokerSet::only(origin));
        for slot in targets.iter() {
            let dropped = drop == Drop::Allowed && self.behind.contains(slot);
            let counters = &mut self.brokers.get_mut(&slot).expect("targets are known").counters;
            if dropped {
                counters.dropped += 1;
                self.transfer_again(slot, version);
            } else {
                counters.delivered += 1;
                let item = Downstream::Deliver { origin: None, message: Arc::clone(message), retained: version };
                self.send(slot, item, out);
            }
        }
        targets
    }

    fn targets(&self, message: &Message) -> BrokerSet {
        let mut targets = BrokerSet::default();
        match self.config.fan_out {
            FanOut::All => targets = self.attached,
            FanOut::Interest => {
                self.interest.for_each_match(&message.topic, |set| targets = targets.union(*set));
            }
        }
        targets.and(self.attached)
    }

    fn count_published(&mut self, slot: Slot) {
        let broker = self.brokers.get_mut(&slot).expect("the stream's broker is known");
        broker.counters.published += 1;
    }
}

impl crate::broker::Broker {
    /// Why this number may not come next, if so. A stream may begin with one that was taken, and
    /// in a new run of ha-server with any.
    fn number_error(&self, number: PublishNumber, window: u32) -> Option<String> {
        let previous = number.0.checked_sub(1).map(PublishNumber);
        let follows = match self.last_number {
            Some(last) => previous == Some(last),
            None => self.taken_upto.is_none_or(|upto| previous <= Some(upto)),
        };
        if !follows {
            let last = self.last_number.or(self.taken_upto).unwrap_or_default();
            return Some(format!("publish number {number} does not follow {last}"));
        }
        (self.held.len() >= window as usize)
            .then(|| format!("more than {window} unanswered publishes"))
    }
}
