//! What all clients of the run share: what was observed, and who waits for what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use history::share::{Event, Member, Message, What};

/// Events that are recorded at most, at 32 bytes each.
const EVENTS_MAX: usize = 30_000_000;

/// Oddities that are kept in words; all are counted.
const ODDITIES_MAX: usize = 20;

/// Shared by all clients and by whoever runs them.
#[derive(Debug)]
pub(super) struct Log {
    start: Instant,
    books: Mutex<Books>,
}

/// All that is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    pub(super) events: Vec<Event>,
    /// Events that found no room.
    pub(super) left_out: u64,
    /// What no failure explains: how often, and the first in words.
    pub(super) oddities: (u64, Vec<String>),
    /// What not every group has acknowledged, or its publisher has no PUBACK for.
    open: BTreeMap<Message, Open>,
    /// Publishes that may still be answered.
    pub(super) unanswered: usize,
    /// Members that have subscribed.
    pub(super) subscribed: BTreeSet<Member>,
    /// Acknowledgements of members.
    pub(super) acknowledged: u64,
}

#[derive(Clone, Debug, Default)]
struct Open {
    is_published: bool,
    /// That have acknowledged it.
    groups: BTreeSet<u16>,
}

impl Log {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), books: Mutex::default() }
    }

    /// Microseconds.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Each change is complete when the lock is released, also by a panic.
    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whatever happens because of this happens later.
    pub(super) fn record(&self, what: What) {
        let mut books = self.books();
        match what {
            What::Published(message, ..) => {
                books.open.entry(message).or_default().is_published = true
            }
            What::Acknowledged(member, message) => {
                books.acknowledged += 1;
                books.open.entry(message).or_default().groups.insert(member.group);
            }
            _ => (),
        }
        if books.events.len() < EVENTS_MAX {
            // Under the lock, or moments could fall.
            let at = self.now();
            books.events.push(Event { at, what });
        } else {
            books.left_out += 1;
        }
    }

    pub(super) fn odd(&self, what: String) {
        let (total, first) = &mut self.books().oddities;
        *total += 1;
        if first.len() < ODDITIES_MAX {
            first.push(what);
        }
    }
}

impl Books {
    /// Messages with PUBACK that not each of so many groups has acknowledged.
    pub(super) fn missing(&mut self, groups: usize) -> usize {
        self.open.retain(|_, open| !open.is_published || open.groups.len() < groups);
        self.open.values().filter(|open| open.is_published).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledged(group: u16, message: Message) -> What {
        What::Acknowledged(Member { group, number: 1 }, message)
    }

    #[test]
    fn message_is_missing_until_each_group_has_acknowledged_what_its_publisher_knows_of() {
        let (log, message) = (Log::new(), Message { publisher: 1, number: 1 });
        log.record(acknowledged(1, message));
        assert_eq!(log.books().missing(2), 0, "nobody is owed what has no PUBACK");
        log.record(What::Published(message));
        log.record(acknowledged(1, message));
        assert_eq!(log.books().missing(2), 1);
        log.record(acknowledged(2, message));
        assert_eq!(log.books().missing(2), 0);
        log.record(acknowledged(1, message));
        assert_eq!(log.books().missing(2), 0, "also when it comes again");
    }

    #[test]
    fn moments_do_not_fall() {
        let log = Log::new();
        (0..100).for_each(|_| log.record(What::Quiet));
        assert!(log.books().events.is_sorted_by_key(|event| event.at));
    }
}
