//! What a broker keeps, for tests to look at.

use broker_core::engine::Counts;
use broker_core::holder::HolderCounts;
use ha_types::{Message, Millis};

use super::{Broker, Client};

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
}
