//! When a numbered publish is answered: in order, and not while a broker that got it is behind.

use ha_types::link::{Downstream, PublishOutcome};
use ha_types::{PublishNumber, RetainedVersion};

use crate::broker::HeldResult;
use crate::broker_set::{BrokerSet, Slot};
use crate::distributor::{Distributor, Output};

impl Distributor {
    pub(crate) fn answer(
        &mut self,
        slot: Slot,
        number: PublishNumber,
        (outcome, retained): (PublishOutcome, RetainedVersion),
        waits_for: BrokerSet,
        out: &mut Vec<Output>,
    ) {
        let broker = self.brokers.get_mut(&slot).expect("the stream's broker is known");
        broker.held.push_back(HeldResult { number, outcome, retained, waits_for });
        self.release(slot, out);
    }

    /// Nothing waits for this broker any more: it is not behind, or it is gone and its slot may be
    /// another's soon.
    pub(crate) fn stop_waiting_for(&mut self, caught_up: Slot, out: &mut Vec<Output>) {
        for slot in self.attached.iter() {
            let broker = self.brokers.get_mut(&slot).expect("attached brokers are known");
            broker.held.iter_mut().for_each(|held| held.waits_for.remove(caught_up));
            self.release(slot, out);
        }
    }

    /// Sends the results that no longer wait for anybody.
    fn release(&mut self, slot: Slot, out: &mut Vec<Output>) {
        loop {
            let broker = self.brokers.get_mut(&slot).expect("attached brokers are known");
            let ready = |held: &&HeldResult| held.waits_for.is_empty();
            let Some(&held) = broker.held.front().filter(ready) else { return };
            broker.held.pop_front();
            let HeldResult { number, outcome, retained, .. } = held;
            self.send(slot, Downstream::PublishResult { number, outcome, retained }, out);
        }
    }
}
