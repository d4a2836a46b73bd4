//! What a node must be told.

use std::path::PathBuf;
use std::time::Duration;

use crate::peers::{Member, NodeId};

/// Everything that a node must be told before it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the cluster. A directory or a request of another cluster is refused.
    pub cluster: String,
    /// Replication group; one until there are several: 0.
    pub group: u32,
    /// This node.
    pub node: NodeId,
    /// All first members, this node among them, the same on each. An empty directory begins the
    /// group with them, once all of them have said that it has not begun; if it has, the node lost
    /// its disk and recovers from them. Members of a group that changed must be named here
    /// before a disk is replaced. Empty: wait until the leader adds this node, which must be new.
    pub members: Vec<Member>,
    /// Where log and store lie. Made when it is missing. Nobody else may write there.
    pub directory: PathBuf,
    /// How fast a lost leader is noticed.
    pub failover: Failover,
    /// What an acknowledgement means.
    pub durability: Durability,
    /// Sizes and times.
    pub limits: Limits,
}

/// How fast a lost leader is noticed. The same on all nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failover {
    /// Heartbeat every 50 ms, election after 150 to 300 ms.
    #[default]
    Normal,
    /// Heartbeat every 30 ms, election after 100 to 200 ms. For one rack of machines that are not
    /// short of processors.
    Fast,
    /// Heartbeat every 300 ms, election after 1.5 to 3 s. For nodes far apart.
    Wan,
}

/// Milliseconds of Raft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timers {
    pub(crate) heartbeat_ms: u64,
    pub(crate) election_ms_min: u64,
    pub(crate) election_ms_max: u64,
}

impl Failover {
    /// How long a leader may stand still until another one certainly calls an election: the longest
    /// election timeout and a heartbeat.
    #[must_use]
    pub fn stands_still_max(self) -> Duration {
        let Timers { heartbeat_ms, election_ms_max, .. } = self.timers();
        Duration::from_millis(heartbeat_ms + election_ms_max)
    }

    pub(crate) fn timers(self) -> Timers {
        let (heartbeat_ms, election_ms_min, election_ms_max) = match self {
            Self::Normal => (50, 150, 300),
            Self::Fast => (30, 100, 200),
            Self::Wan => (300, 1_500, 3_000),
        };
        Timers { heartbeat_ms, election_ms_min, election_ms_max }
    }
}

/// What an acknowledgement means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A majority has it on disk.
    #[default]
    Fsync,
    /// A majority has handed it to its system: it survives the death of processes, and the power
    /// loss of machines only while a majority keeps running.
    Memory,
}

/// Sizes in bytes and times. What happens at a maximum is said at each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest command. A larger one is refused. At most 32 MiB.
    pub command_bytes_max: usize,
    /// Commands proposed and not yet answered. Further proposals wait.
    pub in_flight_bytes_max: usize,
    /// Entries in one request to a follower, and at least one entry.
    pub append_bytes_max: usize,
    /// The store notes how far the log is on disk after this time. Records that a disk loses later than
    /// that are missed.
    pub mark_every: Duration,
    /// The store gets what changed, and then the log is shortened, after this time,
    pub save_every: Duration,
    /// or when so many bytes of commands have been applied. What is written at once is in memory twice.
    pub save_bytes: u64,
    /// Files of the log are closed at this size; what the open one holds is in memory too.
    pub log_file_bytes: usize,
    /// What the log keeps for followers that are behind. One that needs more gets a snapshot.
    pub keep_bytes: u64,
}

/// No command may be larger, so that one request always carries it.
pub(crate) const COMMAND_BYTES_CEILING: usize = 32 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_bytes_max: 4 << 20,
            in_flight_bytes_max: 64 << 20,
            append_bytes_max: 1 << 20,
            mark_every: Duration::from_millis(200),
            save_every: Duration::from_millis(500),
            save_bytes: 4 << 20,
            log_file_bytes: 16 << 20,
            keep_bytes: 64 << 20,
        }
    }
}
