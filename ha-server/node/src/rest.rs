//! A leader without anybody to lead needs no clock: no heartbeat is due, and nobody stands against it.
//!
//! Raft's ticks, a hundred in a second by default, are most of what such a node does while nothing is
//! proposed.

use openraft::async_runtime::WatchReceiver as _;
use openraft::metrics::RaftServerMetrics;
use openraft::{Raft, ServerState};

use crate::machine::Machine;
use crate::raft::applier::Applier;
use crate::raft::types::Types;

/// Stops Raft's ticks while this node leads alone, until Raft ends.
///
/// A member that is added or a vote of a higher term changes what is watched here; then they go on.
pub(crate) async fn while_alone<M: Machine>(raft: Raft<Types, Applier<M>>) {
    let mut metrics = raft.server_metrics();
    loop {
        let is_alone = leads_alone(&metrics.borrow_watched());
        raft.runtime_config().tick(!is_alone);
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

fn leads_alone(metrics: &RaftServerMetrics<Types>) -> bool {
    let known = [&metrics.membership_config, &metrics.committed_membership_config];
    metrics.state == ServerState::Leader
        && known.iter().all(|members| members.nodes().all(|(id, _)| *id == metrics.id))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use tempfile::TempDir;
    use tokio::time;

    use crate::raft::suite::Blank;
    use crate::{Config, Durability, Failover, Limits, Member, Node, NodeId, Peers, Unreachable};

    /// A hundred ticks.
    const STRETCH: Duration = Duration::from_secs(1);

    /// What follows a start may take a while on a busy machine.
    const STRETCHES_MAX: usize = 30;

    struct Nobody;

    impl Peers for Nobody {
        async fn send(&self, _: &Member, _: Bytes) -> Result<Bytes, Unreachable> {
            Err(Unreachable("nobody is there".to_owned()))
        }
    }

    fn config(directory: &TempDir) -> Config {
        Config {
            cluster: "test".to_owned(),
            group: 0,
            node: NodeId(1),
            members: vec![Member { id: NodeId(1), address: "here".to_owned() }],
            directory: directory.path().to_owned(),
            failover: Failover::Normal,
            durability: Durability::Fsync,
            limits: Limits::default(),
        }
    }

    fn parks(node: &Node<Blank>) -> u64 {
        let metrics = node.runtime().metrics();
        (0..metrics.num_workers()).map(|worker| metrics.worker_park_count(worker)).sum()
    }

    #[tokio::test]
    async fn leader_alone_sleeps() {
        let directory = TempDir::new().unwrap();
        let node = Node::start(config(&directory), Blank, Nobody).await.unwrap();
        for stretch in 0.. {
            let before = parks(&node);
            time::sleep(STRETCH).await;
            let woken = parks(&node) - before;
            if woken == 0 {
                break;
            }
            assert!(stretch < STRETCHES_MAX, "its threads woke {woken} times in {STRETCH:?}");
        }
        assert!(node.watch().borrow().is_leader);
    }
}
