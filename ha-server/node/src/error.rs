//! What can go wrong, and what the caller can do about it.

use std::io;
use std::path::PathBuf;

use crate::log::LogError;
use crate::machine::LoadError;
use crate::peers::NodeId;
use crate::store::is_content;

/// Why a node does not start. None of these heals by itself.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error("{0}")]
    Config(String),
    /// The directory belongs to another cluster, group or node.
    #[error("{} belongs to another node: {}", path.display(), difference(found, expected))]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What it should say.
        expected: String,
    },
    /// Another process uses the directory.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A lone node lost records: nobody can give them back. One of a larger group recovers instead.
    #[error(
        "records of this node are lost and no other member is known that has them; put back a copy \
         of {path}, or move {log} away to go on without the log, as far as the store has it",
        path = path.display(),
        log = path.join("log").display()
    )]
    Lost {
        /// The directory of the node.
        path: PathBuf,
        /// What is damaged.
        source: Box<StartError>,
    },
    /// Log and store contradict each other: one of them is not what this node wrote.
    #[error("{}: {reason}", path.display())]
    Gap {
        /// The directory of the node.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// The log cannot be used.
    #[error("log")]
    Log(#[from] LogError),
    /// The store cannot be used.
    #[error("store")]
    Store(#[from] StoreError),
    /// The disk refused.
    #[error("{}", path.display())]
    Io {
        /// The file or directory in question.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Raft refused what it found in log and store.
    #[error("{0}")]
    Raft(String),
}

/// The lines of an identity that differ, as a sentence.
fn difference(found: &str, expected: &str) -> String {
    let pairs = found.lines().zip(expected.lines()).filter(|(found, expected)| found != expected);
    let told: Vec<_> =
        pairs.map(|(found, expected)| format!("it has {found}, we have {expected}")).collect();
    if told.is_empty() {
        format!("it has {found:?}, we have {expected:?}")
    } else {
        told.join("; ")
    }
}

impl StartError {
    /// Whether records are lost that this node may have acknowledged.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Log(LogError::Damaged { .. })
            | Self::Store(StoreError::Damaged { .. } | StoreError::Load(LoadError::Corrupt(_)))
            | Self::Gap { .. } => true,
            Self::Log(LogError::Io { source, .. }) => is_content(source),
            Self::Store(
                StoreError::Database { .. }
                | StoreError::Load(LoadError::Newer(_))
                | StoreError::Snapshot(_),
            )
            | Self::Config(_)
            | Self::Foreign { .. }
            | Self::InUse { .. }
            | Self::Lost { .. }
            | Self::Io { .. }
            | Self::Raft(_) => false,
        }
    }
}

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused.
    #[error("the database in {}: {reason}", path.display())]
    Database {
        /// Its directory.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
    /// The files of the database do not hold what was written.
    #[error("the database in {} is damaged: {reason}", path.display())]
    Damaged {
        /// Its directory.
        path: PathBuf,
        /// What the database said.
        reason: String,
    },
    /// A record of the state cannot be read, or a newer program wrote it.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A snapshot from another node cannot be read.
    #[error("read a snapshot")]
    Snapshot(#[source] io::Error),
}

/// Why a command is not answered with its outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Nothing was done: another node leads, or none does. The hint may be stale.
    #[error("not the leader")]
    NotLeader {
        /// Who leads, as far as this node knows.
        leader: Option<NodeId>,
    },
    /// This node no longer leads, and whether the command is committed is unknown: propose it again
    /// only when applying it twice does no harm.
    #[error("the leader changed before the outcome was known")]
    Unknown {
        /// Who leads, as far as this node knows.
        leader: Option<NodeId>,
    },
    /// Nothing was done: the command is larger than allowed.
    #[error("a command of {bytes} bytes, at most {bytes_max} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// [`crate::Limits::command_bytes_max`].
        bytes_max: usize,
    },
    /// The node has stopped; see [`crate::Status::fault`]. Whether the command is committed is
    /// unknown.
    #[error("the node has stopped")]
    Stopped,
}

impl ProposeError {
    /// Whether the same command may succeed later or elsewhere.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NotLeader { .. } | Self::Unknown { .. } | Self::Stopped => true,
            Self::TooLarge { .. } => false,
        }
    }
}

/// Why leadership is not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfirmError {
    /// Another node leads, or none does.
    #[error("not the leader")]
    NotLeader {
        /// Who leads, as far as this node knows.
        leader: Option<NodeId>,
    },
    /// No majority answered in time. May succeed later.
    #[error("no majority answered")]
    NoQuorum,
    /// The node has stopped; see [`crate::Status::fault`].
    #[error("the node has stopped")]
    Stopped,
}

/// Why the members were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// Another node leads, or none does. Whether the change happened must be read from the leader.
    #[error("not the leader")]
    NotLeader {
        /// Who leads, as far as this node knows.
        leader: Option<NodeId>,
    },
    /// The change makes no sense now: another is under way, a voter is not a member, none is left.
    #[error("{0}")]
    Refused(String),
    /// The node has stopped; see [`crate::Status::fault`].
    #[error("the node has stopped")]
    Stopped,
}
