//! What is always true between two steps. For tests.

use std::collections::BTreeMap;

use ha_types::{Millis, TopicFilter};

use crate::downstream::delivery;
use crate::host::Delivery;
use crate::interest::Interest;
use crate::link::Link;
use crate::outbox::{Outbox, weight};
use crate::plugin::Plugin;

impl Plugin {
    /// Panics when an invariant is broken.
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        self.outbox.check_invariants();
        self.interest.check_invariants();
        self.copy.provisional.check_invariants();
        self.relay.check_invariants();
        assert!(self.interest.len() <= self.config.filters_max, "filters are bounded");
        assert_eq!(self.deadline().is_none(), matches!(self.link, Link::Alone));
        match self.link.attached() {
            Some(attached) => {
                let (sent, waiting) = self.outbox.sent_and_waiting();
                assert!(sent <= attached.window, "the window bounds what is unanswered");
                let next = self.outbox.next_session();
                let may = sent < attached.window && !next.is_some_and(|of| self.relay.is_guest(of));
                assert!(!may || waiting == 0, "what may be sent is sent");
                assert!(attached.lease.expires() > self.now, "no lease outlives its end");
                let waits = self.interest.waiting.values().any(|waiting| waiting.is_taken);
                assert!(!waits || !self.copy.is_complete, "who may be answered is answered");
            }
            None => {
                assert!(self.interest.waiting.is_empty(), "who waits for ha-server is attached");
                assert!(!self.copy.is_busy(), "a transfer ends with its stream");
            }
        }
    }

    /// The retained messages that a new subscriber to `filter` would get.
    #[doc(hidden)]
    #[must_use]
    pub fn retained_matching(&self, filter: &TopicFilter) -> Vec<Delivery> {
        let now = self.cluster_time();
        self.copy.matching(filter, now).filter_map(|message| delivery(message, now)).collect()
    }

    /// Every filter that some session has, in order.
    #[doc(hidden)]
    pub fn interest(&self) -> impl Iterator<Item = &TopicFilter> {
        self.interest.filters()
    }

    /// The time of the last step.
    #[doc(hidden)]
    #[must_use]
    pub fn now(&self) -> Millis {
        self.now
    }
}

impl Interest {
    fn check_invariants(&self) {
        let mut counts = BTreeMap::new();
        for subscription in self.sessions.values().flatten() {
            *counts.entry(subscription.filter().clone()).or_insert(0_usize) += 1;
        }
        assert_eq!(self.filters, counts, "filters are counted by subscriptions");
        assert!(self.sessions.values().all(|s| !s.is_empty()), "no session is kept for nothing");
    }
}

impl Outbox {
    fn check_invariants(&self) {
        let numbers: Vec<_> = self.entries.iter().filter_map(|entry| entry.number).collect();
        assert!(numbers.iter().is_sorted() && numbers.windows(2).all(|n| n[1].0 == n[0].0 + 1));
        assert!(numbers.last().is_none_or(|&last| last == self.last_number), "numbers are dense");
        let bytes: usize = self.entries.iter().map(|entry| entry.message.size()).sum();
        assert_eq!(self.bytes, bytes, "bytes agree with the messages");
        let weights = self.entries.iter().map(|entry| weight(entry.message.size()));
        assert_eq!(self.weight(), weights.sum(), "so does the weight");
        assert!(self.sent <= self.entries.len());
        let mut sent = self.entries.iter().take(self.sent);
        assert!(sent.all(|entry| entry.number.is_some()), "only numbered publishes are unanswered");
        let turns: Vec<_> = self.entries.iter().map(|entry| entry.turn).collect();
        assert!(turns.is_sorted(), "publishes are sent again in the order of their first sending");
    }
}
