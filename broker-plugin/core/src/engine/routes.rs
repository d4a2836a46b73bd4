//! Live subscriptions of the connected sessions of this broker: who gets a message at once.
//!
//! A session gets each message once, however many of its filters match (3.1.1 [MQTT-3.3.5-1]): at
//! the highest QoS of these filters, with the identifiers of all. Shared subscriptions are not here:
//! the holder of sessions chooses a member.

use std::collections::BTreeMap;

use ha_types::session::{ConnectionId, SubscriptionId};
use ha_types::{BrokerEpoch, FilterTree, Message, Qos, SessionId, TopicFilter};

/// One subscription of a connected session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Whose.
    pub session: SessionId,
    /// The highest that it wants.
    pub qos: Qos,
    /// Not what the session itself published [MQTT-3.8.3-3].
    pub no_local: bool,
    /// Retain flag as published, instead of 0.
    pub retain_as_published: bool,
    /// Comes with each message.
    pub subscription_id: Option<SubscriptionId>,
    /// What comes by this route.
    pub wants: Wants,
}

/// What comes to a session by its routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// An ephemeral session: everything.
    All,
    /// A durable session: what is QoS 0 for it. The rest is queued by the holder.
    QosZero,
}

/// How a recipient gets a message.
#[derive(Debug, PartialEq, Eq)]
pub struct Hit<'a> {
    /// The lower of published and granted.
    pub qos: Qos,
    /// Retain flag to send.
    pub retain: bool,
    /// Of all matching subscriptions that have one.
    pub subscription_ids: &'a [SubscriptionId],
}

/// The routes of all connections, with a handle of each.
#[derive(Debug)]
pub struct Routes<T> {
    filters: FilterTree<Subscribers<T>>,
    by_connection: BTreeMap<ConnectionId, Vec<TopicFilter>>,
}

/// Subscribers of one filter, by connection. Most filters have one.
#[derive(Debug, Default)]
enum Subscribers<T> {
    #[default]
    None,
    One(ConnectionId, (T, Route)),
    Many(BTreeMap<ConnectionId, (T, Route)>),
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Self { filters: FilterTree::new(), by_connection: BTreeMap::new() }
    }
}

impl<T: Clone> Routes<T> {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// Adds a route, in place of one of the same connection and filter.
    pub fn add(&mut self, connection: ConnectionId, handle: T, filter: &TopicFilter, route: Route) {
        if self.filters.entry(filter).insert(connection, (handle, route)) {
            self.by_connection.entry(connection).or_default().push(filter.clone());
        }
    }

    /// Removes a route, if there is one.
    pub fn remove(&mut self, connection: ConnectionId, filter: &TopicFilter) {
        let Some(filters) = self.by_connection.get_mut(&connection) else { return };
        let Some(at) = filters.iter().position(|known| known == filter) else { return };
        filters.swap_remove(at);
        if filters.is_empty() {
            self.by_connection.remove(&connection);
        }
        self.filters.retain(filter, |subscribers| subscribers.remove(connection));
    }

    /// Removes all routes of a connection.
    pub fn remove_all(&mut self, connection: ConnectionId) {
        for filter in self.by_connection.remove(&connection).unwrap_or_default() {
            self.filters.retain(&filter, |subscribers| subscribers.remove(connection));
        }
    }

    /// Calls `found` once for each connection that gets `message` by its routes, in the order of
    /// connections where several filters match.
    pub fn for_each_recipient(&self, message: &Message, mut found: impl FnMut(&T, Hit<'_>)) {
        let mut first = None;
        let mut others = Vec::new();
        self.filters.for_each_match(&message.topic, |subscribers| match first {
            None => first = Some(subscribers),
            Some(_) => others.push(subscribers),
        });
        let Some(first) = first else { return };
        if others.is_empty() {
            return first
                .for_each(|_, (handle, route)| offer(message, handle, &[route], &mut found));
        }
        let mut all: BTreeMap<ConnectionId, (&T, Vec<&Route>)> = BTreeMap::new();
        for subscribers in std::iter::once(first).chain(others) {
            subscribers.for_each(|connection, (handle, route)| {
                all.entry(connection).or_insert((handle, Vec::new())).1.push(route);
            });
        }
        for &(handle, ref routes) in all.values() {
            offer(message, handle, routes, &mut found);
        }
    }
}

impl<T> Subscribers<T> {
    /// False when it replaced one.
    fn insert(&mut self, connection: ConnectionId, subscriber: (T, Route)) -> bool {
        match self {
            Self::Many(many) => many.insert(connection, subscriber).is_none(),
            Self::None => {
                *self = Self::One(connection, subscriber);
                true
            }
            Self::One(known, old) if *known == connection => {
                *old = subscriber;
                false
            }
            Self::One(..) => {
                let mut many = BTreeMap::from([(connection, subscriber)]);
                if let Self::One(known, old) = std::mem::take(self) {
                    many.insert(known, old);
                }
                *self = Self::Many(many);
                true
            }
        }
    }

    /// Whether anybody is left.
    fn remove(&mut self, connection: ConnectionId) -> bool {
        match self {
            Self::None => false,
            Self::One(known, _) => *known != connection,
            Self::Many(many) => {
                many.remove(&connection);
                !many.is_empty()
            }
        }
    }

    fn for_each<'a>(&'a self, mut visit: impl FnMut(ConnectionId, &'a (T, Route))) {
        match self {
            Self::None => (),
            Self::One(connection, subscriber) => visit(*connection, subscriber),
            Self::Many(many) => many.iter().for_each(|(id, subscriber)| visit(*id, subscriber)),
        }
    }
}

/// What the matching routes of one connection say together.
fn offer<T>(message: &Message, handle: &T, routes: &[&Route], found: &mut impl FnMut(&T, Hit<'_>)) {
    let is_own = |route: &Route| {
        let publisher = message.publisher;
        // Sessions of other brokers have numbers of their own, under their broker's epoch.
        publisher.session == route.session && publisher.epoch == BrokerEpoch(0)
    };
    let counts = |route: &&&Route| !(route.no_local && is_own(route));
    let granted =
        routes.iter().filter(counts).map(|route| (route.qos, route.wants)).max_by_key(|m| m.0);
    let Some((granted, wants)) = granted else { return };
    let qos = message.qos.min(granted);
    if wants == Wants::QosZero && qos > Qos::AtMostOnce {
        return;
    }
    let retain =
        message.retain && routes.iter().filter(counts).any(|route| route.retain_as_published);
    if let [route] = routes {
        let ids = route.subscription_id.as_slice();
        return found(handle, Hit { qos, retain, subscription_ids: ids });
    }
    let ids = routes.iter().filter(counts).filter_map(|route| route.subscription_id);
    let ids: Vec<_> = ids.collect();
    found(handle, Hit { qos, retain, subscription_ids: &ids });
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ha_types::{Publisher, TopicName};

    use super::*;

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::parse(text.as_bytes()).unwrap()
    }

    fn message(topic: &str, qos: Qos, publisher: u64) -> Message {
        Message {
            topic: TopicName::parse(Bytes::copy_from_slice(topic.as_bytes())).unwrap(),
            payload: Bytes::new(),
            properties: Bytes::new(),
            qos,
            retain: true,
            expires_at: None,
            publisher: Publisher { session: SessionId(publisher), epoch: BrokerEpoch(0) },
        }
    }

    fn route(session: u64, qos: Qos) -> Route {
        Route {
            session: SessionId(session),
            qos,
            no_local: false,
            retain_as_published: false,
            subscription_id: None,
            wants: Wants::All,
        }
    }

    type Found = Vec<(u64, Qos, bool, Vec<u32>)>;

    fn found(routes: &Routes<u64>, message: &Message) -> Found {
        let mut all = Vec::new();
        routes.for_each_recipient(message, |handle, hit| {
            let ids = hit.subscription_ids.iter().map(|id| id.get()).collect();
            all.push((*handle, hit.qos, hit.retain, ids));
        });
        all
    }

    /// [MQTT-3.3.4-2], [MQTT-3.3.4-3], [MQTT-3.3.4-4]
    #[test]
    fn overlapping_filters_give_one_copy_at_the_highest_qos_with_all_identifiers() {
        let mut routes = Routes::default();
        let with_id = |qos, id| Route { subscription_id: SubscriptionId::new(id), ..route(1, qos) };
        routes.add(ConnectionId(1), 1, &filter("a/+"), with_id(Qos::AtMostOnce, 7));
        routes.add(ConnectionId(1), 1, &filter("a/b"), with_id(Qos::ExactlyOnce, 8));
        routes.add(ConnectionId(2), 2, &filter("#"), route(2, Qos::AtLeastOnce));
        let mut all = found(&routes, &message("a/b", Qos::ExactlyOnce, 9));
        all.iter_mut().for_each(|(.., ids)| ids.sort_unstable());
        let expected: Found = vec![
            (1, Qos::ExactlyOnce, false, vec![7, 8]),
            (2, Qos::AtLeastOnce, false, Vec::new()),
        ];
        assert_eq!(all, expected);
    }

    /// [MQTT-3.8.3-3]
    #[test]
    fn no_local_keeps_a_session_s_own_messages_away_and_no_others() {
        let mut routes = Routes::default();
        let no_local = Route { no_local: true, ..route(1, Qos::AtMostOnce) };
        routes.add(ConnectionId(1), 1, &filter("a"), no_local);
        assert_eq!(found(&routes, &message("a", Qos::AtMostOnce, 1)), []);
        assert_eq!(found(&routes, &message("a", Qos::AtMostOnce, 2)).len(), 1);
        let mut of_another_broker = message("a", Qos::AtMostOnce, 1);
        of_another_broker.publisher.epoch = BrokerEpoch(4);
        assert_eq!(found(&routes, &of_another_broker).len(), 1);
    }

    /// [MQTT-3.3.1-12], [MQTT-3.3.1-13]
    #[test]
    fn retain_flag_is_kept_only_where_it_is_wanted() {
        let mut routes = Routes::default();
        let as_published = Route { retain_as_published: true, ..route(1, Qos::AtMostOnce) };
        routes.add(ConnectionId(1), 1, &filter("a"), as_published);
        routes.add(ConnectionId(2), 2, &filter("a"), route(2, Qos::AtMostOnce));
        let retain: Vec<_> =
            found(&routes, &message("a", Qos::AtMostOnce, 9)).iter().map(|hit| hit.2).collect();
        assert_eq!(retain, [true, false]);
    }

    #[test]
    fn durable_session_gets_only_what_is_qos_0_for_it() {
        let mut routes = Routes::default();
        let durable = |qos| Route { wants: Wants::QosZero, ..route(1, qos) };
        routes.add(ConnectionId(1), 1, &filter("a"), durable(Qos::AtLeastOnce));
        routes.add(ConnectionId(1), 1, &filter("+"), durable(Qos::AtMostOnce));
        assert_eq!(found(&routes, &message("a", Qos::AtLeastOnce, 9)), []);
        assert_eq!(found(&routes, &message("a", Qos::AtMostOnce, 9)).len(), 1);
        assert_eq!(found(&routes, &message("b", Qos::AtLeastOnce, 9)).len(), 1);
    }

    #[test]
    fn routes_of_a_connection_go_one_by_one_or_all_at_once_and_leave_nothing() {
        let mut routes = Routes::default();
        for connection in 1..=3 {
            for text in ["a", "a/#", "+"] {
                let route = route(connection, Qos::AtMostOnce);
                routes.add(ConnectionId(connection), connection, &filter(text), route);
            }
        }
        let recipients = |routes: &Routes<u64>| -> Vec<u64> {
            found(routes, &message("a", Qos::AtMostOnce, 9)).iter().map(|hit| hit.0).collect()
        };
        routes.remove_all(ConnectionId(2));
        assert_eq!(recipients(&routes), [1, 3]);
        for text in ["a", "a/#", "+", "+"] {
            routes.remove(ConnectionId(1), &filter(text));
        }
        assert_eq!(recipients(&routes), [3]);
        routes.remove_all(ConnectionId(3));
        assert!(routes.is_empty() && routes.by_connection.is_empty());
    }
}
