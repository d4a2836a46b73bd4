//! What is measured of the broker's core, by `benches/` in time and by `bench/guard` in instructions.
//!
//! Run with `cargo bench -p bench-core`, which takes less than three minutes. What the numbers were
//! when the design was chosen is in `docs/adr/0010-subscription-tree.md`.

#![expect(clippy::unwrap_used, reason = "a measuring program")]

pub mod codec;
pub mod routes;
pub mod session;

use bytes::Bytes;
use ha_types::{FilterTree, Message, Publisher, Qos, TopicFilter, TopicName};

/// Of messages that are measured.
pub const TOPIC: &str = "plant/7/line/3/speed";

/// A topic filter.
#[must_use]
pub fn filter(text: &str) -> TopicFilter {
    TopicFilter::parse(text.as_bytes()).unwrap()
}

/// A topic name.
#[must_use]
pub fn topic(text: &str) -> TopicName {
    TopicName::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

/// A message to [`TOPIC`].
#[must_use]
pub fn message(qos: Qos, payload: Bytes) -> Message {
    Message {
        topic: topic(TOPIC),
        payload,
        properties: Bytes::new(),
        qos,
        retain: false,
        expires_at: None,
        publisher: Publisher::default(),
    }
}

/// A set of topic filters, and a topic that is published.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// What it is called in reports.
    pub name: &'static str,
    /// Number of filters.
    pub filters: usize,
    /// The filter of a number.
    pub filter: fn(usize) -> String,
    /// The topic that is matched.
    pub topic: fn(usize) -> String,
}

/// All workloads, small to large.
pub const WORKLOADS: [Workload; 5] = [
    Workload { name: "10 exact", filters: 10, filter: line, topic: line },
    Workload {
        name: "10k siblings",
        filters: 10_000,
        filter: |n| format!("plant/line{n}"),
        topic: |n| format!("plant/line{n}"),
    },
    Workload {
        name: "10k siblings, +",
        filters: 10_000,
        filter: |n| format!("plant/line{n}/+"),
        topic: |n| format!("plant/line{n}/speed"),
    },
    Workload { name: "1M exact", filters: 1_000_000, filter: device, topic: device },
    Workload { name: "1M, 10 % + and 1 % #", filters: 1_000_000, filter: mixed, topic: device },
];

fn line(n: usize) -> String {
    format!("plant/line{n}/speed")
}

fn device(n: usize) -> String {
    format!("site/{}/device/{n}/state", n % 1_000)
}

fn mixed(n: usize) -> String {
    match n % 100 {
        0 => format!("site/{}/device/{n}/#", n % 1_000),
        1..=5 => format!("site/{}/device/{n}/+", n % 1_000),
        6..=10 => format!("site/+/device/{n}/state"),
        _ => device(n),
    }
}

impl Workload {
    /// All filters.
    #[must_use]
    pub fn filters(&self) -> Vec<TopicFilter> {
        (0..self.filters).map(|n| filter(&(self.filter)(n))).collect()
    }

    /// A tree of `filters`.
    #[must_use]
    pub fn tree(filters: &[TopicFilter]) -> FilterTree<u64> {
        let mut tree = FilterTree::new();
        for (n, filter) in (0..).zip(filters) {
            *tree.entry(filter) = n;
        }
        tree
    }

    /// 1,024 topics, spread over all filters, so that caches cannot hold the whole tree.
    #[must_use]
    pub fn topics(&self) -> Vec<TopicName> {
        (0..1_024).map(|n| topic(&(self.topic)(n * 7_919 % self.filters))).collect()
    }
}
