//! An MQTT client that keeps its session as the specification wants it, and records all it sees.

mod sends;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use broker_core::codec::{
    Ack, Connack, FromClient, FromServer, PacketId, Publish, Reason, Topic, Version,
};
use ha_types::Qos;
use history::{Client, Present, Recorder, Step, What};

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
    /// The next one comes with each CONNECT; after the last the first.
    wills: Vec<Post>,
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
            wills: Vec::new(),
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

    /// The same with a will on each of its connections, one of these after the other.
    #[must_use]
    pub fn with_wills(self, wills: Vec<Post>) -> Self {
        Self { wills, ..self }
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
}

fn answer(packet: fn(Ack) -> FromClient, id: PacketId) -> FromClient {
    packet(Ack::new(id, Reason::SUCCESS))
}
