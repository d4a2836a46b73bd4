//! One client, and what it has to see.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use broker_core::codec::{FromClient, FromServer, Publish, Version};
use ha_types::Qos;

use crate::common::{answer, payload};
use crate::spec::broker::Client;

/// Whether the session outlives its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ephemeral,
    Durable,
}

/// A connection, as its client sees it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) is_connected: bool,
    /// What CONNACK must say.
    is_present: bool,
    /// Whether it takes what comes to its socket.
    pub(super) reads: bool,
    /// Exchanges that the broker may begin at a time.
    pub(super) window: usize,
    pub(super) to_answer: VecDeque<FromClient>,
    /// Exchanges that the broker has begun, by packet identifier.
    in_flight: BTreeSet<u16>,
    /// Numbers of messages that came on this connection.
    came: BTreeSet<u64>,
}

impl Link {
    fn new(client: Client, window: u16, is_present: bool) -> Self {
        Self {
            client,
            is_connected: false,
            is_present,
            reads: true,
            window: usize::from(window),
            to_answer: VecDeque::new(),
            in_flight: BTreeSet::new(),
            came: BTreeSet::new(),
        }
    }

    /// The client sends an answer.
    pub(super) fn answers(&mut self, answer: &FromClient) {
        if let FromClient::Puback(ack) | FromClient::Pubcomp(ack) = answer {
            assert!(self.in_flight.remove(&ack.packet_id.get()), "it is in flight");
        }
    }
}

/// A publish that the broker has not answered to the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing {
    pub(super) packet_id: u16,
    pub(super) topic: &'static str,
    pub(super) qos: Qos,
    pub(super) number: u64,
    /// PUBREC came.
    pub(super) is_received: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) name: &'static str,
    pub(super) version: Version,
    pub(super) kind: Kind,
    pub(super) link: Option<Link>,
    /// Connections that it gave up without closing them.
    pub(super) left: Vec<Client>,
    has_dialled: bool,
    pub(super) subscriptions: BTreeMap<&'static str, Qos>,
    /// What must come above QoS 0, and what may come at QoS 0.
    pub(super) expected: BTreeMap<u64, Qos>,
    /// What came, each message once, in order.
    pub(super) seen: Vec<u64>,
    /// QoS 2 messages between PUBLISH and PUBREL.
    received: BTreeMap<u16, u64>,
    pub(super) outgoing: VecDeque<Outgoing>,
    last_id: u16,
}

impl Device {
    pub(super) fn new(name: &'static str, version: Version, kind: Kind) -> Self {
        Self {
            name,
            version,
            kind,
            link: None,
            left: Vec::new(),
            has_dialled: false,
            subscriptions: BTreeMap::new(),
            expected: BTreeMap::new(),
            seen: Vec::new(),
            received: BTreeMap::new(),
            outgoing: VecDeque::new(),
            last_id: 0,
        }
    }

    /// The client has sent CONNECT.
    pub(super) fn dialled(&mut self, client: Client, window: u16) {
        let is_present = self.kind == Kind::Durable && self.has_dialled;
        self.has_dialled = true;
        self.link = Some(Link::new(client, window, is_present));
    }

    /// A packet identifier that is not in use.
    pub(super) fn packet_id(&mut self) -> u16 {
        self.last_id += 1;
        self.last_id
    }

    /// The connection is gone, and with it what does not outlive it.
    pub(super) fn disconnected(&mut self) {
        self.link = None;
        if self.kind == Kind::Ephemeral {
            let new = Self::new(self.name, self.version, self.kind);
            let left = std::mem::take(&mut self.left);
            *self = Self { left, has_dialled: self.has_dialled, last_id: self.last_id, ..new };
        }
    }

    /// The connection, if packets can be sent on it and will be taken.
    pub(super) fn served(&self) -> Option<Client> {
        let link = self.link.as_ref()?;
        (link.is_connected && link.reads).then_some(link.client)
    }

    /// The client reads a packet of its connection.
    pub(super) fn takes(&mut self, packet: &FromServer) {
        match packet {
            FromServer::Connack(connack) => {
                assert!(!connack.reason.is_failure(), "the newest is never refused: {connack:?}");
                let link = self.link.as_mut().unwrap();
                assert_eq!(connack.session_present, link.is_present);
                link.is_connected = true;
            }
            FromServer::Publish(publish) => self.takes_message(publish),
            FromServer::Pubrel(pubrel) => {
                let id = pubrel.packet_id.get();
                self.received.remove(&id);
                self.link.as_mut().unwrap().in_flight.insert(id);
            }
            FromServer::Puback(ack) | FromServer::Pubcomp(ack) => {
                let id = ack.packet_id.get();
                let at = self.outgoing.iter().position(|sent| sent.packet_id == id);
                self.outgoing.remove(at.expect("it was sent and not answered"));
            }
            FromServer::Pubrec(ack) => {
                assert!(!ack.reason.is_failure(), "{ack:?}");
                let id = ack.packet_id.get();
                let sent = self.outgoing.iter_mut().find(|sent| sent.packet_id == id);
                sent.expect("it was sent and not answered").is_received = true;
            }
            FromServer::Suback(_) | FromServer::Unsuback(_) => (),
            other => panic!("{}: {other:?}", self.name),
        }
        self.link.as_mut().unwrap().to_answer.extend(answer(packet));
    }

    fn takes_message(&mut self, publish: &Publish) {
        let number: u64 = payload(publish).parse().unwrap();
        let link = self.link.as_mut().unwrap();
        let qos = publish.flow.qos();
        assert_eq!(self.expected.get(&number), Some(&qos), "{} must not get {number}", self.name);
        assert!(link.came.insert(number), "{number} comes twice on one connection");
        if let Some(id) = publish.flow.packet_id() {
            assert!(link.in_flight.insert(id.get()), "{id} is in flight twice");
            assert!(link.in_flight.len() <= link.window, "more than the Receive Maximum");
        }
        let is_known = self.seen.contains(&number);
        assert!(publish.dup || !is_known, "{number} comes again, and does not say so");
        match publish.flow.packet_id() {
            Some(id) if qos == Qos::ExactlyOnce => {
                let known = self.received.insert(id.get(), number);
                assert_eq!(known, is_known.then_some(number), "exactly once, by one identifier");
            }
            _ => assert!(qos == Qos::AtLeastOnce || !is_known, "{number} at most once"),
        }
        if !is_known {
            self.seen.push(number);
        }
    }
}
