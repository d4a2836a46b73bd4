//! The log on disk: entries, the vote and the commit position of one node.
//!
//! Appends return at once; one sync covers all that wait for one. A reader sees an entry as soon as
//! it is appended. What is damaged is found before the log is opened ([`scan`]). Nothing here knows
//! Raft: positions only grow, and who may truncate is decided above.

mod flush;
mod marks;
mod record;
mod scan;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use raft_log::api::raft_log_writer::RaftLogWriter;
use raft_log::{RaftLog, Types, chunked_wal};

use flush::Flushed;
pub(crate) use marks::Marks;
pub(crate) use record::{Payload, Position, Vote};

use crate::config::Durability;

/// Entries of closed files stay in memory up to this size, for followers that are a little behind.
const CACHE_BYTES_MAX: usize = 8 << 20;
const READ_BUFFER_BYTES: usize = 1 << 20;
/// Milliseconds until a handle that somebody still holds is given up for lost.
const RELEASE_TRIES_MAX: u32 = 10_000;

/// Why a log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A record that may have been acknowledged cannot be read. A node never votes with such a
    /// log; a member of a larger group moves it aside and recovers from the others.
    #[error("{}: damaged at byte {offset}: {reason}", file.display())]
    Damaged {
        /// The file with the damage.
        file: PathBuf,
        /// First byte of the record that cannot be read, in that file.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The disk refused.
    #[error("{}", path.display())]
    Io {
        /// The file or directory in question.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Is told once that everything up to its append is on disk, or that it never will be.
pub(crate) type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WalTypes;

impl Types for WalTypes {
    type LogId = Position;
    type LogPayload = Payload;
    type Vote = Vote;
    type Callback = Flushed;
    type UserData = record::Nothing;

    fn log_index(at: &Position) -> u64 {
        at.index
    }

    fn payload_size(payload: &Payload) -> u64 {
        payload.bytes().len() as u64
    }
}

/// The log of one node. A clone is another handle; the files close with the last one.
#[derive(Clone)]
pub(crate) struct Log {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    wal: RaftLog<WalTypes>,
    durability: Durability,
    marks: Marks,
    /// Told after the next flush.
    waiting: Vec<Done>,
    /// Whether the next flush must reach the disk whatever the durability.
    sync: bool,
    flushing: bool,
    synced: Synced,
}

/// How many entries are known to be on disk, counted from the first one of the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Synced(Arc<AtomicU64>);

impl Synced {
    /// The last entry that a sync since the start has covered. Truncated entries may be counted.
    pub(crate) fn last(&self) -> Option<u64> {
        self.0.load(Ordering::Acquire).checked_sub(1)
    }
}

/// Where the log stands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogState {
    pub(crate) vote: Option<Vote>,
    pub(crate) purged: Option<Position>,
    pub(crate) last: Option<Position>,
    pub(crate) committed: Option<Position>,
}

impl Log {
    /// Opens the log in `dir`, which exists. Cuts a torn end. Files are closed at `file_bytes`, and removed
    /// once all their entries are purged.
    pub(crate) fn open(
        dir: &Path,
        durability: Durability,
        file_bytes: usize,
    ) -> Result<Self, LogError> {
        let marks = scan::check(dir)?;
        let mut config = raft_log::Config::new(dir.display());
        config.wal = chunked_wal::Config {
            dir: dir.display().to_string(),
            read_buffer_size: Some(READ_BUFFER_BYTES),
            chunk_max_size: Some(file_bytes),
            truncate_incomplete_record: Some(false),
            // This log groups by itself; waiting for more would only delay.
            flush_batch_wait: Some(Duration::ZERO),
            // Bounded by what may be proposed and not yet answered. A limit here would block the
            // thread that flushes on itself.
            flush_queue_max_bytes: Some(usize::MAX / 2),
            ..chunked_wal::Config::default()
        };
        config.log_cache_capacity = Some(file_bytes.min(CACHE_BYTES_MAX));
        let io = |source| LogError::Io { path: dir.to_owned(), source };
        let wal = RaftLog::open(Arc::new(config)).map_err(io)?;
        let (waiting, sync, flushing) = (Vec::new(), false, false);
        let synced = Synced::default();
        let inner = Inner { wal, durability, marks, waiting, sync, flushing, synced };
        inner.check_start(dir)?;
        Ok(Self { inner: Arc::new(Mutex::new(inner)) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder of the log panics")
    }

    pub(crate) fn state(&self) -> LogState {
        self.lock().state()
    }

    /// Appends entries that follow the last one. `done` hears when they are on disk.
    pub(crate) fn append(
        &self,
        entries: impl Iterator<Item = (Position, Payload)>,
        done: Done,
    ) -> io::Result<()> {
        let mut inner = self.lock();
        for (at, payload) in entries {
            let bytes = payload.bytes().len() as u64;
            inner.wal.append([(at, payload)])?;
            inner.marks.appended(at.index, bytes);
        }
        inner.waiting.push(done);
        self.flush(&mut inner)
    }

    /// A vote is synced whatever the durability: to vote twice in a term breaks everything.
    pub(crate) fn save_vote(&self, vote: Vote, done: Done) -> io::Result<()> {
        let mut inner = self.lock();
        inner.wal.save_vote(vote)?;
        inner.waiting.push(done);
        inner.sync = true;
        self.flush(&mut inner)
    }

    /// Syncs whatever the durability. `done` hears when everything appended so far is on disk.
    pub(crate) fn sync(&self, done: Done) -> io::Result<()> {
        let mut inner = self.lock();
        inner.waiting.push(done);
        inner.sync = true;
        self.flush(&mut inner)
    }

    /// How far the log is on disk, from now on.
    pub(crate) fn synced(&self) -> Synced {
        self.lock().synced.clone()
    }

    /// Notes how far entries are committed; written with whatever is written next. Only a hint for
    /// the next start, so it is dropped where the log does not reach.
    pub(crate) fn save_committed(&self, at: Position) -> io::Result<()> {
        let mut inner = self.lock();
        let state = inner.state();
        if state.last >= Some(at) && state.committed <= Some(at) {
            inner.wal.commit(at)?;
        }
        Ok(())
    }

    /// Removes all entries behind `at`; `None` removes all.
    pub(crate) fn truncate_after(&self, at: Option<Position>) -> io::Result<()> {
        let mut inner = self.lock();
        if at >= inner.state().last {
            return Ok(());
        }
        inner.marks.truncated_after(at.map(|at| at.index));
        inner.synced.0.fetch_min(at.map_or(0, |at| at.index + 1), Ordering::AcqRel);
        inner.wal.truncate(at.map_or(0, |at| at.index + 1)).map(drop)
    }

    /// Forgets all entries up to `at`. Files that hold nothing else are removed.
    pub(crate) fn purge(&self, at: Position) -> io::Result<()> {
        let mut inner = self.lock();
        inner.marks.purged_upto(at.index);
        inner.wal.purge(at)?;
        // Files go only after the purge is on disk.
        inner.sync = true;
        self.flush(&mut inner)
    }

    /// The entries in `range` that the log has: all, or as many as fit into `bytes_max`, but at
    /// least one.
    pub(crate) fn read(
        &self,
        range: Range<u64>,
        bytes_max: usize,
    ) -> io::Result<Vec<(Position, Payload)>> {
        let inner = self.lock();
        let (mut entries, mut bytes) = (Vec::new(), 0);
        if range.is_empty() {
            return Ok(entries);
        }
        for entry in inner.wal.read(range.start, range.end) {
            let entry = entry?;
            bytes += entry.1.bytes().len();
            if bytes > bytes_max && !entries.is_empty() {
                break;
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    /// The last entry that may go when `keep_bytes` are kept and everything up to `stored` is in
    /// the store.
    pub(crate) fn purgeable(&self, keep_bytes: u64, stored: u64) -> Option<u64> {
        self.lock().marks.purgeable(keep_bytes, stored)
    }

    /// Waits until the thread that flushes has let go, so that dropping this handle closes the files
    /// then and there. To be called when no other handle is left.
    pub(crate) fn wait_until_last(&self) {
        // A flush holds a handle only while it starts the next one.
        for _ in 0..RELEASE_TRIES_MAX {
            if Arc::strong_count(&self.inner) == 1 {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        tracing::error!("the log is still in use while its node is closed");
    }

    /// Starts a flush for all that wait, unless one is under way; its end starts the next.
    fn flush(&self, inner: &mut Inner) -> io::Result<()> {
        if inner.flushing {
            return Ok(());
        }
        inner.start_flush(Arc::downgrade(&self.inner))
    }
}

impl Inner {
    fn state(&self) -> LogState {
        let state = self.wal.log_state();
        let copy = |at: Option<&Position>| at.copied();
        LogState {
            vote: state.vote().copied(),
            purged: copy(state.purged()),
            last: copy(state.last()),
            committed: copy(state.committed()),
        }
    }

    /// The log must begin right behind what was purged.
    fn check_start(&self, dir: &Path) -> Result<(), LogError> {
        let state = self.state();
        let first = state.purged.map_or(0, |at| at.index + 1);
        let missing = state.last.is_some_and(|last| {
            last.index >= first && self.wal.read(first, first + 1).next().is_none()
        });
        if missing {
            let reason = format!("entry {first} is missing: the first file was removed");
            return Err(LogError::Damaged { file: dir.to_owned(), offset: 0, reason });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
