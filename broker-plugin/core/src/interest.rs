//! Which filters this broker's sessions need, and which SUBSCRIBEs wait for ha-server.
//!
//! A filter is announced while at least one session has it: plain and shared subscriptions to the
//! same filter count together.

use std::collections::{BTreeMap, BTreeSet};

use ha_types::limits::{FILTERS_PER_ITEM_MAX, FRAME_BYTES};
use ha_types::{SessionId, Subscription, Ticket, TopicFilter};

/// The filters whose retained messages a waiting SUBSCRIBE must get, by subscription; `None`: none.
pub(crate) type RetainedFilters = Vec<Option<TopicFilter>>;

/// A SUBSCRIBE that is not answered.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    retained: RetainedFilters,
    /// Whether ha-server has taken its filters.
    pub(crate) is_taken: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Interest {
    pub(crate) sessions: BTreeMap<SessionId, BTreeSet<Subscription>>,
    pub(crate) filters: BTreeMap<TopicFilter, usize>,
    pub(crate) waiting: BTreeMap<Ticket, Waiting>,
}

impl Interest {
    /// Whether the session has this subscription.
    pub(crate) fn has(&self, session: SessionId, subscription: &Subscription) -> bool {
        self.sessions.get(&session).is_some_and(|known| known.contains(subscription))
    }

    /// Whether these subscriptions leave at most `max` distinct filters in all, and as many
    /// subscriptions to the session (shared ones can be many to one filter).
    pub(crate) fn has_room_for<'a>(
        &self,
        session: SessionId,
        subscriptions: impl Iterator<Item = &'a Subscription>,
        max: usize,
    ) -> bool {
        let new: BTreeSet<_> = subscriptions.filter(|new| !self.has(session, new)).collect();
        let filters: BTreeSet<_> = new.iter().map(|new| new.filter()).collect();
        let unknown = filters.iter().filter(|filter| !self.filters.contains_key(**filter)).count();
        let known = self.sessions.get(&session).map_or(0, BTreeSet::len);
        self.filters.len() + unknown <= max && known + new.len() <= max
    }

    /// Adds a subscription. Returns its filter when no session had it before.
    pub(crate) fn add(
        &mut self,
        session: SessionId,
        subscription: &Subscription,
    ) -> Option<TopicFilter> {
        if !self.sessions.entry(session).or_default().insert(subscription.clone()) {
            return None;
        }
        let count = self.filters.entry(subscription.filter().clone()).or_default();
        *count += 1;
        (*count == 1).then(|| subscription.filter().clone())
    }

    /// Removes a subscription. Returns its filter when no session has it any more.
    pub(crate) fn remove(
        &mut self,
        session: SessionId,
        subscription: &Subscription,
    ) -> Option<TopicFilter> {
        let known = self.sessions.get_mut(&session)?;
        if !known.remove(subscription) {
            return None;
        }
        if known.is_empty() {
            self.sessions.remove(&session);
        }
        self.release(subscription.filter())
    }

    /// Removes a session. Returns the filters that no session has any more.
    pub(crate) fn end(&mut self, session: SessionId) -> Vec<TopicFilter> {
        let gone = self.sessions.remove(&session).unwrap_or_default();
        gone.iter().filter_map(|subscription| self.release(subscription.filter())).collect()
    }

    /// Every filter that some session has.
    pub(crate) fn filters(&self) -> impl Iterator<Item = &TopicFilter> {
        self.filters.keys()
    }

    /// Number of distinct filters.
    pub(crate) fn len(&self) -> usize {
        self.filters.len()
    }

    /// Remembers a SUBSCRIBE until ha-server has taken its filters.
    pub(crate) fn wait(&mut self, ticket: Ticket, retained: RetainedFilters) {
        self.waiting.insert(ticket, Waiting { retained, is_taken: false });
    }

    /// ha-server has taken the filters of this SUBSCRIBE, which may be answered.
    pub(crate) fn stop_waiting(&mut self, ticket: Ticket) -> Option<RetainedFilters> {
        self.waiting.remove(&ticket).map(|waiting| waiting.retained)
    }

    /// ha-server has taken them, and the retained messages are not complete.
    pub(crate) fn wait_for_retained(&mut self, ticket: Ticket) {
        if let Some(waiting) = self.waiting.get_mut(&ticket) {
            waiting.is_taken = true;
        }
    }

    /// All SUBSCRIBEs that waited only for the retained messages.
    pub(crate) fn stop_waiting_for_retained(&mut self) -> Vec<(Ticket, RetainedFilters)> {
        let taken = self.waiting.extract_if(.., |_, waiting| waiting.is_taken);
        taken.map(|(ticket, waiting)| (ticket, waiting.retained)).collect()
    }

    /// All waiting SUBSCRIBEs: ha-server is gone.
    pub(crate) fn stop_all_waiting(&mut self) -> Vec<(Ticket, RetainedFilters)> {
        let all = std::mem::take(&mut self.waiting);
        all.into_iter().map(|(ticket, waiting)| (ticket, waiting.retained)).collect()
    }

    fn release(&mut self, filter: &TopicFilter) -> Option<TopicFilter> {
        let count = self.filters.get_mut(filter).expect("each subscription is counted");
        *count -= 1;
        if *count > 0 {
            return None;
        }
        self.filters.remove_entry(filter).map(|(filter, _)| filter)
    }
}

/// Parts of `filters` that fit into one item each: few enough, and into a frame.
pub(crate) fn items(filters: impl IntoIterator<Item = TopicFilter>) -> Vec<Vec<TopicFilter>> {
    let mut items: Vec<Vec<_>> = Vec::new();
    let mut bytes = 0;
    for filter in filters {
        let size = filter.as_str().len();
        match items.last_mut() {
            Some(item) if item.len() < FILTERS_PER_ITEM_MAX && bytes + size <= FRAME_BYTES => {
                item.push(filter);
                bytes += size;
            }
            _ => {
                items.push(vec![filter]);
                bytes = size;
            }
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(text: &str) -> Subscription {
        Subscription::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn filter_is_new_for_the_first_session_and_gone_with_the_last() {
        let (a, b) = (SessionId(1), SessionId(2));
        let mut interest = Interest::default();
        assert!(interest.add(a, &subscription("t")).is_some());
        assert!(interest.add(a, &subscription("t")).is_none(), "subscribed again");
        assert!(interest.add(b, &subscription("$share/g/t")).is_none(), "same filter");
        assert!(interest.remove(a, &subscription("t")).is_none());
        assert!(interest.remove(a, &subscription("t")).is_none(), "unsubscribed twice");
        assert_eq!(interest.end(b).len(), 1);
        assert_eq!((interest.len(), interest.sessions.len()), (0, 0));
    }
}
