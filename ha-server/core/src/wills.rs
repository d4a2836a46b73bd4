//! Wills that brokers were given, or will be, and have not all received.
//!
//! The state owes them until all have: a leader that dies before leaves it to the next one.

use std::collections::VecDeque;

use ha_types::PublishNumber;
use ha_types::link::Origin;

use crate::broker_set::{BrokerSet, Slot};
use crate::cluster::{ClusterState, Command, OwedWill};
use crate::distributor::Distributor;
use crate::interface::Output;
use crate::proposals::Proposed;
use crate::publish::Source;
use crate::receipts::Unreceived;

/// See the module. As many as the state owes.
#[derive(Debug, Default)]
pub(crate) struct Wills {
    /// In order, each with those who have not received it.
    given: VecDeque<(PublishNumber, BrokerSet)>,
    /// The log is being told that some were received.
    is_telling: bool,
}

impl Wills {
    /// The next one; its number is higher than those before.
    pub(crate) fn given(&mut self, number: PublishNumber, waits_for: BrokerSet) {
        self.given.push_back((number, waits_for));
    }

    pub(crate) fn received_by(&mut self, slot: Slot, number: PublishNumber) {
        if let Ok(at) = self.given.binary_search_by_key(&number, |(number, _)| *number) {
            self.given[at].1.remove(slot);
        }
    }

    /// Nothing waits for this broker any more.
    pub(crate) fn stop_waiting_for(&mut self, slot: Slot) {
        self.given.iter_mut().for_each(|(_, waits_for)| waits_for.remove(slot));
    }

    /// What the log is to be told: all have received the wills up to here.
    fn tell(&mut self) -> Option<PublishNumber> {
        if self.is_telling {
            return None;
        }
        let mut upto = None;
        while let Some((number, _)) = self.given.pop_front_if(|(_, waits_for)| waits_for.is_empty())
        {
            upto = Some(number);
        }
        self.is_telling = upto.is_some();
        upto
    }

    pub(crate) fn told(&mut self) {
        self.is_telling = false;
    }

    /// In order, each with those who have not received it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(PublishNumber, BrokerSet)> {
        self.given.iter()
    }
}

impl Source {
    pub(crate) fn of_will(number: PublishNumber) -> Self {
        Self { broker: Origin::WILLS, origin: Origin::of_will(number) }
    }
}

impl Distributor {
    /// Whoever lived under an earlier leader may not have what is owed; until he is back, nobody knows
    /// whether he needs it.
    pub(crate) fn give_owed(&mut self, state: &ClusterState) {
        for (number, OwedWill { message, retained }) in state.owed_wills() {
            for slot in self.living.iter() {
                let item = Unreceived {
                    source: Some(Source::of_will(number)),
                    known_as: Vec::new(),
                    message: message.clone(),
                    retained: *retained,
                };
                let broker = self.brokers.get_mut(&slot).expect("who lives is known");
                broker.receipts.unreceived.push_back(item);
            }
            self.wills.given(number, self.living);
        }
    }

    /// What all have received is not owed any more.
    pub(crate) fn tell_received_wills(&mut self, out: &mut Vec<Output>) {
        if let Some(upto) = self.wills.tell() {
            self.propose(Proposed::WillsReceived, Command::WillsReceived { upto }, out);
        }
    }
}
