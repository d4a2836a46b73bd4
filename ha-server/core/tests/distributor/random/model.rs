//! A broker as ADR 0014 asks for it: what it sends again, what it takes once, and what it was promised.

mod session;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ha_core::{HeartbeatAnswer, Input, StreamId};
use ha_types::link::{Downstream, Origin, PublishOutcome, Upstream};
use ha_types::session::{Ask, Offset, PacketId, SessionKey};
use ha_types::{BrokerEpoch, Message, PublishNumber, Qos};

pub(super) use self::session::Session;
use super::FILTERS;
use crate::common::{Cluster, announce, ask, hello, message, resume, text, withdraw};

/// A publish and who was promised it when its client sent it.
#[derive(Debug)]
pub(super) struct Published {
    number: PublishNumber,
    /// Of the session that is here.
    exchange: Option<(SessionKey, PacketId)>,
    message: Arc<Message>,
    promised: Vec<Promise>,
}

/// Somebody who shall have it when it is answered.
#[derive(Clone, Debug)]
pub(super) enum Promise {
    /// This broker, while it lives and has had this filter since that moment.
    Live { to: usize, epoch: BrokerEpoch, filter: &'static str, since: u64 },
    /// The durable session of this client.
    Durable { client: usize },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) index: usize,
    incarnation: u64,
    pub(super) epoch: Option<BrokerEpoch>,
    /// The first of this run: others know its publishes by that.
    origin: Option<BrokerEpoch>,
    pub(super) stream: Option<StreamId>,
    /// The stream whose Welcome came.
    welcome: Option<StreamId>,
    last_number: u64,
    pub(super) unanswered: VecDeque<Published>,
    sent: usize,
    last_ask: u64,
    pub(super) asks: BTreeMap<u64, Ask>,
    asks_sent: u64,
    wanted: BTreeSet<&'static str>,
    /// Filters that ha-server has taken, each since a moment of its own.
    pub(super) taken: BTreeMap<&'static str, u64>,
    moments: u64,
    /// What each SUBSCRIBE was for, and those that were granted at QoS 1 or 2.
    subscribing: BTreeMap<u64, (usize, &'static str, Qos)>,
    pub(super) granted: BTreeSet<(usize, &'static str)>,
    pub(super) session: Option<Session>,
    connections: u64,
    /// The highest of each origin.
    seen: BTreeMap<BrokerEpoch, PublishNumber>,
    received: u64,
    pub(super) live: Vec<String>,
    /// Of each client, what its session was given while it was here.
    pub(super) queued: Vec<(usize, Offset, String)>,
    /// Accepted, and what was promised with it.
    pub(super) answered: Vec<(String, Vec<Promise>)>,
    /// Of these, how many were looked at.
    pub(super) checked: usize,
    /// The client and the topic of what sessions here have published at QoS 1.
    pub(super) publishers: BTreeMap<u64, (usize, String)>,
}

impl Model {
    pub(super) fn new(index: usize) -> Self {
        Self {
            index,
            incarnation: 1,
            epoch: None,
            origin: None,
            stream: None,
            welcome: None,
            last_number: 0,
            unanswered: VecDeque::new(),
            sent: 0,
            last_ask: 0,
            asks: BTreeMap::new(),
            asks_sent: 0,
            wanted: BTreeSet::new(),
            taken: BTreeMap::new(),
            moments: 0,
            subscribing: BTreeMap::new(),
            granted: BTreeSet::new(),
            session: None,
            connections: 0,
            seen: BTreeMap::new(),
            received: 0,
            live: Vec::new(),
            queued: Vec::new(),
            answered: Vec::new(),
            checked: 0,
            publishers: BTreeMap::new(),
        }
    }

    pub(super) fn attach(&mut self, cluster: &mut Cluster) {
        if self.stream.is_none() {
            self.stream = Some(cluster.hello(hello(&format!("b{}", self.index), self.incarnation)));
        }
    }

    pub(super) fn forget_stream(&mut self) {
        self.stream = None;
    }

    pub(super) fn break_stream(&mut self, cluster: &mut Cluster) {
        if let Some(stream) = self.stream.take() {
            cluster.step(Input::Broken(stream));
        }
    }

    /// What its clients were given stays with them.
    pub(super) fn restart(&mut self, cluster: &mut Cluster) {
        self.break_stream(cluster);
        let older = std::mem::replace(self, Self::new(self.index));
        self.incarnation = older.incarnation + 1;
        (self.queued, self.answered, self.checked) = (older.queued, older.answered, older.checked);
        (self.granted, self.moments) = (older.granted, older.moments);
        self.publishers = older.publishers;
    }

    fn open_stream(&self) -> Option<StreamId> {
        self.stream.filter(|_| self.stream == self.welcome)
    }

    pub(super) fn announce(&mut self, cluster: &mut Cluster, filter: &'static str) {
        self.wanted.insert(filter);
        if let Some(stream) = self.open_stream() {
            cluster.say(stream, [announce_one(filter)]);
        }
    }

    pub(super) fn withdraw(&mut self, cluster: &mut Cluster, filter: &'static str) {
        self.wanted.remove(filter);
        self.taken.remove(filter);
        if let Some(stream) = self.open_stream() {
            cluster.say(stream, [withdraw(&[filter])]);
        }
    }

    pub(super) fn publish(
        &mut self,
        cluster: &mut Cluster,
        payload: u64,
        (topic, qos, retain): (&str, Qos, bool),
        promised: Vec<Promise>,
    ) {
        let message = Message { qos, retain, ..message(topic, &payload.to_string()) };
        if qos == Qos::AtMostOnce {
            let message = message.into();
            if let Some(stream) = self.open_stream() {
                cluster.say(stream, [Upstream::Publish { number: None, exchange: None, message }]);
            }
            return;
        }
        if self.unanswered.len() < 8 {
            self.last_number += 1;
            let number = PublishNumber(self.last_number);
            let (exchange, message) = (self.exchange(payload), message.into());
            if let (Some(_), Some(session), Qos::AtLeastOnce) = (exchange, &self.session, qos) {
                self.publishers.insert(payload, (session.client, topic.into()));
            }
            self.unanswered.push_back(Published { number, exchange, message, promised });
            self.send(cluster);
        }
    }

    /// Without a session, it is a publish of the broker's own.
    fn exchange(&self, payload: u64) -> Option<(SessionKey, PacketId)> {
        let packet_id = PacketId::new(u16::try_from(payload).unwrap()).unwrap();
        Some((self.session.as_ref()?.key?, packet_id))
    }

    fn ask(&mut self, cluster: &mut Cluster, what: Ask) {
        self.last_ask += 1;
        self.asks.insert(self.last_ask, what);
        self.send(cluster);
    }

    pub(super) fn say_received(&mut self, cluster: &mut Cluster) {
        if let Some(stream) = self.open_stream() {
            cluster.say(stream, [Upstream::Received { count: self.received }]);
        }
    }

    pub(super) fn write(&mut self, cluster: &mut Cluster, bytes: usize) {
        if let Some(stream) = self.stream {
            cluster.write(stream, bytes);
        }
    }

    pub(super) fn heartbeat(&mut self, cluster: &mut Cluster) {
        if let Some(epoch) = self.epoch
            && cluster.heartbeat(epoch) == HeartbeatAnswer::Fenced
            && self.open_stream().is_some()
        {
            self.break_stream(cluster);
        }
    }

    /// What was not sent on this stream, within the window.
    fn send(&mut self, cluster: &mut Cluster) {
        let Some(stream) = self.open_stream() else { return };
        let mut items = Vec::new();
        while self.sent < self.unanswered.len().min(4) {
            let Published { number, exchange, message, .. } = &self.unanswered[self.sent];
            let (number, exchange, message) = (Some(*number), *exchange, Arc::clone(message));
            items.push(Upstream::Publish { number, exchange, message });
            self.sent += 1;
        }
        for (&number, what) in self.asks.range(self.asks_sent + 1..) {
            items.push(ask(number, what.clone()));
            self.asks_sent = number;
        }
        if !items.is_empty() {
            cluster.say(stream, items);
        }
    }

    fn welcomed(&mut self, cluster: &mut Cluster, stream: StreamId) {
        self.welcome = Some(stream);
        let epoch = cluster.welcome(stream).epoch;
        if self.epoch.replace(epoch) != Some(epoch) {
            // It was lost: its clients will open their sessions elsewhere. What they published comes again
            // under its numbers, as from a host with sessions of its own.
            (self.last_ask, self.session) = (0, None);
            self.origin.get_or_insert(epoch);
            self.asks.clear();
            self.taken.clear();
            self.subscribing.clear();
        }
        (self.sent, self.asks_sent, self.received) = (0, 0, 0);
        let mut items: Vec<_> = self.wanted.iter().map(|filter| announce_one(filter)).collect();
        if let Some(Session { key: Some(key), connection, given_upto, .. }) = self.session {
            items.push(resume(key, connection, given_upto));
        }
        items.push(Upstream::Resumed);
        cluster.say(stream, items);
        self.send(cluster);
    }

    pub(super) fn read(&mut self, cluster: &mut Cluster) {
        let Some(stream) = self.stream else { return };
        for item in cluster.read(stream) {
            match item {
                Downstream::Welcome(_) => self.welcomed(cluster, stream),
                Downstream::Goodbye(_) => self.stream = None,
                Downstream::PublishResult { number, outcome, .. } => {
                    let first = self.unanswered.pop_front().expect("something is unanswered");
                    assert_eq!(first.number, number);
                    self.sent -= 1;
                    self.answer(cluster, first, outcome);
                }
                Downstream::Deliver { origin, known_as, message, .. } => {
                    self.delivered(origin, &known_as, &message);
                }
                Downstream::InterestTaken { ticket } if ticket.0 > 0 => {
                    let filter = FILTERS[usize::try_from(ticket.0).unwrap() - 1];
                    if self.wanted.contains(filter) {
                        self.moments += 1;
                        self.taken.entry(filter).or_insert(self.moments);
                    }
                }
                Downstream::Asked { upto } => self.asks = self.asks.split_off(&(upto.0 + 1)),
                Downstream::Tell { connection, tell } => self.told(connection.0, tell),
                _ => (),
            }
        }
        self.send(cluster);
    }

    fn answer(&mut self, cluster: &Cluster, publish: Published, outcome: PublishOutcome) {
        let epoch = self.epoch.expect("it was welcomed");
        let is_owned = |(key, _)| cluster.state.is_owned_by(key, epoch);
        match outcome {
            // Of QoS 2, taken when its session was here.
            PublishOutcome::Repeat => {
                assert!(!publish.exchange.is_none_or(is_owned));
                self.answered.push((text(&publish.message), publish.promised));
            }
            PublishOutcome::Accepted => {
                self.answered.push((text(&publish.message), publish.promised));
            }
            PublishOutcome::Fenced => assert!(!publish.exchange.is_none_or(is_owned)),
            other => panic!("{other:?}"),
        }
    }

    fn delivered(&mut self, origin: Option<Origin>, known_as: &[Origin], message: &Message) {
        let Some(Origin { broker, number }) = origin else { return };
        assert!(message.qos > Qos::AtMostOnce);
        self.received += 1;
        if Some(broker) == self.epoch || Some(broker) == self.origin {
            let is_it = |known: &Published| known.number == number && known.exchange.is_some();
            assert!(self.unanswered.iter().any(is_it), "it comes back: its session is not here");
            return;
        }
        let has = |of: &Origin| self.seen.get(&of.broker).is_some_and(|last| of.number <= *last);
        if known_as.iter().any(has) {
            return;
        }
        let last = self.seen.entry(broker).or_default();
        if number > *last {
            *last = number;
            self.live.push(text(message));
        }
    }
}

fn announce_one(filter: &str) -> Upstream {
    let at = FILTERS.iter().position(|known| *known == filter).unwrap();
    announce(at as u64 + 1, &[filter])
}
