//! What clients acknowledge.

use ha_types::SessionId;
use ha_types::session::{Offset, PacketId, Progress, Refused, SessionKey};

use super::ClusterState;
use super::broker::Asking;
use super::command::Asked;
use super::outcome::Outcome;
use super::record::Key;
use super::session::Exchange;

impl ClusterState {
    pub(super) fn progress(
        &mut self,
        asked: Asked,
        key: SessionKey,
        progress: &Progress,
    ) -> Outcome {
        match self.asked(asked, key) {
            None => return Outcome::Fenced,
            Some(Asking::Again) => return Outcome::Done,
            Some(Asking::First) => (),
        }
        self.take_progress(key.id, progress);
        self.enforce_limits(key.id);
        Outcome::Done
    }

    pub(super) fn take_progress(&mut self, id: SessionId, progress: &Progress) {
        for offset in progress.done() {
            self.acknowledge(id, offset);
        }
        for &packet_id in &progress.received {
            self.receive(id, packet_id);
        }
        for &packet_id in &progress.completed {
            self.complete(id, packet_id);
        }
        for refused in &progress.refused {
            match *refused {
                Refused::Offset(offset) => self.acknowledge(id, offset),
                Refused::Record(packet_id) => self.complete(id, packet_id),
            }
        }
        if *progress != Progress::default() {
            self.advance(id);
        }
    }

    /// PUBACK: of a message in the queue, or of an exchange that an UNSUBSCRIBE made a record of. What
    /// the session does not wait for is ignored.
    fn acknowledge(&mut self, id: SessionId, offset: Offset) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let packet_id = offset.packet_id();
        if matches!(session.records.get(&packet_id), Some(Exchange::Sent(known, _)) if *known == offset)
        {
            return self.complete(id, packet_id);
        }
        if offset.private > 0 {
            session.private.remove(&offset);
            self.changed.insert(Key::Private(id, offset));
        } else if session.shared.contains_key(&offset.message) {
            self.unshare(id, offset);
        } else if !session.acked.has(offset.message) && self.indexes.has(session, offset.message) {
            session.acked.above.insert(offset.message);
            self.changed.insert(Key::Session(id));
        }
    }

    /// PUBREC. The message is not needed any more, its packet identifier is.
    fn receive(&mut self, id: SessionId, packet_id: PacketId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let received = session.received;
        let Some(exchange) = session.records.get_mut(&packet_id) else { return };
        if let Exchange::Sent(offset, _) = *exchange {
            *exchange = Exchange::Received(received);
            session.received += 1;
            self.changed.insert(Key::Session(id));
            self.changed.insert(Key::Record(id, packet_id));
            self.unshare(id, offset);
        }
    }

    /// PUBCOMP, or a refusal.
    fn complete(&mut self, id: SessionId, packet_id: PacketId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(exchange) = session.records.remove(&packet_id) else { return };
        self.changed.insert(Key::Record(id, packet_id));
        if let Exchange::Sent(offset, _) = exchange {
            self.unshare(id, offset);
        }
    }
}
