//! How brokers that keep copies of the retained messages get them. The state has their order.
//!
//! A broker's copy is complete after a *transfer*: all retained messages page by page, as its queue
//! has room, while changes go on beside it. A change that a broker which is behind cannot be told
//! is not queued for it: it gets a new transfer when it has caught up.

use std::sync::Arc;

use ha_types::link::{Downstream, RetainedChange, RetainedUse};
use ha_types::{Message, RetainedVersion, TopicName};

use crate::broker_set::{BrokerSet, Slot};
use crate::cluster::ClusterState;
use crate::distributor::Distributor;
use crate::interface::Output;
use crate::queue::update_bytes;

/// Topics sent at a time. A page of small messages is about one frame.
const PAGE: usize = 256;

/// Progress of a transfer of all retained messages to one broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Transfer {
    /// The copy is complete, or there is none.
    Idle,
    /// Sent up to `after`; complete as of `upto`. It goes on when a change was not told meanwhile,
    /// and another follows: starting over at each such change might never end.
    Running { after: Option<TopicName>, upto: RetainedVersion, is_outdated: bool },
    /// None was made yet, or a change was not told: start when there is room.
    Due,
}

impl Distributor {
    /// Tells `brokers` of a change that they are not delivered.
    pub(crate) fn tell_retained(
        &mut self,
        brokers: BrokerSet,
        message: &Arc<Message>,
        version: RetainedVersion,
        out: &mut Vec<Output>,
    ) {
        if version == RetainedVersion(0) {
            return;
        }
        let kept = (!message.payload.is_empty()).then(|| Arc::clone(message));
        let topic = message.topic.clone();
        let change = RetainedChange { topic, version, message: kept };
        for slot in brokers.iter() {
            if self.brokers[&slot].retained == RetainedUse::None {
                continue;
            }
            if self.behind.contains(slot) {
                self.transfer_again(slot, version);
            } else {
                self.send(slot, Downstream::RetainedUpdate(change.clone()), out);
            }
        }
    }

    /// Marks that a change was not told, so that a new transfer follows.
    pub(crate) fn transfer_again(&mut self, slot: Slot, version: RetainedVersion) {
        let broker = self.brokers.get_mut(&slot).expect("known to the caller");
        if version == RetainedVersion(0) || broker.retained == RetainedUse::None {
            return;
        }
        match &mut broker.transfer {
            Transfer::Due => (),
            transfer @ Transfer::Idle => *transfer = Transfer::Due,
            Transfer::Running { is_outdated, .. } => *is_outdated = true,
        }
    }

    /// Sends pages until the broker's queue is full or all is sent.
    pub(crate) fn continue_transfer(
        &mut self,
        slot: Slot,
        state: &ClusterState,
        out: &mut Vec<Output>,
    ) {
        loop {
            let broker = self.brokers.get_mut(&slot).expect("the stream's broker is known");
            if broker.queued_bytes > self.config.queue_bytes / 2 {
                return;
            }
            match &broker.transfer {
                Transfer::Idle => return,
                Transfer::Due => {
                    let upto = state.retained().version();
                    broker.transfer = Transfer::Running { after: None, upto, is_outdated: false };
                    self.send(slot, Downstream::RetainedBegin, out);
                }
                Transfer::Running { .. } => self.send_page(slot, state, out),
            }
        }
    }

    fn send_page(&mut self, slot: Slot, state: &ClusterState, out: &mut Vec<Output>) {
        let page = self.page(slot, state);
        let broker = self.brokers.get_mut(&slot).expect("known to the caller");
        let Transfer::Running { after, upto, is_outdated } = &mut broker.transfer else { return };
        if let Some(last) = page.last() {
            *after = Some(last.topic.clone());
            for change in page {
                self.send(slot, Downstream::RetainedUpdate(change), out);
            }
            return;
        }
        let version = *upto;
        broker.transfer = if *is_outdated { Transfer::Due } else { Transfer::Idle };
        self.send(slot, Downstream::RetainedSynced { version }, out);
    }

    /// The next topics: as many as fill half of the queue, at least one; none when all were sent.
    fn page(&self, slot: Slot, state: &ClusterState) -> Vec<RetainedChange> {
        let broker = &self.brokers[&slot];
        let Transfer::Running { after, .. } = &broker.transfer else { return Vec::new() };
        let now = self.cluster_time();
        let mut room = (self.config.queue_bytes / 2).checked_sub(broker.queued_bytes);
        let known = state.retained().ordered_after(after.as_ref()).take(PAGE);
        known
            .map_while(|(topic, known)| {
                let left = room?;
                let live = known.message.clone().filter(|message| !message.is_expired(now));
                let (topic, version) = (topic.clone(), known.version);
                let change = RetainedChange { topic, version, message: live };
                room = left.checked_sub(update_bytes(&change));
                Some(change)
            })
            .collect()
    }
}
