//! What a session has not acknowledged, in order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use ha_types::SessionId;

use super::ClusterState;
use super::index::{Index, Indexes};
use super::record::Key;
use super::session::Session;

/// Numbers of several indexes, merged: each once, in order.
struct Merged<'a> {
    indexes: Vec<&'a Index>,
    /// The next number of each, and where it is.
    next: BinaryHeap<Reverse<(u64, usize, usize)>>,
    last: Option<u64>,
}

impl Iterator for Merged<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        loop {
            let Reverse((number, of, at)) = self.next.pop()?;
            if let Some(&following) = self.indexes[of].numbers.get(at + 1) {
                self.next.push(Reverse((following, of, at + 1)));
            }
            if self.last.replace(number) != Some(number) {
                return Some(number);
            }
        }
    }
}

impl Indexes {
    /// What the filters of a session have from `from` on, acknowledged above its cursor or not.
    pub(super) fn candidates(&self, session: &Session, from: u64) -> impl Iterator<Item = u64> {
        let places = session.subscriptions.iter().filter_map(|of| of.place);
        let (mut indexes, mut next) = (Vec::new(), BinaryHeap::new());
        for place in places {
            let index = self.get(place.index);
            let at = index.at(from.max(place.began));
            if let Some(&number) = index.numbers.get(at) {
                next.push(Reverse((number, indexes.len(), at)));
                indexes.push(index);
            }
        }
        Merged { indexes, next, last: None }
    }

    /// What a session has not acknowledged, from `from` on. What has expired is among them.
    pub(super) fn pending<'a>(
        &'a self,
        session: &'a Session,
        from: u64,
    ) -> impl Iterator<Item = u64> + 'a {
        self.candidates(session, from).filter(|&number| !session.acked.has(number))
    }

    /// Messages and bytes that a session has not acknowledged: not more than these.
    pub(super) fn at_most_pending(&self, session: &Session) -> (usize, usize) {
        let places = session.subscriptions.iter().filter_map(|of| of.place);
        places.fold((0, 0), |(messages, bytes), place| {
            let index = self.get(place.index);
            let behind = index.numbers.len() - index.at(session.acked.upto.max(place.began));
            (messages + behind, bytes + index.bytes)
        })
    }
}

impl ClusterState {
    /// Moves a session past what it has acknowledged, what has expired and what is not for it, and
    /// reclaims what nobody needs any more.
    pub(super) fn advance(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let (mut upto, mut expired) = (self.messages.next(), 0);
        for number in self.indexes.candidates(session, session.acked.upto) {
            let message = self.messages.get(number).expect("an index has what is stored");
            if session.acked.has(number) {
                continue;
            }
            if message.is_expired(self.now) {
                expired += 1;
            } else if session.merged(number, message).is_some() {
                upto = number;
                break;
            }
        }
        self.counts.expired += expired;
        self.skip_to(id, upto);
    }

    /// A session is done with everything below `upto`.
    pub(super) fn skip_to(&mut self, id: SessionId, upto: u64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if upto <= session.acked.upto {
            return;
        }
        session.acked.skip_to(upto);
        self.changed.insert(Key::Session(id));
        let mut gone = Vec::new();
        for place in session.subscriptions.iter_mut().filter_map(|of| of.place.as_mut()) {
            let first = self.indexes.get(place.index).numbers.front();
            // A cursor that holds nothing back may stay where it is.
            if place.cursor < upto && first.is_some_and(|&first| first < upto) {
                let way = (place.cursor, upto);
                self.indexes.move_cursor(place.index, id, way, &mut self.messages, &mut gone);
                place.cursor = upto;
            }
        }
        self.forget_messages(gone);
    }
}
