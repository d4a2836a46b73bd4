//! One node alone.

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use ha_node::{ConfirmError, Durability, LogError, NodeId, ProposeError, StartError};

use crate::cluster::{Cluster, bounded};
use crate::key_values::put;

const ONE: NodeId = NodeId(1);

#[tokio::test]
async fn outcome_of_a_command_comes_back_with_its_index() {
    let cluster = Cluster::of(1).start().await;
    let node = &cluster.leader().await.node;
    let (first, before) = node.propose(put("a", b"1")).await.unwrap();
    assert_eq!(before, None);
    let (second, before) = node.propose(put("a", b"2")).await.unwrap();
    assert_eq!((second, before), (first + 1, Some(b"1".to_vec())));
    assert!(node.confirm_leadership().await.unwrap() >= second);
}

#[tokio::test]
async fn crash_loses_nothing_that_was_acknowledged() {
    let mut cluster = Cluster::of(1);
    // Some of it comes from the store and some from the log.
    cluster.limits.save_every = Duration::from_millis(1);
    let mut cluster = cluster.start().await;
    for round in 0..5 {
        for key in 0..50 {
            cluster.propose(put(&format!("{round}/{key}"), b"x")).await;
        }
        let last = cluster.propose(put("0/0", b"")).await;
        cluster.kill(ONE).await;
        cluster.run(ONE).await;
        cluster.leader().await.until_applied(last).await;
        let found = cluster.node(ONE).node.read(|machine| machine.len());
        assert_eq!(found, 50 * (round + 1) - 1, "after round {round}");
    }
}

#[tokio::test]
async fn crash_before_anything_is_saved_loses_nothing_either() {
    let mut cluster = Cluster::of(1);
    cluster.limits.save_every = Duration::from_secs(3_600);
    let mut cluster = cluster.start().await;
    let last = cluster.propose(put("a", b"1")).await;
    cluster.kill(ONE).await;
    cluster.run(ONE).await;
    cluster.leader().await.until_applied(last).await;
    assert_eq!(cluster.node(ONE).value("a"), Some(b"1".to_vec()));
}

#[tokio::test]
async fn plain_stop_saves_everything() {
    let mut cluster = Cluster::of(1);
    cluster.limits.save_every = Duration::from_secs(3_600);
    let mut cluster = cluster.start().await;
    cluster.propose(put("a", b"1")).await;
    cluster.running.remove(&ONE).unwrap().shutdown().await;
    // What is saved does not need the log.
    fs::remove_dir_all(cluster.dirs.path().join("1/log")).unwrap();
    cluster.run(ONE).await;
    assert_eq!(cluster.node(ONE).value("a"), Some(b"1".to_vec()));
}

#[tokio::test]
async fn commands_handed_over_one_after_the_other_keep_their_order() {
    let cluster = Cluster::of(1).start().await;
    let node = &cluster.leader().await.node;
    let mut pending = Vec::new();
    for value in 0..500_u16 {
        pending.push(node.submit(put("a", &value.to_be_bytes())).await.unwrap());
    }
    let mut last = None;
    for (value, pending) in (0_u16..).zip(pending) {
        let (_, before) = pending.await.unwrap();
        assert_eq!(before, last);
        last = Some(value.to_be_bytes().to_vec());
    }
}

#[tokio::test]
async fn proposals_beyond_the_limit_wait_and_then_succeed() {
    let mut cluster = Cluster::of(1);
    cluster.limits.command_bytes_max = 4 << 10;
    cluster.limits.in_flight_bytes_max = 4 << 10;
    let cluster = cluster.start().await;
    let node = &cluster.leader().await.node;
    let propose = |key: usize| node.propose(put(&key.to_string(), &[7; 3_000]));
    let all = futures_util::future::join_all((0..50).map(propose));
    assert!(bounded("proposals", all).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn too_large_a_command_is_refused() {
    let mut cluster = Cluster::of(1);
    cluster.limits.command_bytes_max = 1_000;
    let cluster = cluster.start().await;
    let node = &cluster.leader().await.node;
    assert!(node.propose(Bytes::from(vec![0; 1_000])).await.is_ok());
    let refused = ProposeError::TooLarge { bytes: 1_001, bytes_max: 1_000 };
    assert_eq!(node.propose(Bytes::from(vec![0; 1_001])).await, Err(refused));
}

#[tokio::test]
async fn without_syncs_a_crash_of_the_process_loses_nothing() {
    let mut cluster = Cluster::of(1);
    cluster.durability = Durability::Memory;
    let mut cluster = cluster.start().await;
    let last = cluster.propose(put("a", b"1")).await;
    cluster.kill(ONE).await;
    cluster.run(ONE).await;
    cluster.leader().await.until_applied(last).await;
    assert_eq!(cluster.node(ONE).value("a"), Some(b"1".to_vec()));
}

#[tokio::test]
async fn directory_of_another_node_or_cluster_is_refused() {
    let mut cluster = Cluster::of(1).start().await;
    cluster.kill(ONE).await;
    let ours = cluster.config(ONE);
    let mut other = ours.clone();
    other.cluster = "other".to_owned();
    let error = cluster.try_run(other).await.unwrap_err();
    assert!(matches!(error, StartError::Foreign { .. }), "{error}");
    let told = "it has cluster = \"test\", we have cluster = \"other\"";
    assert!(error.to_string().ends_with(told), "{error}");
    let mut other = ours.clone();
    (other.node, other.members[0].id) = (NodeId(2), NodeId(2));
    let error = cluster.try_run(other).await.unwrap_err();
    assert!(matches!(error, StartError::Foreign { .. }), "{error}");
    cluster.try_run(ours).await.unwrap();
}

#[tokio::test]
async fn directory_with_a_log_and_no_identity_is_refused() {
    let mut cluster = Cluster::of(1).start().await;
    cluster.kill(ONE).await;
    fs::remove_file(cluster.dirs.path().join("1/identity")).unwrap();
    let error = cluster.try_run(cluster.config(ONE)).await.unwrap_err();
    assert!(matches!(error, StartError::Foreign { .. }), "{error}");
}

#[tokio::test]
async fn two_nodes_cannot_share_a_directory() {
    let mut cluster = Cluster::of(1).start().await;
    let error = cluster.try_run(cluster.config(ONE)).await.unwrap_err();
    assert!(matches!(error, StartError::InUse { .. }), "{error}");
    cluster.propose(put("a", b"1")).await;
}

#[tokio::test]
async fn lone_node_with_a_damaged_log_does_not_start_and_says_where() {
    let mut cluster = Cluster::of(1).start().await;
    for _ in 0..10 {
        cluster.propose(put("needle", b"value")).await;
    }
    cluster.kill(ONE).await;
    let logs = fs::read_dir(cluster.dirs.path().join("1/log")).unwrap();
    let files = logs.map(|entry| entry.unwrap().path());
    let file = files.filter(|path| path.extension().is_some()).last().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(6).position(|window| window == b"needle").unwrap();
    bytes[at] ^= 1;
    fs::write(&file, bytes).unwrap();
    let error = cluster.try_run(cluster.config(ONE)).await.unwrap_err();
    let StartError::Lost { source, .. } = error else { panic!("{error}") };
    let StartError::Log(LogError::Damaged { file: named, offset, .. }) = *source else {
        panic!("{source}")
    };
    // Kind, position, the payload's header and the length of the key come before.
    assert_eq!((named, offset), (file, at as u64 - 31));
}

#[tokio::test]
async fn lone_node_with_a_record_that_cannot_be_read_does_not_start_and_names_it() {
    let mut cluster = Cluster::of(1).start().await;
    cluster.propose(put("corrupt", b"1")).await;
    cluster.running.remove(&ONE).unwrap().shutdown().await;
    let error = cluster.try_run(cluster.config(ONE)).await.unwrap_err();
    let StartError::Lost { source, .. } = error else { panic!("{error}") };
    assert!(matches!(*source, StartError::Store(_)), "{source}");
    let cause = std::error::Error::source(&*source).unwrap().to_string();
    assert!(cause.contains("corrupt") && cause.contains("as asked"), "{cause}");
}

#[tokio::test]
async fn bytes_that_are_no_request_are_refused() {
    let cluster = Cluster::of(1).start().await;
    let node = &cluster.leader().await.node;
    let before = node.watch().borrow().clone();
    for garbage in [&b""[..], b"\xff\xff\xff", &[8; 100], &[0; 1_000]] {
        let response = node.receive(Bytes::copy_from_slice(garbage)).await;
        // Field 1 of the response: refused.
        assert_eq!(response[0], 10);
    }
    assert_eq!(*node.watch().borrow(), before);
}

#[tokio::test]
async fn node_that_has_no_cluster_yet_leads_nothing() {
    let mut cluster = Cluster::of(0);
    cluster.run(ONE).await;
    let node = &cluster.node(ONE).node;
    let refused = node.propose(put("a", b"1")).await;
    assert_eq!(refused, Err(ProposeError::NotLeader { leader: None }));
    let confirmed = node.confirm_leadership().await;
    assert_eq!(confirmed, Err(ConfirmError::NotLeader { leader: None }));
}
