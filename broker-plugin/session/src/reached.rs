//! To whom a client published in this turn of its task.

use std::sync::Arc;

use crate::mailbox::{Congestion, Letter, Mailbox};

/// See the module. The only recipient of the only message is [attended](Mailbox::attend) at the end of the
/// turn: it has the message before the publisher has its answer, and no task has to be woken. That is for
/// brokers with little to do; with much, tasks of many recipients run at the same time.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    /// It sleeps, and was not woken.
    only: Option<Arc<Mailbox>>,
    has_posted: bool,
    behind: Option<Arc<Mailbox>>,
}

impl Reached {
    /// Of somebody who attends to nobody.
    pub(crate) fn all_awake() -> Self {
        Self { has_posted: true, ..Self::default() }
    }

    #[inline]
    pub(crate) fn post(&mut self, mailbox: &Arc<Mailbox>, letter: Letter) {
        if !self.has_posted {
            return self.put(mailbox, letter);
        }
        if self.only.is_some() {
            self.wake();
        }
        if mailbox.post(letter) == Congestion::Behind {
            self.note_behind(mailbox);
        }
    }

    /// The first.
    fn put(&mut self, mailbox: &Arc<Mailbox>, letter: Letter) {
        self.has_posted = true;
        let (congestion, is_asleep) = mailbox.put(letter);
        self.only = is_asleep.then(|| Arc::clone(mailbox));
        if congestion == Congestion::Behind {
            self.note_behind(mailbox);
        }
    }

    #[cold]
    fn note_behind(&mut self, mailbox: &Arc<Mailbox>) {
        self.behind.get_or_insert_with(|| Arc::clone(mailbox));
    }

    /// The turn ends.
    pub(crate) fn attend(&mut self) {
        self.has_posted = false;
        if let Some(only) = self.only.take() {
            only.attend();
        }
    }

    /// The turn ends, or goes on for longer.
    pub(crate) fn wake(&mut self) {
        if let Some(only) = self.only.take() {
            only.wake();
        }
    }

    /// One that publishers should wait for: one of many is enough to slow them down.
    pub(crate) fn take_behind(&mut self) -> Option<Arc<Mailbox>> {
        self.behind.take()
    }
}
