//! One sync for all that wait: while one is under way, appends gather for the next.

use std::io;
use std::mem;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use std::thread;

use raft_log::Callback;
use raft_log::api::raft_log_writer::RaftLogWriter;

use super::{Done, Inner, Synced};
use crate::config::Durability;

impl Inner {
    /// Flushes for all that wait. To be called only when no flush is under way.
    pub(super) fn start_flush(&mut self, log: Weak<Mutex<Self>>) -> io::Result<()> {
        let sync = mem::take(&mut self.sync) || self.durability == Durability::Fsync;
        let upto = if sync { self.state().last.map(|at| at.index) } else { None };
        let (waiting, synced) = (mem::take(&mut self.waiting), self.synced.clone());
        let flushed = Flushed { waiting, upto, synced, log };
        self.flushing = true;
        self.wal.flush(sync, Some(flushed))
    }
}

/// Runs on the thread of the log library when a flush has ended.
pub(crate) struct Flushed {
    waiting: Vec<Done>,
    /// What is on disk when this flush has succeeded.
    upto: Option<u64>,
    synced: Synced,
    log: Weak<Mutex<Inner>>,
}

impl Flushed {
    fn tell(&mut self, result: &io::Result<()>) {
        for done in self.waiting.drain(..) {
            done(match result {
                Ok(()) => Ok(()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            });
        }
    }
}

impl Drop for Flushed {
    /// A flush that is never done has failed.
    fn drop(&mut self) {
        self.tell(&Err(io::Error::other("the log is closed")));
    }
}

impl Callback for Flushed {
    fn send(mut self, result: io::Result<()>) {
        if let (Ok(()), Some(upto)) = (&result, self.upto) {
            self.synced.0.fetch_max(upto + 1, Ordering::Release);
        }
        self.tell(&result);
        let Some(log) = self.log.upgrade() else { return };
        {
            let mut inner = log.lock().expect("no holder of the log panics");
            inner.flushing = false;
            if !inner.waiting.is_empty() || inner.sync {
                // When this fails the library's thread has failed, and each later append says so.
                let _ = inner.start_flush(Arc::downgrade(&log));
            }
        }
        // The last handle closes the files by joining this very thread.
        if let Some(last) = Arc::into_inner(log) {
            thread::spawn(move || drop(last));
        }
    }
}
