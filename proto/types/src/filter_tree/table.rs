//! A hash table that never iterates, never stops the world and gives its memory back.
//!
//! Keyed by a 64-bit hash; the caller says whether an item is the one it means. Growing moves one of
//! [`SHARDS`] parts at a time: a whole table of a million items would stop its owner for tens of
//! milliseconds.
#![expect(
    clippy::disallowed_types,
    reason = "only looked up: whatever its order is, nobody can see it"
)]

use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

/// Parts of a large table. At a million items one part has 16,000: moved in about 0.2 ms.
const SHARDS: usize = 64;

/// Items from which a table is large. Below a quarter of it the table is in one part again.
const LARGE: usize = 8_192;

/// Hashes with a key: `SipHash`, so that who does not know the seed cannot make names collide.
#[derive(Clone)]
pub(super) struct Seed(DefaultHasher);

impl Seed {
    pub(super) fn new(seed: u64) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(seed);
        Self(hasher)
    }

    pub(super) fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hasher = self.0.clone();
        hasher.write(bytes);
        hasher.finish()
    }
}

impl fmt::Debug for Seed {
    /// Keeps the seed out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed")
    }
}

/// The key is a hash already.
#[derive(Clone, Copy, Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only u64 keys are hashed")
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type Shard<E> = HashMap<u64, E, BuildHasherDefault<Identity>>;

/// Items found by hash. Bounded by its owner.
#[derive(Clone)]
pub(super) struct Table<E> {
    /// One, or [`SHARDS`].
    shards: Vec<Shard<E>>,
    /// Items whose hash an item in the shards has. With a secret seed there are none.
    collided: Vec<(u64, E)>,
    len: usize,
}

impl<E> Default for Table<E> {
    fn default() -> Self {
        Self { shards: vec![Shard::default()], collided: Vec::new(), len: 0 }
    }
}

impl<E> Table<E> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(super) fn find(&self, hash: u64, is: impl Fn(&E) -> bool) -> Option<&E> {
        let first = self.shards[self.shard_of(hash)].get(&hash).filter(|item| is(item));
        first.or_else(|| {
            let same = self.collided.iter().filter(|(other, _)| *other == hash);
            same.map(|(_, item)| item).find(|item| is(item))
        })
    }

    pub(super) fn find_mut(&mut self, hash: u64, is: impl Fn(&E) -> bool) -> Option<&mut E> {
        let shard = self.shard_of(hash);
        let first = self.shards[shard].get_mut(&hash).filter(|item| is(item));
        first.or_else(|| {
            let same = self.collided.iter_mut().filter(|(other, _)| *other == hash);
            same.map(|(_, item)| item).find(|item| is(item))
        })
    }

    pub(super) fn find_or_insert(
        &mut self,
        hash: u64,
        is: impl Fn(&E) -> bool,
        make: impl FnOnce() -> E,
    ) -> &mut E {
        if self.len == LARGE && self.shards.len() == 1 {
            self.spread_over(SHARDS);
        }
        let shard = self.shard_of(hash);
        match self.shards[shard].entry(hash) {
            Entry::Vacant(slot) => {
                self.len += 1;
                slot.insert(make())
            }
            Entry::Occupied(slot) if is(slot.get()) => slot.into_mut(),
            Entry::Occupied(_) => {
                let at = position(&self.collided, hash, is).unwrap_or_else(|| {
                    self.len += 1;
                    self.collided.push((hash, make()));
                    self.collided.len() - 1
                });
                &mut self.collided[at].1
            }
        }
    }

    pub(super) fn remove(&mut self, hash: u64, is: impl Fn(&E) -> bool) {
        let shard = self.shard_of(hash);
        if self.shards[shard].get(&hash).is_some_and(&is) {
            self.shards[shard].remove(&hash);
            if let Some(at) = position(&self.collided, hash, |_| true) {
                self.shards[shard].insert(hash, self.collided.swap_remove(at).1);
            }
        } else if let Some(at) = position(&self.collided, hash, is) {
            self.collided.swap_remove(at);
        } else {
            return;
        }
        self.len -= 1;
        self.shrink(shard);
    }

    /// Removes what `keep` refuses. It is asked in no particular order, so it must not remember.
    pub(super) fn retain(&mut self, keep: impl Fn(&mut E) -> bool) {
        let refused = |item: &mut E| !keep(item);
        let mut removed: usize = self
            .shards
            .iter_mut()
            .map(|shard| shard.extract_if(|_, item| refused(item)).count())
            .sum();
        removed += self.collided.extract_if(.., |(_, item)| refused(item)).count();
        self.len -= removed;
        for (hash, item) in std::mem::take(&mut self.collided) {
            self.len -= 1;
            self.find_or_insert(hash, |_| false, || item);
        }
        (0..self.shards.len()).for_each(|shard| self.shrink(shard));
    }

    /// From bits that a shard uses neither for the place nor for the tag of an item.
    fn shard_of(&self, hash: u64) -> usize {
        let bits = u32::try_from(hash >> 32 & 0xFFFF).expect("16 bits");
        usize::try_from(bits).expect("usize has 32 bits") & (self.shards.len() - 1)
    }

    fn shrink(&mut self, shard: usize) {
        if self.len < LARGE / 4 && self.shards.len() > 1 {
            return self.spread_over(1);
        }
        if let Some(shard) = self.shards.get_mut(shard)
            && shard.len() < shard.capacity() / 4
        {
            shard.shrink_to(shard.len() * 2);
        }
    }

    fn spread_over(&mut self, shards: usize) {
        let new = std::iter::repeat_with(Shard::default).take(shards).collect();
        for (hash, item) in std::mem::replace(&mut self.shards, new).into_iter().flatten() {
            let shard = self.shard_of(hash);
            self.shards[shard].insert(hash, item);
        }
    }
}

/// Where the item is among those that share their hash.
fn position<E>(collided: &[(u64, E)], hash: u64, is: impl Fn(&E) -> bool) -> Option<usize> {
    collided.iter().position(|(other, item)| *other == hash && is(item))
}

impl<E> fmt::Debug for Table<E> {
    /// Without the items: their order is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(table: &mut Table<u64>, hash: u64, item: u64) {
        table.find_or_insert(hash, |found| *found == item, || item);
    }

    fn has(table: &Table<u64>, hash: u64, item: u64) -> bool {
        table.find(hash, |found| *found == item).is_some()
    }

    fn capacity(table: &Table<u64>) -> usize {
        table.shards.iter().map(Shard::capacity).sum()
    }

    #[test]
    fn items_with_one_hash_are_told_apart() {
        let mut table = Table::default();
        for item in [1, 2, 3, 2] {
            insert(&mut table, 9, item);
        }
        assert_eq!(table.len(), 3);
        table.remove(9, |item| *item == 1);
        assert!(!has(&table, 9, 1) && has(&table, 9, 2) && has(&table, 9, 3));
        *table.find_mut(9, |item| *item == 3).unwrap() = 4;
        insert(&mut table, 9, 2);
        assert_eq!(table.len(), 2);
        table.remove(9, |item| *item == 4);
        table.remove(9, |item| *item == 4);
        table.remove(9, |item| *item == 2);
        assert!(table.is_empty() && !has(&table, 9, 2));
    }

    #[test]
    fn retain_keeps_items_that_share_a_hash_with_a_removed_one() {
        let mut table = Table::default();
        (1..=4).for_each(|item| insert(&mut table, 9, item));
        table.retain(|item| *item % 2 == 0);
        assert_eq!(table.len(), 2);
        assert!(has(&table, 9, 2) && has(&table, 9, 4) && !has(&table, 9, 1));
    }

    #[test]
    fn table_that_was_large_finds_all_and_gives_its_memory_back() {
        let seed = Seed::new(1);
        let hash = |item: u64| seed.hash(&item.to_le_bytes());
        let mut table = Table::default();
        (0..20_000).for_each(|item| insert(&mut table, hash(item), item));
        assert_eq!((table.len(), table.shards.len()), (20_000, SHARDS));
        assert!((0..20_000).all(|item| has(&table, hash(item), item)));
        (10..20_000).for_each(|item| table.remove(hash(item), |found| *found == item));
        assert_eq!((table.len(), table.shards.len()), (10, 1));
        assert!((0..10).all(|item| has(&table, hash(item), item)));
        assert!(capacity(&table) <= 64, "{}", capacity(&table));
        (0..10).for_each(|item| table.remove(hash(item), |found| *found == item));
        assert_eq!(capacity(&table), 0);
    }

    #[test]
    fn seeds_hash_differently_and_each_always_the_same() {
        assert_eq!(Seed::new(1).hash(b"a"), Seed::new(1).hash(b"a"));
        assert_ne!(Seed::new(1).hash(b"a"), Seed::new(2).hash(b"a"));
    }
}
