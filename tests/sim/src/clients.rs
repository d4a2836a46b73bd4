//! Model MQTT clients: what they do, and what the cluster owes them.
//!
//! Every message carries its own number, so that each delivery is known. Checks here hold at every
//! delivery, whatever fails meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use broker_core::Input;
use broker_core::host::{HostCommand, HostEvent, HostPublish, NewSubscription, RetainedWanted};
use bytes::Bytes;
use ha_types::{Message, Qos, SessionId, Subscription, Ticket, TopicName};

use crate::cluster::{Cluster, Command};
use crate::network::BrokerId;
use crate::random::Random;

/// Where clients publish.
pub const TOPICS: [&str; 5] = ["a", "a/b", "b", "b/c/d", "$x"];

/// What they subscribe to.
const SUBSCRIPTIONS: [&str; 8] =
    ["a", "a/#", "+/b", "b/#", "#", "$x/#", "$share/g/a", "$share/h/b/+/d"];

/// How a client publishes.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// As published.
    pub qos: Qos,
    /// As published.
    pub retain: bool,
    /// With an empty payload.
    pub clears: bool,
    /// Message Expiry Interval.
    pub expires_in_s: Option<u32>,
}

/// What the cluster owes its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    /// Things fail: nothing is certain but that no message comes twice.
    Nothing,
    /// Nothing fails: whoever is subscribed gets every message.
    WhatIsNeeded,
    /// And nobody unsubscribes: others get none.
    ExactlyWhatIsNeeded,
}

/// All clients of all brokers.
#[derive(Debug)]
pub struct Clients {
    random: Random,
    /// From now on.
    pub promise: Owed,
    /// Subscriptions of each broker's sessions, and whether their SUBSCRIBE was answered.
    sessions: BTreeMap<(BrokerId, SessionId), BTreeMap<Subscription, bool>>,
    /// The SUBSCRIBEs that wait for their answers.
    waiting: BTreeMap<(BrokerId, Ticket), (SessionId, Vec<Subscription>)>,
    last_ticket: u64,
    /// Origin and topic of each message.
    published: Vec<(BrokerId, TopicName)>,
    /// Who must still get which message.
    owed: BTreeSet<(BrokerId, usize)>,
    /// How often each broker was killed: which run of it there is.
    runs: BTreeMap<BrokerId, usize>,
    /// Which run of which broker was given which message.
    delivered: BTreeSet<(usize, BrokerId, usize)>,
    /// Last message by the receiver's run, origin, receiver and whether it has a number.
    last: BTreeMap<(usize, BrokerId, BrokerId, bool), usize>,
}

impl Clients {
    /// Nobody did anything yet.
    #[must_use]
    pub fn new(random: Random, promise: Owed) -> Self {
        Self {
            random,
            promise,
            sessions: BTreeMap::new(),
            waiting: BTreeMap::new(),
            last_ticket: 0,
            published: Vec::new(),
            owed: BTreeSet::new(),
            runs: BTreeMap::new(),
            delivered: BTreeSet::new(),
            last: BTreeMap::new(),
        }
    }

    /// Some client of some broker does something.
    pub fn act(&mut self, cluster: &mut Cluster) {
        let brokers: Vec<_> = (0..cluster.brokers.len()).collect();
        let broker = self.random.pick(&brokers);
        if !cluster.brokers[broker].is_awake(cluster.now) {
            return;
        }
        let session = SessionId(self.random.between(1, 3));
        match self.random.between(0, 19) {
            0..=3 => self.subscribe(cluster, broker, session),
            4..=5 => self.unsubscribe(cluster, broker, session),
            6 => self.end_session(cluster, broker, session),
            _ => {
                let kind = Kind {
                    qos: self.random.pick(&[Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce]),
                    retain: self.random.once_in(3),
                    clears: self.random.once_in(4),
                    expires_in_s: self.random.once_in(5).then_some(2),
                };
                let topic = self.topic();
                self.publish(cluster, broker, &topic, kind);
            }
        }
    }

    /// One of few topics, that many publish to, or of many, whose last publish may be the only one.
    fn topic(&mut self) -> String {
        let topic = self.random.pick(&TOPICS);
        match self.random.between(0, 19) {
            0..=9 => topic.into(),
            below => format!("{topic}/{below}"),
        }
    }

    /// A client publishes, if its broker reads.
    pub fn publish(&mut self, cluster: &mut Cluster, at: BrokerId, topic: &str, kind: Kind) {
        let running = cluster.brokers[at].running.as_ref();
        if !running.is_some_and(|broker| broker.core.wants_publishes()) {
            return;
        }
        let number = self.published.len();
        let topic = TopicName::parse(Bytes::copy_from_slice(topic.as_bytes())).expect("is a name");
        self.published.push((at, topic.clone()));
        if self.promise != Owed::Nothing {
            let others = (0..cluster.brokers.len()).filter(|&broker| broker != at);
            let needed = others.filter(|&broker| self.needs(broker, &topic));
            self.owed.extend(needed.map(|broker| (broker, number)).collect::<Vec<_>>());
        }
        let text = Bytes::from(number.to_string());
        let publish = HostPublish {
            topic,
            payload: if kind.clears { Bytes::new() } else { text.clone() },
            properties: text,
            qos: kind.qos,
            retain: kind.retain,
            expires_in_s: kind.expires_in_s,
            session: SessionId(1),
            exchange: None,
        };
        cluster.act(at, Input::Publish(publish));
    }

    fn subscribe(&mut self, cluster: &mut Cluster, broker: BrokerId, session: SessionId) {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        let count = self.random.between(1, 3);
        let chosen: Vec<_> =
            (0..count).map(|_| subscription(self.random.pick(&SUBSCRIPTIONS))).collect();
        let known = self.sessions.entry((broker, session)).or_default();
        for subscription in &chosen {
            known.entry(subscription.clone()).or_insert(false);
        }
        self.waiting.insert((broker, ticket), (session, chosen.clone()));
        let retained = RetainedWanted::IfNew;
        let new = |subscription| NewSubscription { subscription, retained };
        let subscriptions = chosen.into_iter().map(new).collect();
        let subscribe = HostEvent::Subscribe { ticket, session, subscriptions };
        cluster.act(broker, Input::Host(subscribe));
    }

    fn unsubscribe(&mut self, cluster: &mut Cluster, broker: BrokerId, session: SessionId) {
        let gone = subscription(self.random.pick(&SUBSCRIPTIONS));
        if let Some(known) = self.sessions.get_mut(&(broker, session)) {
            known.remove(&gone);
        }
        self.forgive(broker);
        let subscriptions = vec![gone];
        cluster.act(broker, Input::Host(HostEvent::Unsubscribe { session, subscriptions }));
    }

    fn end_session(&mut self, cluster: &mut Cluster, broker: BrokerId, session: SessionId) {
        self.sessions.remove(&(broker, session));
        self.forgive(broker);
        cluster.act(broker, Input::Host(HostEvent::SessionEnded { session }));
    }

    /// The broker was killed, and all its sessions with it.
    pub fn lose_broker(&mut self, broker: BrokerId) {
        self.sessions.retain(|(of, _), _| *of != broker);
        self.waiting.retain(|(of, _), _| *of != broker);
        *self.runs.entry(broker).or_default() += 1;
    }

    /// What brokers told their clients.
    pub fn take(&mut self, commands: Vec<Command>) {
        for Command { broker, what } in commands {
            match what {
                HostCommand::Deliver(delivery) => self.delivered(broker, &delivery.message),
                HostCommand::Subscribed { ticket, .. } => self.subscribed(broker, ticket),
                HostCommand::SubscribeRefused { .. } => panic!("there is room for all filters"),
                HostCommand::Tell(..) | HostCommand::Route(_) | HostCommand::ClusterTime(_) => {
                    panic!("sessions are the host's")
                }
            }
        }
    }

    fn subscribed(&mut self, broker: BrokerId, ticket: Ticket) {
        let waited = self.waiting.remove(&(broker, ticket));
        let (session, chosen) = waited.expect("a SUBSCRIBE is answered once");
        let Some(known) = self.sessions.get_mut(&(broker, session)) else { return };
        for subscription in chosen {
            known.entry(subscription).and_modify(|answered| *answered = true);
        }
    }

    fn delivered(&mut self, broker: BrokerId, message: &Message) {
        let run = self.runs.get(&broker).copied().unwrap_or_default();
        let text = std::str::from_utf8(&message.properties).expect("a number");
        let number: usize = text.parse().expect("a number");
        let (origin, topic) = &self.published[number];
        assert_eq!(&message.topic, topic);
        assert_ne!(*origin, broker, "message {number} came back to its origin");
        let once = self.delivered.insert((run, broker, number));
        assert!(once, "broker {broker} got message {number} twice");
        let is_numbered = message.qos > Qos::AtMostOnce;
        let last = self.last.insert((run, *origin, broker, is_numbered), number);
        assert!(last < Some(number), "broker {broker} got {number} after {last:?}");
        let was_owed = self.owed.remove(&(broker, number));
        let is_exact = self.promise == Owed::ExactlyWhatIsNeeded;
        assert!(was_owed || !is_exact, "broker {broker} got {number}, which nobody there needs");
    }

    /// Forgets what this broker was owed and does not need any more.
    fn forgive(&mut self, broker: BrokerId) {
        let mut owed = std::mem::take(&mut self.owed);
        owed.retain(|&(to, number)| to != broker || self.needs(broker, &self.published[number].1));
        self.owed = owed;
    }

    /// Whether an answered subscription at this broker matches.
    #[must_use]
    pub fn needs(&self, broker: BrokerId, topic: &TopicName) -> bool {
        let mut answered = self.subscriptions(broker).filter(|(_, answered)| **answered);
        answered.any(|(subscription, _)| subscription.filter().matches(topic))
    }

    /// What the sessions of a broker are subscribed to, and whether they were told so.
    pub fn subscriptions(&self, of: BrokerId) -> impl Iterator<Item = (&Subscription, &bool)> {
        let here = self.sessions.iter().filter(move |((broker, _), _)| *broker == of);
        here.flat_map(|(_, known)| known)
    }

    /// Who must still get which message.
    #[must_use]
    pub fn owed(&self) -> &BTreeSet<(BrokerId, usize)> {
        &self.owed
    }

    /// SUBSCRIBEs that were not answered.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.waiting.len()
    }

    /// How many messages were published, and how many deliveries there were.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.published.len(), self.delivered.len())
    }
}

fn subscription(text: &str) -> Subscription {
    Subscription::parse(text.as_bytes()).expect("is a subscription")
}
