//! Which messages a client got, and how long ago: on this connection, earlier in this session, or in
//! an earlier one.

use std::collections::HashMap;

use crate::event::Name;
use crate::numbers::Numbers;
use crate::published::MessageRef;

/// Whether a message came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// This is the first time.
    Never,
    /// On the same connection.
    SameConnection,
    /// On an earlier connection of the same session.
    SameSession,
    /// On a later connection: this one was read late.
    LaterConnection,
    /// In a session that ended.
    EarlierSession,
}

/// Where a delivery came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) connection: u32,
    /// Counts the client's sessions.
    pub(crate) session: u32,
}

/// What came from one publisher; one bit for each message, twice at most.
#[derive(Debug, Default)]
struct Flow {
    connection: u32,
    session: u32,
    here: Numbers,
    this_session: Numbers,
    earlier: Numbers,
    as_retained: Numbers,
    settled: Numbers,
}

impl Flow {
    fn move_to(&mut self, place: Place) {
        if place.session > self.session {
            self.earlier.absorb(&mut self.here);
            self.earlier.absorb(&mut self.this_session);
            (self.session, self.connection) = (place.session, place.connection);
        } else if place.session == self.session && place.connection > self.connection {
            self.this_session.absorb(&mut self.here);
            self.connection = place.connection;
        }
    }

    fn before(&self, place: Place, index: u32) -> Before {
        let is_late = place.connection < self.connection;
        if self.here.contains(index) {
            return if is_late { Before::LaterConnection } else { Before::SameConnection };
        }
        match () {
            () if self.this_session.contains(index) => Before::SameSession,
            () if self.earlier.contains(index) => Before::EarlierSession,
            () => Before::Never,
        }
    }

    fn take(&mut self, place: Place, index: u32) -> Before {
        self.move_to(place);
        let before = self.before(place, index);
        if place.connection == self.connection {
            self.here.insert(index);
        } else if place.session == self.session {
            self.this_session.insert(index);
        } else {
            self.earlier.insert(index);
        }
        before
    }

    fn has(&self, index: u32) -> bool {
        let sets = [&self.here, &self.this_session, &self.as_retained, &self.earlier];
        sets.iter().any(|set| set.contains(index))
    }
}

/// What came from all publishers. Only looked up: the order of the map is never seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    flows: HashMap<Name, Flow>,
}

impl Seen {
    /// A message came in the normal course.
    pub(crate) fn take(&mut self, place: Place, message: MessageRef) -> Before {
        self.flows.entry(message.publisher).or_default().take(place, message.index)
    }

    /// A message came with RETAIN; says whether for the first time.
    pub(crate) fn take_retained(&mut self, message: MessageRef) -> bool {
        let set = &mut self.flows.entry(message.publisher).or_default().as_retained;
        let is_first = !set.contains(message.index);
        set.insert(message.index);
        is_first
    }

    pub(crate) fn has(&self, message: MessageRef) -> bool {
        self.flows.get(&message.publisher).is_some_and(|flow| flow.has(message.index))
    }

    /// Nothing more is to be said of a message that did not come; says whether it was so before.
    pub(crate) fn settle(&mut self, message: MessageRef) -> bool {
        let set = &mut self.flows.entry(message.publisher).or_default().settled;
        let was_settled = set.contains(message.index);
        set.insert(message.index);
        was_settled
    }
}
