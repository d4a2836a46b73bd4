//! Several sorted lists of subscribers as one: a heap of their heads.

use ha_types::session::ConnectionId;

use super::subscribers::{Iter, Subscriber, Subscribers};

/// Lists that are merged without allocating. Chosen as more than the filters that match a topic
/// where nobody means harm.
pub(super) const FEW: usize = 8;

/// The lists of subscribers that one message goes to.
#[derive(Debug)]
pub(super) struct Merge<'a, T> {
    few: [Option<&'a Subscribers<T>>; FEW],
    few_len: usize,
    /// Those beyond.
    more: Vec<&'a Subscribers<T>>,
}

impl<T> Default for Merge<'_, T> {
    fn default() -> Self {
        Self { few: [None; FEW], few_len: 0, more: Vec::new() }
    }
}

/// What is left of one list.
#[derive(Debug)]
struct Cursor<'a, T> {
    /// `None`: nothing.
    head: Option<&'a Subscriber<T>>,
    rest: Iter<'a, T>,
    /// Place of the list among the lists.
    list: usize,
}

impl<'a, T> Cursor<'a, T> {
    fn new(list: usize, subscribers: Option<&'a Subscribers<T>>) -> Self {
        let mut rest = subscribers.map_or_else(Iter::default, Subscribers::iter);
        Self { head: rest.next(), rest, list }
    }

    /// Lowest connection first, of one connection in the order of the lists, ended ones last.
    fn key(&self) -> (bool, Option<ConnectionId>, usize) {
        (self.head.is_none(), self.head.map(|head| head.connection), self.list)
    }
}

impl<'a, T> Merge<'a, T> {
    pub(super) fn push(&mut self, list: &'a Subscribers<T>) {
        match self.few.get_mut(self.few_len) {
            Some(slot) => {
                *slot = Some(list);
                self.few_len += 1;
            }
            None => self.more.push(list),
        }
    }

    /// The list, when there is one and no other.
    pub(super) fn only(&self) -> Option<Iter<'a, T>> {
        self.few[0].filter(|_| self.few_len == 1).map(Subscribers::iter)
    }

    /// Calls `found` for each connection, lowest first, with its subscribers in the order in which
    /// the lists came.
    pub(super) fn run(self, found: impl FnMut(&mut dyn Iterator<Item = &'a Subscriber<T>>)) {
        let few = self.few.iter().copied().enumerate();
        if self.more.is_empty() {
            let mut few = few.map(|(at, list)| Cursor::new(at, list));
            let mut cursors: [_; FEW] =
                std::array::from_fn(|at| few.next().unwrap_or_else(|| Cursor::new(at, None)));
            return merge(&mut cursors[..self.few_len], found);
        }
        let more = (FEW..).zip(self.more.iter().copied().map(Some));
        let mut cursors: Vec<_> = few.chain(more).map(|(at, list)| Cursor::new(at, list)).collect();
        merge(&mut cursors, found);
    }
}

fn merge<'a, T>(
    cursors: &mut [Cursor<'a, T>],
    mut found: impl FnMut(&mut dyn Iterator<Item = &'a Subscriber<T>>),
) {
    // What is sorted is a heap.
    cursors.sort_unstable_by_key(Cursor::key);
    while let Some(head) = cursors.first().and_then(|first| first.head) {
        let heads = cursors.iter().skip(1).take(2).filter_map(|cursor| cursor.head);
        let others = heads.map(|head| head.connection).min();
        if others.is_some_and(|others| others == head.connection) {
            found(&mut std::iter::from_fn(|| pop(cursors, head.connection)));
            continue;
        }
        // Of a long list and short ones the heap stays as it is for long.
        let alone = |head: &&Subscriber<T>| others.is_none_or(|others| head.connection < others);
        while let Some(head) = cursors[0].head.filter(alone) {
            found(&mut std::iter::once(head));
            cursors[0].head = cursors[0].rest.next();
        }
        sift_down(cursors);
    }
}

/// The next subscriber of all lists, if it is this connection's.
fn pop<'a, T>(
    cursors: &mut [Cursor<'a, T>],
    connection: ConnectionId,
) -> Option<&'a Subscriber<T>> {
    let subscriber = cursors[0].head.filter(|head| head.connection == connection)?;
    cursors[0].head = cursors[0].rest.next();
    sift_down(cursors);
    Some(subscriber)
}

/// Puts the first cursor, which has moved on, where it belongs.
fn sift_down<T>(cursors: &mut [Cursor<'_, T>]) {
    let mut at = 0;
    loop {
        let below = 2 * at + 1..(2 * at + 3).min(cursors.len());
        let Some(lowest) = below.min_by_key(|&at| cursors[at].key()) else { return };
        if cursors[at].key() <= cursors[lowest].key() {
            return;
        }
        cursors.swap(at, lowest);
        at = lowest;
    }
}
