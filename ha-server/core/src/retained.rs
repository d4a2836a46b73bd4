//! The order of retained messages, and how brokers get their copies.
//!
//! A broker's copy is complete after a *transfer*: all retained messages page by page, as its queue
//! has room, while changes go on beside it. A change that a broker which is behind cannot be told
//! is not queued for it: it gets a new transfer when it has caught up.

use std::sync::Arc;

use ha_types::link::{Downstream, RetainedChange};
use ha_types::retained::Refused;
use ha_types::{Message, RetainedVersion, TopicName};

use crate::broker_set::{BrokerSet, Slot};
use crate::distributor::{Distributor, Output};

/// Topics sent at a time. A page of small messages is about one frame.
const PAGE: usize = 256;

/// Progress of a transfer of all retained messages to one broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Transfer {
    /// The copy is complete, or the broker is still uploading its own.
    Idle,
    /// Sent up to `after`; complete as of `upto`.
    Running { after: Option<TopicName>, upto: RetainedVersion },
    /// None was made yet, or a change was not told: start when there is room.
    Due,
}

impl Distributor {
    /// Gives a retained message (or clear) its version; `Ok(0)` when it is not to be retained.
    pub(crate) fn retain(&mut self, message: &Arc<Message>) -> Result<RetainedVersion, Refused> {
        if !message.retain {
            return Ok(RetainedVersion(0));
        }
        let version = self.next_version;
        let own = message.detached();
        let kept = (!own.payload.is_empty()).then(|| Arc::new(own.clone()));
        self.retained.apply(&own.topic, version, kept)?;
        self.next_version = RetainedVersion(version.0 + 1);
        Ok(version)
    }

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
        self.tell(brokers, &RetainedChange { topic, version, message: kept }, out);
    }

    fn tell(&mut self, brokers: BrokerSet, change: &RetainedChange, out: &mut Vec<Output>) {
        for slot in brokers.iter() {
            if self.behind.contains(slot) {
                self.transfer_again(slot, change.version);
            } else {
                self.send(slot, Downstream::RetainedUpdate(change.clone()), out);
            }
        }
    }

    /// A part of a broker's own copy: taken where nothing newer is known.
    pub(crate) fn take_copy(&mut self, slot: Slot, change: RetainedChange, out: &mut Vec<Output>) {
        let next = RetainedVersion(change.version.0.saturating_add(1));
        let message = change.message.map(|message| Arc::new(message.detached()));
        let change = RetainedChange { topic: change.topic.detached(), message, ..change };
        let taken = self.retained.apply(&change.topic, change.version, change.message.clone());
        if taken.is_ok() {
            self.next_version = self.next_version.max(next);
            self.tell(self.attached.minus(BrokerSet::only(slot)), &change, out);
        }
    }

    pub(crate) fn start_transfer(&mut self, slot: Slot, out: &mut Vec<Output>) {
        self.brokers.get_mut(&slot).expect("known to the caller").transfer = Transfer::Due;
        self.continue_transfer(slot, out);
    }

    /// Marks that a change was not told, so that a new transfer follows.
    pub(crate) fn transfer_again(&mut self, slot: Slot, version: RetainedVersion) {
        if version > RetainedVersion(0) {
            self.brokers.get_mut(&slot).expect("known").transfer = Transfer::Due;
        }
    }

    /// Sends pages until the broker's queue is full or all is sent.
    pub(crate) fn continue_transfer(&mut self, slot: Slot, out: &mut Vec<Output>) {
        loop {
            let broker = self.brokers.get_mut(&slot).expect("the stream's broker is known");
            if broker.queued_bytes > self.config.queue_bytes / 2 {
                return;
            }
            match &broker.transfer {
                Transfer::Idle => return,
                Transfer::Due => {
                    let upto = self.retained.version();
                    broker.transfer = Transfer::Running { after: None, upto };
                    self.send(slot, Downstream::RetainedBegin, out);
                }
                Transfer::Running { after, upto } => {
                    let (after, upto) = (after.clone(), *upto);
                    self.send_page(slot, after.as_ref(), upto, out);
                }
            }
        }
    }

    fn send_page(
        &mut self,
        slot: Slot,
        after: Option<&TopicName>,
        upto: RetainedVersion,
        out: &mut Vec<Output>,
    ) {
        let now = self.cluster_time();
        let known = self.retained.ordered_after(after).take(PAGE);
        let page: Vec<_> = known
            .map(|(topic, known)| {
                let live = known.message.clone().filter(|message| !message.is_expired(now));
                RetainedChange { topic: topic.clone(), version: known.version, message: live }
            })
            .collect();
        let last = page.last().map(|change| change.topic.clone());
        for change in page {
            self.send(slot, Downstream::RetainedUpdate(change), out);
        }
        let broker = self.brokers.get_mut(&slot).expect("known to the caller");
        match last {
            Some(last) => broker.transfer = Transfer::Running { after: Some(last), upto },
            None => {
                broker.transfer = Transfer::Idle;
                self.send(slot, Downstream::RetainedSynced { version: upto }, out);
            }
        }
    }
}
