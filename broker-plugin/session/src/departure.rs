//! How a host lets its clients go while it runs on: it refuses new ones and tells the others, a few at a
//! time. The pace is its caller's (`broker_core::drain`); what a client still gets is the engine's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use broker_core::codec::Reason;
use broker_core::engine::Ending;

use crate::exchange::lock;
use crate::host::Host;
use crate::mailbox::{Letter, Mailbox};

/// Why CONNECT is refused by the whole host, if it is.
#[derive(Debug, Default)]
pub(crate) struct Refusing(AtomicU8);

impl Refusing {
    pub(crate) fn reason(&self) -> Option<Reason> {
        // A refusal is never 0.
        Some(self.0.load(Ordering::Acquire)).filter(|code| *code > 0).map(Reason)
    }

    fn set(&self, reason: Option<Reason>) {
        self.0.store(reason.map_or(0, |reason| reason.0), Ordering::Release);
    }
}

impl Host {
    /// Answers every CONNECT from now on with this reason.
    pub fn refuse(&self, reason: Reason) {
        self.exchange.refusing.set(Some(reason));
    }

    /// Takes clients again.
    pub fn admit(&self) {
        self.exchange.refusing.set(None);
        lock(&self.leaving).clear();
    }

    /// Connections that have sent their CONNECT and are not closed.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.exchange.clients.taken()
    }

    /// Tells at most so many clients to go that were not told before. Each goes when what it began is
    /// done, or after [`LEAVE_MS_MAX`](broker_core::engine::LEAVE_MS_MAX).
    pub fn leave(&self, at_most: usize) {
        let mut leaving = lock(&self.leaving);
        if leaving.is_empty() {
            *leaving = self.exchange.connections();
        }
        let next = || leaving.pop();
        std::iter::from_fn(next)
            .filter(|mailbox: &Arc<Mailbox>| mailbox.is_first_to_go())
            .take(at_most)
            .for_each(|mailbox| {
                mailbox.post(Letter::Leave);
            });
    }

    /// Closes all connections, as when the host stops.
    pub fn end_all(&self) {
        for mailbox in self.exchange.connections() {
            mailbox.post(Letter::End(Ending::ShuttingDown));
        }
    }
}
