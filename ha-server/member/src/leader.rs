//! Who leads, as one node sees it.

use ha_node::{Member, NodeId, Status};

/// Who leads, as far as this node knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leader {
    /// This node.
    Us,
    /// Another one, at its address.
    Other(Member),
    /// Nobody that is known.
    Nobody,
}

/// Who leads by this status, seen from `own`.
#[must_use]
pub fn leader(status: &Status, own: NodeId) -> Leader {
    if status.is_leader {
        return Leader::Us;
    }
    let other = status.leader.filter(|&leader| leader != own);
    let other = other.and_then(|leader| status.member(leader));
    other.map_or(Leader::Nobody, |member| Leader::Other(member.clone()))
}
