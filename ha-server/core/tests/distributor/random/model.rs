//! A broker as ADR 0014 asks for it: what it sends again, what it takes once, and what it was promised.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ha_core::{HeartbeatAnswer, Input, StreamId};
use ha_types::link::{Downstream, Origin, PublishOutcome, Upstream};
use ha_types::session::{Ask, Offset, Opened, Progress, Queued, RecordStage, SessionKey, Tell};
use ha_types::{BrokerEpoch, Message, PublishNumber, Qos, Ticket};

use super::FILTERS;
use crate::common::{
    Cluster, announce, ask, durable, hello, message, resume, subscribe, text, withdraw,
};

/// A publish and who was promised it when its client sent it.
#[derive(Debug)]
pub(super) struct Published {
    number: PublishNumber,
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

/// The durable session of a client, here.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: usize,
    connection: u64,
    /// `None`: not opened yet.
    pub(super) key: Option<SessionKey>,
    given_upto: Option<Offset>,
    pub(super) waiting: VecDeque<Queued>,
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
            self.unanswered.push_back(Published { number, message: message.into(), promised });
            self.send(cluster);
        }
    }

    fn ask(&mut self, cluster: &mut Cluster, what: Ask) {
        self.last_ask += 1;
        self.asks.insert(self.last_ask, what);
        self.send(cluster);
    }

    pub(super) fn open(&mut self, cluster: &mut Cluster, client: usize) {
        if self.session.is_none() && self.epoch.is_some() {
            self.connections += 1;
            let connection = self.incarnation * 1_000 + self.connections;
            let (key, given_upto, waiting) = (None, None, VecDeque::new());
            self.session = Some(Session { client, connection, key, given_upto, waiting });
            self.ask(cluster, Ask::Open(durable(&format!("c{client}"), connection)));
        }
    }

    pub(super) fn subscribe(&mut self, cluster: &mut Cluster, filter: &'static str, qos: Qos) {
        let session = self.session.as_ref();
        let opened = session.and_then(|session| Some((session.key?, session.client)));
        let Some((key, client)) = opened else { return };
        let ticket = Ticket(self.last_ask + 1);
        self.subscribing.insert(ticket.0, (client, filter, qos));
        if let Ask::Subscribe { session, subscriptions, .. } = subscribe(key, filter, qos) {
            self.ask(cluster, Ask::Subscribe { session, ticket, subscriptions });
        }
    }

    /// PUBACK; PUBREC and PUBCOMP come together.
    pub(super) fn acknowledge(&mut self, cluster: &mut Cluster, count: usize) {
        let Some(session) = &mut self.session else { return };
        let Some(key) = session.key else { return };
        let mut progress = Progress::default();
        let count = count.min(session.waiting.len());
        for queued in session.waiting.drain(..count) {
            match queued.record {
                None => progress.acknowledged.push(queued.offset),
                Some(packet_id) => {
                    progress.received.push(packet_id);
                    progress.completed.push(packet_id);
                }
            }
        }
        self.ask(cluster, Ask::Progress { session: key, progress });
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
            let Published { number, message, .. } = &self.unanswered[self.sent];
            let (number, message) = (Some(*number), Arc::clone(message));
            items.push(Upstream::Publish { number, exchange: None, message });
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
                    assert_eq!(outcome, PublishOutcome::Accepted);
                    self.sent -= 1;
                    self.answered.push((text(&first.message), first.promised));
                }
                Downstream::Deliver { origin, message, .. } => self.delivered(origin, &message),
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

    fn delivered(&mut self, origin: Option<Origin>, message: &Message) {
        let Some(Origin { broker, number }) = origin else { return };
        assert!(message.qos > Qos::AtMostOnce);
        assert_ne!(Some(broker), self.origin, "it is its own");
        self.received += 1;
        let last = self.seen.entry(broker).or_default();
        if number > *last {
            *last = number;
            self.live.push(text(message));
        }
    }

    fn told(&mut self, connection: u64, tell: Tell) {
        let Some(session) = self.session.as_mut().filter(|of| of.connection == connection) else {
            return;
        };
        match tell {
            Tell::Opened(opened) if session.key.is_none() => self.opened(opened),
            Tell::OpenRefused { .. } if session.key.is_none() => self.session = None,
            Tell::Fenced { session: key } if session.key == Some(key) => self.session = None,
            Tell::Deliver { session: key, queued } if session.key == Some(key) => self.give(queued),
            Tell::Subscribed { session: key, ticket, granted } if session.key == Some(key) => {
                assert!(granted.iter().all(Result::is_ok));
                if let Some((client, filter, qos)) = self.subscribing.remove(&ticket.0)
                    && qos > Qos::AtMostOnce
                {
                    self.granted.insert((client, filter));
                }
            }
            Tell::Evict { session: key } if session.key == Some(key) => self.session = None,
            _ => (),
        }
    }

    fn opened(&mut self, opened: Opened) {
        let Some(session) = &mut self.session else { return };
        session.key = Some(opened.session);
        for record in opened.records {
            match record.stage {
                // Sent again with DUP: the client knows it by its packet identifier.
                RecordStage::Sent(queued) => {
                    let known = (session.client, queued.offset, text(&queued.message));
                    if !self.queued.contains(&known) {
                        self.queued.push(known);
                    }
                    session.waiting.push_back(queued);
                }
                RecordStage::Received => (),
            }
        }
        let (ha_types::session::PageEnd::Live(upto) | ha_types::session::PageEnd::More(upto)) =
            opened.backlog;
        session.given_upto = Some(upto);
    }

    fn give(&mut self, queued: Queued) {
        let Some(session) = &mut self.session else { return };
        if Some(queued.offset) <= session.given_upto {
            return;
        }
        session.given_upto = Some(queued.offset);
        self.queued.push((session.client, queued.offset, text(&queued.message)));
        session.waiting.push_back(queued);
    }
}

fn announce_one(filter: &str) -> Upstream {
    let at = FILTERS.iter().position(|known| *known == filter).unwrap();
    announce(at as u64 + 1, &[filter])
}
