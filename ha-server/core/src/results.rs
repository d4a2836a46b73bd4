//! When a numbered publish is answered: in order, when the log has it or leadership was proved after it
//! came, and when every broker that was given it has received it or is lost.

use ha_types::link::Downstream;

use crate::broker_set::Slot;
use crate::distributor::Distributor;
use crate::interface::Output;

/// Proofs that this node leads. Each is asked after what it proves; one is asked at a time.
#[derive(Debug, Default)]
pub(crate) struct Proofs {
    /// The highest that came back.
    pub(crate) proven: u64,
    /// The one that was asked and has not come back.
    asked: Option<u64>,
    /// The highest that something waits for.
    wanted: u64,
}

impl Proofs {
    /// The proof that something waits for that came just now.
    pub(crate) fn want(&mut self) -> u64 {
        // One that was asked before proves nothing of what came after.
        self.wanted = self.asked.unwrap_or(self.proven) + 1;
        self.wanted
    }

    fn ask(&mut self) -> Option<u64> {
        let is_due = self.asked.is_none() && self.wanted > self.proven;
        is_due.then(|| *self.asked.insert(self.wanted))
    }

    /// False: nobody asked.
    fn confirm(&mut self, number: u64) -> bool {
        let is_asked = self.asked == Some(number);
        if is_asked {
            self.asked = None;
            self.proven = number;
        }
        is_asked
    }
}

impl Distributor {
    pub(crate) fn ask_for_proof(&mut self, out: &mut Vec<Output>) {
        out.extend(self.proofs.ask().map(Output::Confirm));
    }

    pub(crate) fn confirmed(&mut self, number: u64, out: &mut Vec<Output>) {
        if self.proofs.confirm(number) {
            self.attached.iter().for_each(|slot| self.release(slot, out));
        }
    }

    /// Nothing waits for this broker any more.
    pub(crate) fn stop_waiting_for(&mut self, lost: Slot, out: &mut Vec<Output>) {
        for broker in self.brokers.values_mut() {
            broker.publishes.held.iter_mut().for_each(|held| held.waits_for.remove(lost));
        }
        self.wills.stop_waiting_for(lost);
        self.attached.iter().for_each(|slot| self.release(slot, out));
    }

    /// Sends the results that wait for nobody any more.
    pub(crate) fn release(&mut self, slot: Slot, out: &mut Vec<Output>) {
        if !self.attached.contains(slot) {
            return;
        }
        loop {
            let broker = self.brokers.get_mut(&slot).expect("attached brokers are known");
            let next = broker.publishes.next_answer(self.proofs.proven);
            let Some((number, outcome, retained)) = next else { return };
            self.send(slot, Downstream::PublishResult { number, outcome, retained }, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Proofs;

    #[test]
    fn proof_that_was_asked_before_proves_nothing_of_what_came_after() {
        let mut proofs = Proofs::default();
        assert_eq!((proofs.want(), proofs.want(), proofs.ask()), (1, 1, Some(1)));
        assert_eq!((proofs.want(), proofs.ask()), (2, None));
        assert!(!proofs.confirm(2) && proofs.confirm(1) && !proofs.confirm(1));
        assert_eq!((proofs.proven, proofs.ask(), proofs.ask()), (1, Some(2), None));
        assert!(proofs.confirm(2));
        assert_eq!((proofs.proven, proofs.ask()), (2, None));
    }
}
