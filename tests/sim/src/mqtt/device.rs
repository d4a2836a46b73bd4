//! An MQTT client that keeps its session as the specification wants it, and records all it sees.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use broker_core::codec::{
    Ack, Connack, Connect, FilterRequest, Flow, FromClient, FromServer, NEVER_EXPIRES, PacketId,
    Publish, Reason, Subscribe, SubscriptionOptions, Text, Topic, Unsubscribe, UserProperties,
    Version,
};
use bytes::Bytes;
use ha_types::{Qos, Subscription, TopicName};
use history::{Client, Present, Recorder, Retain, RetainedWanted, Start, Step, What};

/// Whether its session outlives its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It ends with the connection.
    Ephemeral,
    /// It never expires.
    Durable,
}

/// What is published.
#[derive(Clone, Copy, Debug)]
pub struct Post {
    /// Where to.
    pub topic: &'static str,
    /// How.
    pub qos: Qos,
    /// Whether it is retained.
    pub retain: bool,
    /// Message Expiry Interval.
    pub expires_in_s: Option<u32>,
}

/// A publish that is not answered to the end.
#[derive(Clone, Copy, Debug)]
struct Outgoing {
    packet_id: PacketId,
    number: u32,
    post: Post,
    /// PUBREC came.
    is_received: bool,
}

/// A SUBSCRIBE or UNSUBSCRIBE that is not answered.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Subscribe(&'static str, Qos),
    Unsubscribe(&'static str),
}

/// See the module.
#[derive(Debug)]
pub struct Device {
    /// Its client identifier.
    pub name: String,
    /// Which MQTT it speaks.
    pub version: Version,
    kind: Kind,
    recorder: Recorder,
    record: Client,
    connection: u32,
    is_connected: bool,
    is_open: bool,
    outgoing: VecDeque<Outgoing>,
    to_send: VecDeque<FromClient>,
    received: BTreeSet<PacketId>,
    subscriptions: BTreeMap<&'static str, Qos>,
    asked: BTreeMap<PacketId, Asked>,
    next_number: u32,
    last_id: u16,
}

impl Device {
    /// Never connected before.
    #[must_use]
    pub fn new(name: String, version: Version, kind: Kind, recorder: &Recorder) -> Self {
        let record = recorder.client(&name);
        Self {
            name,
            version,
            kind,
            recorder: recorder.clone(),
            record,
            connection: 0,
            is_connected: false,
            is_open: false,
            outgoing: VecDeque::new(),
            to_send: VecDeque::new(),
            received: BTreeSet::new(),
            subscriptions: BTreeMap::new(),
            asked: BTreeMap::new(),
            next_number: 0,
            last_id: 0,
        }
    }

    /// Whether CONNACK came, and the connection goes on.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// What it is subscribed to, as far as it knows.
    #[must_use]
    pub fn subscriptions(&self) -> &BTreeMap<&'static str, Qos> {
        &self.subscriptions
    }

    /// Whether its session outlives its connections.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.kind == Kind::Durable
    }

    /// Whether nothing that it sent waits for an answer, and it has answered all.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.outgoing.is_empty() && self.to_send.is_empty() && self.asked.is_empty()
    }

    /// Whether an exchange of QoS 2 is open in which it is the receiver.
    #[must_use]
    pub fn is_receiving(&self) -> bool {
        !self.received.is_empty()
    }

    /// From now on it takes the lowest packet identifiers that are free.
    pub fn use_packet_ids_again(&mut self) {
        self.last_id = 0;
    }

    /// The number of its next message.
    #[must_use]
    pub fn next_number(&self) -> u32 {
        self.next_number
    }

    /// Everything that was acknowledged is expected to have come.
    pub fn drained(&self) {
        self.see(What::Drained);
    }

    fn see(&self, what: What) {
        self.record.record(self.connection, what);
    }

    /// A CONNECT for its session.
    pub fn connect(&mut self, receive_maximum: u16) -> Connect {
        assert!(!self.is_open, "one connection at a time");
        self.connection += 1;
        self.is_open = true;
        let is_durable = self.is_durable();
        let start = if is_durable { Start::Resume } else { Start::Clean };
        let expires_s = if is_durable { NEVER_EXPIRES } else { 0 };
        self.see(What::Connecting { start, expires_s });
        let receive_maximum =
            if self.version.has_properties() { receive_maximum } else { u16::MAX };
        let id = Text::parse(Bytes::from(self.name.clone())).expect("is text");
        Connect {
            clean_start: !is_durable,
            session_expiry_s: expires_s,
            receive_maximum,
            ..Connect::new(self.version, id)
        }
    }

    /// The connection is gone.
    pub fn closed(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.see(What::Closed);
        }
        self.is_connected = false;
        self.to_send.clear();
        self.asked.clear();
        if self.kind == Kind::Ephemeral {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.outgoing.clear();
        self.received.clear();
        self.subscriptions.clear();
    }

    /// A packet came.
    pub fn take(&mut self, packet: FromServer) {
        match packet {
            FromServer::Connack(connack) => self.connacked(&connack),
            FromServer::Publish(publish) => self.delivered(&publish),
            FromServer::Puback(ack) => self.done(ack, Step::Puback),
            FromServer::Pubcomp(ack) => self.done(ack, Step::Pubcomp),
            FromServer::Pubrec(ack) => self.pubrec(ack),
            FromServer::Pubrel(ack) => {
                self.received.remove(&ack.packet_id);
                self.to_send.push_back(answer(FromClient::Pubcomp, ack.packet_id));
            }
            FromServer::Suback(suback) => {
                if let Some(Asked::Subscribe(filter, qos)) = self.asked.remove(&suback.packet_id) {
                    let granted = (!suback.reasons[0].is_failure()).then_some(qos);
                    self.subscriptions.extend(granted.map(|qos| (filter, qos)));
                    self.see(What::Subscribed { filter: self.recorder.name(filter), granted });
                }
            }
            FromServer::Unsuback(unsuback) => {
                if let Some(Asked::Unsubscribe(filter)) = self.asked.remove(&unsuback.packet_id) {
                    self.subscriptions.remove(filter);
                }
            }
            FromServer::Disconnect(_) | FromServer::Pingresp | FromServer::Auth(_) => (),
        }
    }

    fn connacked(&mut self, connack: &Connack) {
        if connack.reason.is_failure() {
            return;
        }
        self.is_connected = true;
        let session = if connack.session_present { Present::Present } else { Present::New };
        self.see(What::Connected { session });
        if session == Present::New {
            self.forget();
        }
        let again: Vec<_> = self.outgoing.iter().copied().collect();
        for outgoing in again {
            let packet = match outgoing.is_received {
                true => answer(FromClient::Pubrel, outgoing.packet_id),
                false => self.packet(outgoing, true),
            };
            self.to_send.push_back(packet);
        }
    }

    fn delivered(&mut self, publish: &Publish) {
        let text = std::str::from_utf8(&publish.payload).expect("ours are text");
        let (publisher, number) = text.split_once('|').expect("ours have two parts");
        let Topic::Name(topic) = &publish.topic else { panic!("no alias was offered") };
        let qos = publish.flow.qos();
        let id = publish.flow.packet_id();
        self.see(What::Delivered {
            publisher: self.recorder.name(publisher),
            number: number.parse().expect("ours are numbers"),
            topic: self.recorder.name(topic.as_str()),
            qos,
            dup: publish.dup,
            retain: publish.retain,
            packet_id: id.map_or(0, PacketId::get),
        });
        let Some(id) = id else { return };
        let answered = match qos {
            Qos::ExactlyOnce => {
                self.received.insert(id);
                answer(FromClient::Pubrec, id)
            }
            Qos::AtMostOnce | Qos::AtLeastOnce => answer(FromClient::Puback, id),
        };
        self.to_send.push_back(answered);
    }

    fn done(&mut self, ack: Ack, step: Step) {
        let at = self.outgoing.iter().position(|of| of.packet_id == ack.packet_id);
        let Some(outgoing) = at.and_then(|at| self.outgoing.remove(at)) else {
            panic!("{}: {step:?} for {}, which was not sent", self.name, ack.packet_id);
        };
        if !ack.reason.is_failure() {
            self.see(What::Acknowledged { number: outgoing.number, step });
        }
    }

    fn pubrec(&mut self, ack: Ack) {
        if ack.reason.is_failure() {
            return self.done(ack, Step::Pubrec);
        }
        let sent = self.outgoing.iter_mut().find(|of| of.packet_id == ack.packet_id);
        let sent = sent.expect("a PUBREC answers a PUBLISH");
        sent.is_received = true;
        let number = sent.number;
        self.see(What::Acknowledged { number, step: Step::Pubrec });
        self.to_send.push_back(answer(FromClient::Pubrel, ack.packet_id));
    }

    /// The next packet that it owes.
    pub fn next_packet(&mut self) -> Option<FromClient> {
        let packet = self.to_send.pop_front()?;
        let step = |id: PacketId, step| What::DeliveryAcknowledged { packet_id: id.get(), step };
        match &packet {
            FromClient::Puback(ack) => self.see(step(ack.packet_id, Step::Puback)),
            FromClient::Pubrec(ack) => self.see(step(ack.packet_id, Step::Pubrec)),
            FromClient::Pubcomp(ack) => self.see(step(ack.packet_id, Step::Pubcomp)),
            FromClient::Publish(publish) if publish.dup => {
                let id = publish.flow.packet_id();
                let again = self.outgoing.iter().find(|of| Some(of.packet_id) == id);
                let again = *again.expect("it is repeated while it is not answered");
                self.see_publishing(again.number, again.post, true);
            }
            _ => (),
        }
        Some(packet)
    }

    /// A new message, unless too many are not answered or earlier ones must be repeated first.
    pub fn publish(&mut self, post: Post) -> Option<FromClient> {
        const OUTGOING_MAX: usize = 6;
        if !self.is_connected || !self.to_send.is_empty() || self.outgoing.len() >= OUTGOING_MAX {
            return None;
        }
        let number = self.next_number;
        self.next_number += 1;
        let expires_in_s = post.expires_in_s.filter(|_| self.version.has_properties());
        let post = Post { expires_in_s, ..post };
        self.see_publishing(number, post, false);
        let outgoing = Outgoing { packet_id: self.packet_id(), number, post, is_received: false };
        if post.qos > Qos::AtMostOnce {
            self.outgoing.push_back(outgoing);
        }
        Some(self.packet(outgoing, false))
    }

    fn see_publishing(&self, number: u32, post: Post, dup: bool) {
        let retain = if post.retain { Retain::Keep } else { Retain::No };
        let topic = self.recorder.name(post.topic);
        let expires_s = post.expires_in_s;
        self.see(What::Publishing { number, topic, qos: post.qos, retain, dup, expires_s });
    }

    fn packet(&self, of: Outgoing, dup: bool) -> FromClient {
        let topic = TopicName::parse(Bytes::from_static(of.post.topic.as_bytes()));
        FromClient::Publish(Publish {
            flow: match of.post.qos {
                Qos::AtMostOnce => Flow::AtMostOnce,
                Qos::AtLeastOnce => Flow::AtLeastOnce(of.packet_id),
                Qos::ExactlyOnce => Flow::ExactlyOnce(of.packet_id),
            },
            dup,
            retain: of.post.retain,
            topic: Topic::Name(topic.expect("ours are names")),
            expires_in_s: of.post.expires_in_s,
            subscription_ids: Vec::new(),
            properties: Bytes::new(),
            payload: Bytes::from(format!("{}|{}", self.name, of.number)),
        })
    }

    /// A packet identifier that is not in use.
    fn packet_id(&mut self) -> PacketId {
        loop {
            self.last_id = self.last_id % 1_000 + 1;
            let id = PacketId::new(self.last_id).expect("at least 1");
            let is_used = self.outgoing.iter().any(|of| of.packet_id == id);
            if !is_used && !self.asked.contains_key(&id) {
                return id;
            }
        }
    }

    /// A SUBSCRIBE, if no other is open.
    pub fn subscribe(&mut self, filter: &'static str, qos: Qos) -> Option<FromClient> {
        if !self.is_connected || !self.asked.is_empty() {
            return None;
        }
        let packet_id = self.packet_id();
        self.asked.insert(packet_id, Asked::Subscribe(filter, qos));
        self.see(What::Subscribing {
            filter: self.recorder.name(filter),
            qos,
            retained: RetainedWanted::Always,
            no_local: false,
            as_published: false,
        });
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        let filters = vec![FilterRequest { subscription: subscription(filter), options }];
        let user_properties = UserProperties::default();
        let subscribe = Subscribe { packet_id, subscription_id: None, user_properties, filters };
        Some(FromClient::Subscribe(subscribe))
    }

    /// An UNSUBSCRIBE, if no other is open.
    pub fn unsubscribe(&mut self, filter: &'static str) -> Option<FromClient> {
        if !self.is_connected || !self.asked.is_empty() {
            return None;
        }
        let packet_id = self.packet_id();
        self.asked.insert(packet_id, Asked::Unsubscribe(filter));
        self.see(What::Unsubscribing { filter: self.recorder.name(filter) });
        let filters = vec![subscription(filter)];
        let user_properties = UserProperties::default();
        Some(FromClient::Unsubscribe(Unsubscribe { packet_id, user_properties, filters }))
    }
}

fn subscription(filter: &str) -> Subscription {
    Subscription::parse(filter.as_bytes()).expect("ours are filters")
}

fn answer(packet: fn(Ack) -> FromClient, id: PacketId) -> FromClient {
    packet(Ack::new(id, Reason::SUCCESS))
}
