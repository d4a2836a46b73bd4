//! What always holds. Called by tests and the simulation after every batch.

use std::collections::{BTreeMap, BTreeSet};

use ha_types::Qos;
use ha_types::session::Queued;

use super::ClusterState;
use super::session::{Durability, Session};
use super::timers::Due;

impl ClusterState {
    /// Checks everything; as slow as the state is large.
    ///
    /// # Panics
    /// When something does not hold.
    pub fn check_invariants(&self) {
        self.check_owners();
        self.check_lost();
        self.check_cursors();
        self.check_messages();
        self.check_exchanges();
        self.check_timers();
        self.check_groups();
        self.check_owed_wills();
    }

    /// One session for each client identifier, one owner for each session.
    fn check_owners(&self) {
        assert_eq!(self.by_client.len(), self.sessions.len(), "a client has one session");
        let subscriptions = self.sessions.values().map(|of| of.subscriptions.len());
        assert_eq!(subscriptions.sum::<usize>(), self.counts.subscriptions);
        for (client, id) in &self.by_client {
            assert_eq!(self.sessions[id].client_id, *client, "and is known by it");
        }
        let owners = self.sessions.values().filter_map(|of| Some((of.owner?.broker, of.id)));
        let owners: BTreeSet<_> = owners.collect();
        assert_eq!(owners, self.by_broker, "a broker has the sessions that it owns");
        for (broker, _) in &owners {
            assert!(self.brokers.contains_key(broker), "an owner is known while it owns");
        }
        assert!(self.sessions.keys().all(|id| id.0 < self.next_session), "sessions are new");
        assert!(self.brokers.keys().all(|epoch| epoch.0 < self.next_epoch), "epochs are new");
    }

    /// No message that a session needs is reclaimed, and none that nobody needs is kept.
    fn check_cursors(&self) {
        let mut cursors = BTreeMap::new();
        for session in self.sessions.values() {
            assert!(session.acked.upto <= self.messages.next(), "nobody acknowledges the future");
            assert!(session.acked.above.iter().all(|&number| number >= session.acked.upto));
            for place in session.subscriptions.iter().filter_map(|of| of.place) {
                let needed_from = place.cursor.max(session.acked.upto);
                assert!(place.cursor <= place.began.max(session.acked.upto), "cursors lag");
                let lowest = cursors.entry(place.index).or_insert((u64::MAX, 0));
                *lowest = (lowest.0.min(needed_from), lowest.1 + 1);
            }
            self.check_subscriptions(session);
        }
        for (id, index) in self.indexes.iter() {
            let (needed_from, sessions) = cursors.remove(&id).expect("an index has a session");
            assert_eq!(index.sessions(), sessions, "each session has one cursor");
            assert!(index.numbers.iter().is_sorted_by(|a, b| a < b), "in order");
            assert!(
                index.numbers.front().is_none_or(|&first| first >= needed_from),
                "what nobody needs is reclaimed"
            );
            let bytes = index.numbers.iter().map(|&number| self.messages.size(number));
            assert_eq!(index.bytes, bytes.sum::<usize>(), "bytes are counted");
            for (id, granted) in &index.connected {
                let session = &self.sessions[id];
                assert!(session.owner.is_some(), "it is connected");
                let of = session.subscriptions.iter().find(|of| {
                    of.place
                        .is_some_and(|place| self.indexes.get(place.index).filter == index.filter)
                });
                assert_eq!(of.map(|of| of.options.qos), Some(*granted), "and was granted this");
            }
        }
        assert!(cursors.is_empty() && self.indexes.len() == self.indexes.iter().count());
    }

    fn check_subscriptions(&self, session: &Session) {
        let in_order = |a: &super::session::Subscribed, b: &super::session::Subscribed| {
            a.options.subscription < b.options.subscription
        };
        assert!(session.subscriptions.is_sorted_by(in_order), "each filter once, in order");
        for of in &session.subscriptions {
            let is_stored = session.durability == Durability::Durable
                && of.options.qos > Qos::AtMostOnce
                && super::membership::shared(&of.options).is_none();
            assert_eq!(of.place.is_some(), is_stored, "durable subscriptions have an index");
            if let Some(place) = of.place {
                let index = self.indexes.get(place.index);
                assert_eq!(index.filter, *of.options.subscription.filter());
            }
        }
    }

    /// Counts agree with the indexes.
    fn check_messages(&self) {
        let mut needed: BTreeMap<u64, u32> = BTreeMap::new();
        for (_, index) in self.indexes.iter() {
            for &number in &index.numbers {
                *needed.entry(number).or_default() += 1;
                let message = self.messages.get(number).expect("an index has what is stored");
                assert!(index.filter.matches(&message.topic), "and what matches");
            }
        }
        assert_eq!(needed.len(), self.messages.len(), "every message is needed");
        let mut bytes = 0;
        for (number, by) in needed {
            assert_eq!(self.messages.needed_by(number), by, "by as many as have it");
            assert!(number < self.messages.next());
            bytes += self.messages.size(number);
        }
        assert_eq!(self.messages.bytes(), bytes);
    }

    /// A message is queued, or in an exchange, or done.
    fn check_exchanges(&self) {
        use super::session::Exchange::{self, Sent};
        for session in self.sessions.values() {
            for (packet_id, exchange) in &session.records {
                let Sent(offset, kept) = exchange else { continue };
                assert_eq!(*packet_id, offset.packet_id(), "the client knows it by its offset");
                assert!(kept.qos > Qos::AtMostOnce);
                let is_queued = match (offset.private, session.shared.get(&offset.message)) {
                    (0, Some(shared)) => shared.kept.is_some(),
                    (0, None) => !session.acked.has(offset.message),
                    _ => session.private.contains_key(offset),
                };
                assert!(!is_queued, "an exchange has it for itself");
            }
            let waits = |queued: &Queued| queued.qos == Qos::ExactlyOnce;
            let first = self.queued(session, None).find(waits).map(|first| first.offset);
            let sent = session.records.values().filter_map(|exchange| match exchange {
                Sent(offset, _) => Some(*offset),
                Exchange::Received(_) => None,
            });
            let last = sent.max();
            assert!(first.is_none() || last < first, "exchanges begin in order");
            for offset in session.private.keys() {
                assert!(offset.private > 0 && *offset <= session.reserved, "places are reserved");
                assert_eq!(session.durability, Durability::Durable);
            }
        }
    }

    /// What waits has a time, and every time waits for something.
    fn check_timers(&self) {
        let mut timers = 0;
        for session in self.sessions.values() {
            let waits =
                [(session.will_at, Due::Will(session.id)), (session.ends_at, Due::End(session.id))];
            for (at, due) in waits.into_iter().filter_map(|(at, due)| Some((at?, due))) {
                assert!(self.timers.has(at, due), "a session is woken when something is due");
                assert!(session.owner.is_none(), "nothing is due while it is connected");
                timers += 1;
            }
        }
        assert_eq!(self.timers.len(), timers);
    }
}
