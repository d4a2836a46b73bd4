//! A collection that is nearly always empty, and takes eight bytes while it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug};
use std::ops::{Deref, DerefMut};

/// What an empty one looks like.
pub(super) trait Empty: Default + 'static {
    /// It is never changed.
    const EMPTY: &'static Self;

    fn is_empty(&self) -> bool;
}

impl<K: 'static, V: 'static> Empty for BTreeMap<K, V> {
    const EMPTY: &'static Self = &Self::new();

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl<T: 'static> Empty for BTreeSet<T> {
    const EMPTY: &'static Self = &Self::new();

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

/// Whoever changes one gives it room of its own, also when nothing comes of it: [`Rare::trim`].
#[derive(Clone, Default)]
pub(super) struct Rare<T>(Option<Box<T>>);

impl<T: Empty> Rare<T> {
    /// Gives back the room of what has become empty.
    pub(super) fn trim(&mut self) {
        self.0.take_if(|inner| inner.is_empty());
    }
}

impl<'a, T: Empty> IntoIterator for &'a Rare<T>
where
    &'a T: IntoIterator,
{
    type Item = <&'a T as IntoIterator>::Item;
    type IntoIter = <&'a T as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        (**self).into_iter()
    }
}

impl<T: Empty> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::EMPTY)
    }
}

impl<T: Empty> DerefMut for Rare<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

impl<T: Empty> From<T> for Rare<T> {
    fn from(inner: T) -> Self {
        let mut rare = Self(Some(Box::new(inner)));
        rare.trim();
        rare
    }
}

impl<T: Empty + PartialEq> PartialEq for Rare<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Empty + Eq> Eq for Rare<T> {}

impl<T: Empty + Debug> Debug for Rare<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_emptied_is_as_what_was_never_filled() {
        let mut rare: Rare<BTreeSet<u8>> = Rare::default();
        assert!(!rare.contains(&1) && rare.0.is_none(), "to read takes no room");
        rare.insert(1);
        assert_eq!(rare, Rare::from(BTreeSet::from([1])));
        rare.trim();
        assert!(rare.contains(&1), "only what is empty goes");
        rare.remove(&1);
        assert_eq!(rare, Rare::default());
        rare.trim();
        assert!(rare.0.is_none());
    }
}
