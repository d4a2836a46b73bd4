//! How many bytes lie behind which entry, so that a number of bytes can be kept for followers.

use std::collections::VecDeque;

/// A mark for about every so many bytes. Chosen so that the marks of a log of 1 GiB fit into 64 KiB.
const STEP_BYTES: u64 = 256 << 10;

/// Sums of bytes at some entries, in order. Bounded by the bytes of the log over [`STEP_BYTES`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    /// Index, and all bytes appended up to and with it.
    marks: VecDeque<(u64, u64)>,
    appended: u64,
    marked: u64,
}

impl Marks {
    pub(super) fn appended(&mut self, index: u64, bytes: u64) {
        self.appended += bytes;
        if self.appended - self.marked >= STEP_BYTES {
            self.marked = self.appended;
            self.marks.push_back((index, self.appended));
        }
    }

    pub(super) fn truncated_after(&mut self, index: Option<u64>) {
        while self.marks.back().is_some_and(|&(at, _)| index.is_none_or(|index| at > index)) {
            self.marks.pop_back();
        }
    }

    pub(super) fn purged_upto(&mut self, index: u64) {
        while self.marks.front().is_some_and(|&(at, _)| at <= index) {
            self.marks.pop_front();
        }
    }

    /// The last marked entry, at most `upto`, behind which at least `keep_bytes` lie.
    pub(super) fn purgeable(&self, keep_bytes: u64, upto: u64) -> Option<u64> {
        let enough = |&&(index, sum): &&(u64, u64)| {
            index <= upto && self.appended.saturating_sub(sum) >= keep_bytes
        };
        self.marks.iter().rev().find(enough).map(|&(index, _)| index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_bytes_asked_for_and_nothing_that_is_not_stored() {
        let mut marks = Marks::default();
        (1..=10).for_each(|index| marks.appended(index, STEP_BYTES));
        assert_eq!(marks.purgeable(0, 10), Some(10));
        assert_eq!(marks.purgeable(0, 4), Some(4));
        assert_eq!(marks.purgeable(3 * STEP_BYTES, 10), Some(7));
        assert_eq!(marks.purgeable(10 * STEP_BYTES, 10), None);
        marks.purged_upto(7);
        assert_eq!(marks.purgeable(3 * STEP_BYTES, 10), None);
        marks.truncated_after(Some(8));
        assert_eq!(marks.purgeable(0, 10), Some(8));
    }
}
