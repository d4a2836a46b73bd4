//! One node's copy of the state: the machine in memory, and the store behind it.
//!
//! Commands are applied under a short lock. A thread of its own hands what changed to the store,
//! a while after; whatever it has not saved when the process dies is applied again from the log.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use ha_proto::raft as proto;
use tokio::sync::watch;

use crate::error::StoreError;
use crate::log::Position;
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
    /// Bytes of all commands stored since the start.
    pub(crate) bytes: u64,
    /// Why it will get no further.
    pub(crate) fault: Option<String>,
}

/// The state of one node.
pub(crate) struct Replica<M> {
    state: Mutex<State<M>>,
    store: Store,
    /// Held from taking changes until they are written, so that an older state never overwrites a
    /// newer one.
    saving: Mutex<()>,
    save_bytes: u64,
    nudge: SyncSender<()>,
    stored: watch::Sender<Stored>,
}

fn encode(state: &State<impl Machine>) -> proto::Applied {
    proto::Applied {
        last: state.last.map(|at| proto::LogId { term: at.term, index: at.index }),
        membership: Some(state.membership.clone()),
        generation: 0,
    }
}

fn last_of(applied: &proto::Applied) -> Option<Position> {
    applied.last.map(|at| Position { term: at.term, index: at.index })
}

impl<M: Machine> State<M> {
    /// Replaces the state by `records`, which are complete up to `applied`.
    fn load(
        &mut self,
        records: impl Iterator<Item = Result<Record, StoreError>>,
        applied: &proto::Applied,
    ) -> Result<(), StoreError> {
        let mut failed = None;
        let mut good =
            records.map_while(|record| record.map_err(|error| failed = Some(error)).ok());
        self.machine.load(&mut good)?;
        drop(good);
        if let Some(error) = failed {
            return Err(error);
        }
        self.last = last_of(applied);
        self.membership = applied.membership.clone().unwrap_or_default();
        self.unsaved_bytes = 0;
        Ok(())
    }

    /// Applies one command and says what came of it.
    pub(crate) fn apply(&mut self, at: Position, command: Bytes) -> M::Outcome {
        self.unsaved_bytes += command.len() as u64;
        self.last = Some(at);
        self.machine.apply(at.index, command)
    }
}

impl<M: Machine> Replica<M> {
    /// Loads the machine from the store.
    pub(crate) fn open(
        store: Store,
        machine: M,
        save_bytes: u64,
    ) -> Result<(Self, Receiver<()>), StoreError> {
        let image = store.image()?;
        let membership = proto::StoredMembership::default();
        let mut state = State { machine, last: None, membership, unsaved_bytes: 0 };
        state.load(image.records(), &image.applied)?;
        let stored = Stored { last: state.last, ..Stored::default() };
        let (nudge, nudged) = mpsc::sync_channel(1);
        let (state, saving) = (Mutex::new(state), Mutex::new(()));
        let stored = watch::Sender::new(stored);
        Ok((Self { state, store, saving, save_bytes, nudge, stored }, nudged))
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

    /// Brings the store up to what is applied.
    pub(crate) fn save(&self) -> Result<(), StoreError> {
        let _saving = self.saving.lock().expect("a save never panics");
        let (changes, applied, bytes) = {
            let mut state = self.state();
            if state.last == self.stored.borrow().last {
                return Ok(());
            }
            let bytes = mem::take(&mut state.unsaved_bytes);
            (state.machine.take_changes(), encode(&state), bytes)
        };
        self.store.save(changes, applied.clone())?;
        self.stored.send_modify(|stored| {
            stored.last = last_of(&applied);
            stored.bytes += bytes;
        });
        Ok(())
    }

    /// Replaces store and machine by the records of a snapshot, complete up to `applied`.
    pub(crate) fn install(
        &self,
        records: impl Iterator<Item = Result<Record, StoreError>>,
        applied: &proto::Applied,
    ) -> Result<(), StoreError> {
        let _saving = self.saving.lock().expect("a save never panics");
        self.store.replace(records, applied.clone())?;
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
        every: Duration,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, nudge) = (Arc::clone(&stop), replica.nudge.clone());
        let keep = move || keep(&replica, &nudged, &stopped, every);
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
    every: Duration,
) {
    loop {
        match nudged.recv_timeout(every) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => (),
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if stopped.load(Ordering::Acquire) {
            return;
        }
        if let Err(error) = replica.save() {
            replica.fail(&error);
            return;
        }
    }
}
