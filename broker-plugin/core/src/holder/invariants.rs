//! What is always true between two steps. For tests.

use ha_types::Qos;
use ha_types::Subscription;

use super::Holder;
use super::session::{Durability, Session};

impl Holder {
    /// Panics when an invariant is broken.
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        assert_eq!(self.by_client.len(), self.sessions.len(), "one session per client identifier");
        for (client, id) in &self.by_client {
            assert_eq!(&self.sessions[id].client_id, client, "each names the other");
        }
        assert!(self.sessions.len() <= self.config.sessions_max, "sessions are bounded");
        self.sessions.values().for_each(|session| self.check_session(session));
        self.check_counts();
        for (client, waiting) in &self.waiting {
            let owned = self.sessions[&self.by_client[client]].owner;
            assert!(owned.is_some_and(|owner| owner != waiting.open.connection), "it waits for it");
        }
        let timers =
            self.sessions.values().flat_map(|session| [session.will_at, session.expires_at]);
        let timers = timers.flatten().count() + self.waiting.len();
        assert_eq!(self.timers.len(), timers, "nothing is due for nobody");
    }

    /// Whether nothing is kept of anybody.
    #[doc(hidden)]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
            && self.by_client.is_empty()
            && self.waiting.is_empty()
            && self.interested.is_empty()
            && self.asked.is_empty()
            && self.timers.len() == 0
    }

    fn check_session(&self, session: &Session) {
        session.queue.check_invariants();
        let is_away = session.owner.is_none();
        assert!(session.queue.len() <= self.config.queue_messages_max, "queues are bounded");
        assert!(session.subscriptions.len() <= self.config.subscriptions_max, "so are filters");
        assert!(
            is_away || (session.will_at, session.expires_at) == (None, None),
            "it is connected"
        );
        assert!(!is_away || session.durability == Durability::Durable, "an ephemeral one ends");
    }

    fn check_counts(&self) {
        let all = || self.sessions.values();
        let connected = all().filter(|session| session.owner.is_some()).count();
        assert_eq!(self.counts.connected, connected);
        assert_eq!(self.counts.queued, all().map(|session| session.queue.len()).sum());
        assert_eq!(self.counts.subscriptions, all().map(|s| s.subscriptions.len()).sum());
        let (mut memberships, mut durable_filters) = (0, 0);
        for session in all() {
            for options in session.subscriptions.values() {
                match options.subscription {
                    Subscription::Shared(_) => memberships += 1,
                    Subscription::Plain(_) => {
                        let counts = session.durability == Durability::Durable
                            && options.qos > Qos::AtMostOnce;
                        durable_filters += usize::from(counts);
                    }
                }
            }
        }
        assert_eq!(self.memberships, memberships);
        assert_eq!(self.durable_filters, durable_filters);
    }
}
