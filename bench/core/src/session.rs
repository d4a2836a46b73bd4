//! One message in a client's [`Connection`], and in the [`Holder`] of durable sessions.
//!
//! Each round takes [`MESSAGES`] messages, as one read of a socket gives them, to the end of their exchange:
//! cut, decoded, stepped, answered by the holder, written. Of a broker are missing: sockets, tasks, and the
//! routes from publisher to subscriber.

use std::hint::black_box;
use std::sync::Arc;

use broker_core::access::Identity;
use broker_core::codec::frame;
use broker_core::engine::{
    Connection, Delivery, Input, Limits, Moment, Output, Request, SubscriptionIds, Surroundings,
    Verdict,
};
use broker_core::holder::{self, Holder, HolderConfig};
use broker_core::host::HostEvent;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use ha_types::session::{Ask, ConnectionId, PacketId, SessionKey, Tell};
use ha_types::{ClusterMillis, Message, Millis, Qos};

use crate::{TOPIC, message};

/// Messages of one round.
pub const MESSAGES: u16 = 64;

const PAYLOAD: [u8; 256] = [7; 256];

/// Nothing expires while it is measured.
const AT: Moment = Moment { now: Millis(1_000), cluster: ClusterMillis(1_000_000) };

const CLEAN_SESSION: u8 = 0x02;
const KEPT_SESSION: u8 = 0x00;

/// From the client's PUBLISH to the last packet of the exchange. The holder has nothing to do.
pub fn publish(qos: Qos) -> impl FnMut() {
    let mut client = Client::connected(&mut Holder::new(HolderConfig::default()), CLEAN_SESSION);
    let publishes: Vec<u8> = (1..=MESSAGES).flat_map(|id| publish_packet(qos, id)).collect();
    let releases: Vec<u8> = (1..=MESSAGES).flat_map(|id| ack(0x62, id)).collect();
    move || {
        client.read(&publishes);
        client.answer_requests();
        if qos == Qos::ExactlyOnce {
            client.read(&releases);
            client.answer_requests();
        }
        let acks = [0, 4, 8][usize::from(qos.level())] * usize::from(MESSAGES);
        assert_eq!(client.out.bytes.len(), acks, "each exchange is complete");
        client.out.bytes.clear();
    }
}

/// From a live message for a client to the last packet of its exchange.
pub fn deliver(qos: Qos) -> impl FnMut() {
    let mut client = Client::connected(&mut Holder::new(HolderConfig::default()), CLEAN_SESSION);
    let delivery = Delivery {
        message: shared(qos),
        encodings: None,
        qos,
        retain: false,
        subscription_ids: SubscriptionIds::None,
    };
    move || {
        for _ in 0..MESSAGES {
            client.step(Input::Deliver(black_box(&delivery).clone()));
        }
        client.settle();
        let mut packets = 0;
        while !client.out.bytes.is_empty() {
            packets += client.react();
        }
        let each = [1, 1, 2][usize::from(qos.level())];
        assert_eq!(packets, each * MESSAGES, "each exchange is complete");
        client.out.requests.clear();
    }
}

/// A publish through the queue of a durable session: into the holder, told to the connection, sent,
/// acknowledged, and removed from the queue by the client's progress.
pub fn deliver_durable(qos: Qos) -> impl FnMut() {
    let mut holder = Holder::new(HolderConfig::default());
    let publisher = Client::connected(&mut holder, CLEAN_SESSION).key;
    let mut client = Client::connected(&mut holder, KEPT_SESSION);
    client.read(&subscribe_packet(qos));
    client.ask(&mut holder);
    client.out.bytes.clear();
    let (message, mut outputs) = (shared(qos), Vec::new());
    move || {
        for packet_id in (1..=MESSAGES).filter_map(PacketId::new) {
            let message = Arc::clone(&message);
            let ask = Ask::Publish { session: publisher, packet_id, message };
            holder.step(AT, holder::Input::Ask(ask), &mut outputs);
            if qos == Qos::ExactlyOnce {
                let ask = Ask::Release { session: publisher, packet_id };
                holder.step(AT, holder::Input::Ask(ask), &mut outputs);
            }
        }
        client.take(&mut holder, &mut outputs);
        client.ask(&mut holder);
        while !client.out.bytes.is_empty() {
            client.react();
            client.ask(&mut holder);
        }
        let sent = std::mem::take(&mut client.out.counts).sent;
        assert_eq!(sent, u64::from(MESSAGES), "each message was sent");
        assert_eq!(holder.counts().queued, 0, "each message is acknowledged");
        assert_eq!(holder.counts().dropped, 0, "no message found the queue full");
    }
}

/// PINGREQ and its answer.
pub fn ping() -> impl FnMut() {
    let mut client = Client::connected(&mut Holder::new(HolderConfig::default()), CLEAN_SESSION);
    let pings = [0xC0, 0].repeat(usize::from(MESSAGES));
    move || {
        client.read(&pings);
        assert_eq!(client.out.bytes.len(), pings.len(), "each is answered");
        client.out.bytes.clear();
    }
}

/// One connection that is served, and the client at its other end.
struct Client {
    id: ConnectionId,
    connection: Connection,
    limits: Limits,
    input: BytesMut,
    out: Output,
    key: SessionKey,
}

impl Client {
    /// Connects with these CONNECT flags. The client is known by them.
    fn connected(holder: &mut Holder, flags: u8) -> Self {
        let (limits, id) = (Limits::default(), ConnectionId(flags.into()));
        let connection = Connection::new(id, AT.now, &limits, 1);
        let key = SessionKey { id: ha_types::SessionId(0), epoch: Default::default() };
        let (input, out) = (BytesMut::new(), Output::default());
        let mut client = Self { id, connection, limits, input, out, key };
        client.read(&connect_packet(flags));
        let identity = Identity { client_id: "bench".into(), user_name: None };
        client.out.requests.clear();
        client.step(Input::Verdict(Verdict::Admitted { identity, data: None }));
        client.ask(holder);
        assert!(client.connection.is_serving(), "{:?}", client.out);
        client.out.bytes.clear();
        client
    }

    fn step(&mut self, input: Input) {
        let around = Surroundings { limits: &self.limits, access: None };
        self.connection.step(AT, &around, input, &mut self.out);
    }

    fn settle(&mut self) {
        let around = Surroundings { limits: &self.limits, access: None };
        self.connection.settle(AT, &around, &mut self.out);
    }

    /// Takes what one read of the socket gives.
    fn read(&mut self, packets: &[u8]) {
        self.input.extend_from_slice(packets);
        while let Some(frame) = frame::split(&mut self.input, usize::MAX).unwrap() {
            self.step(Input::Frame(frame));
        }
        self.settle();
    }

    /// Answers what the connection asks about the client's publishes, as a holder would.
    fn answer_requests(&mut self) {
        let mut requests = std::mem::take(&mut self.out.requests);
        for request in requests.drain(..) {
            let tell = match black_box(request) {
                Request::Ask(Ask::Publish { session, packet_id, .. }) => {
                    Tell::Published { session, packet_id, outcome: Ok(()) }
                }
                Request::Ask(Ask::Release { session, packet_id }) => {
                    Tell::Released { session, packet_id }
                }
                _ => continue,
            };
            self.step(Input::Tell(tell));
        }
        self.settle();
        // Its room is kept, as the shell keeps it.
        self.out.requests = requests;
    }

    /// Lets the holder answer what the connection asks, until neither has more to say.
    fn ask(&mut self, holder: &mut Holder) {
        let mut outputs = Vec::new();
        while !self.out.requests.is_empty() {
            for request in std::mem::take(&mut self.out.requests) {
                if let Request::Ask(ask) = request {
                    holder.step(AT, holder::Input::Ask(ask), &mut outputs);
                }
            }
            self.take(holder, &mut outputs);
        }
    }

    /// Takes what the holder says to this connection, and answers it for a plugin that has nothing.
    fn take(&mut self, holder: &mut Holder, outputs: &mut Vec<holder::Output>) {
        let mut more = Vec::new();
        for output in outputs.drain(..) {
            match output {
                holder::Output::Tell(id, tell) if id == self.id => {
                    if let Tell::Opened(opened) = &tell {
                        self.key = opened.session;
                    }
                    self.step(Input::Tell(tell));
                }
                holder::Output::Plugin(HostEvent::Subscribe { ticket, subscriptions, .. }) => {
                    let retained = vec![Vec::new(); subscriptions.len()];
                    holder.step(AT, holder::Input::Retained { ticket, retained }, &mut more);
                }
                _ => (),
            }
        }
        if more.is_empty() {
            return self.settle();
        }
        self.take(holder, &mut more);
    }

    /// The client reads everything and answers PUBLISH and PUBREL. Returns how many answers.
    fn react(&mut self) -> u16 {
        let (mut answers, mut count) = (Vec::new(), 0);
        let mut bytes = &self.out.bytes[..];
        while let Some(&first) = bytes.first() {
            let len = if first >> 4 == 3 { publish_len(first >> 1 & 3) } else { 4 };
            let (packet, rest) = bytes.split_at(len);
            let mut id = &packet[if len == 4 { 2 } else { 5 + TOPIC.len() }..];
            let answer = match first & 0xF6 {
                0x32 => 0x40,
                0x34 => 0x50,
                0x62 => 0x70,
                _ => 0,
            };
            if answer > 0 {
                answers.extend(ack(answer, id.get_u16()));
            }
            count += 1;
            bytes = rest;
        }
        self.out.bytes.clear();
        self.read(&answers);
        count
    }
}

fn connect_packet(flags: u8) -> Vec<u8> {
    let client_id = if flags == CLEAN_SESSION { b'e' } else { b'd' };
    [&[0x10, 13, 0, 4][..], b"MQTT", &[4, flags, 0, 0, 0, 1, client_id]].concat()
}

fn subscribe_packet(qos: Qos) -> Vec<u8> {
    let topic_len = u8::try_from(TOPIC.len()).unwrap();
    [&[0x82, topic_len + 5, 0, 1, 0, topic_len][..], TOPIC.as_bytes(), &[qos.level()]].concat()
}

fn publish_packet(qos: Qos, id: u16) -> Vec<u8> {
    let mut packet = vec![0x30 | qos.level() << 1];
    let remaining = publish_len(qos.level()) - 3;
    packet.push(u8::try_from(remaining % 128).unwrap() | 0x80);
    packet.push(u8::try_from(remaining / 128).unwrap());
    packet.put_u16(u16::try_from(TOPIC.len()).unwrap());
    packet.put_slice(TOPIC.as_bytes());
    if qos != Qos::AtMostOnce {
        packet.put_u16(id);
    }
    packet.put_slice(&PAYLOAD);
    packet
}

/// Of the whole packet. Its remaining length takes two bytes.
const fn publish_len(qos: u8) -> usize {
    let id_len = if qos > 0 { 2 } else { 0 };
    3 + 2 + TOPIC.len() + id_len + PAYLOAD.len()
}

fn ack(first: u8, id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [first, 2, high, low]
}

fn shared(qos: Qos) -> Arc<Message> {
    Arc::new(message(qos, Bytes::from_static(&PAYLOAD)))
}
