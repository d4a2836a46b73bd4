//! Names of sessions inside the router.
//!
//! rumqttd never forgets a client id that it has seen, refuses some, and remembers sessions under
//! it. So it sees slots instead: a bounded set of names that are used again.

use std::fmt;

/// A session's name inside the router.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Slot(u32);

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot-{}", self.0)
    }
}

/// The slots that are free: never more than there were sessions at one time.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    free: Vec<Slot>,
    last: u32,
}

impl Slots {
    /// A slot that no session has.
    pub(crate) fn take(&mut self) -> Slot {
        self.free.pop().unwrap_or_else(|| {
            self.last += 1;
            Slot(self.last)
        })
    }

    /// Makes a slot free.
    pub(crate) fn give_back(&mut self, slot: Slot) {
        self.free.push(slot);
    }
}
