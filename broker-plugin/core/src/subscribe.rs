//! What clients of this broker subscribe to, and when their SUBSCRIBEs are answered.

use ha_types::link::{Needs, Upstream};
use ha_types::{SessionId, Subscription, Ticket, TopicFilter};

use crate::downstream::delivery;
use crate::host::{HostCommand, HostEvent, NewSubscription, RetainedWanted};
use crate::interest::{RetainedFilters, items};
use crate::plugin::{Event, Output, Plugin};

impl Plugin {
    pub(crate) fn host_event(&mut self, event: HostEvent, out: &mut Vec<Output>) {
        match event {
            HostEvent::Subscribe { ticket, session, subscriptions } => {
                let all = subscriptions.iter().map(|new| &new.subscription);
                if !self.interest.has_room_for(session, all, self.config.filters_max) {
                    out.push(Output::Note(Event::FiltersFull));
                    return out.push(Output::Host(HostCommand::SubscribeRefused { ticket }));
                }
                let (mut retained, mut filters) = (RetainedFilters::new(), Vec::new());
                // One after the other: the second of two equal ones is not new [MQTT-3.8.4-5].
                for new in &subscriptions {
                    retained.push(self.retained_filter(session, new));
                    filters.extend(self.interest.add(session, &new.subscription));
                }
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
            HostEvent::Ask(ask) => self.ask(ask, out),
        }
    }

    pub(crate) fn retained_filter(
        &self,
        session: SessionId,
        new: &NewSubscription,
    ) -> Option<TopicFilter> {
        let Subscription::Plain(filter) = &new.subscription else { return None };
        let wanted = match new.retained {
            RetainedWanted::Always => true,
            RetainedWanted::IfNew => !self.interest.has(session, &new.subscription),
            RetainedWanted::Never => false,
        };
        wanted.then(|| filter.clone())
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
        let mut items = items(filters);
        let last = items.pop().unwrap_or_default();
        for filters in items {
            out.push(Output::Send(
                stream,
                Upstream::Announce { ticket: Ticket(0), needs: Needs::All, filters },
            ));
        }
        self.interest.wait(ticket, retained);
        out.push(Output::Send(
            stream,
            Upstream::Announce { ticket, needs: Needs::All, filters: last },
        ));
    }

    pub(crate) fn withdraw(&mut self, gone: Vec<TopicFilter>, out: &mut Vec<Output>) {
        let Some(attached) = self.link.attached() else { return };
        for filters in items(gone) {
            out.push(Output::Send(attached.stream, Upstream::Withdraw { filters }));
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
            let found = filter.iter().flat_map(|filter| self.copy.matching(filter, now));
            found.filter_map(|message| delivery(message, now)).collect()
        };
        let retained = filters.iter().map(matching).collect();
        out.push(Output::Host(HostCommand::Subscribed { ticket, retained }));
    }
}
