//! The subscribers of one filter, in the order of their connections.
//!
//! Most filters have one subscriber, some have 100,000. So one is kept in place, and more in chunks
//! of a sorted list: going through them costs as little as with one array, removing one moves at
//! most a chunk.

use std::slice;

use ha_types::session::ConnectionId;

use super::Route;

/// Subscribers of one chunk. Chosen by measuring: larger ones are not faster to go through, and
/// slower to remove from.
const CHUNK_MAX: usize = 128;

/// One connection's subscription to the filter.
#[derive(Debug)]
pub(super) struct Subscriber<T> {
    pub(super) connection: ConnectionId,
    pub(super) handle: T,
    pub(super) route: Route,
}

/// The subscribers of one filter. Bounded by the number of connections.
#[derive(Debug)]
pub(super) enum Subscribers<T> {
    One(Subscriber<T>),
    /// No chunk is empty, none longer than [`CHUNK_MAX`]. Without chunks: nobody.
    Chunks(Vec<Vec<Subscriber<T>>>),
}

impl<T> Default for Subscribers<T> {
    fn default() -> Self {
        Self::Chunks(Vec::new())
    }
}

impl<T> Subscribers<T> {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Chunks(chunks) if chunks.is_empty())
    }

    pub(super) fn iter(&self) -> Iter<'_, T> {
        match self {
            Self::One(one) => Iter { chunk: slice::from_ref(one).iter(), chunks: [].iter() },
            Self::Chunks(chunks) => Iter { chunk: [].iter(), chunks: chunks.iter() },
        }
    }

    /// Adds a subscriber, or replaces the one of the same connection.
    pub(super) fn put(&mut self, new: Subscriber<T>) {
        match self {
            Self::One(one) if one.connection == new.connection => *one = new,
            Self::One(_) => {
                let Self::One(one) = std::mem::take(self) else { unreachable!("just matched") };
                let pair =
                    if one.connection < new.connection { vec![one, new] } else { vec![new, one] };
                *self = Self::Chunks(vec![pair]);
            }
            Self::Chunks(chunks) if chunks.is_empty() => *self = Self::One(new),
            Self::Chunks(chunks) => put(chunks, new),
        }
    }

    /// Does nothing for a connection that is not subscribed.
    pub(super) fn remove(&mut self, connection: ConnectionId) {
        match self {
            Self::One(one) if one.connection == connection => *self = Self::default(),
            Self::One(_) => (),
            Self::Chunks(chunks) => {
                remove(chunks, connection);
                if let [chunk] = &mut chunks[..]
                    && chunk.len() == 1
                {
                    *self = Self::One(chunk.pop().expect("one is in it"));
                }
            }
        }
    }
}

/// The chunk that has the connection, or where it belongs; an index of `chunks`, which has one.
fn chunk_of<T>(chunks: &[Vec<Subscriber<T>>], connection: ConnectionId) -> usize {
    let ends_before =
        |chunk: &Vec<Subscriber<T>>| chunk.last().is_some_and(|last| last.connection < connection);
    chunks.partition_point(ends_before).min(chunks.len() - 1)
}

fn place<T>(chunk: &[Subscriber<T>], connection: ConnectionId) -> Result<usize, usize> {
    chunk.binary_search_by_key(&connection, |subscriber| subscriber.connection)
}

fn put<T>(chunks: &mut Vec<Vec<Subscriber<T>>>, new: Subscriber<T>) {
    let at = chunk_of(chunks, new.connection);
    let chunk = &mut chunks[at];
    match place(chunk, new.connection) {
        Ok(found) => chunk[found] = new,
        // Beyond the last of all: ids of connections grow, so full chunks stay full.
        Err(CHUNK_MAX) => chunks.push(vec![new]),
        Err(free) => {
            chunk.insert(free, new);
            if chunk.len() > CHUNK_MAX {
                let upper = chunk.split_off(CHUNK_MAX / 2);
                chunks.insert(at + 1, upper);
            }
        }
    }
}

fn remove<T>(chunks: &mut Vec<Vec<Subscriber<T>>>, connection: ConnectionId) {
    if chunks.is_empty() {
        return;
    }
    let at = chunk_of(chunks, connection);
    let Ok(found) = place(&chunks[at], connection) else { return };
    chunks[at].remove(found);
    if chunks[at].is_empty() {
        chunks.remove(at);
        return;
    }
    // No two neighbours stay nearly empty: memory returns whatever order connections end in.
    for lower in [Some(at), at.checked_sub(1)].into_iter().flatten() {
        let upper_len = chunks.get(lower + 1).map_or(CHUNK_MAX, Vec::len);
        if chunks[lower].len() + upper_len <= CHUNK_MAX / 2 {
            let upper = chunks.remove(lower + 1);
            chunks[lower].extend(upper);
        }
    }
}

/// Goes through subscribers in the order of their connections.
#[derive(Debug)]
pub(super) struct Iter<'a, T> {
    chunk: slice::Iter<'a, Subscriber<T>>,
    chunks: slice::Iter<'a, Vec<Subscriber<T>>>,
}

impl<T> Default for Iter<'_, T> {
    fn default() -> Self {
        Self { chunk: [].iter(), chunks: [].iter() }
    }
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a Subscriber<T>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(subscriber) = self.chunk.next() {
                return Some(subscriber);
            }
            self.chunk = self.chunks.next()?.iter();
        }
    }

    fn fold<B, F: FnMut(B, Self::Item) -> B>(self, init: B, mut f: F) -> B {
        let all = self.chunks.flatten();
        let init = self.chunk.fold(init, &mut f);
        all.fold(init, f)
    }
}

#[cfg(test)]
mod tests {
    use ha_types::{Qos, SessionId};

    use super::*;
    use crate::engine::routes::Wants;

    fn subscriber(connection: u64, handle: u64) -> Subscriber<u64> {
        let route = Route {
            session: SessionId(connection),
            subscription_id: None,
            qos: Qos::AtMostOnce,
            no_local: false,
            retain_as_published: false,
            wants: Wants::All,
        };
        Subscriber { connection: ConnectionId(connection), handle, route }
    }

    fn connections(subscribers: &Subscribers<u64>) -> Vec<u64> {
        let one_by_one: Vec<_> = subscribers.iter().map(|s| s.connection.0).collect();
        let mut folded = Vec::new();
        subscribers.iter().for_each(|subscriber| folded.push(subscriber.connection.0));
        assert_eq!(one_by_one, folded);
        folded
    }

    fn chunk_lens(subscribers: &Subscribers<u64>) -> Vec<usize> {
        match subscribers {
            Subscribers::One(_) => vec![],
            Subscribers::Chunks(chunks) => chunks.iter().map(Vec::len).collect(),
        }
    }

    #[test]
    fn subscribers_are_in_order_whatever_order_they_came_in() {
        for step in [1, 7, 999] {
            let mut subscribers = Subscribers::default();
            for n in 0..1_000 {
                subscribers.put(subscriber(n * step % 1_000, n));
                subscribers.put(subscriber(n * step % 1_000, n));
            }
            assert_eq!(connections(&subscribers), (0..1_000).collect::<Vec<_>>());
            assert!(chunk_lens(&subscribers).iter().all(|len| (1..=CHUNK_MAX).contains(len)));
        }
    }

    #[test]
    fn growing_ids_fill_each_chunk() {
        let mut subscribers = Subscribers::default();
        (0..300).for_each(|n| subscribers.put(subscriber(n, n)));
        assert_eq!(chunk_lens(&subscribers), [128, 128, 44]);
    }

    #[test]
    fn second_subscription_of_a_connection_replaces_the_first() {
        for others in [0, 1, 500] {
            let mut subscribers = Subscribers::default();
            (0..=others).for_each(|n| subscribers.put(subscriber(n, 1)));
            subscribers.put(subscriber(0, 2));
            assert_eq!(subscribers.iter().next().unwrap().handle, 2);
            assert_eq!(subscribers.iter().count() as u64, others + 1);
        }
    }

    #[test]
    fn who_stays_shares_chunks_with_others() {
        let stays = |n: u64| n.is_multiple_of(100);
        for step in [1, 7, 9_999] {
            let mut subscribers = Subscribers::default();
            (0..10_000).for_each(|n| subscribers.put(subscriber(n, n)));
            let leaving = (0..10_000).map(|n| n * step % 10_000).filter(|n| !stays(*n));
            leaving.for_each(|n| subscribers.remove(ConnectionId(n)));
            subscribers.remove(ConnectionId(1));
            assert_eq!(
                connections(&subscribers),
                (0..10_000).filter(|n| stays(*n)).collect::<Vec<_>>()
            );
            assert!(chunk_lens(&subscribers).len() <= 4, "{:?}", chunk_lens(&subscribers));
            (100..10_000).for_each(|n| subscribers.remove(ConnectionId(n)));
            assert!(matches!(subscribers, Subscribers::One(_)));
            subscribers.remove(ConnectionId(1));
            assert_eq!(connections(&subscribers), [0]);
            subscribers.remove(ConnectionId(0));
            subscribers.remove(ConnectionId(0));
            assert!(subscribers.is_empty());
        }
    }
}
