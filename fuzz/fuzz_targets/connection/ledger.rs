//! One client's end of one connection: what it has sent, and what it may be sent because of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use broker_core::codec::{
    Ack, Connect, ConnectError, Flow, Frame, FromClient, FromServer, PacketType, Publish, Reason,
    Topic, Version, frame,
};
use bytes::BytesMut;
use ha_types::{Qos, Subscription, TopicName};

use crate::script::{LEVELS_MAX, TOPIC_BYTES_MAX};

/// See the module.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) version: Version,
    bytes_max: usize,
    /// The lower of what the broker and the client allow, once the client has said it.
    window: usize,
    pub(crate) connect: Option<Connect>,
    /// What was sent and is no whole packet.
    partial: BytesMut,
    /// The broker will end the connection for what was sent.
    pub(crate) is_garbled: bool,
    pub(crate) is_accepted: bool,
    is_resumed: bool,
    inflight: BTreeMap<u16, Exchange>,
    received: BTreeSet<u16>,
    /// Answers that may come, and the number of reasons that each has.
    owed: BTreeMap<(PacketType, u16), VecDeque<usize>>,
    aliases: BTreeMap<u16, TopicName>,
    own_aliases: BTreeMap<u16, TopicName>,
    /// The last number of each publisher, topic and QoS.
    last: BTreeMap<(String, String, Qos), u64>,
    /// It acknowledged what it did not have: what is in flight is known only to the broker.
    pub(crate) is_lost: bool,
}

/// Of a message to the client.
#[derive(Clone, Copy, Debug)]
struct Exchange {
    awaits: Awaits,
    /// Not when an earlier connection began it: Receive Maximum is about PUBLISH packets.
    counts: bool,
}

/// From the client's point of view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaits {
    OurPuback,
    OurPubrec,
    Pubrel,
    OurPubcomp,
}

/// What is known of all messages of a script.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// Payloads begin with their topic.
    pub(crate) payloads: bool,
    /// Nobody subscribed for this client in a group, from which messages come in any order.
    pub(crate) order: bool,
}

impl Ledger {
    /// `inflight_max` and `bytes_max`: of the broker.
    pub(crate) fn new(version: Version, inflight_max: u16, bytes_max: u32) -> Self {
        Self {
            version,
            bytes_max: usize::try_from(bytes_max).expect("it is small"),
            window: inflight_max.into(),
            connect: None,
            partial: BytesMut::new(),
            is_garbled: false,
            is_accepted: false,
            is_resumed: false,
            inflight: BTreeMap::new(),
            received: BTreeSet::new(),
            owed: BTreeMap::new(),
            aliases: BTreeMap::new(),
            own_aliases: BTreeMap::new(),
            last: BTreeMap::new(),
            is_lost: false,
        }
    }

    /// The version that a first packet names; `None`: it is not complete.
    pub(crate) fn version_of(bytes: &[u8], bytes_max: u32) -> Option<Version> {
        let mut bytes = BytesMut::from(bytes);
        let bytes_max = usize::try_from(bytes_max).expect("it is small");
        match Connect::decode(&frame::split(&mut bytes, bytes_max).ok()??) {
            Ok(Connect { version, .. }) | Err(ConnectError::Refused { version, .. }) => {
                Some(version)
            }
            Err(ConnectError::NotMqtt) => Some(Version::V5),
        }
    }

    /// Whether these bytes would complete a CONNECT of another version than was thought.
    pub(crate) fn surprises(&self, bytes: &[u8], bytes_max: u32) -> bool {
        let first = [&self.partial, bytes].concat();
        self.connect.is_none()
            && Self::version_of(&first, bytes_max).is_some_and(|version| version != self.version)
    }

    /// The topic that the client gave this alias.
    pub(crate) fn own_alias(&self, alias: u16) -> Option<&TopicName> {
        self.own_aliases.get(&alias)
    }

    /// Whether all that was sent was whole packets.
    pub(crate) fn is_between_packets(&self) -> bool {
        !self.is_garbled && self.partial.is_empty()
    }

    /// Bytes that were sent after the last whole packet.
    pub(crate) fn partial_len(&self) -> usize {
        self.partial.len()
    }

    /// Whether the broker still owes an answer.
    pub(crate) fn is_owed(&self) -> bool {
        !self.owed.is_empty() || self.inflight.values().any(|of| of.awaits == Awaits::Pubrel)
    }

    /// What the client should answer.
    pub(crate) fn due(&self) -> Vec<(u16, Awaits)> {
        let due = self.inflight.iter().filter(|(_, of)| of.awaits != Awaits::Pubrel);
        due.map(|(&id, of)| (id, of.awaits)).collect()
    }

    /// The client sends this. Returns the packets in it, and whether one acknowledges what the client
    /// does not have.
    pub(crate) fn sent(&mut self, bytes: &[u8]) -> (Vec<FromClient>, bool) {
        self.partial.extend_from_slice(bytes);
        let (mut packets, mut is_wrong) = (Vec::new(), false);
        while !self.is_garbled {
            match frame::split(&mut self.partial, self.bytes_max) {
                Ok(None) => break,
                Ok(Some(frame)) if self.connect.is_none() => self.connects(&frame),
                Ok(Some(frame)) => match FromClient::decode(self.version, frame) {
                    Ok(packet) => {
                        is_wrong |= !self.sends(&packet);
                        packets.push(packet);
                    }
                    Err(_) => self.is_garbled = true,
                },
                Err(_) => self.is_garbled = true,
            }
        }
        self.is_lost |= is_wrong && packets.len() > 1;
        (packets, is_wrong)
    }

    fn connects(&mut self, frame: &Frame) {
        match Connect::decode(frame) {
            Ok(connect) => {
                self.window = self.window.min(connect.receive_maximum.into());
                self.connect = Some(connect);
            }
            Err(_) => self.is_garbled = true,
        }
    }

    /// False: an acknowledgement of nothing.
    fn sends(&mut self, packet: &FromClient) -> bool {
        let answer = match packet {
            FromClient::Publish(publish) => {
                self.publishes(publish);
                return true;
            }
            FromClient::Puback(ack) => return self.ends(ack, &[Awaits::OurPuback]),
            FromClient::Pubrec(ack) => return self.receives(ack),
            FromClient::Pubcomp(ack) => {
                return self.ends(ack, &[Awaits::Pubrel, Awaits::OurPubcomp]);
            }
            FromClient::Pubrel(ack) => (PacketType::Pubcomp, ack.packet_id.get(), 1),
            FromClient::Subscribe(of) => (PacketType::Suback, of.packet_id.get(), of.filters.len()),
            FromClient::Unsubscribe(of) => {
                (PacketType::Unsuback, of.packet_id.get(), of.filters.len())
            }
            FromClient::Pingreq => (PacketType::Pingresp, 0, 1),
            FromClient::Disconnect(_) | FromClient::Auth(_) => return true,
        };
        let (packet_type, id, reasons) = answer;
        self.owed.entry((packet_type, id)).or_default().push_back(reasons);
        true
    }

    fn publishes(&mut self, publish: &Publish) {
        if let Topic::Both(name, alias) = &publish.topic {
            self.own_aliases.insert(alias.get(), name.clone());
        }
        let answer = match publish.flow {
            Flow::AtMostOnce => return,
            Flow::AtLeastOnce(id) => (PacketType::Puback, id.get()),
            Flow::ExactlyOnce(id) => (PacketType::Pubrec, id.get()),
        };
        self.owed.entry(answer).or_default().push_back(1);
    }

    fn receives(&mut self, ack: &Ack) -> bool {
        let id = ack.packet_id.get();
        self.received.insert(id);
        match self.inflight.get_mut(&id) {
            Some(of) if of.awaits == Awaits::OurPubrec && ack.reason.is_failure() => {
                self.inflight.remove(&id);
                true
            }
            Some(of) if of.awaits == Awaits::OurPubrec => {
                of.awaits = Awaits::Pubrel;
                true
            }
            _ => false,
        }
    }

    fn ends(&mut self, ack: &Ack, awaited: &[Awaits]) -> bool {
        let id = ack.packet_id.get();
        let is_awaited = self.inflight.get(&id).is_some_and(|of| awaited.contains(&of.awaits));
        if is_awaited {
            self.inflight.remove(&id);
        }
        is_awaited
    }

    /// The client is sent this.
    pub(crate) fn gets(&mut self, frame: Frame, known: Known) {
        self.check_size(&frame);
        let packet = FromServer::decode(self.version, frame).expect("the broker has checked it");
        match packet {
            FromServer::Connack(connack) => {
                self.is_accepted = connack.reason == Reason::SUCCESS;
                let is_clean = self.connect.as_ref().is_none_or(|connect| connect.clean_start);
                assert!(!(is_clean && connack.session_present), "a clean start resumes nothing");
                // 3.1 has no word for it.
                let may_be_resumed = self.version == Version::V31 && !is_clean;
                self.is_resumed = connack.session_present || may_be_resumed;
            }
            FromServer::Publish(publish) => self.is_published(&publish, known),
            FromServer::Pubrel(ack) => self.is_released(&ack),
            FromServer::Puback(ack) => self.is_answered(PacketType::Puback, ack.packet_id.get(), 1),
            FromServer::Pubrec(ack) => self.is_answered(PacketType::Pubrec, ack.packet_id.get(), 1),
            FromServer::Pubcomp(ack) => {
                self.is_answered(PacketType::Pubcomp, ack.packet_id.get(), 1);
            }
            FromServer::Suback(of) => {
                self.is_answered(PacketType::Suback, of.packet_id.get(), of.reasons.len());
            }
            FromServer::Unsuback(of) => {
                let reasons =
                    if self.version == Version::V5 { Some(of.reasons.len()) } else { None };
                self.is_answered_with(PacketType::Unsuback, of.packet_id.get(), reasons);
            }
            FromServer::Pingresp => self.is_answered(PacketType::Pingresp, 0, 1),
            FromServer::Auth(_) => {
                let connect = self.connect.as_ref().expect("it has connected");
                assert!(connect.authentication.is_some(), "AUTH to a client without a method");
            }
            FromServer::Disconnect(_) => assert_eq!(self.version, Version::V5),
        }
    }

    fn check_size(&self, frame: &Frame) {
        let length: usize = match frame.body.len() {
            0..0x80 => 1,
            0x80..0x4000 => 2,
            _ => 3,
        };
        let size = 1 + length + frame.body.len();
        if let Some(connect) = &self.connect {
            let max = usize::try_from(connect.packet_bytes_max).expect("64 bits");
            assert!(size <= max, "a packet of {size} bytes for a client that takes {max}");
        }
    }

    fn is_answered(&mut self, packet_type: PacketType, id: u16, reasons: usize) {
        self.is_answered_with(packet_type, id, Some(reasons));
    }

    fn is_answered_with(&mut self, packet_type: PacketType, id: u16, reasons: Option<usize>) {
        let owed = self.owed.get_mut(&(packet_type, id));
        let Some(expected) = owed.and_then(VecDeque::pop_front) else {
            panic!("{packet_type:?} {id} answers nothing");
        };
        assert!(reasons.is_none_or(|reasons| reasons == expected), "one reason for each filter");
        self.owed.retain(|_, owed| !owed.is_empty());
    }

    fn is_published(&mut self, publish: &Publish, known: Known) {
        let topic = self.resolve(&publish.topic);
        check_topic(topic.as_str());
        if publish.dup {
            assert!(self.is_resumed, "DUP, and no earlier connection");
        }
        let begun = match publish.flow {
            Flow::AtMostOnce => None,
            Flow::AtLeastOnce(id) => Some((id, Awaits::OurPuback)),
            Flow::ExactlyOnce(id) => Some((id, Awaits::OurPubrec)),
        };
        if let Some((id, awaits)) = begun {
            let older = self.inflight.insert(id.get(), Exchange { awaits, counts: true });
            let inflight = self.inflight.values().filter(|of| of.counts).count();
            if !self.is_lost {
                // It was released more often than it began: our PUBREC was sent twice.
                let is_over = |older: &Exchange| !older.counts && self.received.contains(&id.get());
                let is_free = older.as_ref().is_none_or(is_over);
                assert!(is_free, "packet identifier {} is in use: {older:?}", id.get());
                let window = self.window;
                assert!(inflight <= window, "{inflight} in flight, {window} at most");
            }
        }
        if known.payloads {
            self.check_payload(publish, topic.as_str(), known);
        }
    }

    fn resolve(&mut self, topic: &Topic) -> TopicName {
        let maximum = self.connect.as_ref().map_or(0, |connect| connect.topic_alias_maximum);
        match topic {
            Topic::Name(name) => name.clone(),
            Topic::Both(name, alias) => {
                assert!(alias.get() <= maximum, "an alias above the maximum");
                self.aliases.insert(alias.get(), name.clone());
                name.clone()
            }
            Topic::Alias(alias) => {
                let name = self.aliases.get(&alias.get());
                name.expect("an alias has been given a name").clone()
            }
        }
    }

    /// Payloads are `topic|publisher|number|…`, wills have no number.
    fn check_payload(&mut self, publish: &Publish, topic: &str, known: Known) {
        if publish.payload.is_empty() {
            return;
        }
        let payload = str::from_utf8(&publish.payload).expect("payloads of ours are text");
        let mut words = payload.split('|');
        assert_eq!(words.next(), Some(topic), "a message under the topic of another");
        let publisher = words.next().expect("payloads have a publisher").to_owned();
        let number = words.next().and_then(|number| number.parse::<u64>().ok());
        // What was retained comes when it was asked for.
        let (true, false, Some(number)) = (known.order, publish.retain, number) else { return };
        let key = (publisher, topic.to_owned(), publish.flow.qos());
        let last = self.last.insert(key, number);
        assert!(last.is_none_or(|last| last < number), "{payload} after {last:?}");
    }

    /// It answers a PUBREC out of the blue, and begins nothing. Before 5.0 it does not say so; there only a
    /// CONNECT brings what an earlier connection began.
    fn is_refused(&self, pubrel: &Ack) -> bool {
        match self.version {
            Version::V5 => pubrel.reason == Reason::PACKET_ID_NOT_FOUND,
            _ => self.received.contains(&pubrel.packet_id.get()),
        }
    }

    fn is_released(&mut self, ack: &Ack) {
        let id = ack.packet_id.get();
        let is_refused = self.is_refused(ack);
        match self.inflight.get_mut(&id) {
            Some(of) => {
                let is_due = matches!(of.awaits, Awaits::Pubrel | Awaits::OurPubcomp);
                assert!(is_due || self.is_lost, "PUBREL {id} before PUBREC");
                of.awaits = Awaits::OurPubcomp;
            }
            None if is_refused => (),
            // Of an earlier connection, or our PUBREC was sent twice.
            None => {
                let is_known = self.is_resumed || self.received.contains(&id);
                assert!(is_known || self.is_lost, "PUBREL {id} out of the blue");
                let resumed = Exchange { awaits: Awaits::OurPubcomp, counts: false };
                self.inflight.insert(id, resumed);
            }
        }
    }
}

/// What nobody may publish reaches nobody.
fn check_topic(topic: &str) {
    assert_ne!(topic.split('/').next(), Some("$SYS"), "the broker's own");
    assert!(topic.len() <= TOPIC_BYTES_MAX && topic.split('/').count() <= LEVELS_MAX, "{topic}");
}

/// Whether this packet may bring messages in any order.
pub(crate) fn joins_group(packet: &FromClient) -> bool {
    let FromClient::Subscribe(subscribe) = packet else { return false };
    let mut filters = subscribe.filters.iter();
    filters.any(|request| matches!(request.subscription, Subscription::Shared(_)))
}
