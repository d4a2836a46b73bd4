//! Nodes that lost records get them back from the others, and do no harm until they have.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use faulty_disk::Damage;
use ha_node::NodeId;

use crate::cluster::{Cluster, bounded};
use crate::damage::{damage_log, files_below, log_file};
use crate::key_values::put;

const ALL: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

fn others(id: NodeId) -> [NodeId; 2] {
    let mut others = ALL.into_iter().filter(|other| *other != id);
    [others.next().unwrap(), others.next().unwrap()]
}

/// Proposes `{name}-0` to `{name}-29`. Returns the last index.
async fn fill(cluster: &Cluster, name: &str) -> u64 {
    let mut last = 0;
    for key in 0..30 {
        last = cluster.propose(put(&format!("{name}-{key};"), b"value")).await;
    }
    last
}

async fn follower(cluster: &Cluster) -> NodeId {
    let leader = cluster.leader_id().await;
    others(leader)[0]
}

/// Stops a node with everything on its disk.
async fn stop(cluster: &mut Cluster, id: NodeId) {
    cluster.take(id).shutdown().await;
}

/// Starts a node that must recover, sees that it says so, and waits until it has.
async fn recover(cluster: &mut Cluster, id: NodeId) {
    cluster.network.cut(id);
    cluster.run(id).await;
    assert!(cluster.node(id).node.watch().borrow().recovering, "{id} does not recover");
    cluster.network.heal();
    cluster.node(id).until("it has recovered", |status| !status.recovering).await;
    assert!(!cluster.dir(id).join("recovering").exists());
}

/// All states are equal, and any two nodes can commit.
async fn assert_whole(cluster: &mut Cluster, size: usize) {
    for killed in ALL {
        stop(cluster, killed).await;
        let last = cluster.propose(put("again", b"1")).await;
        cluster.run(killed).await;
        for id in ALL {
            cluster.node(id).until_applied(last).await;
        }
    }
    let state = |id| cluster.node(id).node.read(|machine| machine.all());
    let first = state(NodeId(1));
    assert_eq!(first.len(), size);
    assert!(ALL.iter().all(|id| state(*id) == first));
}

#[tokio::test]
async fn damaged_log_is_noticed_kept_and_replaced_by_what_the_others_have() {
    let mut cluster = Cluster::of(3).start().await;
    let (mut size, mut round) = (1, 0);
    for damage in [Damage::Flip, Damage::Truncate, Damage::Zero, Damage::Hole] {
        for place in [None, Some(0), Some(15), Some(29)] {
            let name = format!("round {round}");
            let last = fill(&cluster, &name).await;
            (size, round) = (size + 30, round + 1);
            let id =
                if round % 2 == 0 { follower(&cluster).await } else { cluster.leader_id().await };
            cluster.node(id).until_applied(last).await;
            stop(&mut cluster, id).await;
            let key = place.map(|place| format!("{name}-{place};"));
            let before = fs::read(log_file(&cluster.dir(id))).unwrap();
            damage_log(&cluster.dir(id), damage, key.as_deref());
            assert_ne!(fs::read(log_file(&cluster.dir(id))).unwrap(), before);
            recover(&mut cluster, id).await;
            let kept = cluster.dir(id).join("damaged");
            assert!(kept.join("log").exists() && kept.join("store").exists());
        }
    }
    assert_whole(&mut cluster, size).await;
}

#[tokio::test]
async fn end_that_was_never_finished_is_cut_and_nothing_is_lost() {
    let mut cluster = Cluster::of(3).start().await;
    fill(&cluster, "a").await;
    let id = follower(&cluster).await;
    stop(&mut cluster, id).await;
    let file = log_file(&cluster.dir(id));
    let bytes = fs::read(&file).unwrap();
    let mut end = OpenOptions::new().append(true).open(&file).unwrap();
    end.write_all(&bytes[..bytes.len().min(11)]).unwrap();
    cluster.network.cut(id);
    cluster.run(id).await;
    assert!(!cluster.node(id).node.watch().borrow().recovering);
    cluster.network.heal();
    assert_whole(&mut cluster, 31).await;
}

#[tokio::test]
async fn empty_directory_under_a_known_id_is_filled_by_the_others() {
    let mut cluster = Cluster::of(3).start().await;
    fill(&cluster, "a").await;
    for id in ALL {
        cluster.kill(id).await;
        fs::remove_dir_all(cluster.dir(id)).unwrap();
        cluster.run(id).await;
        let last = cluster.propose(put("after", b"1")).await;
        let node = cluster.node(id);
        node.until("it has recovered", |status| !status.recovering && status.applied >= Some(last))
            .await;
    }
    assert_whole(&mut cluster, 32).await;
}

/// Two of three have what the third does not; one of them dies, the other is damaged.
async fn assert_nothing_is_lost_with_one_dead_and_one(damage: impl Fn(&Path)) {
    let mut cluster = Cluster::of(3).start().await;
    fill(&cluster, "a").await;
    let leader = cluster.leader_id().await;
    let [damaged, behind] = others(leader);
    stop(&mut cluster, behind).await;
    let last = fill(&cluster, "b").await;
    cluster.node(damaged).until_applied(last).await;
    stop(&mut cluster, damaged).await;
    stop(&mut cluster, leader).await;

    damage(&cluster.dir(damaged));
    cluster.run(damaged).await;
    cluster.run(behind).await;
    // What it sends are requests for votes.
    cluster.network.until_sent(behind, 10).await;
    for id in [damaged, behind] {
        let status = cluster.node(id).node.watch().borrow().clone();
        assert!(status.leader.is_none_or(|at| at == leader) && !status.is_leader, "{status:?}");
    }
    cluster.run(leader).await;
    cluster.node(damaged).until("it has recovered", |status| !status.recovering).await;
    assert_whole(&mut cluster, 61).await;
}

#[tokio::test]
async fn node_with_a_damaged_log_does_not_vote_for_who_has_less() {
    let damage = |dir: &Path| damage_log(dir, Damage::Flip, Some("b-3;"));
    assert_nothing_is_lost_with_one_dead_and_one(damage).await;
}

#[tokio::test]
async fn node_with_an_empty_directory_does_not_vote_for_who_has_less() {
    assert_nothing_is_lost_with_one_dead_and_one(|dir| fs::remove_dir_all(dir).unwrap()).await;
}

#[tokio::test]
async fn node_that_forgot_its_vote_does_not_follow_the_leader_that_it_voted_out() {
    let mut cluster = Cluster::of(3).start().await;
    fill(&cluster, "a").await;
    let old = cluster.leader_id().await;
    cluster.network.cut(old);
    let node = Arc::clone(&cluster.node(old).node);
    let lost = tokio::spawn(async move { node.propose(put("lost", b"1")).await });
    cluster.network.until_tried(old, 5).await;
    let new = cluster.leader_among(|id| id != old).await;
    let (last, _) = new.node.propose(put("kept", b"1")).await.unwrap();
    let new = cluster.leader_among(|id| id != old).await.node.watch().borrow().leader.unwrap();
    let damaged = others(old).into_iter().find(|id| *id != new).unwrap();
    cluster.node(damaged).until_applied(last).await;
    stop(&mut cluster, damaged).await;
    stop(&mut cluster, new).await;

    damage_log(&cluster.dir(damaged), Damage::Flip, Some("a-3;"));
    cluster.run(damaged).await;
    cluster.network.heal();
    cluster.network.until_sent(old, 10).await;
    assert!(!lost.is_finished(), "a leader that was voted out has committed");
    cluster.run(new).await;
    cluster.node(damaged).until("it has recovered", |status| !status.recovering).await;
    assert!(bounded("the proposal of the old leader", lost).await.unwrap().is_err());
    assert_whole(&mut cluster, 32).await;
    assert_eq!(cluster.node(old).value("kept"), Some(b"1".to_vec()));
}

#[tokio::test]
async fn of_five_one_dead_and_one_recovering_leave_three_that_go_on() {
    let mut cluster = Cluster::of(5).start().await;
    fill(&cluster, "a").await;
    let dead = cluster.leader_id().await;
    let damaged = NodeId(dead.0 % 5 + 1);
    stop(&mut cluster, damaged).await;
    fill(&cluster, "b").await;
    stop(&mut cluster, dead).await;
    damage_log(&cluster.dir(damaged), Damage::Flip, Some("a-3;"));
    cluster.run(damaged).await;
    fill(&cluster, "c").await;
    assert!(cluster.node(damaged).node.watch().borrow().recovering);
    cluster.run(dead).await;
    cluster.node(damaged).until("it has recovered", |status| !status.recovering).await;
    // Three are left, and each of them is needed.
    for id in (1..=5).map(NodeId).filter(|id| ![dead, damaged].contains(id)).take(2) {
        cluster.kill(id).await;
    }
    let last = cluster.propose(put("after", b"1")).await;
    cluster.node(damaged).until_applied(last).await;
    assert_eq!(cluster.node(damaged).node.read(|machine| machine.len()), 91);
}

#[tokio::test]
async fn crash_while_it_recovers_changes_nothing() {
    let mut cluster = Cluster::of(3).start().await;
    fill(&cluster, "a").await;
    let id = follower(&cluster).await;
    stop(&mut cluster, id).await;
    damage_log(&cluster.dir(id), Damage::Flip, Some("a-3;"));
    cluster.network.cut(id);
    cluster.run(id).await;
    cluster.kill(id).await;
    let kept = files_below(&cluster.dir(id).join("damaged"));
    recover(&mut cluster, id).await;
    assert_eq!(files_below(&cluster.dir(id).join("damaged")), kept);
    assert_whole(&mut cluster, 31).await;
}

#[tokio::test]
async fn group_is_not_begun_again_by_an_empty_node_and_one_that_missed_everything() {
    let mut cluster = Cluster::of(3).start().await;
    let leader = cluster.leader_id().await;
    let [emptied, behind] = others(leader);
    // As if it had been cut off since the beginning.
    cluster.kill(behind).await;
    fs::remove_dir_all(cluster.dir(behind)).unwrap();
    fill(&cluster, "a").await;
    cluster.kill(emptied).await;
    cluster.kill(leader).await;
    fs::remove_dir_all(cluster.dir(emptied)).unwrap();
    cluster.run(emptied).await;
    cluster.run(behind).await;
    for id in [emptied, behind] {
        cluster.network.until_sent(id, 10).await;
        let status = cluster.node(id).node.watch().borrow().clone();
        assert_eq!((status.term, status.leader), (0, None));
    }
}

/// A log that keeps nothing that is stored.
fn short_lived() -> Cluster {
    let mut cluster = Cluster::of(3);
    cluster.limits.save_every = Duration::from_millis(5);
    cluster.limits.keep_bytes = 0;
    cluster
}

/// Stops a follower when the others could give it a snapshot only. Returns what all must have.
async fn stop_behind_a_snapshot(cluster: &mut Cluster) -> NodeId {
    let id = follower(cluster).await;
    let mut last = 0;
    for key in 0..100 {
        last = cluster.propose(put(&format!("big/{key}"), &[key; 60_000])).await;
    }
    for other in ALL {
        let node = cluster.node(other);
        node.until_applied(last).await;
        node.until("the log is shortened", |status| status.purged >= Some(50)).await;
    }
    stop(cluster, id).await;
    id
}

#[tokio::test]
async fn snapshot_is_sent_when_the_log_does_not_reach_back_also_after_a_crash_in_the_middle() {
    let mut cluster = short_lived().start().await;
    let id = stop_behind_a_snapshot(&mut cluster).await;
    damage_log(&cluster.dir(id), Damage::Flip, None);
    cluster.network.hold_large_after(2);
    cluster.run(id).await;
    cluster.network.until_disturbed().await;
    cluster.kill(id).await;
    cluster.network.release();
    recover(&mut cluster, id).await;
    assert_whole(&mut cluster, 101).await;
}

#[tokio::test]
async fn damaged_store_loses_nothing_whichever_file_it_is() {
    let mut cluster = short_lived().start().await;
    let id = stop_behind_a_snapshot(&mut cluster).await;
    let files = files_below(&cluster.dir(id).join("store"));
    cluster.run(id).await;
    let mut recovered = 0;
    for file in files {
        for cut in [true, false] {
            cluster.node(id).until("it takes part", |status| !status.recovering).await;
            let last = cluster.propose(put("next", b"1")).await;
            cluster.node(id).until_applied(last).await;
            stop(&mut cluster, id).await;
            let Ok(mut bytes) = fs::read(&file) else {
                cluster.run(id).await;
                continue;
            };
            if cut {
                bytes.truncate(bytes.len() / 2);
            } else {
                let at = bytes.len() / 2;
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1);
            }
            fs::write(&file, bytes).unwrap();
            cluster.run(id).await;
            if cluster.dir(id).join("recovering").exists() {
                recovered += 1;
            }
        }
    }
    assert!(recovered > 0);
    cluster.node(id).until("it takes part", |status| !status.recovering).await;
    assert_whole(&mut cluster, 102).await;
}
