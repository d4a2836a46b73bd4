//! Which changes of a group are safe: decisions alone, as sentences where the answer is no.
//!
//! Runs on the leader. A change that is allowed here leaves a group that can go on: its number of
//! votes is odd, and a majority of them is there.

use std::collections::BTreeSet;

use ha_member::FeatureLevel;
use ha_node::{Member, NodeId};
use ha_proto::v1::NodeResponse;

use crate::config::MEMBERS_MAX;

/// Entries that a member may lack to count as caught up: some moments of traffic.
const BEHIND_MAX: u64 = 10_000;

/// A member as the leader sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MemberView {
    pub(crate) member: Member,
    pub(crate) votes: bool,
    /// What it says about itself; `None`: it does not answer.
    pub(crate) said: Option<NodeResponse>,
}

impl MemberView {
    fn is_well(&self) -> bool {
        self.said.as_ref().is_some_and(|said| said.fault.is_empty())
    }

    /// `None`: it is well and has nearly everything.
    fn is_behind(&self, applied: u64) -> Option<String> {
        let id = self.member.id;
        let Some(said) = self.said.as_ref().filter(|said| said.fault.is_empty()) else {
            return Some(format!("server {id} does not answer at {}", self.member.address));
        };
        let behind = applied.saturating_sub(said.applied);
        let told = || format!("server {id} is {behind} entries behind; try again when it has them");
        (behind > BEHIND_MAX).then(told)
    }
}

/// The group as the leader sees it.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// Who leads.
    pub(crate) leader: NodeId,
    /// Up to where the leader is.
    pub(crate) applied: u64,
    /// Of the state.
    pub(crate) level: FeatureLevel,
    /// All members by number.
    pub(crate) members: Vec<MemberView>,
}

/// What must be done to add a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addition {
    /// It is new: it becomes a member without a vote.
    Add,
    /// It is a member without a vote: it may not have copied everything yet.
    Await,
    /// It has a new address.
    Move,
}

impl View {
    fn find(&self, id: NodeId) -> Result<&MemberView, String> {
        let found = self.members.iter().find(|view| view.member.id == id);
        found.ok_or_else(|| format!("server {id} is not a member"))
    }

    pub(crate) fn voters(&self) -> BTreeSet<NodeId> {
        self.members.iter().filter(|view| view.votes).map(|view| view.member.id).collect()
    }

    /// What all members understand, if that is more than they use. A member that does not answer may be
    /// of any version.
    pub(crate) fn raise(&self) -> Option<FeatureLevel> {
        let of =
            |view: &MemberView| view.said.as_ref().map(|said| FeatureLevel(said.feature_level));
        let levels: Option<Vec<_>> = self.members.iter().map(of).collect();
        // A newer leader among older ones proposes no more than it knows itself.
        let agreed = levels?.into_iter().chain([FeatureLevel::NEWEST]).min()?;
        (agreed > self.level).then_some(agreed)
    }

    /// How a server becomes a member without a vote. `said` is what it says at its address.
    pub(crate) fn addition(
        &self,
        new: &Member,
        cluster: &str,
        said: &NodeResponse,
    ) -> Result<Addition, String> {
        let Member { id, address } = new;
        if said.cluster != cluster {
            let other = &said.cluster;
            return Err(format!("{address} belongs to cluster {other:?}, not to {cluster:?}"));
        }
        if said.node != id.0 {
            return Err(format!("{address} has NODE_ID = {}, not {id}", said.node));
        }
        if FeatureLevel(said.feature_level) < self.level {
            return Err(format!(
                "server {id} understands feature level {}, and the group has {}: upgrade it first",
                said.feature_level, self.level
            ));
        }
        let same = |view: &&MemberView| view.member.address == *address && view.member.id != *id;
        if let Some(view) = self.members.iter().find(same) {
            return Err(format!("{address} is the address of server {}", view.member.id));
        }
        if let Ok(known) = self.find(*id) {
            return match known.member.address == *address {
                true if known.votes => Err(format!("server {id} is a member already")),
                true => Ok(Addition::Await),
                false => Ok(Addition::Move),
            };
        }
        if said.has_group {
            return Err(format!(
                "{address} is or was in a group; start it with JOIN = YES and an empty DATA_DIR"
            ));
        }
        if self.members.len() >= MEMBERS_MAX {
            return Err(format!("a group has at most {MEMBERS_MAX} members; remove one first"));
        }
        let hidden = self.members.iter().find(|view| is_loopback(&view.member.address));
        match hidden.filter(|_| !is_loopback(address)) {
            None => Ok(Addition::Add),
            Some(MemberView { member, .. }) => Err(format!(
                "server {0} is known as {1}, where no other machine reaches it; say its address \
                 first: ha-server member add {0}@HOST:PORT",
                member.id, member.address
            )),
        }
    }

    /// The voters after some members get a vote and others lose theirs.
    pub(crate) fn promotion(
        &self,
        ids: &[NodeId],
        replaced: &[NodeId],
    ) -> Result<BTreeSet<NodeId>, String> {
        if ids.is_empty() {
            return Err("name a server to promote".to_owned());
        }
        let mut voters = self.voters();
        for &id in ids {
            let view = self.find(id)?;
            if !view.votes
                && let Some(behind) = view.is_behind(self.applied)
            {
                return Err(behind);
            }
            voters.insert(id);
        }
        for id in replaced {
            if !voters.remove(id) || ids.contains(id) {
                return Err(format!("server {id} has no vote that another could take"));
            }
        }
        self.check(&voters, replaced)?;
        Ok(voters)
    }

    /// The voters after members left the group.
    pub(crate) fn removal(&self, ids: &[NodeId]) -> Result<BTreeSet<NodeId>, String> {
        if ids.is_empty() {
            return Err("name a server to remove".to_owned());
        }
        let mut voters = self.voters();
        for &id in ids {
            voters.remove(&self.find(id)?.member.id);
        }
        if voters != self.voters() {
            self.check(&voters, ids)?;
        }
        Ok(voters)
    }

    /// Whether the group can go on with these voters, without those that leave.
    fn check(&self, voters: &BTreeSet<NodeId>, leaving: &[NodeId]) -> Result<(), String> {
        let count = voters.len();
        if count == 0 {
            return Err("no vote would be left: the last voter stays".to_owned());
        }
        if leaving.contains(&self.leader) {
            let leader = self.leader;
            return Err(format!(
                "server {leader} leads; hand over first: ha-server leader transfer"
            ));
        }
        let before = self.voters();
        if count.is_multiple_of(2) && *voters != before {
            return Err(format!(
                "{count} voters would survive no more losses than {}; change two in one step, or \
                 replace one: ha-server member promote ID --replace ID",
                count - 1
            ));
        }
        let well = |id: &&NodeId| self.find(**id).is_ok_and(MemberView::is_well);
        let answering = voters.iter().filter(well).count();
        if answering * 2 <= count {
            return Err(format!(
                "only {answering} of the {count} voters would answer, which is no majority"
            ));
        }
        Ok(())
    }

    /// To whom the lead can go: the one that is asked for, or the one with the highest priority,
    /// and of these the one that has most.
    pub(crate) fn heir(&self, wanted: Option<NodeId>) -> Result<NodeId, String> {
        if let Some(id) = wanted {
            let view = self.find(id)?;
            if !view.votes {
                return Err(format!("server {id} has no vote; promote it first"));
            }
            return view.is_behind(self.applied).map_or(Ok(id), Err);
        }
        let rank = |view: &&MemberView| {
            let said = view.said.as_ref();
            said.map(|said| (said.priority, said.applied))
        };
        let heir = self.heirs().max_by_key(rank).map(|view| view.member.id);
        heir.ok_or_else(|| "no other voter is there and has everything".to_owned())
    }

    fn heirs(&self) -> impl Iterator<Item = &MemberView> {
        let others = self.members.iter().filter(|view| view.member.id != self.leader);
        others.filter(|view| view.votes && view.is_behind(self.applied).is_none())
    }

    /// Who should lead instead of the leader, whose priority this is: with a higher one, and able.
    pub(crate) fn preferred(&self, priority: u32) -> Option<NodeId> {
        let heir = self.find(self.heir(None).ok()?).ok()?;
        let said = heir.said.as_ref()?;
        (said.priority > priority).then_some(heir.member.id)
    }
}

fn is_loopback(address: &str) -> bool {
    address.starts_with("127.")
        || address.starts_with("localhost:")
        || address.starts_with("[::1]:")
}

#[cfg(test)]
mod tests;
