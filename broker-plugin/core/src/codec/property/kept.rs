//! The properties of a packet that are kept in their wire encoding.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::codec::reader::Reader;

/// Collects properties. As long as they stand next to each other they are one slice of the packet;
/// only when others stand between them they are copied together.
#[derive(Debug, Default)]
pub(in crate::codec) struct Kept {
    run: Range<usize>,
    copied: Option<BytesMut>,
}

impl Kept {
    /// Keeps the property at `whole`; they come in the order of the packet.
    pub(super) fn push(&mut self, whole: Range<usize>, body: &[u8]) {
        if self.run.is_empty() {
            self.run = whole;
        } else if self.run.end == whole.start {
            self.run.end = whole.end;
        } else {
            let run = std::mem::replace(&mut self.run, whole);
            self.copied.get_or_insert_default().extend_from_slice(&body[run]);
        }
    }

    /// All of them, without their length.
    #[inline]
    pub(in crate::codec) fn finish(self, reader: &Reader<'_>) -> Bytes {
        match self.copied {
            None => reader.share(self.run),
            Some(mut copied) => {
                copied.extend_from_slice(reader.bytes(self.run));
                copied.freeze()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(ranges: &[Range<usize>]) -> (Bytes, Bytes) {
        let body = Bytes::from_static(b"0123456789");
        let reader = Reader::new(&body);
        let mut kept = Kept::default();
        ranges.iter().for_each(|range| kept.push(range.clone(), &body));
        let bytes = kept.finish(&reader);
        (body, bytes)
    }

    #[test]
    fn neighbours_share_the_storage_of_the_packet() {
        let (body, kept) = keep(&[2..4, 4..5, 5..8]);
        assert_eq!(&kept[..], b"234567");
        assert_eq!(kept.as_ptr(), body[2..].as_ptr());
    }

    #[test]
    fn what_stands_between_is_left_out() {
        let (_, kept) = keep(&[0..2, 3..4, 4..6, 9..10]);
        assert_eq!(&kept[..], b"013459");
        assert!(keep(&[]).1.is_empty());
    }
}
