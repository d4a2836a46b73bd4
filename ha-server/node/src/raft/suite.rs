//! The Raft library's own tests of log and state.

use std::sync::Arc;

use bytes::Bytes;
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use super::applier::Applier;
use super::log_store::LogStore;
use super::types::Types;
use crate::config::Durability;
use crate::log::Log;
use crate::machine::{Change, LoadError, Machine};
use crate::replica::{self, Replica};
use crate::store::Store;

/// Remembers nothing.
pub(crate) struct Blank;

impl Machine for Blank {
    type Outcome = ();

    fn apply(&mut self, _: u64, _: Bytes) {}

    fn take_changes(&mut self) -> Vec<Change> {
        Vec::new()
    }

    fn load(&mut self, _: &mut dyn Iterator<Item = (Vec<u8>, Vec<u8>)>) -> Result<(), LoadError> {
        Ok(())
    }
}

struct OnDisk;

impl StoreBuilder<Types, LogStore, Applier<Blank>, TempDir> for OnDisk {
    async fn build(&self) -> Result<(TempDir, LogStore, Applier<Blank>), StorageError<Types>> {
        let dir = TempDir::new().unwrap();
        let logs = dir.path().join("log");
        std::fs::create_dir(&logs).unwrap();
        let log = Log::open(&logs, Durability::Fsync, 1 << 20).unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let applied = replica::load(&mut Blank, &store).unwrap();
        let (replica, _) = Replica::new(store, (Blank, &applied), log.synced(), u64::MAX);
        let log_store = LogStore { log, append_bytes_max: usize::MAX };
        Ok((dir, log_store, Applier { replica: Arc::new(replica) }))
    }
}

#[test]
fn log_and_state_pass_the_suite_of_the_raft_library() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(Suite::test_all(OnDisk)).unwrap();
}
