//! What decoding and encoding a PUBLISH costs, beside other codecs.
//!
//! Run with `cargo run --release` in this folder. Prints nanoseconds per packet, decoding and
//! encoding, the median of several rounds: a read of 64 packets is cut and decoded, and packets are
//! written to a buffer that is reused. Reading is not measured, dropping the packets is.
//!
//! `bench-codec malformed` prints which codecs take packets that they should refuse.
//!
//! `bench-codec allocate CODEC SHAPE WORK READS` does the work for a number of reads and prints
//! nothing: run it under `valgrind` with two numbers, and the difference of the allocations is what
//! the packets between them took.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring program")]

mod codecs;
mod malformed;
mod shape;

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use codecs::{Codec, Work};
use shape::Shape;

const ROUNDS: usize = 11;
const READS: usize = 512;
/// Packets in one read.
const PACKETS: usize = 64;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [] => print_table(),
        [malformed] if malformed == "malformed" => malformed::print(),
        [allocate, codec, shape, work, reads] if allocate == "allocate" => {
            let codec = Codec::ALL.into_iter().find(|c| c.name() == codec).unwrap();
            let shape = Shape::all().into_iter().find(|s| s.to_string() == *shape).unwrap();
            let work = Work::ALL.into_iter().find(|w| w.name() == work).unwrap();
            round(&mut codec.worker(&shape, work).unwrap(), &shape, reads.parse().unwrap());
        }
        _ => println!("usage: bench-codec [malformed | allocate CODEC SHAPE WORK READS]"),
    }
}

fn print_table() {
    println!("nanoseconds per PUBLISH, decode / encode, medians of {ROUNDS} rounds");
    let names = Codec::ALL.map(Codec::name);
    println!("| packet | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(names.len()));
    for shape in Shape::all() {
        let cells = Codec::ALL.map(|codec| {
            let cell = |work| median(codec, &shape, work);
            format!("{} / {}", cell(Work::Decode), cell(Work::Encode))
        });
        println!("| {shape} | {} |", cells.join(" | "));
    }
}

fn median(codec: Codec, shape: &Shape, work: Work) -> String {
    let Some(mut worker) = codec.worker(shape, work) else { return "–".into() };
    round(&mut worker, shape, READS); // The first one pays for a cold processor.
    let mut rounds: Vec<_> = (0..ROUNDS).map(|_| round(&mut worker, shape, READS)).collect();
    rounds.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let packets = (READS * PACKETS) as f64;
    format!("{:.0}", rounds[ROUNDS / 2].as_secs_f64() * 1e9 / packets)
}

/// The time of the work alone: filling the read buffer is left out.
fn round(worker: &mut impl FnMut(&mut BytesMut), shape: &Shape, reads: usize) -> Duration {
    let read = shape.read();
    let mut buffer = BytesMut::with_capacity(1 << 20);
    let mut total = Duration::ZERO;
    for _ in 0..reads {
        buffer.clear();
        buffer.reserve(read.len());
        buffer.extend_from_slice(&read);
        let start = Instant::now();
        worker(&mut buffer);
        total += start.elapsed();
        black_box(&buffer);
    }
    total
}
