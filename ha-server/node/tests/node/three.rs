//! Three nodes: what a majority has acknowledged stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use ha_node::{ConfirmError, NodeId, ProposeError};

use crate::cluster::{Cluster, bounded};
use crate::key_values::put;

async fn three() -> Cluster {
    Cluster::of(3).start().await
}

#[tokio::test]
async fn all_nodes_apply_the_same() {
    let cluster = three().await;
    let mut last = 0;
    for key in 0..100 {
        last = cluster.propose(put(&key.to_string(), b"x")).await;
    }
    let mut states = Vec::new();
    for running in cluster.running.values() {
        running.until_applied(last).await;
        states.push(running.node.read(|machine| machine.all()));
    }
    assert_eq!(states[0].len(), 100);
    assert!(states.iter().all(|state| *state == states[0]));
}

#[tokio::test]
async fn killed_leader_is_replaced_and_nothing_acknowledged_is_missing() {
    let mut cluster = three().await;
    let mut acknowledged = BTreeMap::new();
    for round in 0..4_u8 {
        let leader = cluster.leader_id().await;
        // Some are under way when the leader dies.
        let node = Arc::clone(&cluster.node(leader).node);
        let (told, mut answers) = tokio::sync::mpsc::unbounded_channel();
        let proposing = tokio::spawn(async move {
            for key in 0_u32.. {
                let key = format!("{round}/{key}");
                let Ok(pending) = node.submit(put(&key, &[round])).await else { return };
                if pending.await.is_err() || told.send(key).is_err() {
                    return;
                }
            }
        });
        for _ in 0..50 {
            let key = bounded("an answer", answers.recv()).await.unwrap();
            acknowledged.insert(key.into_bytes(), vec![round]);
        }
        proposing.abort();
        let _ = proposing.await;
        while let Ok(key) = answers.try_recv() {
            acknowledged.insert(key.into_bytes(), vec![round]);
        }
        cluster.kill(leader).await;
        let next = cluster.leader().await;
        assert!(next.node.confirm_leadership().await.is_ok());
        let state = next.node.read(|machine| machine.all());
        for (key, value) in &acknowledged {
            assert_eq!(state.get(key), Some(value), "{}", key.escape_ascii());
        }
        cluster.run(leader).await;
    }
}

#[tokio::test]
async fn leader_that_is_cut_off_acknowledges_nothing_and_another_goes_on() {
    let cluster = three().await;
    cluster.propose(put("a", b"before")).await;
    let old = cluster.leader_id().await;
    cluster.network.cut(old);
    let node = Arc::clone(&cluster.node(old).node);
    let lost = tokio::spawn(async move { node.propose(put("a", b"lost")).await });
    assert_eq!(cluster.node(old).node.confirm_leadership().await, Err(ConfirmError::NoQuorum));
    let new = cluster.leader_among(|id| id != old).await;
    let (index, before) = new.node.propose(put("a", b"after")).await.unwrap();
    assert_eq!(before, Some(b"before".to_vec()));
    cluster.network.heal();
    cluster.node(old).until_applied(index).await;
    assert_eq!(cluster.node(old).value("a"), Some(b"after".to_vec()));
    let refused = bounded("the proposal that was cut off", lost).await.unwrap().unwrap_err();
    assert!(
        matches!(refused, ProposeError::Unknown { .. } | ProposeError::NotLeader { .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn follower_refuses_and_names_the_leader() {
    let cluster = three().await;
    let leader = cluster.leader_id().await;
    let index = cluster.propose(put("a", b"1")).await;
    let (_, follower) = cluster.running.iter().find(|(id, _)| **id != leader).unwrap();
    follower.until_applied(index).await;
    let leader = Some(leader);
    let refused = follower.node.propose(put("a", b"2")).await;
    assert_eq!(refused, Err(ProposeError::NotLeader { leader }));
    let refused = follower.node.confirm_leadership().await;
    assert_eq!(refused, Err(ConfirmError::NotLeader { leader }));
}

#[tokio::test]
async fn node_that_was_cut_off_does_not_disturb_the_leader_when_it_comes_back() {
    let cluster = three().await;
    let leader = cluster.leader_id().await;
    let cut = if leader == NodeId(1) { NodeId(2) } else { NodeId(1) };
    let term = cluster.node(leader).node.watch().borrow().term;
    cluster.network.cut(cut);
    // A follower sends nothing but requests for votes.
    cluster.network.until_tried(cut, 10).await;
    let mut last = 0;
    for _ in 0..20 {
        last = cluster.propose(put("a", b"1")).await;
    }
    cluster.network.heal();
    cluster.node(cut).until_applied(last).await;
    let status = cluster.node(leader).node.watch().borrow().clone();
    assert_eq!((status.term, status.is_leader), (term, true));
}

#[tokio::test]
async fn all_nodes_killed_at_once_come_back_with_everything() {
    let mut cluster = three().await;
    let mut last = 0;
    for key in 0..50 {
        last = cluster.propose(put(&key.to_string(), b"x")).await;
    }
    for id in [1, 2, 3].map(NodeId) {
        cluster.kill(id).await;
    }
    for id in [1, 2, 3].map(NodeId) {
        cluster.run(id).await;
    }
    for running in cluster.running.values() {
        running.until_applied(last).await;
        assert_eq!(running.node.read(|machine| machine.len()), 50);
    }
}

#[tokio::test]
async fn request_of_another_cluster_is_refused() {
    let mut cluster = Cluster::of(2);
    cluster.run(NodeId(1)).await;
    let mut stranger = cluster.config(NodeId(2));
    stranger.cluster = "another".to_owned();
    cluster.try_run(stranger).await.unwrap();
    // Two are needed for a vote, and only one of this name is there.
    let refused = cluster.node(NodeId(1)).node.propose(put("a", b"1")).await;
    assert_eq!(refused, Err(ProposeError::NotLeader { leader: None }));
    cluster.kill(NodeId(2)).await;
    std::fs::remove_dir_all(cluster.dirs.path().join("2")).unwrap();
    cluster.run(NodeId(2)).await;
    cluster.propose(put("a", b"1")).await;
}

#[tokio::test]
async fn leader_that_is_cut_off_stops_leading_and_its_followers_forget_it() {
    let cluster = three().await;
    let old = cluster.leader_id().await;
    cluster.network.cut(old);
    let cut_off = cluster.node(old);
    cut_off.until("it leads no more", |status| !status.is_leader).await;
    cut_off.until("it knows nobody", |status| status.leader.is_none()).await;
    cluster.leader_among(|id| id != old).await;
    cluster.network.heal();
    cut_off.until("it follows", |status| status.leader.is_some_and(|leader| leader != old)).await;
}

#[tokio::test]
async fn follower_without_a_majority_forgets_a_leader_that_died() {
    let mut cluster = three().await;
    let leader = cluster.leader_id().await;
    let mut others = (1..=3).map(NodeId).filter(|&id| id != leader);
    let (left, other) = (others.next().unwrap(), others.next().unwrap());
    cluster.node(left).until("it follows", |status| status.leader == Some(leader)).await;
    cluster.kill(other).await;
    cluster.kill(leader).await;
    cluster.node(left).until("it knows nobody", |status| status.leader.is_none()).await;
}
