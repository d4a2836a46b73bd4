//! Members come and go, and leadership is handed over.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ha_node::{Member, MembershipError, NodeId};

use crate::cluster::{Cluster, bounded, member};
use crate::key_values::put;

const ONE: NodeId = NodeId(1);

fn ids(ids: impl IntoIterator<Item = u64>) -> BTreeSet<NodeId> {
    ids.into_iter().map(NodeId).collect()
}

fn voters(cluster: &Cluster, id: NodeId) -> BTreeSet<NodeId> {
    cluster.node(id).node.watch().borrow().voters.iter().map(|voter| voter.id).collect()
}

#[tokio::test]
async fn one_node_becomes_three_and_one_again() {
    let mut cluster = Cluster::of(1).start().await;
    cluster.propose(put("a", b"1")).await;
    for id in [2, 3] {
        cluster.run(NodeId(id)).await;
        let leader = cluster.leader().await;
        bounded("a learner", leader.node.add_learner(&member(id))).await.unwrap();
    }
    let leader = cluster.leader().await;
    leader.node.change_voters(ids([1, 2, 3])).await.unwrap();
    assert_eq!(voters(&cluster, ONE), ids([1, 2, 3]));

    // Two of three are a majority, and the first of them may go.
    cluster.kill(ONE).await;
    let last = cluster.propose(put("a", b"2")).await;
    cluster.run(ONE).await;
    cluster.node(ONE).until_applied(last).await;

    for id in [3, 2] {
        let leader = cluster.leader().await;
        leader.node.remove(NodeId(id)).await.unwrap();
        cluster.leader_among(|leads| leads.0 < id).await;
        cluster.kill(NodeId(id)).await;
    }
    let last = cluster.propose(put("a", b"3")).await;
    cluster.node(ONE).until_applied(last).await;
    assert_eq!(voters(&cluster, ONE), ids([1]));
    cluster.kill(ONE).await;
    cluster.run(ONE).await;
    cluster.leader().await.until_applied(last).await;
    assert_eq!(cluster.node(ONE).value("a"), Some(b"3".to_vec()));
}

#[tokio::test]
async fn leader_that_was_alone_is_heard_by_a_new_member() {
    let mut cluster = Cluster::of(1).start().await;
    cluster.run(NodeId(2)).await;
    let leader = cluster.leader().await;
    bounded("a learner", leader.node.add_learner(&member(2))).await.unwrap();
    let node = &cluster.node(NodeId(2)).node;
    let heard_at = || node.heard_leader_ago().map(|ago| Instant::now() - ago);
    // Nothing is proposed, so these are heartbeats.
    for _ in 0..10 {
        let before = heard_at().map(|at| at + Duration::from_millis(5));
        let later = async {
            while heard_at() <= before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        bounded("a heartbeat", later).await;
    }
}

#[tokio::test]
async fn planned_hand_over_loses_nothing_and_both_see_it() {
    let cluster = Cluster::of(3).start().await;
    for round in 0..5_u8 {
        let old = cluster.leader_id().await;
        cluster.propose(put("a", &[round])).await;
        let to = NodeId(old.0 % 3 + 1);
        cluster.node(old).node.transfer_leader(to).await.unwrap();
        cluster.node(to).until("it leads", |status| status.is_leader).await;
        let (_, before) = cluster.node(to).node.propose(put("a", b"x")).await.unwrap();
        assert_eq!(before, Some(vec![round]));
    }
}

#[tokio::test]
async fn changes_that_make_no_sense_are_refused() {
    let cluster = Cluster::of(3).start().await;
    let leader = &cluster.leader().await.node;
    let unknown = leader.change_voters(ids([1, 2, 9])).await;
    assert!(matches!(unknown, Err(MembershipError::Refused(_))), "{unknown:?}");
    let none = leader.change_voters(ids([])).await;
    assert!(matches!(none, Err(MembershipError::Refused(_))), "{none:?}");
    let stranger = leader.transfer_leader(NodeId(9)).await;
    assert!(matches!(stranger, Err(MembershipError::Refused(_))), "{stranger:?}");
    cluster.propose(put("a", b"1")).await;
}

#[tokio::test]
async fn follower_refuses_to_change_members() {
    let cluster = Cluster::of(3).start().await;
    let leader = cluster.leader_id().await;
    let follower = cluster.running.iter().find(|(id, _)| **id != leader).unwrap().1;
    follower.until("the leader is known", |status| status.leader == Some(leader)).await;
    let refused = follower.node.remove(leader).await;
    assert_eq!(refused, Err(MembershipError::NotLeader { leader: Some(leader) }));
}

#[tokio::test]
async fn member_gets_a_new_address_and_keeps_its_vote() {
    let cluster = Cluster::of(3).start().await;
    let leader = cluster.leader().await;
    let moved = Member { id: NodeId(2), address: "elsewhere".to_owned() };
    leader.node.readdress(&moved).await.unwrap();
    for node in cluster.running.values() {
        node.until("it is known", |status| status.voters.contains(&moved)).await;
        assert_eq!(node.node.watch().borrow().voters.len(), 3);
    }
    cluster.propose(put("a", b"1")).await;
}

/// An operator's next question must not be answered from before the change.
#[tokio::test]
async fn status_shows_a_change_when_it_is_answered() {
    let cluster = Cluster::of(1).start().await;
    let leader = cluster.leader().await;
    for place in 0..200 {
        let moved = Member { id: ONE, address: format!("place-{place}") };
        leader.node.readdress(&moved).await.unwrap();
        assert!(leader.node.watch().borrow().voters.contains(&moved), "place {place}");
    }
}
