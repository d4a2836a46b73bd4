//! What is given to a broker's stream, and how much of it waits there.

use ha_types::link::{Downstream, RetainedChange};
use ha_types::session::{Granted, Opened, Queued, RecordStage, Tell};

use crate::broker::StreamId;
use crate::broker_set::Slot;
use crate::cluster::ClusterState;
use crate::distributor::{Distributor, Stream};
use crate::interface::Output;

impl Distributor {
    /// Gives an item to a broker's stream, if it has one.
    pub(crate) fn send(&mut self, slot: Slot, item: Downstream, out: &mut Vec<Output>) {
        let broker = self.brokers.get_mut(&slot).expect("slots of known brokers only");
        let Some(stream) = broker.stream() else { return };
        let bytes = queue_bytes(&item);
        if broker.queued_bytes == 0 {
            broker.wrote_at = self.now;
        }
        broker.queued_bytes += bytes;
        if is_answer(&item) && self.behind.contains(slot) {
            broker.answers_bytes += answer_bytes(&item);
        }
        if broker.queued_bytes > self.config.queue_bytes && !self.behind.contains(slot) {
            self.behind.insert(slot);
            self.sessions.hold_back(broker.epoch);
        }
        out.push(Output::Send(stream, item, bytes));
    }

    pub(crate) fn written(
        &mut self,
        state: &ClusterState,
        stream: StreamId,
        bytes: usize,
        out: &mut Vec<Output>,
    ) {
        let Some(&Stream::Of(slot)) = self.streams.get(&stream) else { return };
        let broker = self.brokers.get_mut(&slot).expect("a stream's broker is known");
        broker.queued_bytes =
            broker.queued_bytes.checked_sub(bytes).expect("the shell writes what it was given");
        broker.wrote_at = self.now;
        if broker.queued_bytes > self.config.queue_bytes / 2 {
            return;
        }
        if self.behind.contains(slot) {
            broker.answers_bytes = 0;
            self.behind.remove(slot);
            self.sessions.go_on(broker.epoch);
        }
        self.continue_transfer(slot, state, out);
    }
}

/// Whether a broker gets this because of what it said itself.
fn is_answer(item: &Downstream) -> bool {
    match item {
        Downstream::PublishResult { .. }
        | Downstream::Asked { .. }
        | Downstream::InterestTaken { .. } => true,
        Downstream::Tell { tell, .. } => !matches!(tell, Tell::Deliver { .. } | Tell::Evict { .. }),
        Downstream::Welcome(_)
        | Downstream::Deliver { .. }
        | Downstream::RetainedUpdate(_)
        | Downstream::RetainedBegin
        | Downstream::RetainedSynced { .. }
        | Downstream::Drain { .. }
        | Downstream::Undrain
        | Downstream::Goodbye(_) => false,
    }
}

/// What an answer that waits holds in memory. Retained messages are those of the state: a storm of clients
/// that subscribe to many of them is no reason to send their broker away.
fn answer_bytes(answer: &Downstream) -> usize {
    match answer {
        Downstream::Tell { tell: Tell::Subscribed { granted, .. }, .. } => {
            let held = granted.iter().flatten().map(|of| size_of_val(of.unqueued.as_slice()));
            FIXED_BYTES + held.sum::<usize>()
        }
        _ => queue_bytes(answer),
    }
}

/// What an item weighs beside what it carries.
const FIXED_BYTES: usize = 64;

/// What an item weighs in a broker's queue: its bytes on the wire, roughly.
fn queue_bytes(item: &Downstream) -> usize {
    match item {
        Downstream::Deliver { known_as, message, .. } => {
            FIXED_BYTES + size_of_val(known_as.as_slice()) + message.size()
        }
        Downstream::RetainedUpdate(change) => update_bytes(change),
        Downstream::Tell { tell, .. } => FIXED_BYTES + tell_bytes(tell),
        _ => FIXED_BYTES,
    }
}

fn tell_bytes(tell: &Tell) -> usize {
    match tell {
        Tell::Deliver { queued, .. } => queued.message.size(),
        Tell::Page { page, .. } => page.messages.iter().map(queued_bytes).sum(),
        Tell::Opened(opened) => opened_bytes(opened),
        Tell::Subscribed { granted, .. } => granted.iter().flatten().map(granted_bytes).sum(),
        _ => 0,
    }
}

fn queued_bytes(queued: &Queued) -> usize {
    FIXED_BYTES + queued.message.size()
}

fn granted_bytes(granted: &Granted) -> usize {
    let unqueued = granted.unqueued.iter().map(|of| FIXED_BYTES + of.message.size());
    granted.retained.iter().map(queued_bytes).chain(unqueued).sum()
}

fn opened_bytes(opened: &Opened) -> usize {
    let filters = opened.subscriptions.iter();
    let filters = filters.map(|of| FIXED_BYTES + of.subscription.filter().as_str().len());
    let records = opened.records.iter().map(|record| match &record.stage {
        RecordStage::Sent(queued) => queued_bytes(queued),
        RecordStage::Received => FIXED_BYTES,
    });
    filters.chain(records).sum()
}

pub(crate) fn update_bytes(change: &RetainedChange) -> usize {
    let message = change.message.as_ref().map_or(0, |message| message.size());
    FIXED_BYTES + change.topic.as_bytes().len() + message
}
