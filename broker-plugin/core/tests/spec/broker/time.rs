//! The clock, which only the test moves.

use broker_core::engine::{Input, Surroundings};
use broker_core::holder;
use ha_types::session::ConnectionId;

use super::Broker;

impl Broker {
    /// Lets time pass, with everything that is due meanwhile.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        loop {
            let due = self.deadline().filter(|due| *due <= end);
            self.now = due.unwrap_or(end).max(self.now);
            self.tick();
            if due.is_none() {
                return;
            }
        }
    }

    fn deadline(&self) -> Option<u64> {
        let at = self.moment();
        let around = Surroundings { limits: &self.limits, access: self.access.as_deref() };
        let links = self.links.values().filter_map(|link| link.connection.deadline(at, &around));
        let first = links.chain(self.holder.deadline()).min()?.0;
        // What is due now has been done, unless it is a keep alive that waits for its tick.
        Some(first.max(self.now + 1))
    }

    fn tick(&mut self) {
        let ids: Vec<_> = self.links.keys().copied().collect();
        for id in ids {
            self.work.push_back((ConnectionId(id), Input::Tick));
        }
        self.hold(holder::Input::Tick);
        self.run();
    }
}
