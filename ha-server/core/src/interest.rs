//! Live interest: which brokers need messages for which filters.

use ha_types::link::{Downstream, GoodbyeReason, Needs};
use ha_types::{Ticket, TopicFilter};

use crate::broker::StreamId;
use crate::broker_set::Slot;
use crate::distributor::Distributor;
use crate::interface::Output;

impl Distributor {
    pub(crate) fn announce(
        &mut self,
        (slot, stream): (Slot, StreamId),
        ticket: Ticket,
        needs: Needs,
        filters: Vec<TopicFilter>,
        out: &mut Vec<Output>,
    ) {
        let broker = self.brokers.get_mut(&slot).expect("the stream's broker is known");
        for filter in filters {
            let is_new = !broker.filters.contains_key(&filter);
            if is_new && broker.filters.len() >= self.config.filters_max {
                let detail = format!("more than {} topic filters", self.config.filters_max);
                return self.end(stream, GoodbyeReason::ProtocolError, detail, out);
            }
            broker.stale_filters.remove(&filter);
            if broker.filters.get(&filter) == Some(&needs) {
                continue;
            }
            let interested = self.interest.entry(&filter);
            let (into, other) = match needs {
                Needs::All => (&mut interested.all, &mut interested.at_most_once),
                Needs::AtMostOnce => (&mut interested.at_most_once, &mut interested.all),
            };
            into.insert(slot);
            other.remove(slot);
            broker.filters.insert(filter, needs);
        }
        self.send(slot, Downstream::InterestTaken { ticket }, out);
    }

    pub(crate) fn withdraw(&mut self, slot: Slot, filters: &[TopicFilter]) {
        let broker = self.brokers.get_mut(&slot).expect("the stream's broker is known");
        for filter in filters {
            let known = broker.filters.remove(filter);
            if known.or(broker.stale_filters.remove(filter)).is_some() {
                remove(&mut self.interest, filter, slot);
            }
        }
    }

    /// What was announced on the stream before and not on this one.
    pub(crate) fn forget_stale(&mut self, slot: Slot) {
        let broker = self.brokers.get_mut(&slot).expect("only known brokers have interest");
        for filter in std::mem::take(&mut broker.stale_filters).into_keys() {
            remove(&mut self.interest, &filter, slot);
        }
    }

    pub(crate) fn forget_interest(&mut self, slot: Slot) {
        let broker = self.brokers.get_mut(&slot).expect("only known brokers have interest");
        for filter in std::mem::take(&mut broker.filters).into_keys() {
            remove(&mut self.interest, &filter, slot);
        }
        self.forget_stale(slot);
    }
}

type Tree = ha_types::FilterTree<crate::fan_out::Interested>;

fn remove(interest: &mut Tree, filter: &TopicFilter, slot: Slot) {
    interest.retain(filter, |of| {
        of.all.remove(slot);
        of.at_most_once.remove(slot);
        !of.all.union(of.at_most_once).is_empty()
    });
}
