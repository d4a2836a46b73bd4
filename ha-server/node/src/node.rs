//! One node: everything above wired together, on threads of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use openraft::errors::{ForwardToLeader, InitializeError, LinearizableReadError, RaftError};
use openraft::{Raft, ReadPolicy};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, Semaphore, oneshot, watch};

use crate::config::{COMMAND_BYTES_CEILING, Config, Limits};
use crate::error::{ConfirmError, ProposeError, StartError, StoreError};
use crate::machine::Machine;
use crate::opening::{self, Opened};
use crate::peers::{NodeId, Peers};
use crate::pending::Pending;
use crate::purge::Purge;
use crate::raft::applier::Applier;
use crate::raft::log_store::LogStore;
use crate::raft::network::{Network, Sender};
use crate::raft::serve::Server;
use crate::raft::types::{Command, Types, Waiting, node};
use crate::recovery::{Recovery, Standing};
use crate::replica::{Keeper, Replica, Rhythm};
use crate::rest;
use crate::status::{self, Heard, Status};

/// Threads of the runtime. Raft needs little processor time, but that at once.
const THREADS: usize = 2;
/// Unit in which proposals are counted against [`Limits::in_flight_bytes_max`].
const ROOM_BYTES: usize = 1 << 10;

/// A node of a cluster, or a cluster of one.
///
/// Dropping it stops it as a crash would, and returns when its files are closed; [`Node::shutdown`]
/// stops it with everything saved.
pub struct Node<M: Machine> {
    pub(crate) node: Open<M>,
    /// Taken by `Drop` only.
    runtime: Option<Runtime>,
}

/// What runs on the runtime of a node.
pub(crate) struct Open<M: Machine> {
    pub(crate) raft: Raft<Types, Applier<M>>,
    server: Server<M>,
    replica: Arc<Replica<M>>,
    limits: Limits,
    room: Arc<Semaphore>,
    pub(crate) status: watch::Receiver<Status>,
    keeper: Keeper,
    /// Nobody else may use the directory until all files above are closed.
    _lock: File,
}

impl<M: Machine> fmt::Debug for Node<M> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Node").field("status", &*self.node.status.borrow()).finish_non_exhaustive()
    }
}

fn raft_config(config: &Config, standing: Standing) -> Result<openraft::Config, StartError> {
    let timers = config.failover.timers();
    let config = openraft::Config {
        cluster_name: config.cluster.clone(),
        heartbeat_interval: timers.heartbeat_ms,
        election_timeout_min: timers.election_ms_min,
        election_timeout_max: timers.election_ms_max,
        enable_pre_vote: Some(true),
        enable_elect: standing == Standing::Member,
        // A member that lost its records says so by an empty log, and gets them again.
        allow_log_reversion: Some(true),
        // A leader that was restarted may have lost the end of a commit: it must be elected again.
        enable_leader_restore: Some(false),
        // Requests are bounded in bytes, by what the log reads at once.
        max_payload_entries: 4_096,
        // The store is the snapshot, and is always there; when the log is shortened is decided in
        // `purge`.
        snapshot_policy: openraft::SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        backoff: format!("{}ms ...500ms", timers.heartbeat_ms),
        ..openraft::Config::default()
    };
    config.validate().map_err(|error| StartError::Config(error.to_string()))
}

fn check(config: &Config) -> Result<(), StartError> {
    let Limits { command_bytes_max, in_flight_bytes_max, .. } = config.limits;
    let first = &config.members;
    let refused = if !first.is_empty() && first.iter().all(|member| member.id != config.node) {
        "this node is not among the first members"
    } else if command_bytes_max > COMMAND_BYTES_CEILING {
        "the largest command is limited to 32 MiB"
    } else if command_bytes_max > in_flight_bytes_max {
        "the largest command exceeds what may be in flight"
    } else {
        return Ok(());
    };
    Err(StartError::Config(refused.to_owned()))
}

impl<M: Machine> Node<M> {
    /// Opens log and store and starts Raft. Returns before a leader is known.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start(config: Config, machine: M, peers: impl Peers) -> Result<Self, StartError> {
        check(&config)?;
        let path = config.directory.clone();
        let (started, node) = oneshot::channel();
        // A thread of its own: opening reads whole files, and a runtime must not end in another.
        thread::spawn(move || {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(THREADS).thread_name("raft").enable_all();
            builder.on_thread_park(ha_heap::trim_parked_thread);
            let node = match builder.build() {
                Ok(runtime) => {
                    let node = runtime.block_on(Self::open(config, machine, peers));
                    node.map(|node| Self { runtime: Some(runtime), node })
                }
                Err(source) => Err(StartError::Io { path, source }),
            };
            // A caller that no longer waits drops the node.
            let _ = started.send(node);
        });
        node.await.map_err(|_| StartError::Raft("starting panicked".to_owned()))?
    }

    async fn open(config: Config, machine: M, peers: impl Peers) -> Result<Open<M>, StartError> {
        let opened = opening::open(&config, machine)?;
        let Opened { log, replica, nudged, incoming, standing, noted, marker, lock } = opened;
        let limits = config.limits.clone();
        let replica = Arc::new(replica);
        let rhythm = Rhythm { mark_every: limits.mark_every, save_every: limits.save_every };
        let keeper = Keeper::start(Arc::clone(&replica), nudged, rhythm)
            .map_err(|source| StartError::Io { path: config.directory.clone(), source })?;
        let us = Arc::new(sender(&config));
        let recovering = standing.is_recovering();
        let status = Arc::new(watch::Sender::new(Status { recovering, ..Status::default() }));
        let watched = status.subscribe();
        let (peers, sender) = (Arc::new(peers), Arc::clone(&us));
        let network = Network { peers, sender, status: watched.clone() };
        let raft_config = Arc::new(raft_config(&config, standing)?);
        let asking = network.clone();
        let log_store = LogStore { log: log.clone(), append_bytes_max: limits.append_bytes_max };
        let applier = Applier { replica: Arc::clone(&replica) };
        let raft = Raft::new(config.node.0, raft_config, network, log_store, applier)
            .await
            .map_err(|error| StartError::Raft(error.to_string()))?;
        if standing == Standing::Member {
            begin(&raft, &config).await?;
        }
        let heard = Arc::new(Heard::new(config.failover.timers().heartbeat_ms));
        let patience = status::patience(config.failover.timers().election_ms_max);
        let (metrics, told) = (raft.metrics(), Arc::clone(&status));
        tokio::spawn(status::follow(metrics, told, Arc::clone(&heard), patience));
        let stored = replica.watch_stored();
        let transfer = Mutex::new(None);
        let (standing, current) = watch::channel(standing);
        let recovery = Recovery {
            raft: raft.clone(),
            log: log.clone(),
            network: asking,
            us: config.node.0,
            first: config.members.clone(),
            noted,
            marker,
            standing,
            status: Arc::clone(&status),
            every: Duration::from_millis(config.failover.timers().heartbeat_ms),
        };
        tokio::spawn(recovery.run());
        let purge =
            Purge { raft: raft.clone(), log: log.clone(), keep_bytes: limits.keep_bytes, status };
        tokio::spawn(purge.run(stored));
        tokio::spawn(rest::while_alone(raft.clone()));
        let standing = current;
        let server = Server { raft: raft.clone(), us, incoming, heard, transfer, log, standing };
        let room = Arc::new(Semaphore::new(limits.in_flight_bytes_max / ROOM_BYTES));
        let (status, _lock) = (watched, lock);
        Ok(Open { raft, server, replica, limits, room, status, keeper, _lock })
    }

    /// Answers a request that another node's [`Peers::send`] carried here. What cannot be read or
    /// is not for this node is refused in the response. Runs inside a tokio runtime.
    pub async fn receive(&self, request: Bytes) -> Bytes {
        self.node.server.receive(request).await
    }

    /// Proposes a command and waits until it is committed and applied here.
    ///
    /// Returns its index and what [`Machine::apply`] answered. Without a majority it waits; a
    /// caller may give up by dropping the future, and the command may still be committed.
    ///
    /// # Errors
    /// [`ProposeError`].
    pub async fn propose(&self, command: Bytes) -> Result<(u64, M::Outcome), ProposeError> {
        self.submit(command).await?.await
    }

    /// Hands a command to Raft without waiting for the outcome: commands submitted one after the
    /// other are committed in this order. Waits only while too much is unanswered
    /// ([`Limits::in_flight_bytes_max`]).
    ///
    /// # Errors
    /// [`ProposeError::TooLarge`] or [`ProposeError::Stopped`].
    pub async fn submit(&self, command: Bytes) -> Result<Pending<M>, ProposeError> {
        let (bytes, bytes_max) = (command.len(), self.node.limits.command_bytes_max);
        if bytes > bytes_max {
            return Err(ProposeError::TooLarge { bytes, bytes_max });
        }
        let units = bytes.div_ceil(ROOM_BYTES).max(1);
        let units = u32::try_from(units).expect("a command has at most 32 MiB");
        let room = Arc::clone(&self.node.room).acquire_many_owned(units).await;
        let room = room.map_err(|_| ProposeError::Stopped)?;
        let (told, answer) = oneshot::channel();
        let waiting = Waiting { told, _room: room };
        let sent = self.node.raft.client_write_ff(Command(command), Some(waiting)).await;
        sent.map_err(|_| ProposeError::Stopped)?;
        Ok(Pending::new(answer))
    }

    /// Reads the state as it is on this node, under the lock that applying takes too: be short.
    pub fn read<T>(&self, read: impl FnOnce(&M) -> T) -> T {
        read(&self.node.replica.state().machine)
    }

    /// Confirms with a majority that this node still leads, after this call began, and waits until
    /// everything committed before is applied here. Returns the index that was waited for.
    /// Raft thesis 6.4.
    ///
    /// # Errors
    /// [`ConfirmError`].
    pub async fn confirm_leadership(&self) -> Result<u64, ConfirmError> {
        let raft = self.node.raft.clone();
        let confirm = async move { raft.ensure_linearizable(ReadPolicy::ReadIndex).await };
        match self.runtime().spawn(confirm).await.map_err(|_| ConfirmError::Stopped)? {
            Ok(read) => Ok(read.index()),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                Err(ConfirmError::NotLeader { leader: leader(&forward) })
            }
            Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {
                Err(ConfirmError::NoQuorum)
            }
            Err(RaftError::Fatal(_)) => Err(ConfirmError::Stopped),
        }
    }

    /// What this node knows, whenever it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.node.status.clone()
    }

    /// Whether the leader that this node follows was heard of lately: within two heartbeats. An
    /// election may be near otherwise. False on the leader.
    #[must_use]
    pub fn hears_leader(&self) -> bool {
        self.node.server.heard.is_recent()
    }

    /// How long ago this node heard of a leader that it followed; `None`: never.
    #[must_use]
    pub fn heard_leader_ago(&self) -> Option<Duration> {
        self.node.server.heard.ago()
    }

    /// Stops with everything saved, so that the next start has nothing to apply again. The files
    /// are closed when it is dropped.
    ///
    /// # Errors
    /// [`StoreError`] when the last save failed; nothing is lost, it is in the log.
    pub async fn shutdown(&self) -> Result<(), StoreError> {
        let raft = self.node.raft.clone();
        // It fails only when Raft has ended already.
        let _ = raft.shutdown().await;
        // What was applied may not be on this disk yet; a log that has ended says so in its answer.
        let (told, synced) = oneshot::channel();
        let done = Box::new(move |result| drop(told.send(result)));
        if self.node.server.log.sync(done).is_ok() {
            let _ = synced.await;
        }
        let replica = Arc::clone(&self.node.replica);
        let saved = self.runtime().spawn_blocking(move || replica.save()).await;
        saved.unwrap_or(Ok(()))
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("taken only by drop")
    }
}

impl<M: Machine> Drop for Node<M> {
    fn drop(&mut self) {
        let runtime = self.runtime.take();
        // Inside a runtime another one must not end; and all handles of its tasks must be gone
        // before the files can close.
        let ended = thread::spawn(move || drop(runtime)).join();
        if ended.is_err() {
            tracing::error!("a task of Raft panicked while it was stopped");
        }
        self.node.keeper.stop();
        self.node.server.log.wait_until_last();
    }
}

/// A cluster of one begins at once, and need not wait for a timer.
async fn begin<M: Machine>(
    raft: &Raft<Types, Applier<M>>,
    config: &Config,
) -> Result<(), StartError> {
    let failed = |reason: String| StartError::Raft(reason);
    let members: BTreeMap<_, _> =
        config.members.iter().map(|member| (member.id.0, node(member))).collect();
    if members.len() == 1 {
        match raft.initialize(members).await {
            // It has begun before.
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => (),
            Err(error) => return Err(failed(error.to_string())),
        }
    }
    if raft.voter_ids().eq([config.node.0]) {
        raft.trigger().elect(false).await.map_err(|error| failed(error.to_string()))?;
    }
    Ok(())
}

fn sender(config: &Config) -> Sender {
    let timers = config.failover.timers();
    Sender {
        cluster: config.cluster.clone(),
        group: config.group,
        node: config.node.0,
        append_timeout: Duration::from_millis(10 * timers.heartbeat_ms),
    }
}

pub(crate) fn leader(forward: &ForwardToLeader<Types>) -> Option<NodeId> {
    forward.leader_id.map(NodeId)
}
