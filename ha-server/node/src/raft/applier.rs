//! The state as Raft wants to see it: entries in, snapshots out and in.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::{Stream, TryStreamExt};
use ha_proto::raft as proto;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, Snapshot};

use super::types::{Answer, Command, LogId, SnapshotMeta, StoredMembership, Types};
use super::wire;
use crate::error::StoreError;
use crate::machine::Machine;
use crate::replica::Replica;
use crate::store::{Image, read_records};

pub(crate) type RaftSnapshot = openraft::type_config::alias::SnapshotOf<Types, SnapshotData>;

/// The contents of a snapshot.
pub(crate) enum SnapshotData {
    /// Made by this node, to be sent.
    Ours(Image),
    /// From another node, to be installed.
    Received(Received),
}

/// A file that is removed when nobody needs it any more.
pub(crate) struct Received {
    pub(crate) path: PathBuf,
}

impl Drop for Received {
    fn drop(&mut self) {
        // What stays is removed at the next start.
        let _ = fs::remove_file(&self.path);
    }
}

/// Applies what Raft commits.
pub(crate) struct Applier<M> {
    pub(crate) replica: Arc<Replica<M>>,
}

fn failed(error: StoreError) -> io::Error {
    io::Error::other(error)
}

fn snapshot(image: Image) -> io::Result<RaftSnapshot> {
    let last = wire::take_log_id(image.applied.last).map_err(io::Error::other)?;
    let membership = wire::take_stored_membership(image.applied.membership.clone());
    let last_membership = membership.map_err(io::Error::other)?;
    let meta = SnapshotMeta { last_log_id: last, last_membership };
    Ok(Snapshot { meta, snapshot: SnapshotData::Ours(image) })
}

/// Up to where a snapshot is complete, as the store keeps it.
fn applied(meta: &SnapshotMeta) -> proto::Applied {
    proto::Applied {
        last: meta.last_log_id.as_ref().map(wire::put_log_id),
        membership: Some(wire::put_stored_membership(&meta.last_membership)),
        generation: 0,
        logged: None,
    }
}

impl<M: Machine> RaftStateMachine<Types> for Applier<M> {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Builder<M>;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let state = self.replica.state();
        let membership = wire::take_stored_membership(Some(state.membership.clone()));
        Ok((state.last.map(wire::log_id), membership.map_err(io::Error::other)?))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let at = wire::position(&entry.log_id);
            let answer = {
                let mut state = self.replica.state();
                let outcome = match entry.payload {
                    EntryPayload::Normal(Command(command)) => {
                        Some(Box::new(state.apply(at, command)) as _)
                    }
                    EntryPayload::Blank => None,
                    EntryPayload::Membership(membership) => {
                        let stored = StoredMembership::new(Some(entry.log_id), membership);
                        state.membership = wire::put_stored_membership(&stored);
                        None
                    }
                };
                state.last = Some(at);
                self.replica.applied_some(&state);
                Answer(outcome)
            };
            if let Some(responder) = responder {
                responder.send(answer);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder<M> {
        Builder { replica: Arc::clone(&self.replica) }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotData,
    ) -> io::Result<()> {
        let (replica, applied) = (Arc::clone(&self.replica), applied(meta));
        let install = move || match snapshot {
            SnapshotData::Received(received) => {
                let file = BufReader::new(File::open(&received.path)?);
                replica.install(read_records(file), &applied).map_err(failed)
            }
            SnapshotData::Ours(image) => replica.install(image.records(), &applied).map_err(failed),
        };
        tokio::task::spawn_blocking(install).await.map_err(io::Error::other)?
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<RaftSnapshot>> {
        let image = self.replica.image().map_err(failed)?;
        image.applied.last.is_some().then(|| snapshot(image)).transpose()
    }
}

/// Makes a snapshot: saves what is applied, then it is a view of the store, which goes on.
pub(crate) struct Builder<M> {
    replica: Arc<Replica<M>>,
}

impl<M: Machine> RaftSnapshotBuilder<Types> for Builder<M> {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> io::Result<RaftSnapshot> {
        let replica = Arc::clone(&self.replica);
        let build = move || {
            replica.save().map_err(failed)?;
            snapshot(replica.image().map_err(failed)?)
        };
        tokio::task::spawn_blocking(build).await.map_err(io::Error::other)?
    }
}
