//! Live interest: which brokers need messages for which filters.

use ha_types::link::{Downstream, GoodbyeReason};
use ha_types::{Ticket, TopicFilter};

use crate::broker::StreamId;
use crate::broker_set::Slot;
use crate::distributor::{Distributor, Output};

impl Distributor {
    pub(crate) fn announce(
        &mut self,
        slot: Slot,
        stream: StreamId,
        ticket: Ticket,
        filters: Vec<TopicFilter>,
        out: &mut Vec<Output>,
    ) {
        let broker = self.brokers.get_mut(&slot).expect("the stream's broker is known");
        for filter in filters {
            if broker.filters.contains(&filter) {
                continue;
            }
            if broker.filters.len() >= self.config.filters_max {
                let detail = format!("more than {} topic filters", self.config.filters_max);
                return self.end(stream, GoodbyeReason::ProtocolError, detail, out);
            }
            self.interest.entry(&filter).insert(slot);
            broker.filters.insert(filter);
        }
        self.send(slot, Downstream::InterestTaken { ticket }, out);
    }

    pub(crate) fn withdraw(&mut self, slot: Slot, filters: &[TopicFilter]) {
        let broker = self.brokers.get_mut(&slot).expect("the stream's broker is known");
        for filter in filters.iter().filter(|filter| broker.filters.remove(*filter)) {
            self.interest.retain(filter, |brokers| {
                brokers.remove(slot);
                !brokers.is_empty()
            });
        }
    }

    pub(crate) fn forget_interest(&mut self, slot: Slot) {
        let broker = self.brokers.get_mut(&slot).expect("only known brokers have interest");
        let filters: Vec<_> = std::mem::take(&mut broker.filters).into_iter().collect();
        for filter in &filters {
            self.interest.retain(filter, |brokers| {
                brokers.remove(slot);
                !brokers.is_empty()
            });
        }
    }
}
