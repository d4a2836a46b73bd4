//! What a node says about itself.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use openraft::async_runtime::{Instant as _, WatchReceiver};
use openraft::type_config::alias::WatchReceiverOf;
use openraft::{RaftMetrics, ServerState};
use tokio::sync::watch;

use crate::peers::{Member, NodeId};
use crate::raft::types::{Types, member};

/// What a node knows about itself and its cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Who leads, as far as this node knows. A leader that is not heard of for three of the longest
    /// election timeouts is none any more.
    pub leader: Option<NodeId>,
    /// The term; at most one node leads in it.
    pub term: u64,
    /// Index of the last entry that is applied here; `None` before the first.
    pub applied: Option<u64>,
    /// Index of the last entry that this node's log no longer has; `None` while it has all.
    pub purged: Option<u64>,
    /// Whether this node leads and has applied the first entry of its term, so that its state holds
    /// everything that was ever acknowledged. Not while no majority has answered it for three of
    /// the longest election timeouts; when one answers again, it may lead on in the same term.
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

/// When a leader was last heard of, by a node that follows.
#[derive(Debug)]
pub(crate) struct Heard {
    at: Mutex<Option<Instant>>,
    heartbeat: Duration,
}

/// Heartbeats that may be missing until a leader is doubted: one may be late.
const HEARTBEATS_MAX: u32 = 2;

/// Looks at silence in the time that it may last.
const LOOKS: u32 = 9;

impl Heard {
    /// Nothing was heard.
    pub(crate) fn new(heartbeat_ms: u64) -> Self {
        Self { at: Mutex::default(), heartbeat: Duration::from_millis(heartbeat_ms) }
    }

    pub(crate) fn now(&self) {
        *self.at.lock().expect("nobody panics while holding it") = Some(Instant::now());
    }

    /// Whether the leader said something lately.
    pub(crate) fn is_recent(&self) -> bool {
        self.is_within(HEARTBEATS_MAX * self.heartbeat)
    }

    /// How long ago that was; `None`: nothing was ever heard.
    pub(crate) fn ago(&self) -> Option<Duration> {
        self.at.lock().expect("nobody panics while holding it").map(|heard| heard.elapsed())
    }

    fn is_within(&self, patience: Duration) -> bool {
        self.ago().is_some_and(|ago| ago < patience)
    }
}

/// Election timeouts in which nothing is heard until there is no leader: two could be bad luck.
const ELECTIONS_MAX: u32 = 3;

/// How long a leader may be silent.
pub(crate) fn patience(election_ms_max: u64) -> Duration {
    ELECTIONS_MAX * Duration::from_millis(election_ms_max)
}

/// Whether this node leads, and is its own majority.
fn is_own_majority(metrics: &RaftMetrics<Types>) -> bool {
    let mut voters = metrics.membership_config.membership().voter_ids();
    metrics.state == ServerState::Leader && voters.all(|voter| voter == metrics.id)
}

/// Whether the leader that Raft knows is there: it does not forget one that went silent.
fn is_there(metrics: &RaftMetrics<Types>, heard: &Heard, patience: Duration) -> bool {
    if metrics.state != ServerState::Leader {
        return heard.is_within(patience);
    }
    is_own_majority(metrics)
        || metrics.last_quorum_acked.is_none_or(|acked| acked.elapsed() < patience)
}

impl Status {
    /// A member by its number.
    #[must_use]
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        self.voters.iter().chain(&self.learners).find(|member| member.id == id)
    }

    fn of(metrics: &RaftMetrics<Types>, is_there: bool) -> Self {
        let membership = metrics.membership_config.membership();
        let named = |id: u64| membership.get_node(&id).map(|node| member(id, node));
        let term = metrics.current_term;
        let applied = metrics.last_applied.as_ref();
        let own = applied.is_some_and(|id| id.committed_leader_id().term == term);
        Self {
            leader: metrics.current_leader.filter(|_| is_there).map(NodeId),
            term,
            applied: applied.map(|id| id.index()),
            purged: metrics.purged.as_ref().map(|id| id.index()),
            is_leader: metrics.state == ServerState::Leader && own && is_there,
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
    heard: Arc<Heard>,
    patience: Duration,
) {
    loop {
        let (now, needs_nobody) = {
            let metrics = metrics.borrow_watched();
            let now = Status::of(&metrics, is_there(&metrics, &heard, patience));
            (now, is_own_majority(&metrics))
        };
        status.send_if_modified(|before| {
            // The first fault is the cause.
            let fault = before.fault.take().or(now.fault.clone());
            let now = Status { fault, recovering: before.recovering, ..now };
            let changed = *before != now;
            *before = now;
            changed
        });
        tokio::select! {
            changed = metrics.changed() => if changed.is_err() {
                return;
            },
            // Silence changes no metrics.
            () = tokio::time::sleep(patience / LOOKS), if !needs_nobody => (),
        }
    }
}
