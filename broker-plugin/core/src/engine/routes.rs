//! Whom a message is delivered to at once: live subscriptions of the connections of this broker.
//!
//! Decides who gets a message, and with which QoS, retain flag and subscription identifiers. It does
//! not queue, does not encode, and knows nothing of shared subscriptions or of what a holder keeps
//! for durable sessions. One per broker; not replicated.
//!
//! Each filter has its subscribers in the order of their connections. A message whose topic one
//! filter matches goes through them as they are; several filters are merged as sorted lists, so
//! nothing is sorted however many recipients there are.

mod merge;
mod subscribers;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use ha_types::session::{ConnectionId, SubscribeOptions, SubscriptionId};
use ha_types::{BrokerEpoch, FilterTree, Message, Publisher, Qos, SessionId, TopicFilter};

use merge::Merge;
use subscribers::{Subscriber, Subscribers};

/// How one subscription wants its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Whose subscription it is. A message is its own when it has this session of this broker as its
    /// publisher: sessions of other brokers have numbers of their own, under their broker's epoch.
    pub session: SessionId,
    /// Comes back with each message that matches.
    pub subscription_id: Option<SubscriptionId>,
    /// The highest that was granted.
    pub qos: Qos,
    /// Not what the session itself published [MQTT-3.8.3-3].
    pub no_local: bool,
    /// Retain flag as published, instead of 0. Never before 5.0 [MQTT-3.3.1-9].
    pub retain_as_published: bool,
    /// What comes this way. The same for all subscriptions of a connection.
    pub wants: Wants,
}

/// Which deliveries a session gets from the routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// All: the session is ephemeral.
    All,
    /// Those of QoS 0: the session is durable, and its holder delivers the others. A message that
    /// one of its filters gets with QoS 1 or 2 is left to the holder altogether, so that a second
    /// filter with QoS 0 does not deliver it twice.
    QosZero,
}

/// How one connection gets one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit<'a> {
    /// The lower of published and granted; of several filters the highest [MQTT-3.3.4-2].
    pub qos: Qos,
    /// Retain flag to send [MQTT-3.3.1-12], [MQTT-3.3.1-13].
    pub retain: bool,
    /// Of all filters that match and have one [MQTT-3.3.4-3], [MQTT-3.3.4-4], in the order of
    /// [`FilterTree::for_each_match`]. One that the client gave twice comes twice.
    pub subscription_ids: &'a [SubscriptionId],
}

/// Memory that is used again from message to message. Grows to the number of filters of one
/// connection that match one topic.
#[derive(Debug, Default)]
pub struct Scratch {
    subscription_ids: Vec<SubscriptionId>,
}

/// The live subscriptions of all connections. `T` is a handle of a connection.
///
/// As large as its callers let it become: connections times subscriptions of one connection.
#[derive(Debug)]
pub struct Routes<T> {
    tree: FilterTree<Subscribers<T>>,
    /// What each connection is subscribed to; none is empty.
    filters: BTreeMap<ConnectionId, BTreeSet<TopicFilter>>,
    len: usize,
}

impl Route {
    /// The route of a subscription that was granted `qos`.
    #[must_use]
    pub fn new(session: SessionId, options: &SubscribeOptions, qos: Qos, wants: Wants) -> Self {
        Self {
            session,
            subscription_id: options.subscription_id,
            qos,
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            wants,
        }
    }

    /// `None`: the message is the session's own, and this subscription is not for those.
    fn matched(&self, message: &Message) -> Option<Matched> {
        let own = Publisher { session: self.session, epoch: BrokerEpoch(0) };
        if self.no_local && message.publisher == own {
            return None;
        }
        let retain = message.retain && self.retain_as_published;
        Some(Matched { qos: self.qos.min(message.qos), retain, wants: self.wants })
    }
}

/// What the filters of one connection make of a message.
#[derive(Clone, Copy, Debug)]
struct Matched {
    qos: Qos,
    retain: bool,
    wants: Wants,
}

impl Matched {
    fn and(self, other: Self) -> Self {
        let (qos, retain) = (self.qos.max(other.qos), self.retain || other.retain);
        Self { qos, retain, ..self }
    }

    /// `None`: its holder delivers it.
    fn hit(self, subscription_ids: &[SubscriptionId]) -> Option<Hit<'_>> {
        match self.wants {
            Wants::QosZero if self.qos > Qos::AtMostOnce => None,
            Wants::QosZero | Wants::All => {
                Some(Hit { qos: self.qos, retain: self.retain, subscription_ids })
            }
        }
    }
}

impl<T> Routes<T> {
    /// Nobody is subscribed. `seed`: of [`FilterTree::with_seed`].
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { tree: FilterTree::with_seed(seed), filters: BTreeMap::new(), len: 0 }
    }

    /// Number of subscriptions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no subscription.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Subscribes. Replaces an existing subscription of this connection to this filter.
    pub fn add(&mut self, connection: ConnectionId, handle: T, filter: &TopicFilter, route: Route) {
        self.tree.entry(filter).put(Subscriber { connection, handle, route });
        let is_new = self.filters.entry(connection).or_default().insert(filter.clone());
        self.len += usize::from(is_new);
    }

    /// Unsubscribes. Does nothing when the connection is not subscribed to the filter.
    pub fn remove(&mut self, connection: ConnectionId, filter: &TopicFilter) {
        let Some(filters) = self.filters.get_mut(&connection) else { return };
        if !filters.remove(filter) {
            return;
        }
        if filters.is_empty() {
            self.filters.remove(&connection);
        }
        self.forget(connection, filter);
    }

    /// Ends all subscriptions of a connection. Costs as much as it has, not as all have.
    pub fn remove_all(&mut self, connection: ConnectionId) {
        for filter in self.filters.remove(&connection).into_iter().flatten() {
            self.forget(connection, &filter);
        }
    }

    fn forget(&mut self, connection: ConnectionId, filter: &TopicFilter) {
        self.len -= 1;
        self.tree.retain(filter, |subscribers| {
            subscribers.remove(connection);
            !subscribers.is_empty()
        });
    }

    /// Calls `found` once for each connection that gets `message`, in the order of connections.
    ///
    /// Allocates nothing unless more than eight filters match, or `scratch` has to grow.
    pub fn for_each_recipient(
        &self,
        message: &Message,
        scratch: &mut Scratch,
        mut found: impl FnMut(&T, Hit<'_>),
    ) {
        let mut merge = Merge::default();
        self.tree.for_each_match(&message.topic, |subscribers| merge.push(subscribers));
        match merge.only() {
            Some(subscribers) => subscribers.for_each(|subscriber| {
                let matched = subscriber.route.matched(message);
                let ids = subscriber.route.subscription_id.as_slice();
                if let Some(hit) = matched.and_then(|matched| matched.hit(ids)) {
                    found(&subscriber.handle, hit);
                }
            }),
            None => merge.run(|same| scratch.deliver(message, same, &mut found)),
        }
    }
}

impl Scratch {
    /// Makes one delivery of all `subscribers`, which are one connection's.
    fn deliver<'a, T: 'a>(
        &mut self,
        message: &Message,
        subscribers: impl Iterator<Item = &'a Subscriber<T>>,
        found: &mut impl FnMut(&T, Hit<'_>),
    ) {
        self.subscription_ids.clear();
        let mut all: Option<(&T, Matched)> = None;
        for subscriber in subscribers {
            let Some(matched) = subscriber.route.matched(message) else { continue };
            self.subscription_ids.extend(subscriber.route.subscription_id);
            let so_far = all.map_or(matched, |(_, so_far)| so_far.and(matched));
            all = Some((&subscriber.handle, so_far));
        }
        let Some((handle, matched)) = all else { return };
        if let Some(hit) = matched.hit(&self.subscription_ids) {
            found(handle, hit);
        }
    }
}
