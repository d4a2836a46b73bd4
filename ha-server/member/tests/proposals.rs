//! Batches through a real node that is alone.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;

use bytes::Bytes;
use ha_core::cluster::{Batch, Command, Outcome};
use ha_member::{BATCH_BYTES, IN_FLIGHT_BYTES_MAX, Proposals, Replicated, StateNode};
use ha_node::{Config, Durability, Failover, Limits, Member, NodeId, Peers, Unreachable};
use ha_types::{
    BrokerEpoch, BrokerName, ClusterMillis, Incarnation, Message, PublishNumber, Publisher, Qos,
    TopicName,
};
use tempfile::TempDir;

struct Nobody;

impl Peers for Nobody {
    async fn send(&self, _: &Member, _: Bytes) -> Result<Bytes, Unreachable> {
        Err(Unreachable("nobody is there".to_owned()))
    }
}

async fn node(dir: &TempDir) -> Arc<StateNode> {
    let config = Config {
        cluster: "test".to_owned(),
        group: 0,
        node: NodeId(1),
        members: vec![Member { id: NodeId(1), address: "here".to_owned() }],
        directory: dir.path().to_owned(),
        failover: Failover::Normal,
        durability: Durability::Memory,
        limits: Limits { command_bytes_max: 20 << 20, ..Limits::default() },
    };
    let node = StateNode::start(config, Replicated::default(), Nobody).await.unwrap();
    node.watch().wait_for(|status| status.is_leader).await.unwrap();
    Arc::new(node)
}

fn join() -> Command {
    let name = BrokerName::parse("b").unwrap();
    Command::Join { name, incarnation: Incarnation(1) }
}

fn publish(number: u64, bytes: usize) -> Command {
    let message = Message {
        topic: TopicName::parse(Bytes::from_static(b"t")).unwrap(),
        payload: vec![0; bytes].into(),
        properties: Bytes::new(),
        qos: Qos::AtLeastOnce,
        retain: true,
        expires_at: None,
        publisher: Publisher::default(),
    };
    let (broker, number) = (BrokerEpoch(1), Some(PublishNumber(number)));
    Command::Publish { broker, number, exchange: None, message: Arc::new(message) }
}

fn batch(commands: Vec<Command>) -> Batch {
    Batch { time: ClusterMillis(1), commands }
}

#[tokio::test]
async fn outcomes_come_in_the_order_of_the_proposals() {
    let dir = TempDir::new().unwrap();
    let mut proposals = Proposals::new(node(&dir).await, 1);
    proposals.propose(batch(vec![join()]));
    for number in 1..=100 {
        proposals.propose(batch(vec![publish(number, 1), publish(number, 1)]));
    }
    assert_eq!(proposals.next().await.unwrap().outcomes, [Outcome::Joined(BrokerEpoch(1))]);
    for version in 1..=100 {
        let outcomes = proposals.next().await.unwrap().outcomes;
        let [Outcome::Published(Ok(first)), Outcome::Published(Ok(repeat))] = &outcomes[..] else {
            panic!("{outcomes:?}")
        };
        assert_eq!(first.retained.unwrap().0, version);
        assert_ne!(repeat.repeat, first.repeat);
    }
    assert!(proposals.is_empty());
    assert!(proposals.try_next().is_none());
}

#[tokio::test]
async fn large_batch_is_split_and_keeps_its_order() {
    let dir = TempDir::new().unwrap();
    let mut proposals = Proposals::new(node(&dir).await, 1);
    let large = (1..=7).map(|number| publish(number, BATCH_BYTES / 2));
    let all = std::iter::once(join()).chain(large).chain([publish(8, 16 << 20), publish(9, 1)]);
    proposals.propose(batch(all.collect()));
    let mut outcomes = Vec::new();
    while !proposals.is_empty() {
        let applied = proposals.next().await.unwrap();
        assert!(applied.outcomes.len() < 4, "{} commands in a batch", applied.outcomes.len());
        outcomes.extend(applied.outcomes);
    }
    assert_eq!(outcomes.len(), 10);
    for (version, outcome) in (1..).zip(&outcomes[1..]) {
        let Outcome::Published(Ok(stored)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(stored.retained.unwrap().0, version);
    }
}

#[tokio::test]
async fn there_is_no_room_until_enough_has_its_outcome() {
    let dir = TempDir::new().unwrap();
    let mut proposals = Proposals::new(node(&dir).await, 1);
    let half = IN_FLIGHT_BYTES_MAX / 2;
    proposals.propose(batch(vec![publish(1, half)]));
    assert!(proposals.has_room());
    proposals.propose(batch(vec![publish(2, half)]));
    assert!(!proposals.has_room());
    proposals.next().await.unwrap();
    assert!(proposals.has_room());
}

#[tokio::test]
async fn batch_without_commands_is_not_proposed() {
    let dir = TempDir::new().unwrap();
    let mut proposals = Proposals::new(node(&dir).await, 1);
    proposals.propose(batch(Vec::new()));
    assert!(proposals.is_empty());
}
