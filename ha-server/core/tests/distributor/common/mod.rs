//! A leader with the state beside it, and the brokers' side of its streams.
//!
//! Every step is followed by all checks: those of the cores, and those that only an observer of the
//! outputs can make. The log commits, and the leader learns of it, at once or when the test says.

mod operator;
mod values;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ha_core::cluster::{Applied, Batch, ClusterState, StateLimits};
use ha_core::{
    BrokerState, BrokerView, Config, Distributor, Event, HeartbeatAnswer, Input, Output, StreamId,
};
use ha_types::link::{Downstream, GoodbyeReason, Hello, PublishOutcome, Upstream, Welcome};
use ha_types::session::Tell;
use ha_types::{BrokerEpoch, ClusterMillis, Millis, PublishNumber, Ticket};

pub(crate) use values::*;

/// What one stream was sent.
#[derive(Debug, Default)]
struct Wire {
    items: Vec<Downstream>,
    unread: usize,
    unwritten: usize,
    last_result: Option<PublishNumber>,
    is_in_transfer: bool,
    /// Messages with an origin.
    numbered: u64,
}

/// When the log does what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Log {
    /// At once.
    Prompt,
    /// When the test calls [`Cluster::commit`], [`Cluster::tell_applied`] and [`Cluster::confirm`].
    Manual,
}

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) core: Distributor,
    pub(crate) state: ClusterState,
    pub(crate) now: Millis,
    pub(crate) events: Vec<Event>,
    pub(crate) log: Log,
    config: Config,
    /// Proposed, and not committed.
    pub(crate) proposed: VecDeque<Batch>,
    /// Applied, and not told.
    pub(crate) applied: VecDeque<Applied>,
    /// Asked for, and not answered.
    pub(crate) proof: Option<u64>,
    index: u64,
    wires: BTreeMap<StreamId, Wire>,
    ended: BTreeSet<StreamId>,
}

impl Cluster {
    pub(crate) fn new(config: Config) -> Self {
        Self::with_limits(config, StateLimits::default())
    }

    pub(crate) fn with_limits(config: Config, limits: StateLimits) -> Self {
        let mut state = ClusterState::new();
        let time = ClusterMillis(1_000_000);
        let configure = ha_core::cluster::Command::Configure(limits);
        state.apply(1, &Batch { time, commands: vec![configure] }.encode());
        Self {
            core: Distributor::new(config.clone(), &state),
            state,
            now: Millis(0),
            events: Vec::new(),
            log: Log::Prompt,
            config,
            proposed: VecDeque::new(),
            applied: VecDeque::new(),
            proof: None,
            index: 1,
            wires: BTreeMap::new(),
            ended: BTreeSet::new(),
        }
    }

    /// This leader is gone, with what was not committed; all its streams are. Another one begins.
    pub(crate) fn change_leader(&mut self) {
        self.ended.extend(self.wires.keys());
        self.proposed.clear();
        self.applied.clear();
        self.proof = None;
        self.now = Millis(0);
        self.core = Distributor::new(self.config.clone(), &self.state);
        self.core.check_invariants();
    }

    pub(crate) fn step(&mut self, input: Input) {
        let mut out = Vec::new();
        self.core.step(self.now, &self.state, input, &mut out);
        self.record(out);
        if self.log == Log::Prompt {
            self.settle();
        }
    }

    /// Everything that was proposed is committed and told, and so is what follows.
    pub(crate) fn settle(&mut self) {
        while self.commit() || self.tell_applied() || self.confirm() {}
    }

    /// The oldest batch that was proposed is committed and applied. False: there is none.
    pub(crate) fn commit(&mut self) -> bool {
        let Some(batch) = self.proposed.pop_front() else { return false };
        self.index += 1;
        let applied = self.state.apply(self.index, &batch.encode());
        self.state.check_invariants();
        self.applied.push_back(applied);
        true
    }

    /// The leader learns of the oldest batch that was applied.
    pub(crate) fn tell_applied(&mut self) -> bool {
        let Some(applied) = self.applied.pop_front() else { return false };
        let mut out = Vec::new();
        self.core.step(self.now, &self.state, Input::Applied(applied), &mut out);
        self.record(out);
        true
    }

    /// Its leadership is proved.
    pub(crate) fn confirm(&mut self) -> bool {
        let Some(number) = self.proof.take() else { return false };
        let mut out = Vec::new();
        self.core.step(self.now, &self.state, Input::Confirmed(number), &mut out);
        self.record(out);
        true
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
        self.attach_as(hello(name, 1), &[])
    }

    /// The same with a copy of the retained messages.
    pub(crate) fn copier(&mut self, name: &str) -> StreamId {
        self.attach_as(copier(name), &[])
    }

    /// The same with these filters.
    pub(crate) fn subscriber(&mut self, name: &str, filters: &[&str]) -> StreamId {
        self.attach_as(hello(name, 1), filters)
    }

    pub(crate) fn attach_as(&mut self, hello: Hello, filters: &[&str]) -> StreamId {
        let stream = self.hello(hello);
        assert!(self.is_attached(stream));
        if !filters.is_empty() {
            self.say(stream, [announce(1, filters)]);
        }
        self.say(stream, [Upstream::Resumed]);
        self.write_all(stream);
        let read = self.read(stream);
        let taken = Downstream::InterestTaken { ticket: Ticket(1) };
        assert_eq!(read.contains(&taken), !filters.is_empty());
        stream
    }

    /// The broker says that it has all that it was sent.
    pub(crate) fn receive_all(&mut self, stream: StreamId) {
        let count = self.wires[&stream].numbered;
        self.say(stream, [Upstream::Received { count }]);
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
        let answer = self.core.heartbeat(self.now, &self.state, epoch, &mut out);
        self.record(out);
        if self.log == Log::Prompt {
            self.settle();
        }
        answer
    }

    pub(crate) fn deadline(&self) -> Option<Millis> {
        self.core.deadline(&self.state)
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
            Downstream::Deliver { message, .. } => Some(text(&message)),
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

    pub(crate) fn outcomes(&mut self, stream: StreamId) -> Vec<PublishOutcome> {
        let items = self.read(stream);
        let outcome = |item| match item {
            Downstream::PublishResult { outcome, .. } => Some(outcome),
            _ => None,
        };
        items.into_iter().filter_map(outcome).collect()
    }

    /// What engines were told.
    pub(crate) fn tells(&mut self, stream: StreamId) -> Vec<Tell> {
        let items = self.read(stream);
        let tell = |item| match item {
            Downstream::Tell { tell, .. } => Some(tell),
            _ => None,
        };
        items.into_iter().filter_map(tell).collect()
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
        let mut commands = Vec::new();
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
                Output::Propose(command) => commands.push(command),
                Output::Confirm(number) => {
                    assert_eq!(self.proof.replace(number), None, "one at a time");
                }
            }
        }
        if !commands.is_empty() {
            self.proposed.push_back(Batch { time: self.core.cluster_time(), commands });
        }
        self.core.check_invariants();
        for view in self.core.brokers(self.now) {
            let attached = self
                .wires
                .iter()
                .find(|&(&stream, _)| is_of(&view, stream) && !self.ended.contains(&stream));
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
        match item {
            Downstream::PublishResult { number, .. } => {
                let last = self.last_result.replace(number);
                assert!(last.is_none_or(|last| number.0 == last.0 + 1), "{number} after {last:?}");
            }
            Downstream::Deliver { origin: Some(_), .. } => self.numbered += 1,
            Downstream::RetainedBegin => {
                assert!(!std::mem::replace(&mut self.is_in_transfer, true));
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
