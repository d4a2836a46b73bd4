//! What a node says about itself.

use std::sync::Arc;

use openraft::async_runtime::WatchReceiver;
use openraft::type_config::alias::WatchReceiverOf;
use openraft::{RaftMetrics, ServerState};
use tokio::sync::watch;

use crate::peers::{Member, NodeId};
use crate::raft::types::{Types, member};

/// What a node knows about itself and its cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Who leads, as far as this node knows.
    pub leader: Option<NodeId>,
    /// The term; at most one node leads in it.
    pub term: u64,
    /// Index of the last entry that is applied here; `None` before the first.
    pub applied: Option<u64>,
    /// Index of the last entry that this node's log no longer has; `None` while it has all.
    pub purged: Option<u64>,
    /// Whether this node leads and has applied the first entry of its term, so that its state holds
    /// everything that was ever acknowledged.
    pub is_leader: bool,
    /// Members with a vote.
    pub voters: Vec<Member>,
    /// Members without one.
    pub learners: Vec<Member>,
    /// Whether this node lost records and gets them back from the others. Until it has, it does not
    /// vote, cannot lead, and its state is behind.
    pub recovering: bool,
    /// Why this node has stopped, when it did not stop by itself.
    pub fault: Option<String>,
}

impl Status {
    fn of(metrics: &RaftMetrics<Types>) -> Self {
        let membership = metrics.membership_config.membership();
        let named = |id: u64| membership.get_node(&id).map(|node| member(id, node));
        let term = metrics.current_term;
        let applied = metrics.last_applied.as_ref();
        let own = applied.is_some_and(|id| id.committed_leader_id().term == term);
        Self {
            leader: metrics.current_leader.map(NodeId),
            term,
            applied: applied.map(|id| id.index()),
            purged: metrics.purged.as_ref().map(|id| id.index()),
            is_leader: metrics.state == ServerState::Leader && own,
            voters: membership.voter_ids().filter_map(named).collect(),
            learners: membership.learner_ids().filter_map(named).collect(),
            recovering: false,
            fault: metrics.running_state.as_ref().err().map(ToString::to_string),
        }
    }
}

/// Translates until Raft ends or nobody watches.
pub(crate) async fn follow(
    mut metrics: WatchReceiverOf<Types, RaftMetrics<Types>>,
    status: Arc<watch::Sender<Status>>,
) {
    loop {
        let now = Status::of(&metrics.borrow_watched());
        status.send_if_modified(|before| {
            // The first fault is the cause.
            let fault = before.fault.take().or(now.fault.clone());
            let now = Status { fault, recovering: before.recovering, ..now };
            let changed = *before != now;
            *before = now;
            changed
        });
        if metrics.changed().await.is_err() {
            return;
        }
    }
}
