//! What clients of this broker subscribe to, and when their SUBSCRIBEs are answered.

use ha_types::limits::FILTERS_PER_ITEM_MAX;
use ha_types::link::Upstream;
use ha_types::{SessionId, Ticket, TopicFilter};

use crate::downstream::delivery;
use crate::host::{HostCommand, HostEvent, NewSubscription, RetainedWanted};
use crate::interest::RetainedFilters;
use crate::plugin::{Event, Output, Plugin};

impl Plugin {
    pub(crate) fn host_event(&mut self, event: HostEvent, out: &mut Vec<Output>) {
        match event {
            HostEvent::Subscribe { ticket, session, subscriptions } => {
                let new = |s: &&NewSubscription| !self.interest.has(session, &s.subscription);
                let added = subscriptions.iter().filter(new).count();
                if self.interest.len() + added > self.config.filters_max {
                    out.push(Output::Note(Event::FiltersFull));
                    return out.push(Output::Host(HostCommand::SubscribeRefused { ticket }));
                }
                let retained = subscriptions.iter().map(|s| self.retained_filter(session, s));
                let retained: RetainedFilters = retained.collect();
                let filters = subscriptions
                    .iter()
                    .filter_map(|new| self.interest.add(session, &new.subscription))
                    .collect();
                self.announce(ticket, filters, retained, out);
            }
            HostEvent::Unsubscribe { session, subscriptions } => {
                let gone = subscriptions.iter().filter_map(|s| self.interest.remove(session, s));
                let gone = gone.collect();
                self.withdraw(gone, out);
            }
            HostEvent::SessionEnded { session } => {
                let gone = self.interest.end(session);
                self.withdraw(gone, out);
            }
        }
    }

    pub(crate) fn retained_filter(
        &self,
        session: SessionId,
        new: &NewSubscription,
    ) -> Option<TopicFilter> {
        let wanted = match new.retained {
            RetainedWanted::Always => true,
            RetainedWanted::IfNew => !self.interest.has(session, &new.subscription),
            RetainedWanted::Never => false,
        };
        wanted.then(|| new.subscription.filter().clone())
    }

    /// Announces new filters and waits for the answer, also when none is new: a SUBSCRIBE is
    /// answered after ha-server has seen it. Without ha-server it is answered at once.
    pub(crate) fn announce(
        &mut self,
        ticket: Ticket,
        filters: Vec<TopicFilter>,
        retained: RetainedFilters,
        out: &mut Vec<Output>,
    ) {
        let Some(attached) = self.link.attached() else {
            return self.subscribed(ticket, &retained, out);
        };
        let stream = attached.stream;
        let mut chunks = filters.chunks(FILTERS_PER_ITEM_MAX).map(<[_]>::to_vec);
        let last = chunks.next_back().unwrap_or_default();
        for filters in chunks {
            out.push(Output::Send(stream, Upstream::Announce { ticket: Ticket(0), filters }));
        }
        self.interest.wait(ticket, retained);
        out.push(Output::Send(stream, Upstream::Announce { ticket, filters: last }));
    }

    pub(crate) fn withdraw(&mut self, gone: Vec<TopicFilter>, out: &mut Vec<Output>) {
        let Some(attached) = self.link.attached() else { return };
        for filters in gone.chunks(FILTERS_PER_ITEM_MAX) {
            let withdraw = Upstream::Withdraw { filters: filters.to_vec() };
            out.push(Output::Send(attached.stream, withdraw));
        }
    }

    pub(crate) fn subscribed(
        &mut self,
        ticket: Ticket,
        filters: &RetainedFilters,
        out: &mut Vec<Output>,
    ) {
        let now = self.cluster_time();
        let matching = |filter: &Option<TopicFilter>| {
            let filter = filter.as_ref()?;
            Some(self.copy.store.matching(filter, now).filter_map(|m| delivery(m, now)).collect())
        };
        let retained = filters.iter().map(|filter| matching(filter).unwrap_or_default()).collect();
        out.push(Output::Host(HostCommand::Subscribed { ticket, retained }));
    }
}
