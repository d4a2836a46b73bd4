//! Messages that somebody must keep.

use std::collections::BTreeSet;
use std::sync::Arc;

use ha_types::link::Origin;
use ha_types::session::{Offset, PacketId, SessionKey};
use ha_types::{BrokerEpoch, Message, PublishNumber, Qos, RetainedVersion, SessionId};

use super::ClusterState;
use super::broker::{Asking, Numbered, Refusal};
use super::command::Asked;
use super::index::IndexId;
use super::outcome::{Began, Outcome, Refused, Repeat, Stored};
use super::record::Key;

impl ClusterState {
    /// A repeat, known by its number or at QoS 2 by its packet identifier [MQTT-4.3.3-10], is answered
    /// again and not done again. One of a session that has gone on, or is over, is refused; at QoS 2 one
    /// that was taken in an exchange which is still open is handed on as a repeat is.
    pub(super) fn publish(
        &mut self,
        (epoch, number): (BrokerEpoch, Option<PublishNumber>),
        exchange: Option<(SessionKey, PacketId)>,
        message: &Arc<Message>,
    ) -> Outcome {
        let Some(broker) = self.brokers.get_mut(&epoch).filter(|broker| broker.is_alive) else {
            return Outcome::Published(Err(Refused::Fenced));
        };
        self.changed.insert(Key::Broker(epoch));
        let numbered = number.map_or(Numbered::New, |number| broker.numbers.take(number));
        let refusal = exchange.and_then(|exchange| self.refuses(epoch, exchange, message.qos));
        // It stays late: that needs no memory. One that was taken and comes again must not reach those
        // that do not have it behind newer ones: its client sends it again. At QoS 2 those that have the
        // newer ones know it by now.
        if message.qos < Qos::ExactlyOnce && refusal == Some(Refusal::Fenced) {
            return refused(Refusal::Fenced);
        }
        match numbered {
            Numbered::New => (),
            Numbered::Taken if refusal == Some(Refusal::Fenced) => {
                return self.taken_late((epoch, number), exchange);
            }
            Numbered::Taken => return repeat(Repeat::OfNumber),
            Numbered::Refused(Refusal::Repeat) => {
                return of_exchange(self.origins((epoch, number), exchange));
            }
            Numbered::Refused(why) => return refused(why),
        }
        let origin = number.map(|number| Origin { broker: epoch, number });
        if let (Some(Refusal::Repeat), Some((key, packet_id))) = (refusal, exchange) {
            self.came_in(key, packet_id, origin);
        }
        let done = match refusal {
            Some(why) => Err(why),
            None => self.store(message).map_err(|_| Refusal::QuotaExceeded),
        };
        match (done, exchange) {
            (Err(why), _) => {
                let broker = self.brokers.get_mut(&epoch).expect("alive above");
                number.into_iter().for_each(|number| broker.numbers.refuse(number, why));
                match why {
                    Refusal::Repeat => of_exchange(self.origins((epoch, number), exchange)),
                    Refusal::QuotaExceeded | Refusal::Fenced => refused(why),
                }
            }
            (Ok(stored), Some((key, packet_id))) if message.qos == Qos::ExactlyOnce => {
                self.came_in(key, packet_id, origin);
                Outcome::Published(Ok(stored))
            }
            (Ok(stored), _) => Outcome::Published(Ok(stored)),
        }
    }

    /// Of QoS 2, applied when its session had another ownership. While the exchange is open, live subscribers
    /// may not have it. Otherwise all have it, because its client has had PUBREC; or its session is over.
    fn taken_late(
        &self,
        published: (BrokerEpoch, Option<PublishNumber>),
        exchange: Option<(SessionKey, PacketId)>,
    ) -> Outcome {
        let origins = self.origins(published, exchange);
        if origins.is_empty() { refused(Refusal::Fenced) } else { of_exchange(origins) }
    }

    fn came_in(&mut self, key: SessionKey, packet_id: PacketId, origin: Option<Origin>) {
        let session = self.sessions.get_mut(&key.id).expect("it is owned");
        session.came_in(packet_id, origin);
        self.changed.insert(Key::Session(key.id));
    }

    /// What the message of a publish is known by, if its exchange is open.
    fn origins(
        &self,
        (broker, number): (BrokerEpoch, Option<PublishNumber>),
        exchange: Option<(SessionKey, PacketId)>,
    ) -> Vec<Origin> {
        let (Some(number), Some((key, packet_id))) = (number, exchange) else { return Vec::new() };
        let Some(session) = self.sessions.get(&key.id) else { return Vec::new() };
        session.origins(packet_id, Origin { broker, number })
    }

    /// Why an exchange does not take a message, if that is so.
    fn refuses(
        &self,
        broker: BrokerEpoch,
        (key, packet_id): (SessionKey, PacketId),
        qos: Qos,
    ) -> Option<Refusal> {
        if !self.is_owned_by(key, broker) {
            return Some(Refusal::Fenced);
        }
        let session = self.sessions.get(&key.id).expect("it is owned");
        let has_begun = qos == Qos::ExactlyOnce && session.inbound.contains_key(&packet_id);
        has_begun.then_some(Refusal::Repeat)
    }

    /// Retains it and stores it for durable sessions, or does neither.
    pub(super) fn store(&mut self, message: &Arc<Message>) -> Result<Stored, Refused> {
        let (indexes, groups) = match message.qos {
            Qos::AtMostOnce => Default::default(),
            Qos::AtLeastOnce | Qos::ExactlyOnce => {
                (self.indexes.matching(&message.topic), self.groups.matching(&message.topic))
            }
        };
        let size = message.size();
        let is_for_nobody = indexes.is_empty() && groups.is_empty();
        if !(is_for_nobody || self.has_room(&indexes, size)) {
            return Err(Refused::QuotaExceeded);
        }
        let mut stored = Stored { retained: self.retain(message)?, ..Stored::default() };
        self.store_in(&indexes, message, &mut stored);
        self.share(&groups, message);
        Ok(stored)
    }

    fn store_in(&mut self, indexes: &[IndexId], message: &Arc<Message>, stored: &mut Stored) {
        if indexes.is_empty() {
            return;
        }
        let number = self.messages.append(Arc::clone(message), indexes.len());
        self.changed.insert(Key::Message(number));
        for &index in indexes {
            self.indexes.push(index, number, message.size());
        }
        stored.number = Some(number);
        if message.qos == Qos::ExactlyOnce {
            stored.began = self.begin_connected(number, indexes);
        }
    }

    fn has_room(&self, indexes: &[IndexId], size: usize) -> bool {
        let is_full =
            |&id: &IndexId| self.indexes.get(id).numbers.len() >= self.limits.filter_messages_max;
        let bytes = self.messages.bytes() + self.groups.bytes() + size;
        bytes <= self.limits.store_bytes_max && !indexes.iter().any(is_full)
    }

    /// `None`: it is not to be retained.
    fn retain(&mut self, message: &Arc<Message>) -> Result<Option<RetainedVersion>, Refused> {
        if !message.retain {
            return Ok(None);
        }
        let version = RetainedVersion(self.retained_version.0 + 1);
        self.retained_version = version;
        let own = message.detached();
        let topic = own.topic.clone();
        let kept = (!own.payload.is_empty()).then(|| Arc::new(own));
        self.retained.apply(&topic, version, kept).map_err(|_| Refused::QuotaExceeded)?;
        self.changed.insert(Key::Retained(topic));
        Ok(Some(version))
    }

    /// Connected sessions that have sent all before it get their records at no extra round trip.
    fn begin_connected(&mut self, number: u64, indexes: &[IndexId]) -> Vec<Began> {
        let connected = indexes.iter().flat_map(|&id| &self.indexes.get(id).connected);
        let at_2 = connected.filter(|(_, qos)| **qos == Qos::ExactlyOnce);
        let sessions: BTreeSet<SessionId> = at_2.map(|(id, _)| *id).collect();
        let begin = |id| {
            let is_behind = self.sessions.get(&id)?.is_behind;
            let began = (!is_behind).then(|| self.begin_one(id, Offset::new(number))).flatten();
            let session = self.sessions.get_mut(&id)?;
            let (session_key, owner) = (session.key(), session.owner?);
            if began.is_none() && !is_behind {
                session.is_behind = true;
                self.changed.insert(Key::Session(id));
            }
            self.advance(id);
            Some(Began { session: session_key, owner, packet_id: began? })
        };
        sessions.into_iter().filter_map(begin).collect()
    }

    pub(super) fn release(
        &mut self,
        asked: Asked,
        key: SessionKey,
        packet_id: PacketId,
    ) -> Outcome {
        match self.asked(asked, key) {
            None => return Outcome::Fenced,
            Some(Asking::Again) => return Outcome::Done,
            Some(Asking::First) => (),
        }
        let session = self.sessions.get_mut(&key.id).expect("owned above");
        session.inbound.remove(&packet_id);
        self.changed.insert(Key::Session(key.id));
        Outcome::Done
    }
}

fn repeat(repeat: Repeat) -> Outcome {
    Outcome::Published(Ok(Stored { repeat, ..Stored::default() }))
}

/// Perhaps under another number [MQTT-4.3.3-10].
fn of_exchange(origins: Vec<Origin>) -> Outcome {
    let repeat = Repeat::OfExchange;
    Outcome::Published(Ok(Stored { repeat, origins, ..Stored::default() }))
}

fn refused(why: Refusal) -> Outcome {
    match why {
        Refusal::QuotaExceeded => Outcome::Published(Err(Refused::QuotaExceeded)),
        Refusal::Fenced => Outcome::Published(Err(Refused::Fenced)),
        Refusal::Repeat => of_exchange(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ha_types::session::{
        ConnectionId, Lifetime, Open, RetainHandling, Start, SubscribeOptions,
    };
    use ha_types::{
        AskNumber, BrokerName, ClusterMillis, Incarnation, Publisher, Subscription, TopicName,
    };

    use super::*;
    use crate::cluster::{Batch, Command};

    const BROKER: BrokerEpoch = BrokerEpoch(1);

    fn apply(state: &mut ClusterState, command: Command) -> Outcome {
        let batch = Batch { time: ClusterMillis(1), commands: vec![command] };
        state.apply(state.applied + 1, &batch.encode()).outcomes.remove(0)
    }

    fn asked(number: u64) -> Asked {
        Asked { broker: BROKER, number: AskNumber(number) }
    }

    /// So many durable sessions with one subscription each.
    fn with_sessions(count: u64, filter: impl Fn(u64) -> String) -> ClusterState {
        let mut state = ClusterState::new();
        let name = BrokerName::parse("b").unwrap();
        apply(&mut state, Command::Join { name, incarnation: Incarnation(1) });
        for number in 0..count {
            let open = Open {
                connection: ConnectionId(number),
                client_id: number.to_string().as_str().into(),
                start: Start::Resume,
                lifetime: Lifetime::Unlimited,
                will: None,
                receive_maximum: 10,
            };
            let opened = apply(&mut state, Command::Open { asked: asked(2 * number + 1), open });
            let Outcome::Opened(opened) = opened else { panic!("{opened:?}") };
            let options = SubscribeOptions {
                subscription: Subscription::parse(filter(number).as_bytes()).unwrap(),
                qos: Qos::AtLeastOnce,
                no_local: false,
                retain_as_published: false,
                retain_handling: RetainHandling::AtSubscribe,
                subscription_id: None,
            };
            let (session, subscriptions) = (opened.session, vec![options]);
            let asked = asked(2 * number + 2);
            apply(
                &mut state,
                Command::Subscribe { asked, session, given_upto: None, subscriptions },
            );
        }
        state.take_changes();
        state
    }

    /// Index entries and parts for the store that one publish writes.
    fn written_by_a_publish(mut state: ClusterState, topic: &'static str) -> (usize, usize) {
        let entries = |state: &ClusterState| -> usize {
            state.indexes.iter().map(|(_, index)| index.numbers.len()).sum()
        };
        let before = entries(&state);
        let message = Message {
            topic: TopicName::parse(Bytes::from_static(topic.as_bytes())).unwrap(),
            payload: Bytes::from_static(b"x"),
            properties: Bytes::new(),
            qos: Qos::AtLeastOnce,
            retain: false,
            expires_at: None,
            publisher: Publisher::default(),
        };
        let (number, message) = (Some(PublishNumber(1)), Arc::new(message));
        let publish = Command::Publish { broker: BROKER, number, exchange: None, message };
        assert!(matches!(apply(&mut state, publish), Outcome::Published(Ok(_))));
        (entries(&state) - before, state.take_changes().len())
    }

    #[test]
    fn publish_costs_one_index_entry_however_many_sessions_share_the_filter() {
        let of = |sessions| written_by_a_publish(with_sessions(sessions, |_| "t".into()), "t");
        let (entries, parts) = of(1);
        assert_eq!(entries, 1);
        assert_eq!(of(5_000), (entries, parts));
    }

    #[test]
    fn publish_costs_one_index_entry_however_many_other_filters_there_are() {
        let own = |number: u64| format!("t/{number}");
        let of = |sessions| written_by_a_publish(with_sessions(sessions, own), "t/0");
        let (entries, parts) = of(1);
        assert_eq!(entries, 1);
        assert_eq!(of(5_000), (entries, parts));
    }
}
