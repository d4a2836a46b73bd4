//! Raft's values as messages of `raft.proto`, and back.

use ha_proto::raft as proto;
use openraft::impls::leader_id_std::LeaderId;
use openraft::type_config::alias::CommittedLeaderIdOf;
use openraft::{BasicNode, EntryPayload};

use super::types::{Command, Entry, LogId, Membership, Payload, StoredMembership, Types, Vote};
use crate::log;

/// A message lacks what it must have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

pub(crate) fn log_id(position: log::Position) -> LogId {
    LogId::new(CommittedLeaderIdOf::<Types>::new(position.term), position.index)
}

pub(crate) fn position(id: &LogId) -> log::Position {
    log::Position { term: id.committed_leader_id().term, index: id.index() }
}

pub(crate) fn put_log_id(id: &LogId) -> proto::LogId {
    proto::LogId { term: id.committed_leader_id().term, index: id.index() }
}

/// No log and no election gets so far; what is beyond could overflow.
pub(crate) const NUMBER_MAX: u64 = 1 << 62;

pub(crate) fn take_log_id(id: Option<proto::LogId>) -> Result<Option<LogId>, Malformed> {
    match id {
        Some(id) if id.term > NUMBER_MAX || id.index > NUMBER_MAX => {
            Err(Malformed("a position that no log reaches"))
        }
        id => Ok(id.map(|id| log_id(log::Position { term: id.term, index: id.index }))),
    }
}

pub(crate) fn vote_of(vote: log::Vote) -> Vote {
    let leader_id = LeaderId { term: vote.term, voted_for: vote.node };
    Vote { leader_id, committed: vote.committed }
}

pub(crate) fn vote_record(vote: &Vote) -> log::Vote {
    let LeaderId { term, voted_for } = vote.leader_id;
    log::Vote { term, node: voted_for, committed: vote.committed }
}

pub(crate) fn put_vote(vote: &Vote) -> proto::Vote {
    let log::Vote { term, node, committed } = vote_record(vote);
    proto::Vote { term, node, committed }
}

pub(crate) fn take_vote(vote: Option<proto::Vote>) -> Result<Vote, Malformed> {
    let proto::Vote { term, node, committed } = vote.ok_or(Malformed("a vote is missing"))?;
    if term > NUMBER_MAX {
        return Err(Malformed("a term that no election reaches"));
    }
    Ok(vote_of(log::Vote { term, node, committed }))
}

pub(crate) fn put_membership(membership: &Membership) -> proto::Membership {
    let configs = membership.get_joint_config().iter();
    let members = membership.nodes();
    proto::Membership {
        configs: configs.map(|ids| proto::Voters { ids: ids.iter().copied().collect() }).collect(),
        members: members
            .map(|(&id, node)| proto::Member { id, address: node.addr.clone() })
            .collect(),
    }
}

pub(crate) fn take_membership(message: proto::Membership) -> Result<Membership, Malformed> {
    let configs = message.configs.into_iter().map(|voters| voters.ids.into_iter().collect());
    let members = message.members.into_iter();
    let nodes: std::collections::BTreeMap<_, _> =
        members.map(|member| (member.id, BasicNode { addr: member.address })).collect();
    let configs: Vec<_> = configs.collect();
    if configs.is_empty() && nodes.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(configs, nodes).map_err(|_| Malformed("a membership contradicts itself"))
}

pub(crate) fn put_stored_membership(stored: &StoredMembership) -> proto::StoredMembership {
    proto::StoredMembership {
        at: stored.log_id().as_ref().map(put_log_id),
        membership: Some(put_membership(stored.membership())),
    }
}

pub(crate) fn take_stored_membership(
    message: Option<proto::StoredMembership>,
) -> Result<StoredMembership, Malformed> {
    let message = message.unwrap_or_default();
    let membership = take_membership(message.membership.unwrap_or_default())?;
    Ok(StoredMembership::new(take_log_id(message.at)?, membership))
}

pub(crate) fn put_entry(entry: Entry) -> proto::Entry {
    let payload = match entry.payload {
        EntryPayload::Blank => None,
        EntryPayload::Normal(Command(bytes)) => Some(proto::entry::Payload::Command(bytes)),
        EntryPayload::Membership(membership) => {
            Some(proto::entry::Payload::Membership(put_membership(&membership)))
        }
    };
    proto::Entry { id: Some(put_log_id(&entry.log_id)), payload }
}

pub(crate) fn take_entry(message: proto::Entry) -> Result<Entry, Malformed> {
    let log_id = take_log_id(message.id)?.ok_or(Malformed("an entry has no position"))?;
    let payload: Payload = match message.payload {
        None => EntryPayload::Blank,
        Some(proto::entry::Payload::Command(bytes)) => EntryPayload::Normal(Command(bytes)),
        Some(proto::entry::Payload::Membership(membership)) => {
            EntryPayload::Membership(take_membership(membership)?)
        }
    };
    Ok(Entry { log_id, payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership() -> Membership {
        let node = |address: &str| BasicNode { addr: address.to_owned() };
        let nodes: std::collections::BTreeMap<_, _> =
            [(1, node("a:1")), (2, node("b:2")), (3, node("c:3"))].into();
        Membership::new(vec![[1].into(), [1, 2].into()], nodes).unwrap()
    }

    #[test]
    fn entries_survive_the_wire() {
        let log_id = log_id(log::Position { term: 3, index: 9 });
        let command = EntryPayload::Normal(Command(bytes::Bytes::from_static(b"abc")));
        for payload in [EntryPayload::Blank, command, EntryPayload::Membership(membership())] {
            let entry = Entry { log_id, payload };
            assert_eq!(take_entry(put_entry(entry.clone())).unwrap(), entry);
        }
    }

    #[test]
    fn votes_and_memberships_survive_the_wire() {
        let vote = vote_of(log::Vote { term: 4, node: 2, committed: true });
        assert_eq!(take_vote(Some(put_vote(&vote))), Ok(vote));
        let at = Some(log_id(log::Position { term: 1, index: 2 }));
        for membership in [membership(), Membership::default()] {
            let stored = StoredMembership::new(at, membership);
            assert_eq!(take_stored_membership(Some(put_stored_membership(&stored))), Ok(stored));
        }
    }

    #[test]
    fn numbers_that_could_overflow_are_refused() {
        let id = |term, index| take_log_id(Some(proto::LogId { term, index }));
        assert!(id(NUMBER_MAX, NUMBER_MAX).is_ok());
        assert!(id(NUMBER_MAX + 1, 0).is_err());
        assert!(id(0, u64::MAX).is_err());
        let vote = proto::Vote { term: u64::MAX, ..proto::Vote::default() };
        assert!(take_vote(Some(vote)).is_err());
    }

    #[test]
    fn voter_without_an_address_is_refused() {
        let voters = proto::Voters { ids: vec![1] };
        let message = proto::Membership { configs: vec![voters], members: Vec::new() };
        assert!(take_membership(message).is_err());
    }
}
