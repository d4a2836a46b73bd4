//! The order of retained messages, and how brokers get their copies.
//!
//! A broker's copy is complete after a *transfer*: all retained messages page by page, as its queue
//! has room, while changes go on beside it. A change that a broker which is behind cannot be told
//! is not queued for it: it gets a new transfer when it has caught up.

use std::sync::Arc;

use ha_types::link::{Downstream, GoodbyeReason, RetainedChange};
use ha_types::retained::Refused;
use ha_types::{Message, RetainedVersion, TopicName};

use crate::broker::StreamId;
use crate::broker_set::{BrokerSet, Slot};
use crate::distributor::{Distributor, Output, first_version, update_bytes};

/// Topics sent at a time. A page of small messages is about one frame.
const PAGE: usize = 256;

/// Progress of a transfer of all retained messages to one broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Transfer {
    /// The broker uploads its own copy first.
    AwaitsCopy,
    /// The copy is complete.
    Idle,
    /// Sent up to `after`; complete as of `upto`. It goes on when a change was not told meanwhile,
    /// and another follows: starting over at each such change might never end.
    Running { after: Option<TopicName>, upto: RetainedVersion, is_outdated: bool },
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
        // Also when it is refused: the store has seen this version, and transfers claim it.
        self.next_version = RetainedVersion(version.0 + 1);
        let own = message.detached();
        let topic = own.topic.clone();
        let kept = (!own.payload.is_empty()).then(|| Arc::new(own));
        self.retained.apply(&topic, version, kept)?;
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
    pub(crate) fn take_copy(
        &mut self,
        slot: Slot,
        stream: StreamId,
        change: RetainedChange,
        out: &mut Vec<Output>,
    ) {
        if let Some(detail) = self.copy_error(slot, &change) {
            return self.end(stream, GoodbyeReason::ProtocolError, detail, out);
        }
        // Also when it is refused: the broker has this version, and a change must be newer to it.
        self.next_version = self.next_version.max(RetainedVersion(change.version.0 + 1));
        let message = change.message.filter(|message| !message.payload.is_empty());
        let message = message.map(|message| Arc::new(message.detached()));
        let change = RetainedChange { topic: change.topic.detached(), message, ..change };
        let taken = self.retained.apply(&change.topic, change.version, change.message.clone());
        if taken.is_ok() {
            self.tell(self.attached.minus(BrokerSet::only(slot)), &change, out);
        }
    }

    /// Why this may not be a part of the broker's copy, if so.
    fn copy_error(&self, slot: Slot, change: &RetainedChange) -> Option<String> {
        let RetainedChange { topic, version, message } = change;
        let versions = RetainedVersion(1)..self.copy_versions_end();
        if !self.awaits_copy(slot) {
            return Some("a retained copy that is not wanted".into());
        }
        if !versions.contains(version) {
            return Some(format!("retained version {version} was never given"));
        }
        let differs = message.as_ref().is_some_and(|message| message.topic != *topic);
        differs.then(|| "a retained message of another topic".into())
    }

    /// Above all versions that earlier runs can have given, even if the clock was wrong by a year
    /// then; and so far below the largest number that versions cannot run out.
    fn copy_versions_end(&self) -> RetainedVersion {
        RetainedVersion(first_version(self.config.server).0 + (1 << 55))
    }

    pub(crate) fn end_copy(&mut self, slot: Slot, stream: StreamId, out: &mut Vec<Output>) {
        if self.awaits_copy(slot) {
            return self.start_transfer(slot, out);
        }
        let detail = "the end of a retained copy that is not wanted".into();
        self.end(stream, GoodbyeReason::ProtocolError, detail, out);
    }

    fn awaits_copy(&self, slot: Slot) -> bool {
        self.brokers[&slot].transfer == Transfer::AwaitsCopy
    }

    pub(crate) fn start_transfer(&mut self, slot: Slot, out: &mut Vec<Output>) {
        self.brokers.get_mut(&slot).expect("known to the caller").transfer = Transfer::Due;
        self.continue_transfer(slot, out);
    }

    /// Marks that a change was not told, so that a new transfer follows.
    pub(crate) fn transfer_again(&mut self, slot: Slot, version: RetainedVersion) {
        if version == RetainedVersion(0) {
            return;
        }
        let transfer = &mut self.brokers.get_mut(&slot).expect("known to the caller").transfer;
        match transfer {
            Transfer::AwaitsCopy | Transfer::Due => (),
            Transfer::Idle => *transfer = Transfer::Due,
            Transfer::Running { is_outdated, .. } => *is_outdated = true,
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
                Transfer::AwaitsCopy | Transfer::Idle => return,
                Transfer::Due => {
                    let upto = self.retained.version();
                    broker.transfer = Transfer::Running { after: None, upto, is_outdated: false };
                    self.send(slot, Downstream::RetainedBegin, out);
                }
                Transfer::Running { .. } => self.send_page(slot, out),
            }
        }
    }

    fn send_page(&mut self, slot: Slot, out: &mut Vec<Output>) {
        let page = self.page(slot);
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
    fn page(&self, slot: Slot) -> Vec<RetainedChange> {
        let broker = &self.brokers[&slot];
        let Transfer::Running { after, .. } = &broker.transfer else { return Vec::new() };
        let now = self.cluster_time();
        let mut room = (self.config.queue_bytes / 2).checked_sub(broker.queued_bytes);
        let known = self.retained.ordered_after(after.as_ref()).take(PAGE);
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
