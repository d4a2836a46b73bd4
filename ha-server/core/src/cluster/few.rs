//! A set that needs no memory of its own for one element: most filters have one session.

use std::collections::BTreeSet;

/// In order.
#[derive(Debug, Default)]
pub(super) enum Few<T> {
    #[default]
    None,
    One(T),
    /// Also when it has become smaller, but never empty.
    Many(BTreeSet<T>),
}

impl<T: Copy + Ord> Few<T> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Many(all) => all.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(super) fn first(&self) -> Option<&T> {
        match self {
            Self::None => None,
            Self::One(one) => Some(one),
            Self::Many(all) => all.first(),
        }
    }

    pub(super) fn insert(&mut self, element: T) {
        match self {
            Self::None => *self = Self::One(element),
            Self::One(one) if *one == element => (),
            Self::One(one) => *self = Self::Many(BTreeSet::from([*one, element])),
            Self::Many(all) => drop(all.insert(element)),
        }
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, element: &T) -> bool {
        let was_there = match self {
            Self::None => false,
            Self::One(one) => one == element,
            Self::Many(all) => all.remove(element),
        };
        let is_empty = match self {
            Self::None => true,
            Self::One(_) => was_there,
            Self::Many(all) => all.is_empty(),
        };
        if is_empty {
            *self = Self::None;
        }
        was_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_a_set_would() {
        let (mut few, mut set) = (Few::default(), BTreeSet::new());
        // Grows to three and shrinks to nothing, twice, with repeats.
        for step in [1, 2, 2, 3, -2, -2, -1, -3, -3, 4, 4, -4, 5, 6, -6, 5, -5] {
            let element: u32 = i32::unsigned_abs(step);
            if step > 0 {
                few.insert(element);
                set.insert(element);
            } else {
                assert_eq!(few.remove(&element), set.remove(&element), "{step}");
            }
            assert_eq!((few.len(), few.first()), (set.len(), set.first()), "{step}");
            assert_eq!(few.is_empty(), set.is_empty(), "{step}");
        }
    }
}
