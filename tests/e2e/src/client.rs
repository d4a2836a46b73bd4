//! A small MQTT client that hides nothing: every message that arrives is seen once for each arrival.

use std::{
    collections::{BTreeSet, VecDeque},
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::{
    packet::{Packet, number, put, variable},
    wait::LONG,
};

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const PUBREC: u8 = 5;
const PUBREL: u8 = 6;
const PUBCOMP: u8 = 7;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 9;
const PINGREQ: u8 = 0xC0;
const PINGRESP: u8 = 13;
const DISCONNECT: u8 = 14;

const KEEP_ALIVE_SECONDS: u16 = 60;

/// Which MQTT the client speaks; the number is the protocol level of CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1.
    V311 = 4,
    /// MQTT 5.
    V5 = 5,
}

/// A message that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of MQTT")]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub retain: bool,
    pub dup: bool,
}

/// What became of something that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered with this reason code; 0 with 3.1.1, which has none.
    Answered(u8),
    /// The broker sent DISCONNECT with this reason code and closed the connection.
    Disconnected(u8),
    /// The broker closed the connection without a word.
    Closed,
}

/// A connection to a broker, with a session that ends with it.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    version: Version,
    buffer: Vec<u8>,
    identifier: u16,
    inbox: VecDeque<Message>,
    unanswered: BTreeSet<u16>,
    last: Option<(u8, u16, u8)>,
    disconnected: Option<u8>,
}

impl Client {
    /// Connects to a port of 127.0.0.1. Panics when it is refused.
    pub fn connect(port: u16, version: Version, id: &str) -> Self {
        Self::try_connect(port, version, id).unwrap_or_else(|error| panic!("{id}: {error}"))
    }

    /// As [`Client::connect`]; the error says why it failed.
    pub fn try_connect(port: u16, version: Version, id: &str) -> io::Result<Self> {
        Self::open(port, version, id, None)
    }

    /// With a session of MQTT 5 that is there before and after the connection, for an hour.
    pub fn resume(port: u16, id: &str) -> io::Result<Self> {
        Self::open(port, Version::V5, id, Some(3_600))
    }

    fn open(port: u16, version: Version, id: &str, expiry_s: Option<u32>) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, LONG)?;
        stream.set_nodelay(true)?;
        let mut client = Self {
            stream,
            version,
            buffer: Vec::new(),
            identifier: 0,
            inbox: VecDeque::new(),
            unanswered: BTreeSet::new(),
            last: None,
            disconnected: None,
        };
        let mut body = Vec::new();
        put(&mut body, b"MQTT");
        let clean = if expiry_s.is_some() { 0 } else { 0b10 };
        body.extend_from_slice(&[version as u8, clean]);
        body.extend_from_slice(&KEEP_ALIVE_SECONDS.to_be_bytes());
        match expiry_s {
            Some(seconds) => {
                body.extend_from_slice(&[5, 0x11]);
                body.extend_from_slice(&seconds.to_be_bytes());
            }
            None => client.no_properties(&mut body),
        }
        put(&mut body, id.as_bytes());
        client.send(CONNECT, body)?;
        match client.answer(CONNACK, 0)? {
            0 => Ok(client),
            reason => Err(io::Error::other(format!("refused with {reason:#04x}"))),
        }
    }

    /// Subscribes and waits for the SUBACK. Panics unless `qos` is granted.
    pub fn subscribe(&mut self, filter: &str, qos: u8) {
        let identifier = self.next_identifier();
        let mut body = identifier.to_be_bytes().to_vec();
        self.no_properties(&mut body);
        put(&mut body, filter.as_bytes());
        body.push(qos);
        self.send(SUBSCRIBE, body).unwrap();
        assert_eq!(self.answer(SUBACK, identifier).unwrap(), qos, "SUBACK for {filter}");
    }

    /// Publishes and waits for the answer. At QoS 0 that of a PINGREQ, which was sent later.
    pub fn publish(&mut self, topic: &str, payload: impl AsRef<[u8]>, qos: u8) {
        let outcome = self.publish_outcome(topic, payload.as_ref(), qos);
        // 0x10: nobody has subscribed.
        assert!(matches!(outcome, Outcome::Answered(0 | 0x10)), "{topic}: {outcome:?}");
    }

    /// As [`Client::publish`] with the retain flag.
    pub fn retain(&mut self, topic: &str, payload: impl AsRef<[u8]>, qos: u8) {
        let outcome = self.send_publish(topic, payload.as_ref(), qos << 1 | 1);
        assert!(matches!(self.outcome(outcome), Outcome::Answered(0 | 0x10)), "{topic}");
    }

    /// As [`Client::publish`], for what may be refused.
    pub fn publish_outcome(&mut self, topic: &str, payload: &[u8], qos: u8) -> Outcome {
        let sent = self.send_publish(topic, payload, qos << 1);
        self.outcome(sent)
    }

    /// Publishes without waiting, as long as fewer than `window` publishes are unanswered.
    pub fn stream(&mut self, topic: &str, payload: &[u8], qos: u8, window: usize) {
        while self.unanswered.len() >= window {
            assert!(self.pump(LONG).unwrap(), "no answer to {} publishes", self.unanswered.len());
        }
        self.send_publish(topic, payload, qos << 1).unwrap();
    }

    /// How many publishes are not answered, of what has been read.
    pub fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// Waits until every publish is answered.
    pub fn drain(&mut self) {
        while !self.unanswered.is_empty() {
            assert!(self.pump(LONG).unwrap(), "no answer to {} publishes", self.unanswered.len());
        }
        self.ping().unwrap();
    }

    /// Sends PINGREQ and waits for the answer. All that was sent before has been read by then.
    pub fn ping(&mut self) -> io::Result<()> {
        self.send(PINGREQ, Vec::new())?;
        self.answer(PINGRESP, 0).map(drop)
    }

    /// The next message, if one arrives within `limit`. Panics when the connection ends.
    pub fn receive(&mut self, limit: Duration) -> Option<Message> {
        self.try_receive(limit).unwrap()
    }

    /// As [`Client::receive`]; the error says that the connection has ended.
    pub fn try_receive(&mut self, limit: Duration) -> io::Result<Option<Message>> {
        let start = Instant::now();
        loop {
            if let Some(message) = self.inbox.pop_front() {
                return Ok(Some(message));
            }
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() || !self.pump(left)? {
                return Ok(None);
            }
        }
    }

    /// Reads until the broker ends the connection, and returns what its DISCONNECT said; `None`: there was
    /// none. Messages that came are received as ever.
    pub fn farewell(&mut self) -> Option<u8> {
        while self.pump(LONG).unwrap_or(false) {}
        // An acknowledgement that could not be sent any more is no reason to miss what came after it.
        while let Some(packet) = Packet::take(&mut self.buffer) {
            let _ = self.handle(&packet);
        }
        self.disconnected
    }

    /// Messages that have come and were not received.
    pub fn inbox(&mut self) -> Vec<Message> {
        self.inbox.drain(..).collect()
    }

    /// Every message that was sent to this client before now, if its broker answers in order.
    pub fn received_so_far(&mut self) -> Vec<Message> {
        self.ping().unwrap();
        self.inbox.drain(..).collect()
    }

    fn send_publish(&mut self, topic: &str, payload: &[u8], flags: u8) -> io::Result<u16> {
        let mut body = Vec::with_capacity(topic.len() + payload.len() + 5);
        put(&mut body, topic.as_bytes());
        let mut identifier = 0;
        if flags & 0b110 != 0 {
            identifier = self.next_identifier();
            body.extend_from_slice(&identifier.to_be_bytes());
            self.unanswered.insert(identifier);
        }
        self.no_properties(&mut body);
        body.extend_from_slice(payload);
        self.send(PUBLISH << 4 | flags, body)?;
        Ok(identifier)
    }

    fn outcome(&mut self, sent: io::Result<u16>) -> Outcome {
        let answered = sent.and_then(|identifier| match identifier {
            0 => self.ping().map(|()| 0),
            _ => self.until_answered(identifier),
        });
        match answered {
            Ok(reason) => Outcome::Answered(reason),
            Err(error) if error.kind() == ErrorKind::TimedOut => panic!("no answer to a PUBLISH"),
            Err(_) => self.disconnected.map_or(Outcome::Closed, Outcome::Disconnected),
        }
    }

    fn until_answered(&mut self, identifier: u16) -> io::Result<u8> {
        while self.unanswered.contains(&identifier) {
            self.pump_or_fail()?;
        }
        Ok(self.last.map_or(0, |(_, _, reason)| reason))
    }

    /// Waits for a packet of this kind and identifier, and returns its reason code.
    fn answer(&mut self, kind: u8, identifier: u16) -> io::Result<u8> {
        loop {
            match self.last.take() {
                Some((found, id, reason)) if (found, id) == (kind, identifier) => {
                    return Ok(reason);
                }
                _ => self.pump_or_fail()?,
            }
        }
    }

    fn pump_or_fail(&mut self) -> io::Result<()> {
        if self.pump(LONG)? { Ok(()) } else { Err(ErrorKind::TimedOut.into()) }
    }

    /// Reads and handles one packet. False: none came within `limit`.
    fn pump(&mut self, limit: Duration) -> io::Result<bool> {
        let start = Instant::now();
        loop {
            if let Some(packet) = Packet::take(&mut self.buffer) {
                self.handle(&packet)?;
                return Ok(true);
            }
            let left = limit.saturating_sub(start.elapsed()).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left))?;
            let mut bytes = [0; 16 * 1024];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.buffer.extend_from_slice(&bytes[..length]),
                Err(error) if is_timeout(&error) && start.elapsed() >= limit => return Ok(false),
                Err(error) if is_timeout(&error) => (),
                Err(error) => return Err(error),
            }
        }
    }

    fn handle(&mut self, packet: &Packet) -> io::Result<()> {
        let body = &packet.body;
        match packet.kind() {
            CONNACK => self.last = Some((CONNACK, 0, body[1])),
            PUBLISH => return self.take_publish(packet),
            PUBACK | PUBCOMP => self.take_answer(packet.kind(), body),
            PUBREC if reason(body) < 0x80 => return self.send(PUBREL << 4 | 2, body[..2].to_vec()),
            PUBREC => self.take_answer(PUBREC, body),
            PUBREL => return self.send(PUBCOMP << 4, body[..2].to_vec()),
            SUBACK => {
                let granted = *body.last().expect("a SUBACK has a reason code");
                self.last = Some((SUBACK, number(body, 0), granted));
            }
            PINGRESP => self.last = Some((PINGRESP, 0, 0)),
            DISCONNECT => self.disconnected = Some(body.first().copied().unwrap_or(0)),
            kind => return Err(io::Error::other(format!("unexpected packet type {kind}"))),
        }
        Ok(())
    }

    fn take_answer(&mut self, kind: u8, body: &[u8]) {
        let identifier = number(body, 0);
        assert!(self.unanswered.remove(&identifier), "packet {kind} answers nothing: {identifier}");
        self.last = Some((kind, identifier, reason(body)));
    }

    fn take_publish(&mut self, packet: &Packet) -> io::Result<()> {
        let (body, flags) = (&packet.body, packet.header & 15);
        let topic_end = 2 + usize::from(number(body, 0));
        let topic = String::from_utf8_lossy(&body[2..topic_end]).into_owned();
        let qos = flags >> 1 & 3;
        let mut at = topic_end;
        if qos > 0 {
            let answer = if qos == 1 { PUBACK } else { PUBREC };
            self.send(answer << 4, body[at..at + 2].to_vec())?;
            at += 2;
        }
        if self.version == Version::V5 {
            let (length, digits) = variable(&body[at..]).expect("a PUBLISH has properties");
            at += digits + length;
        }
        let (retain, dup) = (flags & 1 != 0, flags & 8 != 0);
        let payload = body[at..].to_vec();
        self.inbox.push_back(Message { topic, payload, qos, retain, dup });
        Ok(())
    }

    fn send(&mut self, header: u8, body: Vec<u8>) -> io::Result<()> {
        self.stream.write_all(&Packet { header, body }.encode())
    }

    fn no_properties(&self, body: &mut Vec<u8>) {
        if self.version == Version::V5 {
            body.push(0);
        }
    }

    fn next_identifier(&mut self) -> u16 {
        self.identifier = self.identifier.checked_add(1).unwrap_or(1);
        self.identifier
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.send(DISCONNECT << 4, Vec::new()));
        drop(self.stream.shutdown(Shutdown::Both));
    }
}

/// The reason code of an acknowledgement; absent means success (§3.4.2.1).
fn reason(body: &[u8]) -> u8 {
    body.get(2).copied().unwrap_or(0)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
