//! What a broker was given and has not said to have received.
//!
//! While its stream is open, that is what was sent on it, in order. While it has none, or has not said
//! yet what it needs, messages are kept here for it. Each belongs to a publish that is not answered, so
//! there are at most as many as the publish windows of all brokers together; when one of these is lost
//! and comes back, its new life has a window of its own. Or it is a will that the state owes.

use std::collections::VecDeque;
use std::sync::Arc;

use ha_types::link::{Downstream, GoodbyeReason, Origin};
use ha_types::{Message, RetainedVersion};

use crate::broker::StreamId;
use crate::broker_set::{BrokerSet, Slot};
use crate::distributor::Distributor;
use crate::interface::Output;
use crate::publish::Source;

/// Wills without a number that are kept for a broker without a stream: more are dropped.
const UNRECEIVED_WILLS_MAX: usize = 65_536;

/// A message for a broker.
#[derive(Clone, Debug)]
pub(crate) struct Unreceived {
    /// `None`: a will that the state does not owe. It is kept until it is sent, and comes once.
    pub(crate) source: Option<Source>,
    /// See [`Downstream::Deliver`].
    pub(crate) known_as: Vec<Origin>,
    pub(crate) message: Arc<Message>,
    pub(crate) retained: RetainedVersion,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Receipts {
    pub(crate) unreceived: VecDeque<Unreceived>,
    /// Numbered messages that were sent on the present stream.
    pub(crate) sent: u64,
    /// Those of them that the broker has received.
    pub(crate) received: u64,
}

impl Distributor {
    /// Gives a broker a message, or keeps it until the broker is back.
    pub(crate) fn give(&mut self, slot: Slot, item: Unreceived, out: &mut Vec<Output>) {
        let is_back = self.resumed.contains(slot);
        let broker = self.brokers.get_mut(&slot).expect("targets are known");
        let receipts = &mut broker.receipts;
        let is_once = item.source.is_none();
        if !is_back && is_once && receipts.unreceived.len() >= UNRECEIVED_WILLS_MAX {
            broker.counters.dropped += 1;
            return;
        }
        if is_back {
            broker.counters.delivered += 1;
            receipts.sent += u64::from(!is_once);
            let origin = item.source.map(|source| source.origin);
            let (known_as, retained) = (item.known_as.clone(), item.retained);
            let message = Arc::clone(&item.message);
            let deliver = Downstream::Deliver { origin, known_as, message, retained };
            if !is_once {
                receipts.unreceived.push_back(item);
            }
            self.send(slot, deliver, out);
        } else {
            receipts.unreceived.push_back(item);
        }
    }

    /// A broker has announced all that it needs: what was kept is sent, or not needed any more.
    pub(crate) fn give_kept(&mut self, slot: Slot, out: &mut Vec<Output>) {
        let broker = self.brokers.get_mut(&slot).expect("it has resumed");
        let kept = std::mem::take(&mut broker.receipts.unreceived);
        let epoch = broker.epoch;
        let is_own = |item: &Unreceived| item.source.is_some_and(|source| source.broker == epoch);
        let mut not_needed = Vec::new();
        for item in kept {
            let is_expired = item.message.is_expired(self.cluster_time());
            let is_needed = is_own(&item) || self.targets(&item.message).contains(slot);
            if !is_expired && is_needed {
                self.give(slot, item, out);
            } else {
                not_needed.extend(item.source);
            }
        }
        self.received_by(slot, not_needed, out);
    }

    /// So many of those that were sent have arrived.
    pub(crate) fn received_upto(
        &mut self,
        slot: Slot,
        stream: StreamId,
        count: u64,
        out: &mut Vec<Output>,
    ) {
        let receipts = &mut self.brokers.get_mut(&slot).expect("its stream is open").receipts;
        if !(receipts.received..=receipts.sent).contains(&count) {
            let (received, sent) = (receipts.received, receipts.sent);
            let detail = format!("received {count} of {sent} messages, after {received}");
            return self.end(stream, GoodbyeReason::ProtocolError, detail, out);
        }
        let more = usize::try_from(count - receipts.received).expect("as many are unreceived");
        receipts.received = count;
        let sources: Vec<Source> =
            receipts.unreceived.drain(..more).filter_map(|item| item.source).collect();
        self.received_by(slot, sources, out);
    }

    /// Nobody waits any more for this broker to have these.
    fn received_by(&mut self, slot: Slot, sources: Vec<Source>, out: &mut Vec<Output>) {
        let mut publishers = BrokerSet::default();
        for Source { broker, origin } in sources {
            if origin.broker == Origin::WILLS {
                self.wills.received_by(slot, origin.number);
                continue;
            }
            let Some(&from) = self.by_epoch.get(&broker) else { continue };
            let publisher = self.brokers.get_mut(&from).expect("epochs of known brokers");
            if let Some(held) = publisher.publishes.find(origin.number) {
                held.waits_for.remove(slot);
                publishers.insert(from);
            }
        }
        publishers.iter().for_each(|publisher| self.release(publisher, out));
    }
}
