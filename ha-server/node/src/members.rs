//! Who belongs to the cluster, and who leads it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use openraft::errors::{ClientWriteError, Fatal, RaftError};
use openraft::raft::ClientWriteResponse;
use openraft::{ChangeMembers, Raft};

use crate::error::MembershipError;
use crate::machine::Machine;
use crate::node::{Node, leader};
use crate::peers::{Member, NodeId};
use crate::raft::applier::Applier;
use crate::raft::types::{Types, node};
use crate::status::Status;

/// Until a hand-over of leadership is given up.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(5);

type Changed = Result<ClientWriteResponse<Types>, RaftError<Types, ClientWriteError<Types>>>;

impl<M: Machine> Node<M> {
    /// Adds a node without a vote and waits until it has nearly all entries. On the leader only.
    ///
    /// The node must have been started with an empty directory and no first members.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub async fn add_learner(&self, member: &Member) -> Result<(), MembershipError> {
        let (id, node) = (member.id.0, node(member));
        self.change(move |raft| async move { raft.add_learner(id, node, true).await }).await
    }

    /// Gives a member another address. On the leader only.
    ///
    /// The caller must have made sure that it is this node that answers there.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub async fn readdress(&self, member: &Member) -> Result<(), MembershipError> {
        let moved = ChangeMembers::SetNodes(BTreeMap::from([(member.id.0, node(member))]));
        self.change(move |raft| async move { raft.change_membership(moved, true).await }).await
    }

    /// Makes exactly these members voters; former voters stay as learners. On the leader only.
    ///
    /// # Errors
    /// [`MembershipError`]; every voter must be a member already.
    pub async fn change_voters(&self, voters: BTreeSet<NodeId>) -> Result<(), MembershipError> {
        let voters: BTreeSet<u64> = voters.into_iter().map(|id| id.0).collect();
        self.change(move |raft| async move { raft.change_membership(voters, true).await }).await
    }

    /// Removes a member, voter or not. A leader that removes itself hands over. On the leader only.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub async fn remove(&self, id: NodeId) -> Result<(), MembershipError> {
        let votes = self.node.raft.voter_ids().any(|voter| voter == id.0);
        let ids = BTreeSet::from([id.0]);
        let change =
            if votes { ChangeMembers::RemoveVoters(ids) } else { ChangeMembers::RemoveNodes(ids) };
        self.change(move |raft| async move { raft.change_membership(change, false).await }).await
    }

    /// Hands leadership to a voter and waits until this node sees it lead. On the leader only.
    ///
    /// # Errors
    /// [`MembershipError::Refused`] when that did not happen within 5 s.
    pub async fn transfer_leader(&self, to: NodeId) -> Result<(), MembershipError> {
        let mut status = self.watch();
        let (leads, known) = {
            let status = status.borrow();
            (status.is_leader, status.voters.iter().any(|voter| voter.id == to))
        };
        if !leads {
            return Err(MembershipError::NotLeader { leader: status.borrow().leader });
        }
        if !known {
            return Err(MembershipError::Refused(format!("{to} is not a voter")));
        }
        let sent = self.node.raft.trigger().transfer_leader(to.0).await;
        sent.map_err(|_| MembershipError::Stopped)?;
        let seen = status.wait_for(|status| status.leader == Some(to));
        let seen = {
            let _timers = self.runtime().enter();
            tokio::time::timeout(TRANSFER_TIMEOUT, seen)
        };
        match seen.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(MembershipError::Stopped),
            Err(_) => Err(MembershipError::Refused(format!("{to} did not take over"))),
        }
    }

    /// Runs a change on the node's own runtime, whose timers it needs.
    async fn change<F>(
        &self,
        change: impl FnOnce(Raft<Types, Applier<M>>) -> F,
    ) -> Result<(), MembershipError>
    where
        F: Future<Output = Changed> + Send + 'static,
    {
        let changed = self.runtime().spawn(change(self.node.raft.clone())).await;
        match changed.map_err(|_| MembershipError::Stopped)? {
            Ok(done) => self.shown(done.log_id.index()).await,
            Err(RaftError::Fatal(Fatal::StorageError(_) | Fatal::Panicked | Fatal::Stopped)) => {
                Err(MembershipError::Stopped)
            }
            Err(RaftError::APIError(error)) => Err(match error {
                ClientWriteError::ForwardToLeader(forward)
                | ClientWriteError::LogEntryDiscarded(forward) => {
                    MembershipError::NotLeader { leader: leader(&forward) }
                }
                ClientWriteError::ChangeMembershipError(error) => {
                    MembershipError::Refused(error.to_string())
                }
                ClientWriteError::PreconditionFailed(error) => {
                    MembershipError::Refused(error.to_string())
                }
            }),
        }
    }

    /// Waits until the status shows what the entry at `index` changed: who asks next must see it.
    async fn shown(&self, index: u64) -> Result<(), MembershipError> {
        let shows = |status: &Status| status.applied >= Some(index) || status.fault.is_some();
        let shown = self.watch().wait_for(shows).await.map(|status| status.fault.is_none());
        if shown.unwrap_or(false) { Ok(()) } else { Err(MembershipError::Stopped) }
    }
}
