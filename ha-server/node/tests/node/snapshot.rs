//! A log that is shortened, and nodes that need what it no longer has.

use std::time::Duration;

use ha_node::NodeId;

use crate::cluster::Cluster;
use crate::key_values::put;

/// A log that keeps nothing that is stored.
fn short_lived(size: u64) -> Cluster {
    let mut cluster = Cluster::of(size);
    cluster.limits.save_every = Duration::from_millis(5);
    cluster.limits.keep_bytes = 0;
    cluster
}

/// Proposes 6 MiB: several parts of a snapshot. Returns the last index.
async fn fill(cluster: &Cluster) -> u64 {
    let mut last = 0;
    for key in 0..100 {
        last = cluster.propose(put(&format!("big/{key}"), &[key; 60_000])).await;
    }
    last
}

async fn until_purged(cluster: &Cluster, index: u64) {
    let what = format!("{index} is purged");
    cluster.leader().await.until(&what, |status| status.purged >= Some(index)).await;
}

#[tokio::test]
async fn node_whose_log_was_shortened_restarts_with_everything() {
    let mut cluster = short_lived(1).start().await;
    let first = cluster.propose(put("a", b"1")).await;
    let last = fill(&cluster).await;
    until_purged(&cluster, first).await;
    cluster.kill(NodeId(1)).await;
    cluster.run(NodeId(1)).await;
    cluster.leader().await.until_applied(last).await;
    assert_eq!(cluster.node(NodeId(1)).value("a"), Some(b"1".to_vec()));
    assert_eq!(cluster.node(NodeId(1)).node.read(|machine| machine.len()), 101);
}

#[tokio::test]
async fn log_keeps_as_many_bytes_as_it_is_told_to() {
    let mut cluster = short_lived(1);
    cluster.limits.keep_bytes = 3 << 20;
    let cluster = cluster.start().await;
    let last = fill(&cluster).await;
    until_purged(&cluster, 1).await;
    let purged = cluster.leader().await.node.watch().borrow().purged.unwrap();
    // 3 MiB are at least 52 commands of 60,000 bytes.
    assert!(last - purged >= 52, "{purged} of {last} are gone");
}

async fn lagging_follower(cluster: &mut Cluster) -> (NodeId, u64) {
    let leader = cluster.leader_id().await;
    let behind = if leader == NodeId(1) { NodeId(2) } else { NodeId(1) };
    cluster.propose(put("gone", b"soon")).await;
    cluster.kill(behind).await;
    let missed = cluster.propose(put("gone", b"")).await;
    let last = fill(cluster).await;
    until_purged(cluster, missed).await;
    (behind, last)
}

async fn assert_complete(cluster: &Cluster, id: NodeId, last: u64) {
    let node = cluster.node(id);
    node.until_applied(last).await;
    assert_eq!(node.node.read(|machine| machine.len()), 100);
    assert_eq!(node.value("big/99"), Some(vec![99; 60_000]));
    let purged = node.node.watch().borrow().purged;
    assert!(purged >= Some(1), "it came from a snapshot, not from the log: {purged:?}");
}

#[tokio::test]
async fn follower_that_is_too_far_behind_gets_a_snapshot() {
    let mut cluster = short_lived(3).start().await;
    let (behind, last) = lagging_follower(&mut cluster).await;
    cluster.run(behind).await;
    assert_complete(&cluster, behind, last).await;
    // And it goes on from there, also after a crash.
    cluster.kill(behind).await;
    cluster.run(behind).await;
    let next = cluster.propose(put("big/99", b"")).await;
    cluster.node(behind).until_applied(next).await;
    assert_eq!(cluster.node(behind).node.read(|machine| machine.len()), 99);
}

#[tokio::test]
async fn snapshot_that_was_interrupted_starts_again_without_harm() {
    let mut cluster = short_lived(3).start().await;
    let (behind, last) = lagging_follower(&mut cluster).await;
    cluster.network.lose_large_after(2);
    cluster.run(behind).await;
    cluster.network.until_disturbed().await;
    assert_complete(&cluster, behind, last).await;
}

#[tokio::test]
async fn receiver_that_dies_in_the_middle_of_a_snapshot_starts_again_without_harm() {
    let mut cluster = short_lived(3).start().await;
    let (behind, last) = lagging_follower(&mut cluster).await;
    cluster.network.hold_large_after(2);
    cluster.run(behind).await;
    cluster.network.until_disturbed().await;
    cluster.kill(behind).await;
    cluster.network.release();
    cluster.run(behind).await;
    assert_complete(&cluster, behind, last).await;
}
