//! What waits for a connection's task.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use broker_core::engine::{Delivery, Ending};
use ha_types::session::{ConnectionId, Tell};

/// Letters that are kept room for while there are none.
const KEPT: usize = 16;

/// One thing for a connection.
#[derive(Debug)]
pub(crate) enum Letter {
    Deliver(Delivery),
    Tell(Tell),
    /// The client has to go elsewhere.
    Leave,
    End(Ending),
}

/// Does what letters ask for while the task that reads them sleeps.
pub(crate) trait Attendant: Send + Sync {
    /// False: the task has to be woken.
    fn attend(&self) -> bool;
}

/// Letters for one connection, in order. Bounded by whoever posts: publishers pause when their
/// recipients are congested, and the task always takes all there is, however slow its client.
pub(crate) struct Mailbox {
    pub(crate) id: ConnectionId,
    state: Mutex<State>,
    attendant: OnceLock<Weak<dyn Attendant>>,
    /// It was told to go.
    goes: AtomicBool,
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailbox").field("id", &self.id).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    letters: Vec<Letter>,
    /// Of the task, while it waits.
    reader: Option<Waker>,
    congestion: Congestion,
    /// Of publishers that wait for room.
    writers: Vec<Waker>,
    is_closed: bool,
}

/// Whether publishers should wait for this connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Congestion {
    /// It takes what comes.
    #[default]
    None,
    /// It is behind, and catching up is worth a moment.
    Behind,
    /// A publisher has waited in vain. Nobody waits again before it has caught up.
    GivenUp,
}

impl Mailbox {
    pub(crate) fn new(id: ConnectionId) -> Self {
        let (state, attendant) = (Mutex::default(), OnceLock::new());
        Self { id, state, attendant, goes: AtomicBool::new(false) }
    }

    /// Once.
    pub(crate) fn set_attendant(&self, attendant: Weak<dyn Attendant>) {
        let is_first = self.attendant.set(attendant).is_ok();
        debug_assert!(is_first, "a mailbox has one task");
    }

    /// Whether it was not told to go before. It is told now.
    pub(crate) fn is_first_to_go(&self) -> bool {
        !self.goes.swap(true, Ordering::AcqRel)
    }

    /// Nobody panics while holding it; if somebody did, letters are still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the task if it waits.
    pub(crate) fn post(&self, letter: Letter) -> Congestion {
        let (congestion, reader) = self.add(letter, |reader| reader.take());
        if let Some(reader) = reader {
            reader.wake();
        }
        congestion
    }

    /// Does not wake the task; true: it waits. Then [`attend`](Self::attend) must follow, or
    /// [`wake`](Self::wake).
    pub(crate) fn put(&self, letter: Letter) -> (Congestion, bool) {
        self.add(letter, |reader| reader.is_some())
    }

    fn add<T: Default>(
        &self,
        letter: Letter,
        see: impl FnOnce(&mut Option<Waker>) -> T,
    ) -> (Congestion, T) {
        let mut state = self.lock();
        if state.is_closed {
            return (Congestion::None, T::default());
        }
        state.letters.push(letter);
        (state.congestion, see(&mut state.reader))
    }

    /// What the letters ask for is done here, if the task sleeps and has nothing else to do.
    pub(crate) fn attend(&self) {
        let attendant = self.attendant.get().and_then(Weak::upgrade);
        if !attendant.is_some_and(|attendant| attendant.attend()) {
            self.wake();
        }
    }

    pub(crate) fn wake(&self) {
        let reader = self.lock().reader.take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// The connection is gone: what is here is dropped, and what comes.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        let closed = State { is_closed: true, ..State::default() };
        let State { writers, letters, .. } = std::mem::replace(&mut *state, closed);
        drop(state);
        drop(letters);
        writers.into_iter().for_each(Waker::wake);
    }

    /// Takes all letters into `letters`, which is empty.
    pub(crate) fn take(&self, letters: &mut Vec<Letter>) {
        debug_assert!(letters.is_empty(), "the last letters were read");
        if letters.capacity() > KEPT {
            *letters = Vec::new();
        }
        std::mem::swap(&mut self.lock().letters, letters);
    }

    /// Ready when there are letters.
    pub(crate) fn poll_letters(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if !state.letters.is_empty() {
            return Poll::Ready(());
        }
        let is_known = state.reader.as_ref().is_some_and(|known| known.will_wake(context.waker()));
        if !is_known {
            state.reader = Some(context.waker().clone());
        }
        Poll::Pending
    }

    /// The task says whether it is behind.
    pub(crate) fn set_behind(&self, is_behind: bool) {
        let mut state = self.lock();
        state.congestion = match (is_behind, state.congestion) {
            (false, _) => Congestion::None,
            (true, Congestion::None) => Congestion::Behind,
            (true, congestion) => congestion,
        };
        if is_behind {
            return;
        }
        let writers = std::mem::take(&mut state.writers);
        drop(state);
        writers.into_iter().for_each(Waker::wake);
    }

    /// Ready when nobody needs to wait for this connection.
    pub(crate) fn poll_room(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.congestion != Congestion::Behind {
            return Poll::Ready(());
        }
        if !state.writers.iter().any(|known| known.will_wake(context.waker())) {
            state.writers.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// A publisher has waited long enough.
    pub(crate) fn give_up(&self) {
        let mut state = self.lock();
        if state.congestion == Congestion::Behind {
            state.congestion = Congestion::GivenUp;
        }
        let writers = std::mem::take(&mut state.writers);
        drop(state);
        writers.into_iter().for_each(Waker::wake);
    }
}
