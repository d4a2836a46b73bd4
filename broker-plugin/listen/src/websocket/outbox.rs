//! Frames on their way to the client.
//!
//! What is written between two flushes becomes one binary frame, so that many small packets share
//! a head and a system call. Holds nothing when nothing waits. Not here: writing (`stream.rs`).

use super::deframe::{CONTROL_BYTES_MAX, Opcode};

/// Payload of the longest frame that we send. Larger ones would save nothing: a head is 4 bytes.
pub(super) const FRAME_BYTES_MAX: usize = 16 << 10;
/// Head of a frame without a mask: 2 bytes, or 4 when the payload has more than 125.
const HEAD_BYTES: usize = 4;
const FIN: u8 = 0x80;

/// Bytes of finished frames, then at most one open frame.
///
/// Bounded by its caller, who writes what is finished before adding more: an open frame of
/// [`FRAME_BYTES_MAX`], a finished one, a pong and a close.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    written: usize,
    /// Where the open frame's head goes.
    open: Option<usize>,
}

impl Outbox {
    /// Adds payload to the open frame, as much as there is room for.
    pub(super) fn add(&mut self, payload: &[u8]) -> usize {
        let open = *self.open.get_or_insert_with(|| {
            self.bytes.extend_from_slice(&[0; HEAD_BYTES]);
            self.bytes.len() - HEAD_BYTES
        });
        let room = FRAME_BYTES_MAX - (self.bytes.len() - open - HEAD_BYTES);
        let taken = room.min(payload.len());
        self.bytes.extend_from_slice(&payload[..taken]);
        taken
    }

    /// Whether the open frame has no room.
    pub(super) fn is_full(&self) -> bool {
        self.open.is_some_and(|open| self.bytes.len() - open - HEAD_BYTES == FRAME_BYTES_MAX)
    }

    /// Finishes the open frame, if there is one.
    pub(super) fn finish(&mut self) {
        let Some(open) = self.open.take() else {
            return;
        };
        let payload = open + HEAD_BYTES;
        let length = u16::try_from(self.bytes.len() - payload).expect("at most FRAME_BYTES_MAX");
        self.bytes[open] = FIN | Opcode::Binary as u8;
        if let Ok(short @ ..=125) = u8::try_from(length) {
            self.bytes[open + 1] = short;
            self.bytes.drain(open + 2..payload);
        } else {
            self.bytes[open + 1] = 126;
            self.bytes[open + 2..payload].copy_from_slice(&length.to_be_bytes());
        }
    }

    /// Adds a control frame behind everything else. `payload` has up to 125 bytes.
    pub(super) fn add_control(&mut self, opcode: Opcode, payload: &[u8]) {
        assert!(payload.len() <= CONTROL_BYTES_MAX, "a control frame is short");
        self.finish();
        let length = u8::try_from(payload.len()).expect("checked above");
        self.bytes.extend_from_slice(&[FIN | opcode as u8, length]);
        self.bytes.extend_from_slice(payload);
    }

    /// What can be written: finished frames only.
    pub(super) fn finished(&self) -> &[u8] {
        &self.bytes[self.written..self.open.unwrap_or(self.bytes.len())]
    }

    /// Forgets `bytes` of what was finished, and gives its memory back after the last of all.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        if self.written == self.bytes.len() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_before_the_end_is_one_frame() {
        let mut outbox = Outbox::default();
        assert_eq!((outbox.add(b"ab"), outbox.add(b"c")), (2, 1));
        assert_eq!(outbox.finished(), b"");
        outbox.finish();
        assert_eq!(outbox.finished(), b"\x82\x03abc");
    }

    #[test]
    fn the_head_grows_with_more_than_125_bytes() {
        let frame = |length: usize| {
            let mut outbox = Outbox::default();
            outbox.add(&vec![7; length]);
            outbox.finish();
            outbox.finished().to_vec()
        };
        assert_eq!(frame(125)[..3], [0x82, 125, 7]);
        assert_eq!((frame(126).len(), &frame(126)[..5]), (130, &[0x82, 126, 0, 126, 7][..]));
    }

    #[test]
    fn a_full_frame_takes_no_more_until_it_is_finished() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.add(&vec![0; FRAME_BYTES_MAX + 1]), FRAME_BYTES_MAX);
        assert!(outbox.is_full() && outbox.add(b"x") == 0);
        outbox.finish();
        assert_eq!(outbox.add(b"x"), 1);
        assert_eq!(outbox.finished().len(), HEAD_BYTES + FRAME_BYTES_MAX);
    }

    #[test]
    fn a_control_frame_follows_what_was_added_before() {
        let mut outbox = Outbox::default();
        outbox.add(b"ab");
        outbox.add_control(Opcode::Pong, b"hi");
        assert_eq!(outbox.finished(), b"\x82\x02ab\x8A\x02hi");
    }

    #[test]
    fn memory_is_given_back_when_all_is_written() {
        let mut outbox = Outbox::default();
        outbox.add(b"ab");
        outbox.finish();
        outbox.wrote(1);
        assert_eq!(outbox.finished(), b"\x02ab");
        outbox.wrote(3);
        assert_eq!((outbox.finished(), outbox.bytes.capacity()), (&b""[..], 0));
    }
}
