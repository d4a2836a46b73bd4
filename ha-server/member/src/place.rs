//! The place of a batch among those that one leadership proposes.
//!
//! Raft may refuse a proposal and accept the next one: a leader that hears nothing of a majority for
//! a moment refuses, and goes on when it hears again. But commands build on each other: a publish
//! with a lower number than the last one that was applied counts as a repeat. So each batch says its
//! place, and all nodes skip what comes behind a gap.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use ha_core::cluster::Batch;

/// A batch that belongs to no run.
const PLAIN: u8 = 0;
/// A batch of a run: its number, and how many came before, as big-endian numbers.
const IN_RUN: u8 = 1;

/// Which batch of which run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Never used twice.
    pub(crate) run: u64,
    /// Of a batch: its number, from 0. Of the state: that of the next one.
    pub(crate) next: u64,
}

impl Place {
    /// Whether the batch at this place is the next one of its run, or the first of another.
    pub(crate) fn admit(&mut self, place: Self) -> bool {
        let is_next = *self == place || place.run != self.run && place.next == 0;
        if is_next {
            *self = Self { next: place.next.saturating_add(1), ..place };
        }
        is_next
    }

    pub(crate) fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.run.to_be_bytes());
        bytes[8..].copy_from_slice(&self.next.to_be_bytes());
        bytes
    }

    /// `None`: these are not the bytes of a place.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let &[run, next] = bytes.as_chunks::<8>().0 else { return None };
        let is_whole = bytes.len() == 16;
        is_whole.then(|| Self { run: u64::from_be_bytes(run), next: u64::from_be_bytes(next) })
    }
}

/// A batch as a command that belongs to no run: nothing is built on it.
#[must_use]
pub fn plain(batch: &Batch) -> Bytes {
    let mut command = BytesMut::new();
    command.put_u8(PLAIN);
    command.put(batch.encode());
    command.freeze()
}

/// A batch as the command at a place of a run.
pub(crate) fn in_run(place: Place, batch: &Batch) -> Bytes {
    let mut command = BytesMut::new();
    command.put_u8(IN_RUN);
    command.put_slice(&place.bytes());
    command.put(batch.encode());
    command.freeze()
}

/// The place of a command, and its batch. What has no such form is left to the state, which counts
/// it.
pub(crate) fn take(mut command: Bytes) -> (Option<Place>, Bytes) {
    match command.first() {
        Some(&PLAIN) => {
            command.advance(1);
            (None, command)
        }
        Some(&IN_RUN) if command.len() > 16 => {
            command.advance(1);
            let place = Place::parse(&command.split_to(16));
            (place, command)
        }
        _ => (None, Bytes::new()),
    }
}
