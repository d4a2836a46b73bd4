//! Carries out changes of the group on its leader, one at a time and in the safe order: what is
//! safe is decided in [`crate::membership`].

use std::time::Duration;

use ha_node::{Member, MembershipError, NodeId};
use ha_proto::v1::change_members_request::Change;
use ha_proto::v1::{
    AddMember, ChangeMembersRequest, MemberStatus, MembersResponse, PromoteMembers, RemoveMembers,
};
use tokio::time;
use tonic::Status;

use crate::config;
use crate::group::Group;
use crate::membership::{Addition, MemberView, View};

/// How long a new member may take to copy the state. It goes on copying after that.
const COPY_MAX: Duration = Duration::from_secs(600);

fn refused(reason: impl Into<String>) -> Status {
    Status::failed_precondition(reason)
}

/// What an operator is told when the node did not do it.
pub(crate) fn changed(done: Result<(), MembershipError>) -> Result<(), Status> {
    done.map_err(|error| match error {
        MembershipError::Refused(reason) => refused(reason),
        MembershipError::NotLeader { .. } => {
            Status::unavailable("the leader changed meanwhile; look at the members and ask again")
        }
        MembershipError::Stopped => Status::unavailable("this server has stopped"),
    })
}

/// The group as this server sees it now.
pub(crate) async fn view(group: &Group) -> View {
    let members = group.members().await;
    let applied = group.status().applied.unwrap_or_default();
    View { leader: group.config().node, applied, level: group.feature_level(), members }
}

/// The group as the asked server sees it.
pub(crate) async fn members(group: &Group) -> MembersResponse {
    let members = group.members().await.into_iter();
    let status = group.status();
    MembersResponse {
        cluster: group.config().cluster.clone(),
        term: status.term,
        leader: status.leader.map_or(0, |leader| leader.0),
        feature_level: group.feature_level().0,
        members: members
            .map(|MemberView { member, votes, said }| MemberStatus {
                id: member.id.0,
                address: member.address,
                votes,
                said,
            })
            .collect(),
    }
}

/// To whom the lead goes; 0: the most suitable.
pub(crate) async fn heir(group: &Group, to: u64) -> Result<NodeId, Status> {
    let wanted = (to != 0).then_some(NodeId(to));
    if wanted == Some(group.config().node) {
        return Err(refused(format!("server {to} leads already")));
    }
    view(group).await.heir(wanted).map_err(refused)
}

/// Does what an operator asks of the leader.
pub(crate) async fn members_of(group: &Group, request: ChangeMembersRequest) -> Result<(), Status> {
    match request.change {
        Some(Change::Add(AddMember { id, address })) => {
            // The same text as on a command line, so the same checks.
            let member = config::member(&format!("{id}@{address}"));
            add(group, member.map_err(Status::invalid_argument)?).await
        }
        Some(Change::Promote(PromoteMembers { ids, replaced })) => {
            let replaced = nodes(&replaced);
            let voters = view(group).await.promotion(&nodes(&ids), &replaced);
            changed(group.node().change_voters(voters.map_err(refused)?).await)?;
            remove(group, &replaced).await
        }
        Some(Change::Remove(RemoveMembers { ids })) => {
            let ids = nodes(&ids);
            let view = view(group).await;
            let voters = view.removal(&ids).map_err(refused)?;
            if view.voters() != voters {
                changed(group.node().change_voters(voters).await)?;
            }
            remove(group, &ids).await
        }
        None => Err(Status::invalid_argument("a change of a kind that is not known here")),
    }
}

fn nodes(ids: &[u64]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

/// Removes members that have no vote any more.
async fn remove(group: &Group, ids: &[NodeId]) -> Result<(), Status> {
    for &id in ids {
        changed(group.node().remove(id).await)?;
    }
    Ok(())
}

async fn add(group: &Group, member: Member) -> Result<(), Status> {
    let said = group.ask(&member.address).await.map_err(|status| {
        let Member { id, address } = &member;
        refused(format!("server {id} does not answer at {address}: {}", status.message()))
    })?;
    let view = view(group).await;
    let node = group.node();
    match view.addition(&member, &group.config().cluster, &said).map_err(refused)? {
        Addition::Move => changed(node.readdress(&member).await),
        Addition::Add | Addition::Await => {
            let copied = time::timeout(COPY_MAX, node.add_learner(&member)).await;
            let slow = |_| {
                Status::deadline_exceeded(format!(
                    "server {} is a member and still copies the state",
                    member.id
                ))
            };
            changed(copied.map_err(slow)?)
        }
    }
}
