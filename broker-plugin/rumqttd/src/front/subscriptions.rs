//! The subscriptions of one session: which SUBSCRIBEs are accepted, and what the router is told.
//! Pure; owned by the session.
//!
//! Each subscription has a number that the router returns with every message. So the front knows
//! the options of the subscription that a message is for, which rumqttd ignores or forgets.

use std::collections::BTreeMap;

use broker_core::codec::{
    FilterRequest, Reason, RetainHandling, Subscribe, SubscriptionId, SubscriptionOptions,
};
use broker_core::host::{NewSubscription, RetainedWanted};
use ha_types::{Qos, Subscription, TopicFilter};

/// What the router must be told, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Begin to deliver, tagged with `number`.
    Subscribe {
        /// Filter as the router knows it.
        path: String,
        /// Granted.
        qos: Qos,
        /// Ours, unique in the session.
        number: usize,
    },
    /// Stop delivering.
    Unsubscribe {
        /// Filter as the router knows it.
        path: String,
    },
}

/// How long the router remembers the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remembered {
    /// As long as the connection.
    Connection,
    /// Beyond it. Shared subscriptions are refused: the last such member leaving with
    /// unacknowledged messages panics the router.
    Beyond,
}

/// Options that apply to each message of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) qos: Qos,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    /// Subscription Identifier.
    pub(crate) id: Option<SubscriptionId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    number: usize,
    /// Before the last change of QoS: messages tagged with it may still be on their way.
    previous: Option<usize>,
    granted: Granted,
}

/// What became of a SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// For SUBACK, one per filter.
    pub(crate) reasons: Vec<Reason>,
    /// For the plugin, the accepted ones.
    pub(crate) new: Vec<NewSubscription>,
    /// Of the accepted ones, in their order: how retained messages are sent.
    pub(crate) granted: Vec<Granted>,
    pub(crate) changes: Vec<Change>,
}

/// What became of an UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Removed {
    /// For UNSUBACK, one per filter.
    pub(crate) reasons: Vec<Reason>,
    /// For the plugin.
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) changes: Vec<Change>,
}

/// The subscriptions of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscriptions {
    entries: BTreeMap<Subscription, Entry>,
    by_number: BTreeMap<usize, Granted>,
    last_number: usize,
}

/// The circumstances of a SUBSCRIBE.
#[derive(Debug)]
pub(crate) struct Terms<Refusal> {
    pub(crate) remembered: Remembered,
    pub(crate) subscriptions_max: usize,
    /// Why the session cannot have this filter; `None`: it can.
    pub(crate) refusal: Refusal,
}

impl Subscriptions {
    /// The options of a subscription; `None` when it is gone.
    pub(crate) fn granted(&self, number: usize) -> Option<Granted> {
        self.by_number.get(&number).copied()
    }

    /// Takes a SUBSCRIBE.
    pub(crate) fn subscribe(
        &mut self,
        packet: &Subscribe,
        terms: &mut Terms<impl FnMut(&TopicFilter) -> Option<Reason>>,
    ) -> Accepted {
        let mut accepted =
            Accepted { reasons: vec![], new: vec![], granted: vec![], changes: vec![] };
        for request in &packet.filters {
            if let Some(refusal) = self.refusal(&request.subscription, terms) {
                accepted.reasons.push(refusal);
                continue;
            }
            let granted = granted(&request.options, packet.subscription_id);
            accepted.reasons.push(Reason(granted.qos.level()));
            accepted.granted.push(granted);
            self.insert(&request.subscription, granted, &mut accepted.changes);
            accepted.new.push(NewSubscription {
                subscription: request.subscription.clone(),
                retained: retained_wanted(request),
            });
        }
        accepted
    }

    /// Takes an UNSUBSCRIBE.
    pub(crate) fn unsubscribe(&mut self, filters: &[Subscription]) -> Removed {
        let mut removed = Removed { reasons: vec![], subscriptions: vec![], changes: vec![] };
        for subscription in filters {
            let Some(entry) = self.entries.remove(subscription) else {
                removed.reasons.push(Reason::NO_SUBSCRIPTION_EXISTED);
                continue;
            };
            self.forget(&entry);
            removed.reasons.push(Reason::SUCCESS);
            removed.changes.push(Change::Unsubscribe { path: router_path(subscription) });
            removed.subscriptions.push(subscription.clone());
        }
        if !removed.changes.is_empty() {
            removed.changes.extend(self.rejoin_groups());
        }
        removed
    }

    /// What a resumed link must be told: the router remembers the position in each filter, but
    /// neither our numbers nor that these can be unsubscribed.
    pub(crate) fn restore(&self) -> Vec<Change> {
        self.entries.iter().map(|(subscription, entry)| join(subscription, entry)).collect()
    }

    /// An UNSUBSCRIBE of anything makes the router take the client out of all its share groups.
    fn rejoin_groups(&self) -> impl Iterator<Item = Change> {
        let shared = |of: &&Subscription| matches!(of, Subscription::Shared(_));
        let entries = self.entries.iter().filter(move |(subscription, _)| shared(subscription));
        entries.map(|(subscription, entry)| join(subscription, entry))
    }

    fn refusal(
        &self,
        subscription: &Subscription,
        terms: &mut Terms<impl FnMut(&TopicFilter) -> Option<Reason>>,
    ) -> Option<Reason> {
        let is_shared = matches!(subscription, Subscription::Shared(_));
        if is_shared && terms.remembered == Remembered::Beyond {
            return Some(Reason::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED);
        }
        if subscription.filter().as_str().starts_with('$') {
            return Some(Reason::TOPIC_FILTER_INVALID);
        }
        let is_new = !self.entries.contains_key(subscription);
        if is_new && self.entries.len() >= terms.subscriptions_max {
            return Some(Reason::QUOTA_EXCEEDED);
        }
        (terms.refusal)(subscription.filter())
    }

    fn insert(&mut self, subscription: &Subscription, granted: Granted, changes: &mut Vec<Change>) {
        let mut previous = None;
        if let Some(mut entry) = self.entries.remove(subscription) {
            self.forget(&entry);
            if entry.granted.qos == granted.qos {
                entry.granted = granted;
                return self.remember(subscription, entry);
            }
            // The router cannot change the QoS of a subscription.
            previous = Some(entry.number);
            changes.push(Change::Unsubscribe { path: router_path(subscription) });
            changes.extend(self.rejoin_groups());
        }
        self.last_number += 1;
        let entry = Entry { number: self.last_number, previous, granted };
        changes.push(join(subscription, &entry));
        self.remember(subscription, entry);
    }

    fn remember(&mut self, subscription: &Subscription, entry: Entry) {
        let numbers = entry.previous.into_iter().chain([entry.number]);
        self.by_number.extend(numbers.map(|number| (number, entry.granted)));
        self.entries.insert(subscription.clone(), entry);
    }

    fn forget(&mut self, entry: &Entry) {
        for number in entry.previous.iter().chain([&entry.number]) {
            self.by_number.remove(number);
        }
    }
}

fn granted(options: &SubscriptionOptions, id: Option<SubscriptionId>) -> Granted {
    Granted {
        qos: options.qos,
        no_local: options.no_local,
        retain_as_published: options.retain_as_published,
        id,
    }
}

fn join(subscription: &Subscription, entry: &Entry) -> Change {
    let path = router_path(subscription);
    Change::Subscribe { path, qos: entry.granted.qos, number: entry.number }
}

/// A filter as the router knows it.
///
/// The router has one position per share name whatever the filter. So its share name is name and
/// filter in one; U+0000 is in neither, so that no two of them are the same.
fn router_path(subscription: &Subscription) -> String {
    match subscription {
        Subscription::Plain(filter) => filter.as_str().to_owned(),
        Subscription::Shared(shared) => {
            let filter = shared.filter.as_str();
            format!("$share/{}\0{}/{filter}", shared.share_name, filter.replace('/', "\0"))
        }
    }
}

fn retained_wanted(request: &FilterRequest) -> RetainedWanted {
    if matches!(request.subscription, Subscription::Shared(_)) {
        return RetainedWanted::Never;
    }
    match request.options.retain_handling {
        RetainHandling::AtSubscribe => RetainedWanted::Always,
        RetainHandling::IfNew => RetainedWanted::IfNew,
        RetainHandling::Never => RetainedWanted::Never,
    }
}

#[cfg(test)]
mod tests;
