//! Measures commits per second, their latency, and how long a dead leader is missed.
//!
//! `cargo run --release -p ha-node --example commits -- [seconds per cell] [directory]`. All nodes
//! run in this process on one disk; requests between them are handed over in memory.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]
#![expect(dead_code, reason = "it shares the nodes of the tests, which use more of them")]

#[path = "../tests/node/cluster.rs"]
mod cluster;
#[path = "../tests/node/key_values.rs"]
mod key_values;

use std::env;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::Cluster;
use ha_node::{Durability, Failover, Node};
use hdrhistogram::Histogram;
use key_values::{KeyValues, put};
use tokio::task::JoinSet;

const COMMAND_BYTES: usize = 256;
const KEYS: u64 = 10_000;
const FAILOVERS: usize = 10;

fn command(number: u64) -> bytes::Bytes {
    let key = format!("{:06}", number % KEYS);
    put(&key, &[7; COMMAND_BYTES - 8])
}

/// One of the proposers: one command after the other. Returns the latencies in microseconds.
async fn propose(node: Arc<Node<KeyValues>>, first: u64, end: Instant) -> Vec<u64> {
    let mut latencies = Vec::new();
    let mut number = first;
    while Instant::now() < end {
        let start = Instant::now();
        node.propose(command(number)).await.unwrap();
        latencies.push(start.elapsed().as_micros().try_into().unwrap());
        number += 7;
    }
    latencies
}

async fn measure(cluster: &Cluster, outstanding: u64, length: Duration) -> String {
    let node = &cluster.leader().await.node;
    let (start, mut proposers) = (Instant::now(), JoinSet::new());
    for first in 0..outstanding {
        proposers.spawn(propose(Arc::clone(node), first, start + length));
    }
    let mut all = Histogram::<u64>::new(3).unwrap();
    while let Some(latencies) = proposers.join_next().await {
        for latency in latencies.unwrap() {
            all.record(latency).unwrap();
        }
    }
    let per_second = u128::from(all.len()) * 1_000_000 / start.elapsed().as_micros();
    let ms = |quantile| Duration::from_micros(all.value_at_quantile(quantile));
    format!("{outstanding:>6} {per_second:>9}/s  p50 {:?}  p99 {:?}", ms(0.5), ms(0.99))
}

async fn throughput(size: u64, durability: Durability, length: Duration, dir: &str) {
    let mut cluster = Cluster::of_in(size, dir);
    cluster.durability = durability;
    let cluster = cluster.start().await;
    println!("{size} nodes, {durability:?}");
    measure(&cluster, 128, length / 4).await;
    for outstanding in [2, 128, 2_048] {
        println!("{}", measure(&cluster, outstanding, length).await);
    }
}

/// From the kill of the leader to the next commit.
async fn failover(failover: Failover, dir: &str) {
    let mut cluster = Cluster::of_in(3, dir);
    cluster.failover = failover;
    let mut cluster = cluster.start().await;
    let mut times = Vec::new();
    for _ in 0..FAILOVERS {
        cluster.propose(command(0)).await;
        let leader = cluster.leader_id().await;
        let start = Instant::now();
        let dying = tokio::spawn(cluster.take(leader).kill());
        cluster.propose(command(1)).await;
        times.push(start.elapsed());
        dying.await.unwrap();
        cluster.run(leader).await;
        let last = cluster.propose(command(2)).await;
        cluster.node(leader).until_applied(last).await;
    }
    times.sort();
    let [first, .., last] = times[..] else { return };
    println!(
        "leader killed, {failover:?}: median {:?} ({first:?} to {last:?})",
        times[FAILOVERS / 2]
    );
}

async fn hand_over(dir: &str) {
    let cluster = Cluster::of_in(3, dir).start().await;
    let mut times = Vec::new();
    for _ in 0..FAILOVERS {
        let old = cluster.leader_id().await;
        cluster.propose(command(0)).await;
        let to = ha_node::NodeId(old.0 % 3 + 1);
        let start = Instant::now();
        cluster.node(old).node.transfer_leader(to).await.unwrap();
        cluster.propose(command(1)).await;
        times.push(start.elapsed());
    }
    times.sort();
    let [first, .., last] = times[..] else { return };
    println!("leadership handed over: median {:?} ({first:?} to {last:?})", times[FAILOVERS / 2]);
}

#[tokio::main]
async fn main() {
    let mut arguments = env::args().skip(1);
    let seconds = arguments.next().map_or(5, |seconds| seconds.parse().unwrap());
    let dir = arguments.next().unwrap_or_else(|| ".".to_owned());
    let length = Duration::from_secs(seconds);
    for size in [1, 3] {
        throughput(size, Durability::Fsync, length, &dir).await;
    }
    throughput(3, Durability::Memory, length, &dir).await;
    failover(Failover::Normal, &dir).await;
    failover(Failover::Fast, &dir).await;
    hand_over(&dir).await;
}
