//! What a message costs until each recipient is known, and what a connection costs that goes.

use bench_core::routes::{FILTERS, connect, count, fan_out, published, routes};
use broker_core::engine::Scratch;
use criterion::{Criterion, Throughput};
use ha_types::session::ConnectionId;

mod common;

fn main() {
    let mut criterion = common::criterion();
    for recipients in [1, 100, 10_000] {
        for filters in [1, 3] {
            measure_fan_out(&mut criterion, recipients, filters);
        }
    }
    with_observer(&mut criterion, 10_000);
    reconnect(&mut criterion, 100_000);
    criterion.final_summary();
}

/// Each connection has all of `filters`.
fn measure_fan_out(criterion: &mut Criterion, recipients: u64, filters: usize) {
    let mut group = criterion.benchmark_group("routes");
    let mut round = fan_out(recipients, filters);
    group.throughput(Throughput::Elements(recipients));
    group.bench_function(format!("{recipients} recipients, {filters} filters each"), |bencher| {
        bencher.iter(&mut round);
    });
    group.finish();
}

/// Many connections with one filter, and one with `#`.
fn with_observer(criterion: &mut Criterion, recipients: u64) {
    let mut routes = routes(recipients, &FILTERS[..1]);
    connect(&mut routes, recipients / 2, &["#"]);
    let (message, mut scratch) = (published(), Scratch::default());
    let mut group = criterion.benchmark_group("routes");
    group.throughput(Throughput::Elements(recipients));
    group.bench_function(format!("{recipients} recipients and an observer"), |bencher| {
        bencher.iter(|| count(&routes, &message, &mut scratch));
    });
    group.finish();
}

/// One of many subscribers of the same filter goes and comes back.
fn reconnect(criterion: &mut Criterion, subscribers: u64) {
    let mut routes = routes(subscribers, &FILTERS[..1]);
    let mut next = (0..subscribers).map(|n| n * 7_919 % subscribers).cycle();
    criterion.bench_function(&format!("routes/remove and add, 1 of {subscribers}"), |bencher| {
        bencher.iter(|| {
            let connection = next.next().unwrap_or_default();
            routes.remove_all(ConnectionId(connection));
            connect(&mut routes, connection, &FILTERS[..1]);
        });
    });
}
