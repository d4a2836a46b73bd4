//! What a message costs between broker and ha-server, hop by hop.
//!
//! Run with `cargo run --release -p bench-wire`. Prints nanoseconds per message, the median of
//! several rounds, for frames of 1, 8, 64 and 1,024 messages of 256 bytes: cutting and encoding,
//! decoding and checking, upwards and downwards; the distributor's decision; and the processor time
//! of both ends of a loopback hop, raw and through gRPC.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring program")]

mod hop;

use std::time::Instant;

use bench_wire::{decide, decode, deliveries, encode, publishes};
use ha_proto::frames::{Down, Up};

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
            median(|| per_message(batch, encode::<Up>(publishes(batch)))),
            median(|| per_message(batch, decode::<Up>(publishes(batch)))),
            median(|| per_message(batch, encode::<Down>(deliveries(batch)))),
            median(|| per_message(batch, decode::<Down>(deliveries(batch)))),
            median(|| per_message(batch, decide(batch))),
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
