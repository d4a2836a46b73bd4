//! The types that Raft works with here.

use std::any::Any;
use std::fmt;

use bytes::Bytes;
use openraft::impls::leader_id_std::LeaderId;
use openraft::impls::{BoxedErrorSource, InlineBatch};
use openraft::raft::responder::Responder;
use openraft::type_config::alias::CommittedLeaderIdOf;
use openraft::{BasicNode, EntryPayload, OptionalSend, RaftTypeConfig};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::peers::{Member, NodeId};

/// The choices of types. One leader per term, so that a term tells leaderships apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Types;

impl RaftTypeConfig for Types {
    type D = Command;
    type R = Answer;
    type NodeId = u64;
    type Node = BasicNode;
    type Term = u64;
    type LeaderId = LeaderId<u64, u64>;
    type Vote = openraft::Vote<Self::LeaderId>;
    type Payload = EntryPayload<Command, u64, BasicNode>;
    type Entry = openraft::Entry<CommittedLeaderIdOf<Self>, Self::Payload>;
    type AsyncRuntime = openraft_rt_tokio::TokioRuntime;
    type Responder<T>
        = Waiting<T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = BoxedErrorSource;
}

pub(crate) type Entry = openraft::type_config::alias::EntryOf<Types>;
pub(crate) type LogId = openraft::type_config::alias::LogIdOf<Types>;
pub(crate) type Vote = openraft::type_config::alias::VoteOf<Types>;
pub(crate) type Membership = openraft::Membership<u64, BasicNode>;
pub(crate) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<Types>;
pub(crate) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<Types>;
pub(crate) type Payload = EntryPayload<Command, u64, BasicNode>;

/// A command as the log carries it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Command(pub(crate) Bytes);

impl fmt::Display for Command {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} bytes", self.0.len())
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, to)
    }
}

/// An outcome of a machine. Its type is known only to the node, so that log and network need not
/// name the machine; `None` for entries that are not commands.
#[derive(Debug)]
pub(crate) struct Answer(pub(crate) Option<Box<dyn Any + Send + Sync>>);

/// Who waits for an answer. Room for further proposals is made when it comes.
pub(crate) struct Waiting<T> {
    pub(crate) told: oneshot::Sender<T>,
    pub(crate) _room: OwnedSemaphorePermit,
}

impl<T: OptionalSend + 'static> Responder<Types, T> for Waiting<T> {
    fn on_complete(self, result: T) {
        // A caller that no longer waits does not mind.
        let _ = self.told.send(result);
    }
}

pub(crate) fn node(member: &Member) -> BasicNode {
    BasicNode { addr: member.address.clone() }
}

pub(crate) fn member(id: u64, node: &BasicNode) -> Member {
    Member { id: NodeId(id), address: node.addr.clone() }
}
