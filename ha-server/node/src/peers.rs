//! The other nodes, and how requests reach them.

use std::fmt;
use std::future::Future;

use bytes::Bytes;

/// Identity of a node in its cluster; never given to another one. A node that lost its disk keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}", self.0)
    }
}

/// A node and where the others reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its identity.
    pub id: NodeId,
    /// Its address, in the words of whoever implements [`Peers`].
    pub address: String,
}

/// How requests reach other nodes.
///
/// Runs on the node's own runtime. May lose, repeat and reorder; must not change bytes, or must
/// notice. The node gives up on its own when an answer takes too long, by dropping the future.
pub trait Peers: Send + Sync + 'static {
    /// Sends one request and waits for its response, both as bytes for [`crate::Node::receive`].
    ///
    /// # Errors
    /// [`Unreachable`] as soon as it is known that no response will come.
    fn send(
        &self,
        to: &Member,
        request: Bytes,
    ) -> impl Future<Output = Result<Bytes, Unreachable>> + Send;
}

/// No response will come: the connection is broken or could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unreachable: {0}")]
pub struct Unreachable(pub String);
