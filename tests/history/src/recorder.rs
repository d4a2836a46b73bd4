//! Records events from many threads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::event::{Event, Name, What};
use crate::history::{EVENTS_MAX, History};

/// Takes events from any thread; the order in which they come in is the order of observation. Cheap
/// to clone: all clones record into one history.
///
/// Bounded: 28 bytes for each event up to the maximum, and the distinct names. What comes when it is
/// full is counted, and the verdict is not clean, because nothing can be said of what is missing.
#[derive(Clone, Debug)]
pub struct Recorder {
    history: Arc<Mutex<History>>,
    events_max: u32,
}

impl Recorder {
    /// For `events_max` events at most, which take 28 bytes each. More than [`EVENTS_MAX`] is as
    /// much as that.
    #[must_use]
    pub fn new(events_max: u32) -> Self {
        let events_max = events_max.min(EVENTS_MAX);
        Self { history: Arc::default(), events_max }
    }

    /// The number of a client, topic, filter or process.
    #[must_use]
    pub fn name(&self, text: &str) -> Name {
        self.lock().name(text)
    }

    /// Records what one client sees, or a process suffers.
    #[must_use]
    pub fn client(&self, id: &str) -> Client {
        Client { who: self.name(id), recorder: self.clone() }
    }

    /// Records an event that happened after all others.
    pub fn record(&self, event: Event) {
        let mut history = self.lock();
        if history.len() < self.events_max {
            history.push(event);
        } else {
            history.leave_out();
        }
    }

    /// What was recorded so far. The recorder starts anew with the same names.
    #[must_use]
    pub fn take(&self) -> History {
        let mut history = self.lock();
        let names = history.names().clone();
        std::mem::replace(&mut *history, History::with_names(names))
    }

    /// A test that panicked while it recorded left a whole history: each change is one push.
    fn lock(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records for one client. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    who: Name,
    recorder: Recorder,
}

impl Client {
    /// Its number, to be named as a publisher.
    #[must_use]
    pub fn name(&self) -> Name {
        self.who
    }

    /// Records what happened on its connection of this number.
    pub fn record(&self, connection: u32, what: What) {
        self.recorder.record(Event { who: self.who, connection, what });
    }

    /// Records what concerns no connection: a [fault](What::Fault), a bound of time, a full queue.
    pub fn record_alone(&self, what: What) {
        self.record(0, what);
    }
}
