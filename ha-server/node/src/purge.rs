//! Shortens the log: what is in the store may go, except what followers may still need.

use std::sync::Arc;
use std::time::Duration;

use openraft::Raft;
use openraft::metrics::WaitError;
use tokio::sync::watch;

use crate::log::Log;
use crate::machine::Machine;
use crate::raft::applier::Applier;
use crate::raft::types::Types;
use crate::replica::Stored;
use crate::status::Status;

/// Until Raft must have heard how far the store is.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs on every node.
pub(crate) struct Purge<M: Machine> {
    pub(crate) raft: Raft<Types, Applier<M>>,
    pub(crate) log: Log,
    /// For followers that are behind.
    pub(crate) keep_bytes: u64,
    pub(crate) status: Arc<watch::Sender<Status>>,
}

impl<M: Machine> Purge<M> {
    /// Runs until the store or Raft ends. A store that fails stops the node: its log would grow
    /// without end.
    pub(crate) async fn run(self, mut stored: watch::Receiver<Stored>) {
        while stored.changed().await.is_ok() {
            let Stored { last, fault } = stored.borrow_and_update().clone();
            if let Some(fault) = fault {
                tracing::error!(fault, "the store failed; the node stops");
                self.status.send_modify(|status| status.fault = Some(fault));
                let _ = self.raft.shutdown().await;
                return;
            }
            let Some(last) = last else { continue };
            let Some(upto) = self.log.purgeable(self.keep_bytes, last.index) else { continue };
            if self.shorten(upto).await.is_none() {
                return;
            }
        }
    }

    /// Raft forgets only what a snapshot holds, so it must hear first how far the store is.
    async fn shorten(&self, upto: u64) -> Option<()> {
        self.raft.trigger().snapshot().await.ok()?;
        let waiting = self.raft.wait(Some(SNAPSHOT_TIMEOUT));
        let built = waiting.metrics(
            |metrics| metrics.snapshot.is_some_and(|at| at.index() >= upto),
            "the store is known as the snapshot",
        );
        match built.await {
            Ok(_) => (),
            // The next save tries again.
            Err(WaitError::Timeout(..)) => return Some(()),
            Err(WaitError::ShuttingDown) => return None,
        }
        self.raft.trigger().purge_log(upto).await.ok()
    }
}
