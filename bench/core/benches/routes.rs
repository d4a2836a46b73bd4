//! What a message costs until each recipient is known, and what a connection costs that goes.
//!
//! A handle is an `Arc`, as a mailbox would be; the closure reads what it points to.

use std::hint::black_box;
use std::sync::Arc;

use bench_core::{filter, topic};
use broker_core::engine::{Route, Routes, Scratch, Wants};
use bytes::Bytes;
use criterion::{Criterion, Throughput};
use ha_types::session::ConnectionId;
use ha_types::{Message, Publisher, Qos, SessionId};

const TOPIC: &str = "plant/7/line/3/speed";

/// Filters that match [`TOPIC`], the most usual first.
const FILTERS: [&str; 3] = [TOPIC, "plant/+/line/+/speed", "plant/#"];

fn main() {
    let mut criterion = bench_core::criterion();
    for recipients in [1, 100, 10_000] {
        for filters in [1, 3] {
            fan_out(&mut criterion, recipients, filters);
        }
    }
    with_observer(&mut criterion, 10_000);
    reconnect(&mut criterion, 100_000);
    criterion.final_summary();
}

/// Each connection has all of `filters`.
fn fan_out(criterion: &mut Criterion, recipients: u64, filters: usize) {
    let mut group = criterion.benchmark_group("routes");
    let mut routes = routes(10_000, &["other/topic"]);
    (0..recipients).for_each(|n| connect(&mut routes, n, &FILTERS[..filters]));
    let (message, mut scratch) = (message(), Scratch::default());
    group.throughput(Throughput::Elements(recipients));
    group.bench_function(format!("{recipients} recipients, {filters} filters each"), |bencher| {
        bencher.iter(|| count(&routes, &message, &mut scratch));
    });
    group.finish();
}

/// Many connections with one filter, and one with `#`.
fn with_observer(criterion: &mut Criterion, recipients: u64) {
    let mut routes = routes(recipients, &FILTERS[..1]);
    connect(&mut routes, recipients / 2, &["#"]);
    let (message, mut scratch) = (message(), Scratch::default());
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

fn count(routes: &Routes<Arc<u64>>, message: &Message, scratch: &mut Scratch) -> u64 {
    let mut found = 0;
    routes.for_each_recipient(black_box(message), scratch, |handle, hit| {
        found += **handle + u64::from(hit.qos.level());
    });
    found
}

fn routes(connections: u64, filters: &[&str]) -> Routes<Arc<u64>> {
    let mut routes = Routes::new(1);
    (0..connections).for_each(|n| connect(&mut routes, n, filters));
    routes
}

fn connect(routes: &mut Routes<Arc<u64>>, connection: u64, filters: &[&str]) {
    let handle = Arc::new(connection);
    let route = Route {
        session: SessionId(connection),
        subscription_id: None,
        qos: Qos::AtLeastOnce,
        no_local: false,
        retain_as_published: false,
        wants: Wants::All,
    };
    for text in filters {
        routes.add(ConnectionId(connection), handle.clone(), &filter(text), route);
    }
}

fn message() -> Message {
    Message {
        topic: topic(TOPIC),
        payload: Bytes::from_static(&[7; 256]),
        properties: Bytes::new(),
        qos: Qos::AtLeastOnce,
        retain: false,
        expires_at: None,
        publisher: Publisher::default(),
    }
}
