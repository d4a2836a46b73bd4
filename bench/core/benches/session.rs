//! What one message costs in a client's connection, and in the holder of durable sessions: per message of
//! a round of [`bench_core::session`].

use std::time::{Duration, Instant};

use bench_core::session::{MESSAGES, deliver, deliver_durable, ping, publish};
use criterion::Criterion;
use ha_types::Qos;

mod common;

fn main() {
    let mut criterion = common::criterion();
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        measure(&mut criterion, &format!("publish, QoS {}", qos.level()), publish(qos));
        measure(&mut criterion, &format!("deliver, QoS {}", qos.level()), deliver(qos));
    }
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let name = format!("deliver durable, QoS {}", qos.level());
        measure(&mut criterion, &name, deliver_durable(qos));
    }
    measure(&mut criterion, "ping", ping());
    criterion.final_summary();
}

/// Measures `round`, which is [`MESSAGES`] messages, per message.
fn measure(criterion: &mut Criterion, name: &str, mut round: impl FnMut()) {
    criterion.bench_function(&format!("session/{name}"), |bencher| {
        bencher.iter_custom(|messages| {
            let rounds = messages.div_ceil(MESSAGES.into());
            let start = Instant::now();
            (0..rounds).for_each(|_| round());
            per_message(start.elapsed(), messages, rounds)
        });
    });
}

/// The part of `elapsed` that this many messages took.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_message(elapsed: Duration, messages: u64, rounds: u64) -> Duration {
    elapsed.mul_f64(messages as f64 / (rounds * u64::from(MESSAGES)) as f64)
}
