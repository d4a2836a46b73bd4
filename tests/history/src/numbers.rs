//! A set of numbers, most of which follow each other: one bit each.

use std::collections::BTreeMap;

const WORDS: usize = 8;
/// Numbers in a block.
const BLOCK: u32 = 512;

/// A set of numbers in blocks of 512: 64 bytes and a place in a map for each block that is not
/// empty.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    blocks: BTreeMap<u32, [u64; WORDS]>,
}

/// Word and bit within a block.
fn place(number: u32) -> (usize, u64) {
    let within = number % BLOCK;
    ((within / 64) as usize, 1 << (within % 64))
}

impl Numbers {
    /// Adds a number.
    pub(crate) fn insert(&mut self, number: u32) {
        let (word, bit) = place(number);
        self.blocks.entry(number / BLOCK).or_default()[word] |= bit;
    }

    pub(crate) fn contains(&self, number: u32) -> bool {
        let (word, bit) = place(number);
        self.blocks.get(&(number / BLOCK)).is_some_and(|block| block[word] & bit != 0)
    }

    /// Takes all numbers of `other`, which is empty afterwards.
    pub(crate) fn absorb(&mut self, other: &mut Self) {
        for (number, theirs) in std::mem::take(&mut other.blocks) {
            let ours = self.blocks.entry(number).or_default();
            ours.iter_mut().zip(theirs).for_each(|(ours, theirs)| *ours |= theirs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Numbers;

    #[test]
    fn number_is_in_the_set_that_it_was_put_into_and_its_neighbours_are_not() {
        let mut numbers = Numbers::default();
        for number in [0, 63, 64, 511, 512, u32::MAX] {
            assert!(!numbers.contains(number));
            numbers.insert(number);
            assert!(numbers.contains(number));
        }
        assert!([1, 62, 65, 510, 513, u32::MAX - 1].iter().all(|&other| !numbers.contains(other)));
    }

    #[test]
    fn absorbed_set_is_empty_and_its_numbers_are_added() {
        let (mut first, mut second) = (Numbers::default(), Numbers::default());
        first.insert(1);
        second.insert(2);
        second.insert(9_000);
        first.absorb(&mut second);
        assert!([1, 2, 9_000].iter().all(|&number| first.contains(number)));
        assert!(!second.contains(2) && !second.contains(9_000));
    }
}
