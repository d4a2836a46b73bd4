//! Runs one hot path so many times, for a tool that counts instructions: `sh bench/guard.sh`.
//!
//! Without arguments it prints each path and how many messages one round of it has. With a path and a number it
//! prepares the path and runs so many rounds: the difference between two numbers is what rounds cost.

#![expect(clippy::print_stdout, reason = "a measuring program")]

use std::process::ExitCode;

use bench_core::{WORKLOADS, Workload, codec, routes, session};
use bench_wire::{decide, decode, deliveries, encode, publishes, state};
use broker_core::codec::Version;
use ha_proto::frames::{Down, Up};
use ha_types::Qos;

type Round = Box<dyn FnMut()>;

struct Path {
    name: &'static str,
    /// Messages of one round.
    messages: u64,
    prepare: fn() -> Round,
}

/// Messages in a frame.
const FRAME: usize = 64;

/// Messages of a round of [`session`].
const SESSION: u64 = session::MESSAGES as u64;

const PATHS: [Path; 19] = [
    path("decode-v311", codec::PACKETS, || Box::new(codec::decode(Version::V311, 256))),
    path("decode-v5", codec::PACKETS, || Box::new(codec::decode(Version::V5, 256))),
    path("write-encoded", 1, || Box::new(codec::write_encoded(Version::V5, 256))),
    path("match-10k", 1, match_among_siblings),
    path("route-1", 1, || Box::new(routes::fan_out(1, 1))),
    path("route-100", 100, || Box::new(routes::fan_out(100, 1))),
    path("publish-qos0", SESSION, || Box::new(session::publish(Qos::AtMostOnce))),
    path("publish-qos1", SESSION, || Box::new(session::publish(Qos::AtLeastOnce))),
    path("publish-qos2", SESSION, || Box::new(session::publish(Qos::ExactlyOnce))),
    path("deliver-qos0", SESSION, || Box::new(session::deliver(Qos::AtMostOnce))),
    path("deliver-qos1", SESSION, || Box::new(session::deliver(Qos::AtLeastOnce))),
    path("deliver-durable", SESSION, || Box::new(session::deliver_durable(Qos::AtLeastOnce))),
    path("frame-encode-up", FRAME as u64, || Box::new(encode::<Up>(publishes(FRAME)))),
    path("frame-decode-up", FRAME as u64, || Box::new(decode::<Up>(publishes(FRAME)))),
    path("frame-encode-down", FRAME as u64, || Box::new(encode::<Down>(deliveries(FRAME)))),
    path("frame-decode-down", FRAME as u64, || Box::new(decode::<Down>(deliveries(FRAME)))),
    path("leader-decide", FRAME as u64, || Box::new(decide(FRAME))),
    path("state-apply", state::MESSAGES, || Box::new(state::apply(1))),
    path("state-apply-100", state::MESSAGES, || Box::new(state::apply(100))),
];

const fn path(name: &'static str, messages: u64, prepare: fn() -> Round) -> Path {
    Path { name, messages, prepare }
}

/// A round finds one topic's filter among 10,000 of its siblings.
fn match_among_siblings() -> Round {
    let workload = &WORKLOADS[1];
    let tree = Workload::tree(&workload.filters());
    let topics = workload.topics();
    let mut next = 0;
    Box::new(move || {
        next = (next + 1) % topics.len();
        tree.for_each_match(&topics[next], |value| {
            std::hint::black_box(value);
        });
    })
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if arguments.is_empty() {
        PATHS.iter().for_each(|path| println!("{} {}", path.name, path.messages));
        return ExitCode::SUCCESS;
    }
    let Some((path, rounds)) = parse(&arguments) else {
        eprintln!("usage: bench-guard [PATH ROUNDS]; without arguments it lists the paths");
        return ExitCode::FAILURE;
    };
    let mut round = (path.prepare)();
    (0..rounds).for_each(|_| round());
    ExitCode::SUCCESS
}

fn parse(arguments: &[String]) -> Option<(&'static Path, u64)> {
    let [name, rounds] = arguments else { return None };
    let path = PATHS.iter().find(|path| path.name == name)?;
    Some((path, rounds.parse().ok()?))
}
