//! What is measured between broker and ha-server: the wire, the leader's decision and the state. Rounds of
//! `bench-wire`, in time, and of `bench/guard`, in instructions.

#![expect(clippy::unwrap_used, reason = "a measuring program")]

use std::hint::black_box;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ha_core::cluster::{Batch, ClusterState};
use ha_core::{Config, Distributor, FanOut, Input, Output, StreamId};
use ha_proto::frames::{Direction, Reader, Up, pack};
use ha_proto::v1;
use ha_types::link::{Downstream, Hello, Needs, Origin, PROTOCOL_VERSIONS, RetainedUse, Upstream};
use ha_types::{
    BrokerEpoch, BrokerName, ClusterMillis, Incarnation, Message, Millis, PublishNumber, Publisher,
    Qos, RetainedVersion, ServerIncarnation, Ticket, TopicFilter, TopicName,
};
use prost::Message as _;

pub mod state;

fn message() -> Arc<Message> {
    Arc::new(message_of(Qos::AtMostOnce))
}

fn message_of(qos: Qos) -> Message {
    Message {
        topic: TopicName::parse(Bytes::from_static(b"plant/7/line/3/speed")).unwrap(),
        payload: Bytes::from(vec![7; 256]),
        properties: Bytes::new(),
        qos,
        retain: false,
        expires_at: None,
        publisher: Publisher::default(),
    }
}

/// One frame's worth of publishes.
#[must_use]
pub fn publishes(batch: usize) -> Vec<Upstream> {
    vec![Upstream::Publish { number: None, exchange: None, message: message() }; batch]
}

/// The same for brokers that need them, as of QoS 1.
#[must_use]
pub fn deliveries(batch: usize) -> Vec<Downstream> {
    let origin = Some(Origin { broker: BrokerEpoch(7), number: PublishNumber(100_000) });
    let retained = RetainedVersion(0);
    vec![Downstream::Deliver { origin, known_as: vec![], message: message(), retained }; batch]
}

/// The frame of [`publishes`].
#[must_use]
pub fn frame(batch: usize) -> v1::UpstreamFrame {
    let mut frames = pack::<Up>(publishes(batch));
    // The largest batch exceeds a frame; what is cut off is measured as well, in its own frames.
    frames.swap_remove(0)
}

/// A round cuts and encodes them.
pub fn encode<D: Direction<Value: Clone, Frame: prost::Message>>(
    items: Vec<D::Value>,
) -> impl FnMut() {
    let mut buffer = BytesMut::with_capacity(1 << 20);
    move || {
        for frame in pack::<D>(items.iter().cloned()) {
            buffer.clear();
            frame.encode(&mut buffer).unwrap();
            black_box(&buffer);
        }
    }
}

/// A round decodes and checks their frames.
pub fn decode<D: Direction<Value: Clone, Frame: prost::Message + Default>>(
    items: Vec<D::Value>,
) -> impl FnMut() {
    let frames = pack::<D>(items);
    let frames: Vec<_> = frames.iter().map(|frame| Bytes::from(frame.encode_to_vec())).collect();
    let mut reader = Reader::<D>::default();
    move || {
        for frame in &frames {
            let frame = D::Frame::decode(frame.clone()).unwrap();
            black_box(reader.read(frame).unwrap());
        }
    }
}

/// A round takes a frame of so many from one broker to one other, among 10,000 filters.
pub fn decide(batch: usize) -> impl FnMut() {
    let mut leader = Leader::default();
    for (at, name) in (1..).zip(["a", "b"]) {
        let stream = StreamId(at);
        let hello = Hello {
            versions: PROTOCOL_VERSIONS,
            name: BrokerName::parse(name).unwrap(),
            incarnation: Incarnation(1),
            software: String::new(),
            retained: RetainedUse::None,
        };
        leader.step(Input::Opened(stream, String::new()));
        leader.step(Input::Received(stream, vec![Upstream::Hello(hello)]));
        leader.step(Input::Received(stream, vec![Upstream::Resumed]));
    }
    let filter = |n| TopicFilter::parse(format!("plant/{n}/line/+/speed").as_bytes()).unwrap();
    let announce = Upstream::Announce {
        ticket: Ticket(1),
        needs: Needs::All,
        filters: (0..10_000).map(filter).collect(),
    };
    leader.step(Input::Received(StreamId(2), vec![announce]));
    let items = publishes(batch);
    move || leader.step(Input::Received(StreamId(1), items.clone()))
}

/// A distributor whose log commits at once.
struct Leader {
    core: Distributor,
    state: ClusterState,
    batches: u64,
    out: Vec<Output>,
}

impl Default for Leader {
    fn default() -> Self {
        let state = ClusterState::new();
        let config = Config {
            server: ServerIncarnation(1),
            software: String::new(),
            wall_time: ClusterMillis(1),
            lease_ms: 1_000,
            heartbeat_ms: 250,
            fan_out: FanOut::Interest,
            brokers_max: 64,
            filters_max: 1_000_000,
            queue_bytes: usize::MAX / 2,
            stall_ms: 10_000,
            publish_window: 1_024,
        };
        Self { core: Distributor::new(config, &state), state, batches: 0, out: Vec::new() }
    }
}

impl Leader {
    fn step(&mut self, input: Input) {
        self.core.step(Millis(0), &self.state, input, &mut self.out);
        let commands = self.out.drain(..).filter_map(|output| match output {
            Output::Propose(command) => Some(command),
            output => {
                black_box(output);
                None
            }
        });
        let commands: Vec<_> = commands.collect();
        if !commands.is_empty() {
            self.batches += 1;
            let batch = Batch { time: self.core.cluster_time(), commands };
            let applied = self.state.apply(self.batches, &batch.encode());
            self.step(Input::Applied(applied));
        }
    }
}
