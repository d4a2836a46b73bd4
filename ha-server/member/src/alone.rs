//! A group of one in this process: its node, its distributor, and streams that no network carries.
//!
//! For a broker without ha-server. Whoever embeds it is the only broker: it opens a stream, says Hello
//! and is led like any other.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
pub use ha_core::HeartbeatAnswer;
use ha_core::cluster::{StateLimits, Strategies};
use ha_core::{Config, FanOut, Input, StreamId};
use ha_node::{
    Durability, Failover, Limits, Member, NodeId, Peers, StartError, StoreError, Unreachable,
};
use ha_types::link::{Duty, Upstream};
use ha_types::{BrokerEpoch, ClusterMillis, Qos, ServerIncarnation, TopicName};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time;

use crate::distribute::{
    self, FromStream, Handle, NoAnswer, QueueOut, Settings, Snapshot, Weighed, queue,
};
use crate::{COMMAND_BYTES_MAX, Concern, GROUP, Replicated, StateNode, incarnation};

/// As an ha-server alone is called whose configuration says nothing, so that its data and ours can be
/// exchanged.
const CLUSTER: &str = "mqtt-ha";
const NODE: NodeId = NodeId(1);
/// Nobody dials it. Should the data become those of a server of a larger group: there it is moved.
const ADDRESS: &str = "127.0.0.1:2000";

/// A heartbeat costs nothing here. A lease ends when this process stood still; then it begins again.
const LEASE_MS: u64 = 10_000;
const HEARTBEAT_MS: u64 = 1_000;

/// The broker, and what it was called when it ran before.
const BROKERS_MAX: usize = 4;

/// As ha-server has it: bytes that wait for a broker that is slow, and how long it may write nothing.
const QUEUE_BYTES: usize = 64 << 20;
const STALL_MS: u64 = 10_000;

/// Numbered publishes without an answer: enough to keep a disk busy whose sync takes 20 ms.
const PUBLISH_WINDOW: u32 = 8_192;

/// How long it may take to lead. Nobody else can.
const SETTLE_MAX: Duration = Duration::from_secs(5);

/// What an operator may choose.
#[derive(Clone, Debug)]
pub struct AloneConfig {
    /// Where log, store and the number of the run lie. Made when it is missing; used by one process.
    pub data_dir: PathBuf,
    /// What an acknowledgement means.
    pub durability: Durability,
    /// Of the state.
    pub limits: StateLimits,
    /// How members of share groups are chosen.
    pub strategies: Strategies,
    /// Distinct topic filters of all sessions.
    pub filters_max: usize,
    /// Program and version.
    pub software: String,
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum AloneError {
    /// The node refuses what it finds, or another process uses it.
    #[error(transparent)]
    Node(#[from] StartError),
    /// The number of the run cannot be taken.
    #[error("the number of this run")]
    Incarnation(#[from] io::Error),
}

/// See the module.
#[derive(Debug)]
pub struct Alone {
    node: Arc<StateNode>,
    concern: Arc<Concern>,
    handle: Handle,
    distributor: JoinHandle<()>,
    incarnation: ServerIncarnation,
    next_stream: AtomicU64,
}

/// One end of a stream: whoever opened it.
#[derive(Debug)]
pub struct Pipe {
    /// What goes up.
    pub up: PipeUp,
    /// What comes down. Its `items` end when the distributor has ended the stream.
    pub down: QueueOut,
    /// The stream breaks when it is dropped.
    pub open: StreamOpen,
}

/// The way up of a [`Pipe`].
#[derive(Clone, Debug)]
pub struct PipeUp {
    stream: StreamId,
    inputs: mpsc::Sender<FromStream>,
}

/// Says that a stream is there, as long as it exists.
#[derive(Debug)]
pub struct StreamOpen(#[expect(dead_code, reason = "it is only ever dropped")] oneshot::Sender<()>);

/// The distributor does not run any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the distributor does not run any more")]
pub struct Ended;

/// Nobody else is there.
struct Nobody;

impl Peers for Nobody {
    async fn send(&self, _: &Member, _: Bytes) -> Result<Bytes, Unreachable> {
        Err(Unreachable("this node is alone".to_owned()))
    }
}

impl Alone {
    /// Opens the data directory, and returns when this node leads. Runs inside a tokio runtime.
    ///
    /// # Errors
    /// [`AloneError`]; nothing is left running.
    pub async fn start(config: AloneConfig) -> Result<Self, AloneError> {
        let member = Member { id: NODE, address: ADDRESS.to_owned() };
        let node = ha_node::Config {
            cluster: CLUSTER.to_owned(),
            group: GROUP,
            node: NODE,
            members: vec![member],
            directory: config.data_dir.join(format!("group-{GROUP}")),
            // Nobody hears its heartbeats: the fewer the better.
            failover: Failover::Wan,
            durability: config.durability,
            limits: Limits {
                command_bytes_max: COMMAND_BYTES_MAX,
                // There are no followers.
                keep_bytes: 0,
                log_file_bytes: 2 << 20,
                ..Limits::default()
            },
        };
        // It locks the directory, so it comes first.
        let machine = Replicated::default();
        let concern = machine.concern();
        let node = Arc::new(StateNode::start(node, machine, Nobody).await?);
        let incarnation = incarnation::next(&config.data_dir)?;
        let mut status = node.watch();
        // Without a lead the distributor waits for it, and says so.
        let _ = time::timeout(SETTLE_MAX, status.wait_for(|status| status.is_leader)).await;
        let settings = Settings {
            limits: config.limits,
            strategies: config.strategies.clone(),
            config: distributor_config(config, incarnation),
        };
        let (handle, distributor) = distribute::start(Arc::clone(&node), NODE, settings);
        let next_stream = AtomicU64::new(1);
        Ok(Self { node, concern, handle, distributor, incarnation, next_stream })
    }

    /// The number of this run: higher than that of every earlier one in the same directory, also when
    /// the clock was set back.
    #[must_use]
    pub fn incarnation(&self) -> ServerIncarnation {
        self.incarnation
    }

    /// Opens a stream. Its Hello is awaited.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn open(&self) -> Result<Pipe, Ended> {
        let stream = StreamId(self.next_stream.fetch_add(1, Ordering::Relaxed));
        let ((queue, down), inputs) = (queue(), self.handle.inputs.clone());
        let opened = FromStream::Opened(stream, "this process".to_owned(), queue);
        inputs.send(opened).await.map_err(|_| Ended)?;
        let up = PipeUp { stream, inputs };
        let (open, dropped) = oneshot::channel::<()>();
        let last = up.clone();
        tokio::spawn(async move {
            // Its sender is only ever dropped.
            let _ = dropped.await;
            let _ = last.send(Input::Broken(stream)).await;
        });
        Ok(Pipe { up, down, open: StreamOpen(open) })
    }

    /// Keeps a lease. Also returns how much of its log it has.
    ///
    /// # Errors
    /// As [`Handle::heartbeat`].
    pub async fn heartbeat(&self, epoch: BrokerEpoch) -> Result<(HeartbeatAnswer, u64), NoAnswer> {
        let beat = self.handle.heartbeat(epoch, Duty::Serves).await?;
        Ok((beat.answer, beat.applied))
    }

    /// Whether a message that is not to be retained must come here: it is kept for a session, or a share
    /// group decides who gets it. True from before the SUBACK that promises it.
    #[must_use]
    pub fn concerns(&self, topic: &TopicName, qos: Qos) -> bool {
        // Mostly nobody is to be given anything later: then the node's lock is left alone.
        self.concern.reaches(qos) && self.node.read(|machine| machine.state().concerns(topic, qos))
    }

    /// The state as it was at most a second ago.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.handle.snapshot()
    }

    /// Resolves when the node has stopped by itself, with the reason. What was acknowledged is on disk.
    pub async fn fault(&self) -> String {
        let mut status = self.node.watch();
        match status.wait_for(|status| status.fault.is_some()).await {
            Ok(status) => status.fault.clone().unwrap_or_default(),
            Err(_) => "it panicked".to_owned(),
        }
    }

    /// Stops with everything saved. The files are closed a moment after it is dropped.
    ///
    /// # Errors
    /// [`StoreError`]: the last save failed. Nothing is lost, it is in the log.
    pub async fn shut_down(&self) -> Result<(), StoreError> {
        self.handle.shut_down().await;
        self.distributor.abort();
        self.node.shutdown().await
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.distributor.abort();
    }
}

impl PipeUp {
    /// Hands over items, in order. Waits while the distributor has enough to do.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn items(&self, items: Vec<Upstream>) -> Result<(), Ended> {
        self.send(Input::Received(self.stream, items)).await
    }

    /// So much of what came down, as its [`Weighed`] says, was taken.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn written(&self, bytes: usize) -> Result<(), Ended> {
        self.send(Input::Written(self.stream, bytes)).await
    }

    async fn send(&self, input: Input) -> Result<(), Ended> {
        self.inputs.send(FromStream::Input(input)).await.map_err(|_| Ended)
    }
}

/// What weighed items weigh together.
#[must_use]
pub fn bytes_of(items: &[Weighed]) -> usize {
    items.iter().map(|(_, bytes)| bytes).sum()
}

fn distributor_config(config: AloneConfig, server: ServerIncarnation) -> Config {
    Config {
        server,
        software: config.software,
        // Each leadership has its own.
        wall_time: ClusterMillis(0),
        lease_ms: LEASE_MS,
        heartbeat_ms: HEARTBEAT_MS,
        fan_out: FanOut::Interest,
        brokers_max: BROKERS_MAX,
        filters_max: config.filters_max,
        queue_bytes: QUEUE_BYTES,
        stall_ms: STALL_MS,
        publish_window: PUBLISH_WINDOW,
    }
}
