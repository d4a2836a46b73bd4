//! What clients acknowledge, and what they publish at QoS 1 and 2.

use std::sync::Arc;

use ha_types::session::{
    ConnectionId, Offset, PacketId, Page, PageEnd, Progress, Refused, SessionKey, Tell,
};
use ha_types::{Message, Qos, SessionId};

use super::session::Session;
use super::{Holder, Output};

impl Session {
    pub(super) fn apply(&mut self, progress: &Progress) {
        progress.done().for_each(|offset| self.queue.acknowledge(offset));
        progress.received.iter().for_each(|&id| self.queue.receive(id));
        progress.completed.iter().for_each(|&id| self.queue.complete(id));
        for refused in &progress.refused {
            match *refused {
                Refused::Offset(offset) => self.queue.acknowledge(offset),
                Refused::Record(id) => self.queue.complete(id),
            }
        }
    }
}

impl Holder {
    pub(super) fn progress(&mut self, key: SessionKey, progress: Progress, out: &mut Vec<Output>) {
        let Some(owner) = self.take_progress(key, &progress) else { return };
        if let Some(recorded) = progress.into_recorded(key) {
            out.push(Output::Tell(owner, recorded));
        }
        self.pump(key.id, out);
    }

    /// Returns whose progress it is, if it is the owner's.
    pub(super) fn take_progress(
        &mut self,
        key: SessionKey,
        progress: &Progress,
    ) -> Option<ConnectionId> {
        let session = self.owned(key)?;
        let before = session.queue.len();
        session.apply(progress);
        let (owner, gone) = (session.owner, before - session.queue.len());
        self.counts.queued -= gone;
        owner
    }

    /// At most once: what an engine was given at QoS 0 was perhaps sent.
    pub(super) fn forget_qos_0(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let before = session.queue.len();
        session.queue.forget_given_qos_0();
        self.counts.queued -= before - session.queue.len();
    }

    /// An engine lost what came after `after`, for want of room.
    pub(super) fn fetch(
        &mut self,
        key: SessionKey,
        after: Option<Offset>,
        max: (usize, usize),
        out: &mut Vec<Output>,
    ) {
        let Some(session) = self.owned(key) else { return };
        let messages = session.queue.page(after, max);
        let upto = session.queue.given_upto();
        let end = match messages.last() {
            Some(last) if last.offset < upto => PageEnd::More(last.offset),
            _ => PageEnd::Live(upto),
        };
        let page = Page { messages, end };
        if let Some(owner) = session.owner {
            out.push(Output::Tell(owner, Tell::Page { session: key, page }));
        }
        self.pump(key.id, out);
    }

    /// Whether a publish of QoS 2 would be taken now: its session is its owner's, and the exchange has
    /// not begun before.
    #[must_use]
    pub fn takes(&self, key: SessionKey, packet_id: PacketId) -> bool {
        let session = self.sessions.get(&key.id).filter(|session| session.epoch == key.epoch);
        session.is_some_and(|of| of.owner.is_some() && !of.inbound.contains(&packet_id))
    }

    pub(super) fn publish(
        &mut self,
        key: SessionKey,
        packet_id: PacketId,
        message: &Arc<Message>,
        out: &mut Vec<Output>,
    ) {
        let Some(session) = self.owned(key) else { return };
        let owner = session.owner;
        // [MQTT-4.3.3-10]: known by its packet identifier until PUBREL.
        let is_new = message.qos != Qos::ExactlyOnce || session.inbound.insert(packet_id);
        if is_new {
            self.deliver(message, out);
        }
        if let Some(owner) = owner {
            let published = Tell::Published { session: key, packet_id, outcome: Ok(()) };
            out.push(Output::Tell(owner, published));
        }
    }

    pub(super) fn release(&mut self, key: SessionKey, packet_id: PacketId, out: &mut Vec<Output>) {
        let Some(session) = self.owned(key) else { return };
        session.inbound.remove(&packet_id);
        if let Some(owner) = session.owner {
            out.push(Output::Tell(owner, Tell::Released { session: key, packet_id }));
        }
    }
}
