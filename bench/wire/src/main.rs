//! What a message costs between broker and ha-server, hop by hop.
//!
//! Run with `cargo run --release -p bench-wire`. Prints nanoseconds per message, the median of
//! several rounds, for frames of 1, 8, 64 and 1,024 messages of 256 bytes: cutting and encoding,
//! decoding and checking, upwards and downwards; the distributor's decision; and the processor time
//! of both ends of a loopback hop, raw and through gRPC.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring program")]

mod hop;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use ha_core::cluster::{Batch, ClusterState};
use ha_core::{Config, Distributor, FanOut, Input, Output, StreamId};
use ha_proto::frames::{Direction, Down, Reader, Up, pack};
use ha_proto::v1;
use ha_types::link::{Downstream, Hello, Needs, Origin, PROTOCOL_VERSIONS, RetainedUse, Upstream};
use ha_types::{
    BrokerEpoch, BrokerName, ClusterMillis, Incarnation, Message, Millis, PublishNumber, Publisher,
    Qos, RetainedVersion, ServerIncarnation, Ticket, TopicFilter, TopicName,
};
use prost::Message as _;

const ROUNDS: usize = 9;
const MESSAGES: usize = 1 << 16;

fn main() {
    println!("nanoseconds per message of 256 bytes, medians of {ROUNDS} rounds");
    println!(
        "| messages per frame | encode up | decode up | encode down | decode down | decide \
         | gRPC hop, cpu | raw hop, cpu |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for batch in [1, 8, 64, 1_024] {
        let cells = [
            median(|| encode::<Up>(&publishes(batch))),
            median(|| decode::<Up>(&publishes(batch))),
            median(|| encode::<Down>(&deliveries(batch))),
            median(|| decode::<Down>(&deliveries(batch))),
            median(|| decide(batch)),
            median(|| hop::grpc(batch)),
            median(|| hop::raw(batch)),
        ];
        let cells: Vec<_> = cells.iter().map(|ns| format!("{ns:.0}")).collect();
        println!("| {batch} | {} |", cells.join(" | "));
    }
}

fn median(mut round: impl FnMut() -> f64) -> f64 {
    let mut rounds: Vec<_> = (0..ROUNDS).map(|_| round()).collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

/// Nanoseconds per message of `work`, which handles one frame.
fn per_message(batch: usize, mut work: impl FnMut()) -> f64 {
    let frames = MESSAGES / batch;
    let start = Instant::now();
    (0..frames).for_each(|_| work());
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let messages = (frames * batch) as f64;
    start.elapsed().as_secs_f64() * 1e9 / messages
}

fn message() -> Arc<Message> {
    Arc::new(Message {
        topic: TopicName::parse(Bytes::from_static(b"plant/7/line/3/speed")).unwrap(),
        payload: Bytes::from(vec![7; 256]),
        properties: Bytes::new(),
        qos: Qos::AtMostOnce,
        retain: false,
        expires_at: None,
        publisher: Publisher::default(),
    })
}

/// One frame's worth of publishes.
pub(crate) fn publishes(batch: usize) -> Vec<Upstream> {
    vec![Upstream::Publish { number: None, exchange: None, message: message() }; batch]
}

/// The same for brokers that need them, as of QoS 1.
fn deliveries(batch: usize) -> Vec<Downstream> {
    let origin = Some(Origin { broker: BrokerEpoch(7), number: PublishNumber(100_000) });
    let retained = RetainedVersion(0);
    vec![Downstream::Deliver { origin, known_as: vec![], message: message(), retained }; batch]
}

/// The frame of [`publishes`].
pub(crate) fn frame(batch: usize) -> v1::UpstreamFrame {
    let mut frames = pack::<Up>(publishes(batch));
    // The largest batch exceeds a frame; what is cut off is measured as well, in its own frames.
    frames.swap_remove(0)
}

fn encode<D: Direction<Value: Clone, Frame: prost::Message>>(items: &[D::Value]) -> f64 {
    let mut buffer = BytesMut::with_capacity(1 << 20);
    per_message(items.len(), || {
        for frame in pack::<D>(items.iter().cloned()) {
            buffer.clear();
            frame.encode(&mut buffer).unwrap();
            black_box(&buffer);
        }
    })
}

fn decode<D: Direction<Value: Clone, Frame: prost::Message + Default>>(items: &[D::Value]) -> f64 {
    let frames = pack::<D>(items.iter().cloned());
    let frames: Vec<_> = frames.iter().map(|frame| Bytes::from(frame.encode_to_vec())).collect();
    let mut reader = Reader::<D>::default();
    per_message(items.len(), || {
        for frame in &frames {
            let frame = D::Frame::decode(frame.clone()).unwrap();
            black_box(reader.read(frame).unwrap());
        }
    })
}

/// From one broker to one other, among 10,000 filters.
fn decide(batch: usize) -> f64 {
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
    per_message(batch, || leader.step(Input::Received(StreamId(1), items.clone())))
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
