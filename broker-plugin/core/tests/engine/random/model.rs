//! What devices do, and what becomes of it.

use std::collections::BTreeMap;

use broker_core::codec::{Connect, FromClient, FromServer, Publish, Reason, Version};
use broker_core::engine::Limits;
use broker_core::holder::HolderConfig;
use ha_types::Qos;

use super::device::{Device, Kind, Link, Outgoing};
use crate::common::{QOS, of_qos, staying};
use crate::spec::broker::Broker;
use crate::spec::packets::{ack, disconnect, name, subscribe, subscription, text, unsubscribe};

pub(super) const DEVICES: usize = 4;

/// Exchanges at a time with a client before 5.0, which cannot say how many.
const INFLIGHT_MAX: u16 = 4;

/// See the module.
pub(super) struct Model {
    pub(super) broker: Broker,
    devices: [Device; DEVICES],
    /// Publisher and topic of each message.
    published: BTreeMap<u64, (usize, &'static str)>,
}

impl Model {
    pub(super) fn new() -> Self {
        // So little that clients which do not read or acknowledge come to their limits.
        let limits = Limits {
            inflight_max: INFLIGHT_MAX,
            queue_messages_max: 6,
            queue_bytes_max: 60,
            subscribing_max: 1_000,
            ..Limits::default()
        };
        Self {
            broker: Broker::with(limits, HolderConfig::default()),
            devices: [
                Device::new("ann", Version::V5, Kind::Durable),
                Device::new("bob", Version::V311, Kind::Durable),
                Device::new("cleo", Version::V5, Kind::Ephemeral),
                Device::new("dan", Version::V31, Kind::Ephemeral),
            ],
            published: BTreeMap::new(),
        }
    }

    /// A connection that it has is left as it is: the broker must end it.
    pub(super) fn connect(&mut self, at: usize, window: u16) {
        let device = &mut self.devices[at];
        if let Some(link) = &device.link {
            device.left.push(link.client);
            device.disconnected();
        }
        let (connect, window) = match (device.kind, device.version) {
            (Kind::Durable, Version::V5) => {
                let connect = staying(Version::V5, device.name);
                (Connect { receive_maximum: window, ..connect }, window)
            }
            (Kind::Durable, version) => (staying(version, device.name), INFLIGHT_MAX),
            (Kind::Ephemeral, version) => (Connect::new(version, text(device.name)), INFLIGHT_MAX),
        };
        let client = self.broker.dial(&connect);
        self.devices[at].dialled(client, window);
        self.read(at, 1);
    }

    pub(super) fn subscribe(&mut self, at: usize, filter: &'static str, qos: usize) {
        let device = &mut self.devices[at];
        let Some(client) = device.served() else { return };
        if !crate::QUEUE_IS_FIXED && device.subscriptions.contains_key(filter) {
            return;
        }
        device.subscriptions.insert(filter, QOS[qos]);
        let packet_id = device.packet_id();
        self.broker.send(client, &subscribe(packet_id, filter, QOS[qos]));
    }

    pub(super) fn unsubscribe(&mut self, at: usize, filter: &'static str) {
        let device = &mut self.devices[at];
        let Some(client) = device.served().filter(|_| crate::QUEUE_IS_FIXED) else { return };
        device.subscriptions.remove(filter);
        let packet_id = device.packet_id();
        self.broker.send(client, &unsubscribe(packet_id, filter));
    }

    pub(super) fn publish(&mut self, at: usize, topic: &'static str, qos: usize) {
        let Some(client) = self.devices[at].served() else { return };
        let (number, packet_id) = (self.expect(at, topic, QOS[qos]), self.devices[at].packet_id());
        if QOS[qos] > Qos::AtMostOnce {
            let sent = Outgoing { packet_id, topic, qos: QOS[qos], number, is_received: false };
            self.devices[at].outgoing.push_back(sent);
        }
        self.broker.send(client, &of_qos(QOS[qos], packet_id, topic, &number.to_string()));
    }

    /// Notes who gets a message that is published now, and returns its number.
    fn expect(&mut self, publisher: usize, topic: &'static str, qos: Qos) -> u64 {
        let number = u64::try_from(self.published.len()).unwrap();
        self.published.insert(number, (publisher, topic));
        for device in &mut self.devices {
            let matching = device
                .subscriptions
                .iter()
                .filter(|(filter, _)| subscription(filter).filter().matches(&name(topic)));
            if let Some(granted) = matching.map(|(_, granted)| *granted).max() {
                device.expected.insert(number, granted.min(qos));
            }
        }
        number
    }

    /// Returns how many packets there were.
    pub(super) fn read(&mut self, at: usize, count: usize) -> usize {
        for read in 0..count {
            let link = self.devices[at].link.as_ref().filter(|link| link.reads);
            let Some(packet) = link.and_then(|link| self.broker.next_packet(link.client)) else {
                return read;
            };
            self.devices[at].takes(&packet);
            if let FromServer::Connack(_) = packet {
                self.send_again(at);
            }
        }
        count
    }

    /// What an earlier connection left: at QoS 1 as a message of its own, so that order is defined.
    fn send_again(&mut self, at: usize) {
        for sent in std::mem::take(&mut self.devices[at].outgoing) {
            let mut sent = sent;
            let client = self.devices[at].served().expect("it has just connected");
            if sent.qos == Qos::AtLeastOnce {
                sent.number = self.expect(at, sent.topic, sent.qos);
            }
            self.devices[at].outgoing.push_back(sent);
            let packet =
                match of_qos(sent.qos, sent.packet_id, sent.topic, &sent.number.to_string()) {
                    _ if sent.is_received => ack(FromClient::Pubrel, sent.packet_id),
                    FromClient::Publish(publish) => {
                        FromClient::Publish(Publish { dup: true, ..publish })
                    }
                    other => other,
                };
            self.broker.send(client, &packet);
        }
    }

    /// Returns how many packets it answers.
    pub(super) fn answer(&mut self, at: usize, count: usize) -> usize {
        let Some(client) = self.devices[at].served() else { return 0 };
        for answered in 0..count {
            let link = self.devices[at].link.as_mut().expect("it is served");
            let Some(answer) = link.to_answer.pop_front() else { return answered };
            link.answers(&answer);
            self.broker.send(client, &answer);
        }
        count
    }

    pub(super) fn turn(&mut self, at: usize) {
        let Some(link) = &mut self.devices[at].link else { return };
        link.reads = !link.reads;
        self.broker.set_reading(link.client, link.reads);
    }

    pub(super) fn disconnect(&mut self, at: usize) {
        let Some(client) = self.devices[at].served() else { return };
        self.broker.send(client, &disconnect(Reason::SUCCESS));
        assert!(!self.broker.is_open(client));
        self.devices[at].disconnected();
    }

    pub(super) fn crash(&mut self, at: usize) {
        let Some(link) = &self.devices[at].link else { return };
        self.broker.drop_socket(link.client);
        let client = link.client;
        self.devices[at].left.push(client);
        self.devices[at].disconnected();
    }

    pub(super) fn hear(&mut self, at: usize, count: usize) {
        let Some(link) = &self.devices[at].link else { return };
        (0..count).for_each(|_| self.broker.let_go_one(link.client));
    }

    pub(super) fn hear_all(&mut self) {
        let known = self.devices.iter().flat_map(|device| {
            device.left.iter().copied().chain(device.link.as_ref().map(|link| link.client))
        });
        let known: Vec<_> = known.collect();
        known.into_iter().for_each(|client| self.broker.let_go(client));
    }

    /// What holds after each step.
    pub(super) fn check(&mut self) {
        self.broker.held();
        for device in &mut self.devices {
            let is_open = |link: &Link| self.broker.is_open(link.client);
            if device.link.as_ref().is_some_and(|link| !is_open(link)) {
                assert_eq!(device.kind, Kind::Ephemeral, "only that is too slow");
                device.disconnected();
            }
        }
    }

    /// All come back, and read and answer everything.
    pub(super) fn settle(&mut self) {
        self.broker.let_go_all();
        self.broker.pass(100);
        for at in 0..DEVICES {
            match &mut self.devices[at].link {
                None => self.connect(at, INFLIGHT_MAX),
                Some(link) if !link.reads => self.turn(at),
                Some(_) => (),
            }
        }
        for _ in 0..10_000 {
            let mut is_idle = true;
            for at in 0..DEVICES {
                let done = self.read(at, usize::MAX) + self.answer(at, usize::MAX);
                is_idle &= done == 0;
                self.check();
            }
            if is_idle {
                return;
            }
        }
        panic!("it goes on for ever");
    }

    /// All that was promised has come, and for each publisher, topic and QoS in order.
    pub(super) fn check_deliveries(&self) {
        for device in &self.devices {
            let missing = device
                .expected
                .iter()
                .find(|(number, qos)| **qos > Qos::AtMostOnce && !device.seen.contains(number));
            assert_eq!(missing, None, "{device:?}");
            assert!(device.outgoing.is_empty(), "all is answered: {device:?}");
            let mut last = BTreeMap::new();
            for number in &device.seen {
                let (publisher, topic) = self.published[number];
                let before = last.insert((publisher, topic, device.expected[number]), number);
                assert!(before < Some(number), "{before:?} before {number}: {device:?}");
            }
        }
        assert_eq!(self.broker.held().queued, 0);
    }

    /// All sessions end.
    pub(super) fn end_all(mut self) {
        for device in &self.devices {
            let connect = Connect::new(device.version, text(device.name));
            let (client, _) = self.broker.connect_with(connect);
            self.broker.drop_socket(client);
        }
        assert!(self.broker.is_empty());
    }
}
