//! Records: deliveries that began, and must end whatever happens.

use std::sync::Arc;

use ha_types::session::{Offset, PacketId, Queued, SessionKey};
use ha_types::{ClusterMillis, Qos, SessionId};

use super::ClusterState;
use super::outcome::Outcome;
use super::record::Key;
use super::session::{Exchange, Kept, Session};

impl Kept {
    pub(super) fn queued(&self, offset: Offset, record: Option<PacketId>) -> Queued {
        Queued {
            offset,
            message: Arc::clone(&self.message),
            qos: self.qos,
            retain: self.retain,
            subscription_ids: self.subscription_ids.clone(),
            record,
        }
    }
}

impl Session {
    /// Whether its client takes one more exchange, under this packet identifier.
    fn may_begin(&self, packet_id: PacketId) -> bool {
        self.records.len() < usize::from(self.receive_maximum)
            && !self.records.contains_key(&packet_id)
    }

    /// Whether the packet identifier of this offset may be that of an earlier delivery from private offsets
    /// that is not acknowledged. One that has expired is not sent any more; an engine that has sent it waits
    /// for its acknowledgement by itself.
    fn is_used_before(&self, offset: Offset, now: ClusterMillis) -> bool {
        let packet_id = offset.packet_id();
        let mut next = self.private.keys().next().copied();
        while let Some(first) = next.filter(|first| *first < offset) {
            let of_same = Offset::private_with(first.message, packet_id);
            let same =
                of_same.filter(|same| *same < offset).and_then(|same| self.private.get(&same));
            if same.is_some_and(|kept| !kept.message.is_expired(now)) {
                return true;
            }
            let group = Offset { message: first.message, private: u32::MAX };
            next = self.private.range(group..).next().map(|(next, _)| *next);
        }
        false
    }

    /// It belongs to its record from now on.
    pub(super) fn take(&mut self, offset: Offset) {
        if offset.private > 0 {
            self.private.remove(&offset);
        } else if let Some(shared) = self.shared.get_mut(&offset.message) {
            shared.kept = None;
        } else if !self.acked.has(offset.message) {
            self.acked.above.insert(offset.message);
        }
    }
}

impl ClusterState {
    /// What is already in an exchange is told again: the command may have come twice.
    pub(super) fn begin(&mut self, key: SessionKey, offsets: &[Offset]) -> Outcome {
        if self.owned(key).is_none() {
            return Outcome::Fenced;
        }
        let (mut begun, mut is_full) = (Vec::new(), false);
        for &offset in offsets {
            let known = self.begun(key.id, offset);
            let session = self.sessions.get(&key.id).expect("owned above");
            is_full = known.is_none() && !self.may_begin(session, offset);
            if is_full {
                break;
            }
            let Some(packet_id) = known.or_else(|| self.begin_one(key.id, offset)) else {
                continue;
            };
            let session = self.sessions.get(&key.id).expect("owned above");
            if let Some(Exchange::Sent(_, kept)) = session.records.get(&packet_id) {
                begun.push(kept.queued(offset, Some(packet_id)));
            }
        }
        let session = self.sessions.get(&key.id).expect("owned above");
        let last = offsets.last().copied();
        let is_behind = is_full || self.queued(session, last).next().is_some();
        let session = self.sessions.get_mut(&key.id).expect("owned above");
        session.is_behind = is_behind;
        self.changed.insert(Key::Session(key.id));
        self.advance(key.id);
        Outcome::Begun(begun)
    }

    /// Whether the session's client takes one more exchange, under a packet identifier that no delivery
    /// has which is not acknowledged.
    fn may_begin(&self, session: &Session, offset: Offset) -> bool {
        session.may_begin(offset.packet_id())
            && !session.is_used_before(offset, self.now)
            && !session.is_used_by_group(offset)
            && !self.is_used_a_round_before(session, offset)
    }

    fn is_used_a_round_before(&self, session: &Session, offset: Offset) -> bool {
        let earlier = |message: &u64| message.checked_sub(u64::from(Offset::ROUND));
        let own = if offset.private > 0 { None } else { earlier(&offset.message) };
        let same = std::iter::successors(own, earlier);
        same.take_while(|message| *message >= session.acked.upto).any(|message| {
            let kept = self.messages.get(message).filter(|kept| !kept.is_expired(self.now));
            kept.is_some() && !session.acked.has(message) && self.indexes.has(session, message)
        })
    }

    fn begun(&self, id: SessionId, offset: Offset) -> Option<PacketId> {
        let packet_id = offset.packet_id();
        let exchange = self.sessions.get(&id)?.records.get(&packet_id)?;
        matches!(exchange, Exchange::Sent(known, _) if *known == offset).then_some(packet_id)
    }

    /// `None`: it is acknowledged, is not of QoS 2, or has to wait.
    pub(super) fn begin_one(&mut self, id: SessionId, offset: Offset) -> Option<PacketId> {
        let packet_id = offset.packet_id();
        if !self.may_begin(self.sessions.get(&id)?, offset) {
            return None;
        }
        let session = self.sessions.get_mut(&id)?;
        let kept = if offset.private > 0 {
            session.private.get(&offset)?.clone()
        } else if let Some(shared) = session.shared.get(&offset.message) {
            shared.kept.clone().filter(|kept| !kept.message.is_expired(self.now))?
        } else {
            let message = self.messages.get(offset.message)?;
            let is_done = session.acked.has(offset.message) || message.is_expired(self.now);
            if is_done || !self.indexes.has(session, offset.message) {
                return None;
            }
            session.merged(offset.message, message)?
        };
        if kept.qos != Qos::ExactlyOnce {
            return None;
        }
        session.take(offset);
        session.records.insert(packet_id, Exchange::Sent(offset, kept));
        self.changed.insert(Key::Session(id));
        self.changed.insert(Key::Record(id, packet_id));
        match offset.private {
            0 => self.changed.insert(Key::Shared(id, offset.message)),
            _ => self.changed.insert(Key::Private(id, offset)),
        };
        Some(packet_id)
    }
}
