//! The filters that have wildcards: one node per distinct prefix, and the walk over them.

use std::cell::Cell;

use super::table::{Seed, Table};

/// Children that are looked through one by one; with more the node hashes. Chosen where both cost
/// the same, about 15 ns.
const FEW_MAX: usize = 8;

#[derive(Clone, Debug)]
pub(super) struct Node<T> {
    /// Value of the filter that ends here.
    value: Option<T>,
    /// Value of the filter that continues with `#` and so ends there.
    rest: Option<T>,
    /// Child for `+`.
    any: Option<Box<Node<T>>>,
    children: Children<T>,
}

#[derive(Clone, Debug)]
enum Children<T> {
    Few(Vec<Child<T>>),
    Many(Box<Table<Child<T>>>),
}

#[derive(Clone, Debug)]
struct Child<T> {
    level: Box<[u8]>,
    node: Box<Node<T>>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { value: None, rest: None, any: None, children: Children::default() }
    }
}

impl<T> Default for Children<T> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

/// The first level of `path`, and what follows its `/`.
fn split_level(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match path.iter().position(|&byte| byte == b'/') {
        Some(at) => (&path[..at], Some(&path[at + 1..])),
        None => (path, None),
    }
}

fn levels(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/')
}

impl<T> Node<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.value.is_none()
            && self.rest.is_none()
            && self.any.is_none()
            && self.children.is_empty()
    }

    pub(super) fn find(&self, seed: &Seed, filter: &[u8]) -> Option<&T> {
        let mut node = self;
        for level in levels(filter) {
            node = match level {
                b"#" => return node.rest.as_ref(),
                b"+" => node.any.as_deref()?,
                name => node.children.find(seed, name)?,
            };
        }
        node.value.as_ref()
    }

    pub(super) fn slot(&mut self, seed: &Seed, filter: &[u8]) -> &mut Option<T> {
        let mut node = self;
        for level in levels(filter) {
            node = match level {
                b"#" => return &mut node.rest,
                b"+" => node.any.get_or_insert_default(),
                name => node.children.find_or_insert(seed, name),
            };
        }
        &mut node.value
    }

    /// Returns whether a value was removed. Recurses once per level, of which there are at most
    /// [`TOPIC_LEVELS_MAX`](crate::limits::TOPIC_LEVELS_MAX).
    pub(super) fn retain(
        &mut self,
        seed: &Seed,
        filter: Option<&[u8]>,
        keep: impl FnOnce(&mut T) -> bool,
    ) -> bool {
        let Some(path) = filter else { return drop_unless(&mut self.value, keep) };
        let (level, rest) = split_level(path);
        let child = match level {
            b"#" => return drop_unless(&mut self.rest, keep),
            b"+" => self.any.as_deref_mut(),
            name => self.children.find_mut(seed, name),
        };
        let Some(child) = child else { return false };
        let removed = child.retain(seed, rest, keep);
        if child.is_empty() {
            match level {
                b"+" => self.any = None,
                name => self.children.remove(seed, name),
            }
        }
        removed
    }

    /// Returns how many values were removed.
    pub(super) fn retain_all(&mut self, keep: &impl Fn(&mut T) -> bool) -> usize {
        let mut removed = usize::from(drop_unless(&mut self.value, keep));
        removed += usize::from(drop_unless(&mut self.rest, keep));
        if let Some(child) = &mut self.any {
            removed += child.retain_all(keep);
            if child.is_empty() {
                self.any = None;
            }
        }
        removed + self.children.retain_all(keep)
    }

    /// Calls `found` for what matches `topic`: at each node `#`, the child of that name, `+`.
    pub(super) fn visit<'a>(
        &'a self,
        seed: &Seed,
        topic: Option<&[u8]>,
        found: &mut impl FnMut(&'a T),
    ) {
        // `#` matches its parent level too [MQTT-4.7.1-2].
        if let Some(value) = &self.rest {
            found(value);
        }
        let Some(path) = topic else {
            return self.value.iter().for_each(found);
        };
        let (level, rest) = split_level(path);
        if let Some(child) = self.children.find(seed, level) {
            child.visit(seed, rest, found);
        }
        if let Some(child) = &self.any {
            child.visit(seed, rest, found);
        }
    }

    /// As [`visit`](Self::visit), without the filters that begin with a wildcard.
    pub(super) fn visit_named<'a>(
        &'a self,
        seed: &Seed,
        topic: &[u8],
        found: &mut impl FnMut(&'a T),
    ) {
        let (level, rest) = split_level(topic);
        if let Some(child) = self.children.find(seed, level) {
            child.visit(seed, rest, found);
        }
    }
}

/// Empties `slot` when `keep` says no; true when a value was removed.
fn drop_unless<T>(slot: &mut Option<T>, keep: impl FnOnce(&mut T) -> bool) -> bool {
    let removed = slot.as_mut().is_some_and(|value| !keep(value));
    if removed {
        *slot = None;
    }
    removed
}

impl<T> Children<T> {
    fn is_empty(&self) -> bool {
        match self {
            Self::Few(few) => few.is_empty(),
            Self::Many(many) => many.is_empty(),
        }
    }

    fn find(&self, seed: &Seed, level: &[u8]) -> Option<&Node<T>> {
        let child = match self {
            Self::Few(few) => few.iter().find(|child| *child.level == *level),
            Self::Many(many) => many.find(seed.hash(level), |child| *child.level == *level),
        };
        child.map(|child| &*child.node)
    }

    fn find_mut(&mut self, seed: &Seed, level: &[u8]) -> Option<&mut Node<T>> {
        let child = match self {
            Self::Few(few) => few.iter_mut().find(|child| *child.level == *level),
            Self::Many(many) => many.find_mut(seed.hash(level), |child| *child.level == *level),
        };
        child.map(|child| &mut *child.node)
    }

    fn find_or_insert(&mut self, seed: &Seed, level: &[u8]) -> &mut Node<T> {
        let new = || Child { level: level.into(), node: Box::default() };
        let is = |child: &Child<T>| *child.level == *level;
        if let Self::Few(few) = self
            && few.len() == FEW_MAX
            && !few.iter().any(is)
        {
            *self = Self::Many(hashed(seed, std::mem::take(few)));
        }
        match self {
            Self::Few(few) => {
                let at = few.iter().position(is).unwrap_or_else(|| {
                    // Most nodes stay at one child.
                    few.reserve_exact(if few.is_empty() { 1 } else { 0 });
                    few.push(new());
                    few.len() - 1
                });
                &mut few[at].node
            }
            Self::Many(many) => &mut many.find_or_insert(seed.hash(level), is, new).node,
        }
    }

    fn remove(&mut self, seed: &Seed, level: &[u8]) {
        match self {
            Self::Few(few) => few.retain(|child| *child.level != *level),
            Self::Many(many) => many.remove(seed.hash(level), |child| *child.level == *level),
        }
        self.forget_when_empty();
    }

    fn retain_all(&mut self, keep: &impl Fn(&mut T) -> bool) -> usize {
        let removed = Cell::new(0);
        let stays = |child: &mut Child<T>| {
            removed.set(removed.get() + child.node.retain_all(keep));
            !child.node.is_empty()
        };
        match self {
            Self::Few(few) => few.retain_mut(stays),
            Self::Many(many) => many.retain(stays),
        }
        self.forget_when_empty();
        removed.get()
    }

    fn forget_when_empty(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

fn hashed<T>(seed: &Seed, few: Vec<Child<T>>) -> Box<Table<Child<T>>> {
    let mut many = Box::<Table<_>>::default();
    for child in few {
        many.find_or_insert(seed.hash(&child.level), |_| false, || child);
    }
    many
}
