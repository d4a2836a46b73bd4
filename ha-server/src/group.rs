//! This ha-server as a member of its group: its node, and what the other members say.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ha_member::{
    COMMAND_BYTES_MAX, FeatureLevel, GROUP, Leader, Level, Replicated, StateNode, leader,
};
use ha_node::{Config, Limits, Member, StartError, Status};
use ha_proto::v1::admin_client::AdminClient;
use ha_proto::v1::{NodeRequest, NodeResponse};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::channels::Channels;
use crate::config::{Begin, GroupConfig};
use crate::membership::MemberView;
use crate::peers::Peers;
use crate::run::SOFTWARE;

/// How long a member may take to say something about itself. In a status it counts as silent then.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// A handle; all clones are the same member.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    node: Arc<StateNode>,
    status: watch::Receiver<Status>,
    config: GroupConfig,
    channels: Arc<Channels>,
    level: Arc<Level>,
}

impl Group {
    /// Starts the node with its files below `data_dir`. `address` is how this server is known while
    /// it is the only one.
    pub(crate) async fn start(
        config: GroupConfig,
        data_dir: &Path,
        address: String,
    ) -> Result<Self, StartError> {
        let members = match &config.begin {
            Begin::Alone => vec![Member { id: config.node, address }],
            Begin::With(members) => members.clone(),
            Begin::Join => Vec::new(),
        };
        let node_config = Config {
            cluster: config.cluster.clone(),
            group: GROUP,
            node: config.node,
            members,
            directory: data_dir.join(format!("group-{GROUP}")),
            failover: config.failover,
            durability: config.durability,
            limits: Limits { command_bytes_max: COMMAND_BYTES_MAX, ..Limits::default() },
        };
        let machine = Replicated::default();
        let level = machine.level();
        let peers = Peers::new(config.failover, Arc::clone(&level));
        let node = Arc::new(StateNode::start(node_config, machine, peers).await?);
        let channels = Arc::new(Channels::new(config.failover));
        Ok(Self { status: node.watch(), node, config, channels, level })
    }

    pub(crate) fn node(&self) -> &Arc<StateNode> {
        &self.node
    }

    /// Of the state, here.
    pub(crate) fn feature_level(&self) -> FeatureLevel {
        self.level.now()
    }

    pub(crate) fn config(&self) -> &GroupConfig {
        &self.config
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    pub(crate) fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    pub(crate) fn leader(&self) -> Leader {
        leader(&self.status.borrow(), self.config.node)
    }

    /// A connection for questions to the member at `address`.
    pub(crate) fn admin(&self, address: &str) -> Result<AdminClient<Channel>, tonic::Status> {
        let channel = self.channels.to(address);
        let channel = channel.map_err(|_| {
            tonic::Status::invalid_argument(format!("{address}: expected HOST:PORT"))
        })?;
        Ok(AdminClient::new(channel))
    }

    /// What this server says about itself.
    pub(crate) fn describe(&self) -> NodeResponse {
        let status = self.status.borrow();
        NodeResponse {
            software: SOFTWARE.to_owned(),
            cluster: self.config.cluster.clone(),
            node: self.config.node.0,
            priority: self.config.priority,
            term: status.term,
            leader: status.leader.map_or(0, |leader| leader.0),
            applied: status.applied.unwrap_or_default(),
            has_group: !status.voters.is_empty(),
            fault: status.fault.clone().unwrap_or_default(),
            feature_level: FeatureLevel::NEWEST.0,
        }
    }

    /// What the server at `address` says about itself.
    pub(crate) async fn ask(&self, address: &str) -> Result<NodeResponse, tonic::Status> {
        let mut client = self.admin(address)?;
        let asked = tokio::time::timeout(ANSWER_MAX, client.node(NodeRequest {})).await;
        let silent = |_| tonic::Status::deadline_exceeded("no answer");
        Ok(asked.map_err(silent)??.into_inner())
    }

    /// All members by number, with what they say about themselves.
    pub(crate) async fn members(&self) -> Vec<MemberView> {
        let Status { voters, learners, .. } = self.status();
        let mut asking = JoinSet::new();
        let members = voters.into_iter().map(|voter| (voter, true));
        for (member, votes) in members.chain(learners.into_iter().map(|other| (other, false))) {
            let group = self.clone();
            asking.spawn(async move {
                let said = match member.id == group.config.node {
                    true => Some(group.describe()),
                    false => group.ask(&member.address).await.ok(),
                };
                // Another server may have its address by now.
                let said = said.filter(|said| said.node == member.id.0);
                MemberView { member, votes, said }
            });
        }
        let mut members = asking.join_all().await;
        members.sort_by_key(|view| view.member.id);
        members
    }
}
