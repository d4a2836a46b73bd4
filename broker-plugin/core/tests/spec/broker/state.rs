//! What a broker keeps, for whoever checks more than what clients see.

use broker_core::engine::{Counts, Limits};
use broker_core::holder::{HolderConfig, HolderCounts};
use ha_types::{Message, Millis};

use super::{Broker, Client};
use crate::spec::alone::Alone;

impl Broker {
    /// Sessions that the holder keeps.
    pub(crate) fn sessions(&self) -> usize {
        self.held().sessions
    }

    /// What the holder counts. Its invariants are checked as well.
    pub(crate) fn held(&self) -> HolderCounts {
        self.holder.check_invariants();
        self.holder.counts()
    }

    /// What a connection counts.
    pub(crate) fn counts(&self, client: Client) -> Counts {
        self.links[&client.0].out.counts
    }

    /// Whether nothing is kept of anybody: no session, no timer, no route.
    pub(crate) fn is_empty(&self) -> bool {
        self.holder.is_empty() && self.routes.is_empty()
    }

    /// What a topic retains.
    pub(crate) fn retained(&mut self, topic: &str) -> Option<Message> {
        self.plugin.retained(Millis(self.now), topic)
    }

    /// With limits of what the whole broker subscribes to and retains.
    pub(crate) fn small(
        limits: Limits,
        config: HolderConfig,
        filters_max: usize,
        retained_max: usize,
    ) -> Self {
        let plugin = Alone::with_limits(filters_max, retained_max);
        Self { plugin, ..Self::with(limits, config) }
    }

    /// Panics when an invariant of a part is broken.
    pub(crate) fn check_invariants(&self) {
        self.holder.check_invariants();
        self.plugin.check_invariants();
    }

    /// Panics when something is kept for clients, although all are gone for good.
    pub(crate) fn check_empty(&self) {
        let ended = |link: &super::Link| link.connection.is_ended();
        assert!(self.links.values().all(ended), "a connection goes on");
        let HolderCounts { sessions, connected, subscriptions, queued, .. } = self.held();
        assert_eq!((sessions, connected, subscriptions, queued), (0, 0, 0, 0));
        assert!(self.holder.is_empty(), "something is kept of a session");
        assert!(self.routes.is_empty(), "a route leads to nobody");
        assert_eq!(self.plugin.interest(), 0, "the cluster is asked for what nobody wants");
    }

    /// Bytes in the broker's buffer for this client.
    pub(crate) fn unwritten(&self, client: Client) -> usize {
        self.links[&client.0].out.bytes.len()
    }

    /// Bytes of this client that the broker has not taken.
    pub(crate) fn untaken(&self, client: Client) -> usize {
        self.links[&client.0].sent.len()
    }

    /// Deliveries that wait at this client's connection.
    pub(crate) fn waiting(&self, client: Client) -> usize {
        self.links[&client.0].connection.waiting()
    }
}
