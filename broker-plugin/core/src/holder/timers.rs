//! What is due when.

use std::collections::BTreeSet;
use std::sync::Arc;

use ha_types::{Millis, SessionId};

use super::{Holder, Output};

/// Something that happens by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// The old connection of a client identifier has had its time.
    Takeover(Arc<str>),
    Will(SessionId),
    End(SessionId),
}

/// Bounded by the number of sessions.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Millis, Due)>);

impl Timers {
    pub(super) fn first(&self) -> Option<Millis> {
        self.0.first().map(|(at, _)| *at)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn set(&mut self, at: Millis, due: Due) {
        self.0.insert((at, due));
    }

    pub(super) fn unset(&mut self, at: Millis, due: Due) {
        self.0.remove(&(at, due));
    }

    fn take_due(&mut self, now: Millis) -> Option<Due> {
        let is_due = self.first().is_some_and(|at| at <= now);
        if is_due { self.0.pop_first().map(|(_, due)| due) } else { None }
    }
}

impl Holder {
    /// First of all: what is due happens before what comes.
    pub(super) fn expire(&mut self, out: &mut Vec<Output>) {
        while let Some(due) = self.timers.take_due(self.at.now) {
            match due {
                Due::Takeover(client) => self.take_over_by_force(&client, out),
                Due::Will(session) => self.fire_will(session),
                Due::End(session) => self.end(session, out),
            }
        }
    }
}
