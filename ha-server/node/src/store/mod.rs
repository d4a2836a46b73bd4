//! The state on disk: the machine's records, and up to which entry they are complete.
//!
//! Written in the background, never before an acknowledgement: what is missing is in the log. A
//! save is one batch, so records and position always agree. A snapshot from another node becomes a
//! new generation of records beside the old one and is switched to in one batch; a crash before
//! that leaves the old one valid.

mod image;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot};
use ha_proto::raft::Applied;
use prost::Message;

pub(crate) use image::{Digest, read_records, stream_records};

use crate::error::StoreError;
use crate::machine::Change;

/// Records are read at start and for a snapshot only, so a small cache does.
const CACHE_BYTES: u64 = 1 << 20;
const MEMTABLE_BYTES_MAX: u64 = 1 << 20;
/// Bytes of records that are saved before it is worth giving back what they take in memory.
const TRIM_BYTES: usize = 128 << 10;
/// The least that the database allows.
const JOURNAL_BYTES_MAX: u64 = 64 << 20;
const APPLIED: &str = "applied";
/// Key and value of a record.
pub(crate) type Record = (Vec<u8>, Vec<u8>);

/// The store of one node.
pub(crate) struct Store {
    path: PathBuf,
    db: Database,
    meta: Keyspace,
    current: Mutex<Generation>,
}

struct Generation {
    number: u64,
    records: Keyspace,
    /// When records were saved last.
    changed_at: Instant,
    /// Bytes of records that were saved since these were trimmed.
    untrimmed: usize,
    trim: Trim,
}

/// How far [`Store::trim`] is.
enum Trim {
    Idle,
    /// What was saved is being written to a file of its own.
    Written,
}

impl Generation {
    fn new(number: u64, records: Keyspace) -> Self {
        let changed_at = Instant::now();
        Self { number, records, changed_at, untrimmed: 0, trim: Trim::Idle }
    }
}

/// The store as it was at one moment, however long it is read.
pub(crate) struct Image {
    path: PathBuf,
    snapshot: Snapshot,
    records: Keyspace,
    pub(crate) applied: Applied,
}

fn refused(path: &Path) -> impl Fn(fjall::Error) -> StoreError + '_ {
    |error| {
        let (path, reason) = (path.to_owned(), error.to_string());
        if is_damage(&error) {
            return StoreError::Damaged { path, reason };
        }
        StoreError::Database { path, reason }
    }
}

/// Whether it is what the files hold that is wrong, and not the disk or a second user.
fn is_damage(error: &fjall::Error) -> bool {
    if matches!(error, fjall::Error::Locked | fjall::Error::Poisoned) {
        return false;
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return is_content(error);
        }
        cause = error.source();
    }
    true
}

/// Errors that come from reading what should not be there, or not finding what should.
pub(crate) fn is_content(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    matches!(error.kind(), InvalidData | NotFound | UnexpectedEof)
}

fn name(generation: u64) -> String {
    format!("records-{generation}")
}

fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES_MAX)
}

impl Store {
    /// Opens or makes the store in `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let refused = refused(path);
        let builder = Database::builder(path).cache_size(CACHE_BYTES).worker_threads(1);
        let db = builder.max_journaling_size(JOURNAL_BYTES_MAX).open().map_err(&refused)?;
        let meta = db.keyspace("meta", options).map_err(&refused)?;
        let stored = meta.get(APPLIED).map_err(&refused)?;
        let applied = decode(path, stored.as_deref().unwrap_or_default())?;
        let number = applied.generation;
        let records = db.keyspace(&name(number), options).map_err(&refused)?;
        let current = Mutex::new(Generation::new(number, records));
        let store = Self { path: path.to_owned(), db, meta, current };
        store.remove_unfinished(number)?;
        Ok(store)
    }

    /// Removes what a snapshot that was never finished left behind.
    fn remove_unfinished(&self, current: u64) -> Result<(), StoreError> {
        let current = name(current);
        for found in self.db.list_keyspace_names() {
            if found.starts_with("records-") && *found != *current {
                let keyspace = self.db.keyspace(&found, options).map_err(refused(&self.path))?;
                self.db.delete_keyspace(keyspace).map_err(refused(&self.path))?;
            }
        }
        Ok(())
    }

    fn current(&self) -> MutexGuard<'_, Generation> {
        self.current.lock().expect("no holder of the generation panics")
    }

    /// Writes changes together with the position up to which they are complete, and syncs.
    pub(crate) fn save(&self, changes: Vec<Change>, applied: Applied) -> Result<(), StoreError> {
        let mut current = self.current();
        let applied = Applied { generation: current.number, ..applied };
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncAll));
        if !changes.is_empty() {
            current.changed_at = Instant::now();
        }
        for (key, value) in changes {
            current.untrimmed += key.len() + value.as_ref().map_or(0, Vec::len);
            match value {
                Some(value) => batch.insert(&current.records, key, value),
                None => batch.remove(&current.records, key),
            }
        }
        batch.insert(&self.meta, APPLIED, applied.encode_to_vec());
        batch.commit().map_err(refused(&self.path))
    }

    /// Replaces all records by `records`, which must come in key order.
    pub(crate) fn replace(
        &self,
        records: impl Iterator<Item = Result<Record, StoreError>>,
        applied: Applied,
    ) -> Result<(), StoreError> {
        let refused = refused(&self.path);
        let mut current = self.current();
        let number = current.number + 1;
        let new = self.db.keyspace(&name(number), options).map_err(&refused)?;
        let mut ingestion = new.start_ingestion().map_err(&refused)?;
        for record in records {
            let (key, value) = record?;
            ingestion.write(key, value).map_err(&refused)?;
        }
        ingestion.finish().map_err(&refused)?;
        let applied = Applied { generation: number, ..applied };
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncAll));
        batch.insert(&self.meta, APPLIED, applied.encode_to_vec());
        batch.commit().map_err(&refused)?;
        let old = std::mem::replace(&mut *current, Generation::new(number, new));
        self.db.delete_keyspace(old.records).map_err(&refused)
    }

    /// Gives back the memory of what was saved, when no record was for the time `quiet`: fjall keeps a table in
    /// memory until it has a megabyte, and one that is on disk until another is made in its place. Takes two
    /// calls, with time between them for what the first one began; then it does nothing until more was saved.
    pub(crate) fn trim(&self, quiet: Duration) -> Result<(), StoreError> {
        let mut current = self.current();
        if current.changed_at.elapsed() < quiet {
            return Ok(());
        }
        let table = match current.trim {
            Trim::Written => {
                current.trim = Trim::Idle;
                // Whatever gets a new table, fjall then drops what is on disk of all.
                &self.meta
            }
            Trim::Idle if current.untrimmed >= TRIM_BYTES => {
                (current.trim, current.untrimmed) = (Trim::Written, 0);
                &current.records
            }
            Trim::Idle => return Ok(()),
        };
        table.rotate_memtable().map(drop).map_err(refused(&self.path))
    }

    /// The store as it is at this moment.
    pub(crate) fn image(&self) -> Result<Image, StoreError> {
        let current = self.current();
        let snapshot = self.db.snapshot();
        let stored = snapshot.get(&self.meta, APPLIED).map_err(refused(&self.path))?;
        let applied = decode(&self.path, stored.as_deref().unwrap_or_default())?;
        let (path, records) = (self.path.clone(), current.records.clone());
        Ok(Image { path, snapshot, records, applied })
    }
}

impl Image {
    /// All records, in key order.
    pub(crate) fn records(&self) -> impl Iterator<Item = Result<Record, StoreError>> + '_ {
        self.snapshot.iter(&self.records).map(|guard| {
            let (key, value) = guard.into_inner().map_err(refused(&self.path))?;
            Ok((key.to_vec(), value.to_vec()))
        })
    }
}

fn decode(path: &Path, bytes: &[u8]) -> Result<Applied, StoreError> {
    Applied::decode(Bytes::copy_from_slice(bytes)).map_err(|error| StoreError::Damaged {
        path: path.to_owned(),
        reason: format!("the record {APPLIED} cannot be read: {error}"),
    })
}

#[cfg(test)]
mod tests;
