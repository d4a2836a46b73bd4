//! A distributor, and the brokers' side of its streams.
//!
//! Every step is followed by all checks: those of the core, and those that only an observer of the
//! outputs can make.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ha_core::{
    BrokerState, BrokerView, Config, Distributor, Event, FanOut, HeartbeatAnswer, Input, Output,
    StreamId,
};
use ha_types::link::{
    Downstream, GoodbyeReason, Hello, PROTOCOL_VERSIONS, PublishOutcome, RetainedChange, Upstream,
    Welcome,
};
use ha_types::{
    BrokerEpoch, BrokerName, ClusterMillis, Incarnation, Message, Millis, PublishNumber, Publisher,
    Qos, RetainedVersion, ServerIncarnation, SessionId, Ticket, TopicFilter, TopicName,
};

pub(crate) const LEASE_MS: u64 = 1_000;
pub(crate) const STALL_MS: u64 = 300;
pub(crate) const SERVER: ServerIncarnation = ServerIncarnation(7);

pub(crate) fn config() -> Config {
    Config {
        server: SERVER,
        software: "ha-server".into(),
        cluster_time_at_zero: ClusterMillis(1_000_000),
        lease_ms: LEASE_MS,
        heartbeat_ms: 300,
        fan_out: FanOut::Interest,
        brokers_max: 5,
        filters_max: 10,
        queue_bytes: 100_000,
        stall_ms: STALL_MS,
        publish_window: 4,
        retained_max: 1_000,
        retained_bytes_max: 1_000_000,
    }
}

/// What one stream was sent.
#[derive(Debug, Default)]
struct Wire {
    items: Vec<Downstream>,
    unread: usize,
    unwritten: usize,
    last_result: PublishNumber,
    is_in_transfer: bool,
}

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) core: Distributor,
    pub(crate) now: Millis,
    pub(crate) events: Vec<Event>,
    wires: BTreeMap<StreamId, Wire>,
    ended: BTreeSet<StreamId>,
}

impl Cluster {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            core: Distributor::new(config),
            now: Millis(0),
            events: Vec::new(),
            wires: BTreeMap::new(),
            ended: BTreeSet::new(),
        }
    }

    pub(crate) fn step(&mut self, input: Input) {
        let mut out = Vec::new();
        self.core.step(self.now, input, &mut out);
        self.record(out);
    }

    /// Opens a stream. Its address is its number, so that views can be tied to it.
    pub(crate) fn open(&mut self) -> StreamId {
        let stream = StreamId(self.wires.len() as u64);
        self.wires.insert(stream, Wire::default());
        self.step(Input::Opened(stream, stream.0.to_string()));
        stream
    }

    pub(crate) fn say(&mut self, stream: StreamId, items: impl IntoIterator<Item = Upstream>) {
        self.step(Input::Received(stream, items.into_iter().collect()));
    }

    pub(crate) fn hello(&mut self, hello: Hello) -> StreamId {
        let stream = self.open();
        self.say(stream, [Upstream::Hello(hello)]);
        stream
    }

    /// Attaches the first incarnation of a broker, which reads everything up to here.
    pub(crate) fn attach(&mut self, name: &str) -> StreamId {
        let stream = self.hello(hello(name, 1));
        assert!(self.is_attached(stream));
        self.write_all(stream);
        self.read(stream);
        stream
    }

    /// The same with these filters.
    pub(crate) fn subscriber(&mut self, name: &str, filters: &[&str]) -> StreamId {
        let stream = self.attach(name);
        self.say(stream, [announce(1, filters)]);
        self.write_all(stream);
        assert_eq!(self.read(stream), [Downstream::InterestTaken { ticket: Ticket(1) }]);
        stream
    }

    /// Lets time pass, and each of these brokers send its heartbeats meanwhile.
    pub(crate) fn wait(&mut self, ms: u64, alive: &[StreamId]) {
        let end = self.now.plus(ms);
        while self.now < end {
            self.now = self.now.plus(LEASE_MS / 2).min(end);
            for &stream in alive {
                let epoch = self.welcome(stream).epoch;
                assert_eq!(self.heartbeat(epoch), HeartbeatAnswer::Kept);
            }
            self.step(Input::Tick);
        }
    }

    pub(crate) fn heartbeat(&mut self, epoch: BrokerEpoch) -> HeartbeatAnswer {
        let mut out = Vec::new();
        let answer = self.core.heartbeat(self.now, epoch, &mut out);
        self.record(out);
        answer
    }

    /// Reports that the stream wrote this many bytes, or all if there are fewer.
    pub(crate) fn write(&mut self, stream: StreamId, bytes: usize) {
        let wire = self.wires.get_mut(&stream).unwrap();
        let bytes = bytes.min(wire.unwritten);
        wire.unwritten -= bytes;
        self.step(Input::Written(stream, bytes));
    }

    /// Writes until nothing is left, also of what follows from writing.
    pub(crate) fn write_all(&mut self, stream: StreamId) {
        while self.unwritten(stream) > 0 {
            self.write(stream, usize::MAX);
        }
    }

    pub(crate) fn unwritten(&self, stream: StreamId) -> usize {
        self.wires[&stream].unwritten
    }

    /// What the stream was sent since this was last asked.
    pub(crate) fn read(&mut self, stream: StreamId) -> Vec<Downstream> {
        let wire = self.wires.get_mut(&stream).unwrap();
        let unread = wire.items[wire.unread..].to_vec();
        wire.unread = wire.items.len();
        unread
    }

    pub(crate) fn payloads(&mut self, stream: StreamId) -> Vec<String> {
        let items = self.read(stream);
        let payload = |item| match item {
            Downstream::Deliver { origin: None, message, .. } => Some(text(&message)),
            _ => None,
        };
        items.into_iter().filter_map(payload).collect()
    }

    pub(crate) fn results(&mut self, stream: StreamId) -> Vec<u64> {
        let items = self.read(stream);
        let number = |item| match item {
            Downstream::PublishResult { number, .. } => Some(number.0),
            _ => None,
        };
        items.into_iter().filter_map(number).collect()
    }

    pub(crate) fn welcome(&self, stream: StreamId) -> Welcome {
        match &self.wires[&stream].items[0] {
            Downstream::Welcome(welcome) => welcome.clone(),
            other => panic!("{other:?} instead of Welcome"),
        }
    }

    /// Why the stream was ended by ha-server, if it was.
    pub(crate) fn goodbye(&self, stream: StreamId) -> Option<GoodbyeReason> {
        match self.wires[&stream].items.last()? {
            Downstream::Goodbye(goodbye) => Some(goodbye.reason),
            _ => None,
        }
    }

    pub(crate) fn is_attached(&self, stream: StreamId) -> bool {
        let views = self.core.brokers(self.now);
        views.iter().any(|view| is_of(view, stream))
    }

    pub(crate) fn view(&self, name: &str) -> BrokerView {
        let views = self.core.brokers(self.now);
        views.into_iter().find(|view| view.name.as_str() == name).unwrap()
    }

    pub(crate) fn is_ended(&self, stream: StreamId) -> bool {
        self.ended.contains(&stream)
    }

    fn record(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Note(event) => self.events.push(event),
                Output::End(stream) => {
                    assert!(self.ended.insert(stream), "ended twice: {stream:?}");
                }
                Output::Send(stream, item, bytes) => {
                    assert!(!self.ended.contains(&stream), "{item:?} after the end");
                    self.wires.get_mut(&stream).unwrap().record(item, bytes);
                }
            }
        }
        self.core.check_invariants();
        for view in self.core.brokers(self.now) {
            let attached = self.wires.iter().find(|&(&stream, _)| is_of(&view, stream));
            let expected = attached.map_or(0, |(_, wire)| wire.unwritten);
            assert_eq!(view.queued_bytes, expected, "{view:?}");
        }
    }
}

impl Wire {
    fn record(&mut self, item: Downstream, bytes: usize) {
        let is_opening = matches!(item, Downstream::Welcome(_) | Downstream::Goodbye(_));
        assert!(is_opening || !self.items.is_empty(), "first {item:?}");
        assert!(!matches!(self.items.last(), Some(Downstream::Goodbye(_))), "{item:?}");
        if let Downstream::PublishResult { number, .. } = item {
            let is_first = self.last_result == PublishNumber(0);
            let next = PublishNumber(self.last_result.0.wrapping_add(1));
            assert!(is_first || number == next, "{number} after {}", self.last_result);
            self.last_result = number;
        }
        match item {
            Downstream::RetainedBegin => {
                assert!(!std::mem::replace(&mut self.is_in_transfer, true))
            }
            Downstream::RetainedSynced { .. } => {
                assert!(std::mem::replace(&mut self.is_in_transfer, false));
            }
            _ => (),
        }
        self.unwritten += bytes;
        self.items.push(item);
    }
}

fn is_of(view: &BrokerView, stream: StreamId) -> bool {
    view.state == BrokerState::Attached && view.address == stream.0.to_string()
}

pub(crate) fn hello(name: &str, incarnation: u64) -> Hello {
    Hello {
        versions: PROTOCOL_VERSIONS,
        name: BrokerName::parse(name).unwrap(),
        incarnation: Incarnation(incarnation),
        software: "test".into(),
        copy_of: None,
    }
}

pub(crate) fn topic(text: &str) -> TopicName {
    TopicName::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

pub(crate) fn filters(texts: &[&str]) -> Vec<TopicFilter> {
    texts.iter().map(|text| TopicFilter::parse(text.as_bytes()).unwrap()).collect()
}

pub(crate) fn message(at: &str, payload: &str) -> Message {
    Message {
        topic: topic(at),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        properties: Bytes::new(),
        qos: Qos::AtLeastOnce,
        retain: false,
        expires_at: None,
        publisher: Publisher { session: SessionId(1), epoch: BrokerEpoch(1) },
    }
}

pub(crate) fn retained(at: &str, payload: &str) -> Message {
    Message { retain: true, ..message(at, payload) }
}

pub(crate) fn publish(message: Message) -> Upstream {
    Upstream::Publish { number: None, exchange: None, message: message.into() }
}

pub(crate) fn numbered(number: u64, message: Message) -> Upstream {
    Upstream::Publish { number: Some(PublishNumber(number)), exchange: None, message: message.into() }
}

pub(crate) fn announce(ticket: u64, texts: &[&str]) -> Upstream {
    Upstream::Announce { ticket: Ticket(ticket), needs: Needs::All, filters: filters(texts) }
}

pub(crate) fn withdraw(texts: &[&str]) -> Upstream {
    Upstream::Withdraw { filters: filters(texts) }
}

/// A part of a broker's copy; an empty payload is a tombstone.
pub(crate) fn copy(at: &str, version: RetainedVersion, payload: &str) -> Upstream {
    let message = (!payload.is_empty()).then(|| retained(at, payload).into());
    Upstream::RetainedCopy(RetainedChange { topic: topic(at), version, message })
}

pub(crate) fn update(at: &str, version: RetainedVersion, payload: &str) -> Downstream {
    let message = (!payload.is_empty()).then(|| retained(at, payload).into());
    Downstream::RetainedUpdate(RetainedChange { topic: topic(at), version, message })
}

pub(crate) fn synced(version: RetainedVersion) -> Downstream {
    Downstream::RetainedSynced { version }
}

/// The n-th version that the server of [`config`] gives, from 1.
pub(crate) fn nth(n: u64) -> RetainedVersion {
    RetainedVersion((SERVER.0 << 20) + n)
}

pub(crate) fn accepted(number: u64, retained: RetainedVersion) -> Downstream {
    let number = PublishNumber(number);
    Downstream::PublishResult { number, outcome: PublishOutcome::Accepted, retained }
}

pub(crate) fn text(message: &Message) -> String {
    String::from_utf8(message.payload.to_vec()).unwrap()
}

/// A payload that puts a broker behind whose queue holds `queue_bytes`.
pub(crate) fn large(config: &Config) -> String {
    "x".repeat(config.queue_bytes)
}
