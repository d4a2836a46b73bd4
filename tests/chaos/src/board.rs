//! What all clients share: the phase of the run, the history, and what was acknowledged.
//!
//! Locks are short and never held across an await.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ha_types::{Qos, TopicName};
use history::{Event, Recorder, What};
use tokio::sync::watch;

use crate::message::Message;
use crate::outage::Answer;
use crate::plan::Plan;

/// Oddities that are kept in words; all are counted.
const ODDITIES_MAX: usize = 20;

/// What clients do at this time of the run, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Everybody connects and subscribes.
    Subscribe,
    /// Publishers publish.
    Publish,
    /// Nothing new is published; what was is sent until it is answered.
    Settle,
    /// Everybody is connected and waits for what it is owed.
    Drain,
    /// Everybody says goodbye.
    End,
}

/// How far a client is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    /// It is connected, and everything that it wants is subscribed to.
    pub is_subscribed: bool,
    /// Its publishes at QoS 1 and 2 that wait.
    pub unanswered: usize,
    /// What it is owed and has not got; `None` before it has looked.
    pub missing: Option<usize>,
    /// It has been judged to have everything that will come.
    pub is_drained: bool,
    /// Connections that it had.
    pub connections: u32,
}

/// A message that was acknowledged and is owed to whoever subscribed in time.
#[derive(Clone, Debug)]
pub struct Owed {
    /// Before it was sent first, on the board's clock.
    pub sent: u64,
    /// By client id.
    pub publisher: Arc<str>,
    /// At its publisher.
    pub number: u32,
    /// Where to.
    pub topic: TopicName,
}

/// Something that no broker may do, whatever has failed.
#[derive(Clone, Debug, Default)]
pub struct Oddities {
    /// How many.
    pub total: u64,
    /// The first of them.
    pub first: Vec<String>,
}

/// Shared by all clients and by whoever runs them.
#[derive(Debug)]
pub struct Board {
    /// Of everything that is observed.
    pub recorder: Recorder,
    phase: watch::Sender<Phase>,
    /// Counts publishes.
    clock: AtomicU64,
    owed: Mutex<Vec<Owed>>,
    answers: Mutex<Vec<Answer>>,
    standings: Mutex<BTreeMap<String, Standing>>,
    oddities: Mutex<Oddities>,
}

impl Board {
    /// For these clients; nobody has done anything.
    #[must_use]
    pub fn new(recorder: Recorder, plans: &[Plan]) -> Self {
        let standing = |plan: &Plan| (plan.id.clone(), Standing::default());
        Self {
            recorder,
            phase: watch::Sender::new(Phase::Subscribe),
            clock: AtomicU64::new(0),
            owed: Mutex::default(),
            answers: Mutex::default(),
            standings: Mutex::new(plans.iter().map(standing).collect()),
            oddities: Mutex::default(),
        }
    }

    /// Records what a client sees.
    pub fn record(&self, client: &str, connection: u32, what: What<String>) {
        let event = Event { who: client.to_owned(), connection, what };
        self.recorder.record(event.rename(|text| self.recorder.name(&text)));
    }

    /// The phase, and a notice when it changes.
    #[must_use]
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Goes on to the next phase.
    pub fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// A publish is about to be sent for the first time; its place among all.
    pub fn publishes(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// What is published from here on has at least this place.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.clock.load(Ordering::SeqCst)
    }

    /// A message was acknowledged for the first time.
    pub fn acknowledged(&self, publisher: &Arc<str>, sent: (u64, Instant), message: &Message) {
        let answer =
            Answer { client: Arc::clone(publisher), sent_at: sent.1, answered_at: Instant::now() };
        lock(&self.answers).push(answer);
        if message.is_owed() && message.qos > Qos::AtMostOnce {
            lock(&self.owed).push(Owed {
                sent: sent.0,
                publisher: Arc::clone(publisher),
                number: message.number,
                topic: message.topic.clone(),
            });
        }
    }

    /// What was acknowledged and sent at this place or later.
    #[must_use]
    pub fn owed_since(&self, since: u64) -> Vec<Owed> {
        lock(&self.owed).iter().filter(|owed| owed.sent >= since).cloned().collect()
    }

    /// All acknowledged publishes.
    #[must_use]
    pub fn answers(&self) -> Vec<Answer> {
        lock(&self.answers).clone()
    }

    /// Changes how far a client is.
    pub fn stands(&self, client: &str, change: impl FnOnce(&mut Standing)) {
        change(lock(&self.standings).entry(client.to_owned()).or_default());
    }

    /// How far everybody is, by client id.
    #[must_use]
    pub fn standings(&self) -> BTreeMap<String, Standing> {
        lock(&self.standings).clone()
    }

    /// Something happened that no failure explains.
    pub fn odd(&self, client: &str, connection: u32, what: &str) {
        let mut oddities = lock(&self.oddities);
        oddities.total += 1;
        if oddities.first.len() < ODDITIES_MAX {
            oddities.first.push(format!("{client} (connection {connection}): {what}"));
        }
    }

    /// All that happened so.
    #[must_use]
    pub fn oddities(&self) -> Oddities {
        lock(&self.oddities).clone()
    }
}

/// Each change is complete when a lock is released, also by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
