//! Messages that durable sessions have not all acknowledged: each once.

use std::collections::BTreeMap;
use std::sync::Arc;

use ha_types::Message;

/// Of the first message: its packet identifier is 1, and there are private offsets before it.
const FIRST: u64 = 65_535;

/// By number.
#[derive(Debug)]
pub(super) struct Messages {
    stored: BTreeMap<u64, Needed>,
    bytes: usize,
    next: u64,
}

#[derive(Debug)]
struct Needed {
    message: Arc<Message>,
    /// Indexes that have it.
    by: u32,
}

impl Default for Messages {
    fn default() -> Self {
        Self { stored: BTreeMap::new(), bytes: 0, next: FIRST }
    }
}

impl Messages {
    pub(super) fn len(&self) -> usize {
        self.stored.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of the next message.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn set_next(&mut self, next: u64) {
        self.next = next;
    }

    pub(super) fn get(&self, number: u64) -> Option<&Arc<Message>> {
        self.stored.get(&number).map(|needed| &needed.message)
    }

    pub(super) fn size(&self, number: u64) -> usize {
        self.get(number).map_or(0, |message| message.size())
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.stored.keys().copied()
    }

    /// Stores a message that so many indexes will have.
    pub(super) fn append(&mut self, message: Arc<Message>, by: usize) -> u64 {
        let number = self.skip();
        self.put(number, message, by);
        number
    }

    /// Takes a number for a message that one session has for itself.
    pub(super) fn skip(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    /// Stores it under a number that it had before.
    pub(super) fn put(&mut self, number: u64, message: Arc<Message>, by: usize) {
        self.bytes += message.size();
        let by = u32::try_from(by).expect("filters are fewer");
        self.stored.insert(number, Needed { message, by });
    }

    /// One index does not need it any more. Returns whether it is gone.
    pub(super) fn release(&mut self, number: u64) -> bool {
        let Some(needed) = self.stored.get_mut(&number) else { return false };
        needed.by -= 1;
        if needed.by > 0 {
            return false;
        }
        self.bytes -= needed.message.size();
        self.stored.remove(&number);
        true
    }

    /// How many indexes need it.
    pub(super) fn needed_by(&self, number: u64) -> u32 {
        self.stored.get(&number).map_or(0, |needed| needed.by)
    }
}
