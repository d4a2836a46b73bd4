//! Publishes on their way to ha-server.
//!
//! QoS ≥ 1 publishes are numbered, from 1, without gaps, through all epochs of this run, and stay here
//! until they are answered: a broken stream and a new epoch send them again under the same numbers. A QoS 0 publish is here only while it
//! waits for its first sending (retained ones wait out a missing ha-server); it is never sent
//! again. A publish of a session that ha-server holds is kept for its answer, and sent again for that
//! answer also when ha-server has taken it.
//!
//! Bounded in messages and bytes. What finds no room is dropped by the caller, before it has a
//! number.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use ha_types::session::{PacketId, SessionKey};
use ha_types::{Message, PublishNumber, Qos, TopicName};

use crate::turn::{Turn, Turns};

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) number: Option<PublishNumber>,
    /// Of a session that ha-server holds: whom the answer is for.
    pub(crate) exchange: Option<(SessionKey, PacketId)>,
    pub(crate) message: Arc<Message>,
    pub(crate) turn: Turn,
    /// At QoS 2: this broker's subscribers have it, before it is answered.
    pub(crate) is_given: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    /// First those that were sent on this stream, then those that were not.
    pub(crate) entries: VecDeque<Entry>,
    pub(crate) sent: usize,
    pub(crate) bytes: usize,
    weight: usize,
    pub(crate) last_number: PublishNumber,
    pub(crate) messages_max: usize,
    bytes_max: usize,
}

impl Outbox {
    pub(crate) fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            sent: 0,
            bytes: 0,
            weight: 0,
            last_number: PublishNumber(0),
            messages_max,
            bytes_max,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Of all entries, as [`weight`] says.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// How many were sent on this stream, and how many were not.
    pub(crate) fn sent_and_waiting(&self) -> (usize, usize) {
        (self.sent, self.entries.len() - self.sent)
    }

    /// Whether `message` fits. One message always fits into an empty outbox.
    pub(crate) fn has_room_for(&self, message: &Message) -> bool {
        let fits = self.bytes + message.size() <= self.bytes_max;
        self.entries.len() < self.messages_max && (fits || self.entries.is_empty())
    }

    /// The last number that was given.
    pub(crate) fn last_number(&self) -> PublishNumber {
        self.last_number
    }

    /// Topic and number of each publish that is to be retained.
    pub(crate) fn retained(&self) -> BTreeSet<(&TopicName, Option<PublishNumber>)> {
        let retained = self.entries.iter().filter(|entry| entry.message.retain);
        retained.map(|entry| (&entry.message.topic, entry.number)).collect()
    }

    /// Appends a message; numbers it if its QoS asks for that.
    pub(crate) fn push(
        &mut self,
        message: Arc<Message>,
        exchange: Option<(SessionKey, PacketId)>,
        turns: &mut Turns,
    ) -> Option<PublishNumber> {
        let number = (message.qos > Qos::AtMostOnce).then(|| {
            self.last_number.0 += 1;
            self.last_number
        });
        self.bytes += message.size();
        self.weight += weight(message.size());
        self.entries.push_back(Entry {
            number,
            exchange,
            message,
            turn: turns.waits(),
            is_given: false,
        });
        number
    }

    /// The turn of the next entry to send, window or not.
    pub(crate) fn turn(&self) -> Option<Turn> {
        self.entries.get(self.sent).map(|entry| entry.turn)
    }

    /// Whose the next entry to send is, if somebody waits for its answer.
    pub(crate) fn next_session(&self) -> Option<SessionKey> {
        self.entries.get(self.sent)?.exchange.map(|(session, _)| session)
    }

    /// Whom the answer to this publish is for.
    pub(crate) fn exchange(&self, number: PublishNumber) -> Option<(SessionKey, PacketId)> {
        self.entries.iter().find(|entry| entry.number == Some(number))?.exchange
    }

    /// What was published under one key is published under another. None of it was sent.
    pub(crate) fn adopt(&mut self, from: SessionKey, to: SessionKey) {
        for entry in &mut self.entries {
            if entry.message.publisher.session != from.id {
                continue;
            }
            Arc::make_mut(&mut entry.message).publisher.session = to.id;
            if let Some((session, _)) = &mut entry.exchange {
                *session = to;
            }
        }
    }

    /// The next entry to send, while fewer than `window` are unanswered.
    pub(crate) fn next_to_send(&mut self, window: usize, turns: &mut Turns) -> Option<Entry> {
        if self.sent >= window {
            return None;
        }
        let entry = self.entries.get_mut(self.sent)?;
        entry.turn = turns.sends(entry.turn);
        let entry = entry.clone();
        match entry.number {
            Some(_) => self.sent += 1,
            None => {
                self.entries.remove(self.sent);
                self.forget(&entry);
            }
        }
        Some(entry)
    }

    /// The entry that was answered. `None`: it is not the next one in order.
    pub(crate) fn answered(&mut self, number: PublishNumber) -> Option<Entry> {
        if self.sent == 0 || self.entries.front()?.number != Some(number) {
            return None;
        }
        self.sent -= 1;
        let entry = self.entries.pop_front()?;
        self.forget(&entry);
        Some(entry)
    }

    /// Subscribers of this broker have the publish from now on. False: they have had it, now or when it was
    /// answered.
    pub(crate) fn gives(&mut self, number: PublishNumber) -> bool {
        let entry = self.entries.iter_mut().find(|entry| entry.number == Some(number));
        entry.is_some_and(|entry| !std::mem::replace(&mut entry.is_given, true))
    }

    fn forget(&mut self, entry: &Entry) {
        self.bytes -= entry.message.size();
        self.weight -= weight(entry.message.size());
    }

    /// A new stream: nothing was sent on it yet, and of all up to `taken_upto` only those whose
    /// session waits for the answer need be.
    pub(crate) fn restart(&mut self, taken_upto: PublishNumber) {
        self.sent = 0;
        let is_taken = |entry: &Entry| entry.number.is_some_and(|number| number <= taken_upto);
        self.entries.retain(|entry| !is_taken(entry) || entry.exchange.is_some());
        self.count();
    }

    /// A new epoch: the sessions of these publishes are lost, and so are they, but for those of which `is_kept`
    /// says so: none of these was sent. Numbers that were given do not come again: receivers know messages by them.
    pub(crate) fn clear(&mut self, is_kept: impl Fn(SessionKey) -> bool) {
        self.sent = 0;
        self.entries.retain(|entry| entry.exchange.is_some_and(|(session, _)| is_kept(session)));
        self.count();
        for entry in &mut self.entries {
            self.last_number.0 += 1;
            entry.number = Some(self.last_number);
        }
    }

    fn count(&mut self) {
        self.bytes = self.entries.iter().map(|entry| entry.message.size()).sum();
        self.weight = self.entries.iter().map(|entry| weight(entry.message.size())).sum();
    }
}

/// What a publish of so many bytes weighs where messages and bytes are limited together: one for itself
/// and one for each KiB.
pub(crate) fn weight(bytes: usize) -> usize {
    1 + bytes / 1_024
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ha_types::session::SessionEpoch;
    use ha_types::{Publisher, SessionId, TopicName};

    use super::*;

    fn message(qos: Qos) -> Arc<Message> {
        Arc::new(Message {
            topic: TopicName::parse(Bytes::from_static(b"t")).unwrap(),
            payload: Bytes::from_static(b"123456789"),
            properties: Bytes::new(),
            qos,
            retain: qos == Qos::AtMostOnce,
            expires_at: None,
            publisher: Publisher::default(),
        })
    }

    fn numbers(outbox: &mut Outbox, window: usize) -> Vec<Option<u64>> {
        let mut turns = Turns::default();
        let next = || outbox.next_to_send(window, &mut turns);
        std::iter::from_fn(next).map(|entry| entry.number.map(|number| number.0)).collect()
    }

    fn push(outbox: &mut Outbox, qos: Qos) {
        outbox.push(message(qos), None, &mut Turns::default());
    }

    #[test]
    fn unanswered_publishes_are_sent_again_under_their_numbers_and_qos_0_is_not() {
        let mut outbox = Outbox::new(10, 1_000);
        for qos in [Qos::AtLeastOnce, Qos::AtMostOnce, Qos::ExactlyOnce] {
            push(&mut outbox, qos);
        }
        assert_eq!(numbers(&mut outbox, 10), [Some(1), None, Some(2)]);
        outbox.restart(PublishNumber(0));
        assert_eq!(numbers(&mut outbox, 10), [Some(1), Some(2)]);
        outbox.restart(PublishNumber(1));
        assert_eq!(numbers(&mut outbox, 10), [Some(2)]);
        assert_eq!(outbox.bytes(), 10);
    }

    #[test]
    fn window_bounds_what_is_unanswered_and_answers_open_it() {
        let mut outbox = Outbox::new(10, 1_000);
        for _ in 0..3 {
            push(&mut outbox, Qos::AtLeastOnce);
        }
        assert_eq!(numbers(&mut outbox, 2), [Some(1), Some(2)]);
        assert!(outbox.answered(PublishNumber(2)).is_none(), "answers come in order");
        assert!(outbox.answered(PublishNumber(1)).is_some());
        assert_eq!(numbers(&mut outbox, 2), [Some(3)]);
    }

    #[test]
    fn entry_that_was_not_sent_cannot_be_answered() {
        let mut outbox = Outbox::new(10, 1_000);
        push(&mut outbox, Qos::AtLeastOnce);
        assert!(outbox.answered(PublishNumber(1)).is_none());
    }

    #[test]
    fn publishes_of_a_session_are_kept_for_their_answers_though_they_were_taken() {
        let mut outbox = Outbox::new(10, 1_000);
        let session = SessionKey { id: SessionId(1), epoch: SessionEpoch(1) };
        let exchange = Some((session, PacketId::new(1).unwrap()));
        outbox.push(message(Qos::AtLeastOnce), exchange, &mut Turns::default());
        outbox.restart(PublishNumber(1));
        assert_eq!(numbers(&mut outbox, 10), [Some(1)]);
    }

    #[test]
    fn numbers_go_on_when_all_was_lost() {
        let mut outbox = Outbox::new(10, 1_000);
        (0..2).for_each(|_| push(&mut outbox, Qos::AtLeastOnce));
        outbox.clear(|_| false);
        assert_eq!((outbox.len(), outbox.bytes(), outbox.weight()), (0, 0, 0));
        push(&mut outbox, Qos::AtLeastOnce);
        assert_eq!(numbers(&mut outbox, 10), [Some(3)]);
    }

    #[test]
    fn outbox_is_bounded_in_messages_and_in_bytes() {
        let mut outbox = Outbox::new(2, 1_000);
        for _ in 0..2 {
            push(&mut outbox, Qos::AtLeastOnce);
        }
        assert!(!outbox.has_room_for(&message(Qos::AtLeastOnce)));
        let mut outbox = Outbox::new(10, 19);
        assert!(outbox.has_room_for(&message(Qos::AtLeastOnce)));
        push(&mut outbox, Qos::AtLeastOnce);
        assert!(!outbox.has_room_for(&message(Qos::AtLeastOnce)));
    }
}
