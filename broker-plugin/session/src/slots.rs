//! Places for clients, and sockets that have not asked for one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use broker_core::engine::Ending;
use ha_types::session::ConnectionId;

use crate::mailbox::{Letter, Mailbox};

/// Sockets without a CONNECT. More end the oldest of them: a flood of silent ones keeps nobody out
/// for longer than it takes to send a CONNECT.
const HALF_OPEN_MAX: usize = 4_096;

/// A number of places.
#[derive(Debug)]
pub(crate) struct Slots {
    taken: AtomicUsize,
    max: usize,
}

impl Slots {
    pub(crate) fn new(max: usize) -> Self {
        Self { taken: AtomicUsize::new(0), max }
    }

    /// False when there is none.
    pub(crate) fn take(&self) -> bool {
        let has_room = |taken| (taken < self.max).then_some(taken + 1);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, has_room).is_ok()
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    pub(crate) fn give_back(&self) {
        self.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Sockets without a CONNECT, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct HalfOpen(Mutex<BTreeMap<ConnectionId, Arc<Mailbox>>>);

impl HalfOpen {
    pub(crate) fn enter(&self, mailbox: &Arc<Mailbox>) {
        let mut sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.insert(mailbox.id, Arc::clone(mailbox));
        let oldest = if sockets.len() > HALF_OPEN_MAX { sockets.pop_first() } else { None };
        drop(sockets);
        if let Some((_, oldest)) = oldest {
            oldest.post(Letter::End(Ending::Lost));
        }
    }

    pub(crate) fn leave(&self, id: ConnectionId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_that_is_given_back_can_be_taken_again() {
        let slots = Slots::new(2);
        assert!(slots.take() && slots.take());
        assert!(!slots.take());
        slots.give_back();
        assert!(slots.take() && !slots.take());
    }

    #[test]
    fn one_silent_socket_too_many_ends_the_oldest() {
        let half_open = HalfOpen::default();
        let count = u64::try_from(HALF_OPEN_MAX).unwrap();
        let mailboxes: Vec<_> =
            (1..=count + 1).map(|id| Arc::new(Mailbox::new(ConnectionId(id)))).collect();
        let letters = |mailbox: &Mailbox| {
            let mut letters = Vec::new();
            mailbox.take(&mut letters);
            letters.len()
        };
        let (last, others) = mailboxes.split_last().unwrap();
        others.iter().for_each(|mailbox| half_open.enter(mailbox));
        assert_eq!(letters(&mailboxes[0]), 0);
        half_open.enter(last);
        assert_eq!((letters(&mailboxes[0]), letters(&mailboxes[1])), (1, 0));
    }
}
