//! A cluster of one.

use std::path::Path;

use bytes::Bytes;
use ha_node::{Config, Durability, Failover, Limits, Member, Node, NodeId, Peers, Unreachable};

use crate::key_values::KeyValues;

/// Nobody else is there.
struct Nobody;

impl Peers for Nobody {
    async fn send(&self, _: &Member, _: Bytes) -> Result<Bytes, Unreachable> {
        Err(Unreachable("nobody else is there".to_owned()))
    }
}

/// Starts the node and waits until it has everything that was acknowledged.
pub(crate) async fn start(directory: &Path, durability: Durability) -> Node<KeyValues> {
    let member = Member { id: NodeId(1), address: String::new() };
    let config = Config {
        cluster: "forgetful".to_owned(),
        group: 0,
        node: member.id,
        members: vec![member],
        directory: directory.to_owned(),
        failover: Failover::Normal,
        durability,
        limits: Limits::default(),
    };
    let node = Node::start(config, KeyValues::default(), Nobody).await.unwrap();
    node.watch().wait_for(|status| status.is_leader).await.unwrap();
    node
}
