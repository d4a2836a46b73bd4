//! What is due when.

use std::collections::BTreeSet;
use std::sync::Arc;

use ha_types::session::CloseCause;
use ha_types::{BrokerEpoch, ClusterMillis, Message, Publisher, SessionId};

use super::ClusterState;
use super::outcome::{Fired, Outcome};
use super::record::Key;

/// Something that happens by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Will(SessionId),
    End(SessionId),
}

/// Two for each session at most.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(ClusterMillis, Due)>);

impl Timers {
    pub(super) fn first(&self) -> Option<ClusterMillis> {
        self.0.first().map(|(at, _)| *at)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn has(&self, at: ClusterMillis, due: Due) -> bool {
        self.0.contains(&(at, due))
    }

    pub(super) fn set(&mut self, at: ClusterMillis, due: Due) {
        self.0.insert((at, due));
    }

    pub(super) fn unset(&mut self, at: ClusterMillis, due: Due) {
        self.0.remove(&(at, due));
    }

    fn take_due(&mut self, now: ClusterMillis) -> Option<Due> {
        let is_due = self.first().is_some_and(|at| at <= now);
        if is_due { self.0.pop_first().map(|(_, due)| due) } else { None }
    }
}

impl ClusterState {
    pub(super) fn expire(&mut self, at_most: u32) -> Outcome {
        for _ in 0..at_most {
            match self.timers.take_due(self.now) {
                Some(Due::Will(id)) => self.fire_will(id),
                Some(Due::End(id)) => self.end(id),
                None if self.free_one() => (),
                None => break,
            }
        }
        Outcome::Done
    }

    /// Ends one connection of a broker that is lost, or forgets the broker. False: there is none.
    fn free_one(&mut self) -> bool {
        let lost = self.brokers.iter().find(|(_, broker)| !broker.is_alive);
        let Some(broker) = lost.map(|(epoch, _)| *epoch) else { return false };
        let mut its = self.by_broker.range((broker, SessionId(0))..=(broker, SessionId(u64::MAX)));
        match its.next().map(|(_, id)| *id) {
            Some(id) => self.disown(id, CloseCause::Failure, None, None),
            None => self.forget_broker(broker),
        }
        true
    }

    fn forget_broker(&mut self, broker: BrokerEpoch) {
        self.brokers.remove(&broker);
        self.changed.insert(Key::Broker(broker));
    }

    /// Sets when the will and the end of a session without an owner are due, or does it at once.
    pub(super) fn plan_end(&mut self, id: SessionId) {
        use ha_types::session::Lifetime;
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let after = |seconds: u32| ClusterMillis(now.0.saturating_add(u64::from(seconds) * 1_000));
        session.will_at = session.will.as_ref().map(|will| after(will.delay_s));
        session.ends_at = match session.lifetime {
            Lifetime::Connection => Some(now),
            Lifetime::Seconds(seconds) => Some(after(seconds)),
            Lifetime::Unlimited => None,
        };
        let (will_at, ends_at) = (session.will_at, session.ends_at);
        self.set_timers(id);
        // [MQTT-3.1.3-9]: whichever comes first, for the end publishes it as well.
        if ends_at.is_some_and(|at| at <= now) {
            self.end(id);
        } else if will_at.is_some_and(|at| at <= now) {
            self.fire_will(id);
        }
    }

    pub(super) fn set_timers(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        for (at, due) in [(session.will_at, Due::Will(id)), (session.ends_at, Due::End(id))] {
            if let Some(at) = at {
                self.timers.set(at, due);
            }
        }
    }

    pub(super) fn forget_timers(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        for (at, due) in
            [(session.will_at.take(), Due::Will(id)), (session.ends_at.take(), Due::End(id))]
        {
            if let Some(at) = at {
                self.timers.unset(at, due);
            }
        }
    }

    /// Publishes the will of a session, if it has one that waits.
    pub(super) fn fire_will(&mut self, id: SessionId) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if let Some(at) = session.will_at.take() {
            self.timers.unset(at, Due::Will(id));
        }
        let Some(will) = session.will.take() else { return };
        self.changed.insert(Key::Session(id));
        let after = |seconds: u32| ClusterMillis(now.0.saturating_add(u64::from(seconds) * 1_000));
        let publisher = Publisher { session: id, epoch: BrokerEpoch(0) };
        let expires_at = will.expires_in_s.map(after);
        let message = Arc::new(Message { expires_at, publisher, ..Message::clone(&will.message) });
        let stored = self.store(&message);
        let version = stored.as_ref().ok().and_then(|stored| stored.retained).unwrap_or_default();
        let number = self.owe(&message, version);
        self.fired.push(Fired { message, stored, number });
    }
}
