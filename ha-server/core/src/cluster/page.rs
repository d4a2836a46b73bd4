//! What is queued for a session, part by part.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::sync::Arc;

use ha_types::session::{Offset, PacketId, Page, PageEnd, Queued, SessionKey};
use ha_types::{BrokerEpoch, Qos, SessionId, TopicName};

use super::ClusterState;
use super::session::{Exchange, Session};

impl ClusterState {
    /// What comes after `after`, at most so many messages and bytes but one message always. Of QoS 2
    /// are those whose delivery did not begin: [`Command::Begin`](super::Command::Begin) comes before
    /// they are sent. `None`: the key is stale.
    #[must_use]
    pub fn page(
        &self,
        key: SessionKey,
        after: Option<Offset>,
        messages_max: usize,
        bytes_max: usize,
    ) -> Option<Page> {
        let session = self.sessions.get(&key.id).filter(|session| session.epoch == key.epoch)?;
        let mut queued = self.queued(session, after).peekable();
        let (mut messages, mut bytes) = (Vec::new(), 0);
        while let Some(next) = queued.peek() {
            bytes += next.message.size();
            let is_full = messages.len() >= messages_max || bytes > bytes_max;
            if is_full && !messages.is_empty() {
                break;
            }
            messages.extend(queued.next());
        }
        let last = messages.last().map(|queued| queued.offset);
        let end = match (last, queued.peek()) {
            (Some(last), Some(_)) => PageEnd::More(last),
            _ => PageEnd::Live(self.last_offset(session)),
        };
        Some(Page { messages, end })
    }

    /// Where the live flow is: everything at or below is queued, or done.
    pub(super) fn last_offset(&self, session: &Session) -> Offset {
        let last = Offset::new(self.messages.next() - 1);
        session.private.keys().next_back().map_or(last, |&private| private.max(last))
    }

    /// In order, without what has expired.
    pub(super) fn queued<'a>(
        &'a self,
        session: &'a Session,
        after: Option<Offset>,
    ) -> impl Iterator<Item = Queued> + 'a {
        let from = after.map_or(0, |after| after.message + 1).max(session.acked.upto);
        let shared = self.indexes.pending(session, from).filter_map(|number| {
            let message = self.messages.get(number)?;
            let kept = (!message.is_expired(self.now)).then(|| session.merged(number, message));
            Some(kept??.queued(Offset::new(number), None))
        });
        let is_after = move |offset: &Offset| after.is_none_or(|after| *offset > after);
        let private = session.private.iter().filter(move |(offset, _)| is_after(offset));
        let private = private.filter(|(_, kept)| !kept.message.is_expired(self.now));
        let private = private.map(|(offset, kept)| kept.queued(*offset, None));
        let from = after.map_or(0, |after| after.message + 1);
        let of_groups = session.shared.range(from..).filter_map(|(&number, shared)| {
            let kept = shared.kept.as_ref().filter(|kept| !kept.message.is_expired(self.now))?;
            Some(kept.queued(Offset::new(number), None))
        });
        let own = Joined { one: private.peekable(), other: of_groups.peekable() };
        Joined { one: own.peekable(), other: shared.peekable() }
    }

    /// Messages of a session that are not acknowledged, those in exchanges among them. As slow as they
    /// are many.
    #[must_use]
    pub fn unacknowledged(&self, id: SessionId) -> usize {
        let session = self.sessions.get(&id);
        session.map_or(0, |of| self.queued(of, None).count() + of.records.len())
    }

    /// Deliveries of a session that began and were not received, in order. `None`: the key is stale.
    #[must_use]
    pub fn begun_by(&self, key: SessionKey) -> Option<Vec<Queued>> {
        let session = self.sessions.get(&key.id).filter(|session| session.epoch == key.epoch)?;
        let sent = session.records.iter().filter_map(|(packet_id, exchange)| match exchange {
            Exchange::Sent(offset, kept) => Some(kept.queued(*offset, Some(*packet_id))),
            Exchange::Received(_) => None,
        });
        let mut sent: Vec<_> = sent.collect();
        sent.sort_by_key(|queued| queued.offset);
        Some(sent)
    }

    /// Exchanges of a session between PUBREC and PUBCOMP. `None`: the key is stale.
    #[must_use]
    pub fn received_by(&self, key: SessionKey) -> Option<Vec<PacketId>> {
        let session = self.sessions.get(&key.id).filter(|session| session.epoch == key.epoch)?;
        let is_received = |exchange: &Exchange| matches!(exchange, Exchange::Received(_));
        let received = session.records.iter().filter(|(_, exchange)| is_received(exchange));
        Some(received.map(|(packet_id, _)| *packet_id).collect())
    }

    /// A message that is stored under `number`, for a session that has not acknowledged it. `None`: it
    /// is not for it, is in an exchange, or the key is stale.
    #[must_use]
    pub fn queued_at(&self, key: SessionKey, number: u64) -> Option<Queued> {
        let session = self.sessions.get(&key.id).filter(|session| session.epoch == key.epoch)?;
        let message = self.messages.get(number)?;
        if message.is_expired(self.now)
            || session.acked.has(number)
            || !self.indexes.has(session, number)
        {
            return None;
        }
        Some(session.merged(number, message)?.queued(Offset::new(number), None))
    }

    /// Who has a session under this key. `None`: nobody who lives.
    #[must_use]
    pub fn owner_of(&self, key: SessionKey) -> Option<super::Owner> {
        let session = self.sessions.get(&key.id).filter(|session| session.epoch == key.epoch)?;
        session.owner.filter(|owner| self.is_alive(owner.broker))
    }

    /// Whether this broker has a session under this key. What is not so once, never is again.
    #[must_use]
    pub fn is_owned_by(&self, key: SessionKey, broker: BrokerEpoch) -> bool {
        self.owner_of(key).is_some_and(|owner| owner.broker == broker)
    }

    /// Connected sessions that a message of QoS 1 or 2 with this topic is kept for, in order.
    #[must_use]
    pub fn connected_to(&self, topic: &TopicName) -> Vec<SessionId> {
        let matching = self.indexes.matching(topic).into_iter();
        let connected = matching.flat_map(|id| self.indexes.get(id).connected.keys());
        let sessions: BTreeSet<SessionId> = connected.copied().collect();
        sessions.into_iter().collect()
    }

    /// Whether a publish of QoS 2 would be taken now: its session is its owner's, and the exchange has
    /// not begun before.
    #[must_use]
    pub fn takes(&self, key: SessionKey, packet_id: PacketId) -> bool {
        let session = self.sessions.get(&key.id).filter(|session| session.epoch == key.epoch);
        let owned = session.filter(|of| of.owner.is_some_and(|owner| self.is_alive(owner.broker)));
        owned.is_some_and(|of| !of.inbound.contains_key(&packet_id))
    }

    /// Whose session it is.
    #[must_use]
    pub fn client_of(&self, id: SessionId) -> Option<&Arc<str>> {
        self.sessions.get(&id).map(|session| &session.client_id)
    }

    /// Who has the session of a client identifier, and since when.
    #[must_use]
    pub fn session_of(&self, client_id: &str) -> Option<(SessionKey, Option<super::Owner>)> {
        let session = self.sessions.get(self.by_client.get(client_id)?)?;
        let owner = session.owner.filter(|owner| self.is_alive(owner.broker));
        Some((session.key(), owner))
    }

    /// Whether a message of this topic must be kept for somebody, if it is of QoS 1 or 2.
    #[must_use]
    pub fn is_durable(&self, topic: &TopicName) -> bool {
        !self.indexes.matching(topic).is_empty() || self.is_kept_by_groups(topic)
    }

    /// Whether a message that is not to be retained concerns anybody but the subscribers of its own broker:
    /// it must be kept for somebody, or a share group decides who gets it.
    #[must_use]
    pub fn concerns(&self, topic: &TopicName, qos: Qos) -> bool {
        let is_kept = || !self.indexes.matching(topic).is_empty();
        (qos > Qos::AtMostOnce && is_kept()) || !self.groups.matching(topic).is_empty()
    }

    /// The lowest QoS at which there is any topic for which [`concerns`](Self::concerns) holds.
    /// Never above [`Qos::ExactlyOnce`], at which the exchange itself is kept.
    #[must_use]
    pub fn lowest_concern(&self) -> Qos {
        match (self.groups.is_empty(), self.indexes.len()) {
            (false, _) => Qos::AtMostOnce,
            (true, 1..) => Qos::AtLeastOnce,
            (true, 0) => Qos::ExactlyOnce,
        }
    }

    /// Sessions of a broker's life, in order.
    pub fn sessions_of(&self, broker: BrokerEpoch) -> impl Iterator<Item = SessionId> {
        let range = (broker, SessionId(0))..=(broker, SessionId(u64::MAX));
        self.by_broker.range(range).map(|(_, id)| *id)
    }
}

/// Two sequences in order of their offsets.
struct Joined<A: Iterator<Item = Queued>, B: Iterator<Item = Queued>> {
    one: Peekable<A>,
    other: Peekable<B>,
}

impl<A: Iterator<Item = Queued>, B: Iterator<Item = Queued>> Iterator for Joined<A, B> {
    type Item = Queued;

    fn next(&mut self) -> Option<Queued> {
        match (self.one.peek(), self.other.peek()) {
            (Some(one), Some(other)) if other.offset < one.offset => self.other.next(),
            (Some(_), _) => self.one.next(),
            (None, _) => self.other.next(),
        }
    }
}
