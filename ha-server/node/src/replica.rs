//! One node's copy of the state: the machine in memory, and the store behind it.
//!
//! Commands are applied under a short lock. A thread of its own hands what changed and is still needed
//! to the store, before the log is shortened; whatever it has not saved when the process dies is applied
//! again from the log. More often it notes how far the log is on disk: a log that ends earlier has lost
//! records.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ha_proto::raft as proto;
use tokio::sync::watch;

use crate::error::StoreError;
use crate::log::{Position, Synced};
use crate::machine::Machine;
use crate::store::{Image, Record, Store};

/// The machine and up to where it is.
pub(crate) struct State<M> {
    pub(crate) machine: M,
    pub(crate) last: Option<Position>,
    pub(crate) membership: proto::StoredMembership,
    /// Bytes of commands that are applied and not yet handed to the store.
    unsaved_bytes: u64,
}

/// How far the store is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    pub(crate) last: Option<Position>,
    /// Why it will get no further.
    pub(crate) fault: Option<String>,
}

/// The state of one node.
pub(crate) struct Replica<M> {
    state: Mutex<State<M>>,
    store: Store,
    log_synced: Synced,
    /// What the store says. Held from taking changes until they are written, so that an older state never
    /// overwrites a newer one.
    saved: Mutex<proto::Applied>,
    save_bytes: u64,
    nudge: SyncSender<()>,
    stored: watch::Sender<Stored>,
}

fn encode(state: &State<impl Machine>, synced: Option<u64>) -> proto::Applied {
    proto::Applied {
        last: state.last.map(|at| proto::LogId { term: at.term, index: at.index }),
        membership: Some(state.membership.clone()),
        generation: 0,
        logged: state.logged(synced),
    }
}

pub(crate) fn last_of(applied: &proto::Applied) -> Option<Position> {
    applied.last.map(|at| Position { term: at.term, index: at.index })
}

fn load_records(
    machine: &mut impl Machine,
    records: impl Iterator<Item = Result<Record, StoreError>>,
) -> Result<(), StoreError> {
    let mut failed = None;
    let mut good = records.map_while(|record| record.map_err(|error| failed = Some(error)).ok());
    machine.load(&mut good)?;
    drop(good);
    failed.map_or(Ok(()), Err)
}

/// Loads a machine from the store; returns up to where it is. After a failure it may be loaded
/// again from another one.
pub(crate) fn load(
    machine: &mut impl Machine,
    store: &Store,
) -> Result<proto::Applied, StoreError> {
    let image = store.image()?;
    load_records(machine, image.records())?;
    Ok(image.applied)
}

impl<M: Machine> State<M> {
    /// Replaces the state by `records`, which are complete up to `applied`.
    fn load(
        &mut self,
        records: impl Iterator<Item = Result<Record, StoreError>>,
        applied: &proto::Applied,
    ) -> Result<(), StoreError> {
        load_records(&mut self.machine, records)?;
        self.last = last_of(applied);
        self.membership = applied.membership.clone().unwrap_or_default();
        self.unsaved_bytes = 0;
        Ok(())
    }

    /// Entries that are applied and on disk. What is applied is never truncated.
    fn logged(&self, synced: Option<u64>) -> Option<u64> {
        synced.min(self.last.map(|at| at.index))
    }

    /// Applies one command and says what came of it.
    pub(crate) fn apply(&mut self, at: Position, command: Bytes) -> M::Outcome {
        self.unsaved_bytes += command.len() as u64;
        self.last = Some(at);
        self.machine.apply(at.index, command)
    }
}

impl<M: Machine> Replica<M> {
    /// Takes a machine that was [loaded](load) from the store, which said `applied`.
    pub(crate) fn new(
        store: Store,
        (machine, applied): (M, &proto::Applied),
        log_synced: Synced,
        save_bytes: u64,
    ) -> (Self, Receiver<()>) {
        let last = last_of(applied);
        let membership = applied.membership.clone().unwrap_or_default();
        let state = State { machine, last, membership, unsaved_bytes: 0 };
        let stored = watch::Sender::new(Stored { last, fault: None });
        let (nudge, nudged) = mpsc::sync_channel(1);
        let (state, saved) = (Mutex::new(state), Mutex::new(applied.clone()));
        (Self { state, store, log_synced, saved, save_bytes, nudge, stored }, nudged)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().expect("a machine never panics")
    }

    pub(crate) fn watch_stored(&self) -> watch::Receiver<Stored> {
        self.stored.subscribe()
    }

    /// The store as it is at this moment.
    pub(crate) fn image(&self) -> Result<Image, StoreError> {
        self.store.image()
    }

    /// Wakes the keeper when enough was applied.
    pub(crate) fn applied_some(&self, state: &State<M>) {
        if state.unsaved_bytes >= self.save_bytes {
            match self.nudge.try_send(()) {
                // It is awake already, or the node is about to stop.
                Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => (),
            }
        }
    }

    fn saved(&self) -> MutexGuard<'_, proto::Applied> {
        self.saved.lock().expect("a save never panics")
    }

    /// Brings the store up to what is applied.
    pub(crate) fn save(&self) -> Result<(), StoreError> {
        let mut saved = self.saved();
        let synced = self.log_synced.last();
        let (changes, applied) = {
            let mut state = self.state();
            if last_of(&saved) == state.last {
                drop(state);
                return self.note_logged(&mut saved);
            }
            state.unsaved_bytes = 0;
            (state.machine.take_changes(), encode(&state, synced))
        };
        self.store.save(changes, applied.clone())?;
        self.stored.send_modify(|stored| stored.last = last_of(&applied));
        *saved = applied;
        Ok(())
    }

    /// Gives back memory that the store does not need while no record is saved.
    pub(crate) fn trim(&self) -> Result<(), StoreError> {
        // Not while the store is replaced.
        let _saved = self.saved();
        self.store.trim(TRIM_AFTER)
    }

    /// Notes in the store how far the log is on disk.
    pub(crate) fn mark(&self) -> Result<(), StoreError> {
        self.note_logged(&mut self.saved())
    }

    fn note_logged(&self, saved: &mut proto::Applied) -> Result<(), StoreError> {
        let logged = self.state().logged(self.log_synced.last());
        if logged > saved.logged {
            self.store.save(Vec::new(), proto::Applied { logged, ..saved.clone() })?;
            saved.logged = logged;
        }
        Ok(())
    }

    /// Replaces store and machine by the records of a snapshot, complete up to `applied`.
    pub(crate) fn install(
        &self,
        records: impl Iterator<Item = Result<Record, StoreError>>,
        applied: &proto::Applied,
    ) -> Result<(), StoreError> {
        let mut saved = self.saved();
        self.store.replace(records, applied.clone())?;
        *saved = applied.clone();
        let image = self.store.image()?;
        self.state().load(image.records(), applied)?;
        self.stored.send_modify(|stored| stored.last = last_of(applied));
        Ok(())
    }

    fn fail(&self, error: &StoreError) {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(next) = cause {
            text = format!("{text}: {next}");
            cause = next.source();
        }
        self.stored.send_modify(|stored| stored.fault = Some(text));
    }
}

/// How long no record is saved before memory is given back.
const TRIM_AFTER: Duration = Duration::from_secs(2);

/// When the store gets something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rhythm {
    pub(crate) mark_every: Duration,
    pub(crate) save_every: Duration,
}

/// The thread that saves. Ends when it is told to, or at the first failure.
pub(crate) struct Keeper {
    stop: Arc<AtomicBool>,
    nudge: SyncSender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(crate) fn start<M: Machine>(
        replica: Arc<Replica<M>>,
        nudged: Receiver<()>,
        rhythm: Rhythm,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, nudge) = (Arc::clone(&stop), replica.nudge.clone());
        let keep = move || keep(&replica, &nudged, &stopped, rhythm);
        let thread = thread::Builder::new().name("raft-store".to_owned()).spawn(keep)?;
        Ok(Self { stop, nudge, thread: Some(thread) })
    }
}

impl Keeper {
    /// Waits for a save that is under way.
    pub(crate) fn stop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Full: it is about to wake anyway.
        let _ = self.nudge.try_send(());
        if let Some(thread) = self.thread.take() {
            // It reports its own failures.
            let _ = thread.join();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

fn keep<M: Machine>(
    replica: &Replica<M>,
    nudged: &Receiver<()>,
    stopped: &AtomicBool,
    rhythm: Rhythm,
) {
    let mut saved_at = Instant::now();
    loop {
        let has_enough = match nudged.recv_timeout(rhythm.mark_every.min(rhythm.save_every)) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout) => saved_at.elapsed() >= rhythm.save_every,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if stopped.load(Ordering::Acquire) {
            return;
        }
        let done = if has_enough {
            saved_at = Instant::now();
            replica.save().and_then(|()| replica.trim())
        } else {
            replica.mark()
        };
        if let Err(error) = done {
            replica.fail(&error);
            return;
        }
    }
}

#[cfg(test)]
mod tests;
