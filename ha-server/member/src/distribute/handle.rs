//! How streams and services reach the task.

use std::sync::{Arc, Mutex};

use ha_core::cluster::Counts;
use ha_core::{
    BrokerLoss, BrokerView, DrainOrder, DrainRefusal, HeartbeatAnswer, Input, Kick, Kicked,
    StreamId,
};
use ha_types::link::Duty;
use ha_types::{BrokerEpoch, ClusterMillis};
use tokio::sync::{mpsc, oneshot};

use super::queues::Queue;
use crate::leader_changes::LeaderChange;
use crate::rates::Rates;

/// Frames of all streams that wait for the distributor. Small: what waits here has memory of its
/// own, and the streams' flow control holds the rest back.
const INPUTS_MAX: usize = 256;

/// Heartbeats and questions that wait.
const URGENT_MAX: usize = 1_024;

/// From a stream.
#[derive(Debug)]
pub enum FromStream {
    /// A stream with its queue.
    Opened(StreamId, String, Queue),
    /// Anything else.
    Input(Input),
}

/// What a leader answers to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Whether the lease is kept.
    pub answer: HeartbeatAnswer,
    /// Cluster time now.
    pub cluster_time: ClusterMillis,
    /// How much of the log it has.
    pub applied: u64,
}

/// A leader's answer, if there is one.
pub type HeartbeatReply = Result<Beat, NoAnswer>;

/// Whether a broker was told.
pub type OrderReply = Result<Result<(), DrainRefusal>, NoAnswer>;

/// What must not wait behind traffic.
#[derive(Debug)]
pub(super) enum Urgent {
    Heartbeat(BrokerEpoch, Duty, oneshot::Sender<HeartbeatReply>),
    Order(String, DrainOrder, oneshot::Sender<OrderReply>),
    Look(oneshot::Sender<Snapshot>),
    Kick(String, Kick, oneshot::Sender<Result<Kicked, NoAnswer>>),
    ShutDown,
}

/// What the distributor looks like.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Empty where another server leads.
    pub brokers: Vec<(BrokerView, Rates)>,
    /// Topics with a retained message.
    pub retained_messages: usize,
    /// Bytes of these.
    pub retained_bytes: usize,
    /// Of the state.
    pub counts: Counts,
    /// Since the task began.
    pub uptime_ms: u64,
    /// Of the leader; elsewhere as of the last batch.
    pub cluster_time: ClusterMillis,
    /// The last brokers that were lost while this node led, from the oldest on; at most
    /// [`LOSSES_MAX`](ha_core::LOSSES_MAX).
    pub losses: Vec<BrokerLoss>,
    /// All of them since the task began.
    pub losses_total: u64,
    /// The last changes of the lead, from the oldest on; at most
    /// [`LEADER_CHANGES_MAX`](crate::LEADER_CHANGES_MAX).
    pub leader_changes: Vec<LeaderChange>,
    /// All of them since the task began.
    pub leader_changes_total: u64,
}

/// How streams and services reach the distributor.
#[derive(Clone, Debug)]
pub struct Handle {
    /// What streams bring. Full: they wait.
    pub inputs: mpsc::Sender<FromStream>,
    urgent: mpsc::Sender<Urgent>,
    pub(super) snapshot: Arc<Mutex<Snapshot>>,
}

/// The task's end.
pub(super) struct Inputs {
    pub(super) from_streams: mpsc::Receiver<FromStream>,
    pub(super) urgent: mpsc::Receiver<Urgent>,
}

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Another server knows, if any.
    #[error("this ha-server does not lead")]
    NotLeader,
    /// The distributor does not run any more.
    #[error("ha-server stops")]
    Stopped,
}

pub(super) fn channels() -> (Handle, Inputs) {
    let (inputs, from_streams) = mpsc::channel(INPUTS_MAX);
    let (urgent, urgent_inputs) = mpsc::channel(URGENT_MAX);
    let handle = Handle { inputs, urgent, snapshot: Arc::default() };
    (handle, Inputs { from_streams, urgent: urgent_inputs })
}

impl Handle {
    /// Keeps the lease of a broker that does this with clients.
    ///
    /// # Errors
    /// [`NoAnswer`]: the broker looks for the leader.
    pub async fn heartbeat(&self, epoch: BrokerEpoch, duty: Duty) -> HeartbeatReply {
        let (reply, answer) = oneshot::channel();
        let sent = self.urgent.send(Urgent::Heartbeat(epoch, duty, reply)).await;
        sent.map_err(|_| NoAnswer::Stopped)?;
        answer.await.map_err(|_| NoAnswer::Stopped)?
    }

    /// Tells the broker of this name to let its clients go, or to take clients again.
    ///
    /// # Errors
    /// [`NoAnswer`]: the leader knows.
    pub async fn order(&self, name: String, order: DrainOrder) -> OrderReply {
        let (reply, answer) = oneshot::channel();
        let sent = self.urgent.send(Urgent::Order(name, order, reply)).await;
        sent.map_err(|_| NoAnswer::Stopped)?;
        answer.await.map_err(|_| NoAnswer::Stopped)?
    }

    /// Says goodbye to all brokers.
    pub async fn shut_down(&self) {
        // An error means that it has stopped already.
        let _ = self.urgent.send(Urgent::ShutDown).await;
    }

    /// The distributor as it is.
    ///
    /// # Errors
    /// [`NoAnswer::Stopped`].
    pub async fn look(&self) -> Result<Snapshot, NoAnswer> {
        let (reply, answer) = oneshot::channel();
        self.urgent.send(Urgent::Look(reply)).await.map_err(|_| NoAnswer::Stopped)?;
        answer.await.map_err(|_| NoAnswer::Stopped)
    }

    /// Ends the connection of a client, or its session as well. What came of it shows in the state.
    ///
    /// # Errors
    /// [`NoAnswer`]: nothing was done.
    pub async fn kick(&self, client_id: String, what: Kick) -> Result<Kicked, NoAnswer> {
        let (reply, answer) = oneshot::channel();
        let sent = self.urgent.send(Urgent::Kick(client_id, what, reply)).await;
        sent.map_err(|_| NoAnswer::Stopped)?;
        answer.await.map_err(|_| NoAnswer::Stopped)?
    }

    /// The distributor as it was at most a second ago, without asking it.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.lock().expect("nobody panics while holding it").clone()
    }
}
