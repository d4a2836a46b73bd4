//! What each connection gets, rule by rule, and against a model without any structure.

use std::collections::BTreeMap;

use bytes::Bytes;
use ha_types::{BrokerEpoch, Publisher, TopicName};
use proptest::prelude::*;

use super::*;

/// Connection, QoS, retain flag and subscription identifiers of a delivery.
type Delivery = (u64, u8, bool, Vec<u32>);

const PLAIN: Route = Route {
    session: SessionId(0),
    subscription_id: None,
    qos: Qos::ExactlyOnce,
    no_local: false,
    retain_as_published: false,
    wants: Wants::All,
};

fn filter(text: &str) -> TopicFilter {
    TopicFilter::parse(text.as_bytes()).unwrap()
}

fn qos(level: u32) -> Qos {
    Qos::from_level(level).unwrap()
}

fn message(topic: &str, qos: Qos) -> Message {
    Message {
        topic: TopicName::parse(Bytes::copy_from_slice(topic.as_bytes())).unwrap(),
        payload: Bytes::new(),
        properties: Bytes::new(),
        qos,
        retain: false,
        expires_at: None,
        publisher: Publisher { session: SessionId(1_000), epoch: BrokerEpoch(0) },
    }
}

/// The handle of a connection is its number; so is its session.
fn routes(subscriptions: &[(u64, &str, Route)]) -> Routes<u64> {
    let mut routes = Routes::new(1);
    for &(connection, text, route) in subscriptions {
        add(&mut routes, connection, text, route);
    }
    routes
}

fn add(routes: &mut Routes<u64>, connection: u64, text: &str, route: Route) {
    let route = Route { session: SessionId(connection), ..route };
    routes.add(ConnectionId(connection), connection, &filter(text), route);
}

fn deliveries(routes: &Routes<u64>, message: &Message) -> Vec<Delivery> {
    let mut found = Vec::new();
    routes.for_each_recipient(message, &mut Scratch::default(), |&connection, hit| {
        let ids = hit.subscription_ids.iter().map(|id| id.get()).collect();
        found.push((connection, hit.qos.level(), hit.retain, ids));
    });
    found
}

fn with_id(id: u32, qos: Qos) -> Route {
    Route { subscription_id: SubscriptionId::new(id), qos, ..PLAIN }
}

#[test]
fn delivery_has_the_lower_of_published_and_granted_qos() {
    for (published, granted) in [(0, 2), (1, 0), (1, 2), (2, 1), (2, 2)] {
        let routes = routes(&[(1, "a", Route { qos: qos(granted), ..PLAIN })]);
        let expected = published.min(granted);
        let found = deliveries(&routes, &message("a", qos(published)));
        assert_eq!(found, [(1, u8::try_from(expected).unwrap(), false, vec![])]);
    }
}

/// [MQTT-3.3.4-2], [MQTT-3.3.4-3], [MQTT-3.3.4-4]
#[test]
fn overlapping_filters_make_one_delivery_with_the_highest_qos_and_all_ids() {
    let routes = routes(&[
        (1, "a/+", with_id(7, qos(0))),
        (1, "a/b", with_id(9, qos(1))),
        (1, "#", PLAIN),
        (1, "+/b", with_id(7, qos(0))),
        (1, "c", with_id(3, qos(2))),
    ]);
    let found = deliveries(&routes, &message("a/b", qos(2)));
    assert_eq!(found, [(1, 2, false, vec![9, 7, 7])]);
}

#[test]
fn connections_come_in_order_however_many_filters_match() {
    let texts =
        ["a/b/c", "#", "a/#", "a/b/#", "a/b/c/#", "a/b/+", "a/+/c", "a/+/+", "+/b/c", "+/#"];
    for count in [1, 2, 8, 9, 10] {
        let subscriptions: Vec<_> = (0..100)
            .map(|n: u64| (n * 7 % 100, texts[usize::try_from(n).unwrap() % count], PLAIN))
            .collect();
        let found = deliveries(&routes(&subscriptions), &message("a/b/c", qos(0)));
        let connections: Vec<_> = found.into_iter().map(|(connection, ..)| connection).collect();
        assert_eq!(connections, (0..100).collect::<Vec<_>>(), "{count} filters");
    }
}

/// [MQTT-3.8.3-3]
#[test]
fn no_local_holds_back_what_the_session_itself_published_and_nothing_else() {
    let no_local = Route { no_local: true, ..with_id(1, qos(1)) };
    let routes = routes(&[(5, "a", no_local), (5, "b", no_local), (5, "+", with_id(2, qos(0)))]);
    let own = |topic| {
        let publisher = Publisher { session: SessionId(5), epoch: BrokerEpoch(0) };
        Message { publisher, ..message(topic, qos(1)) }
    };
    assert_eq!(deliveries(&routes, &own("a")), [(5, 0, false, vec![2])]);
    assert_eq!(deliveries(&routes, &message("a", qos(1))), [(5, 1, false, vec![1, 2])]);
    assert_eq!(deliveries(&routes, &message("b", qos(1))), [(5, 1, false, vec![1, 2])]);
    let of_another_broker = Publisher { session: SessionId(5), epoch: BrokerEpoch(1) };
    let message = Message { publisher: of_another_broker, ..own("a") };
    assert_eq!(deliveries(&routes, &message), [(5, 1, false, vec![1, 2])]);
}

/// [MQTT-3.3.1-9], [MQTT-3.3.1-12], [MQTT-3.3.1-13]
#[test]
fn retain_flag_is_kept_only_where_it_is_wanted() {
    let keep = Route { retain_as_published: true, ..PLAIN };
    let routes = routes(&[(1, "a", PLAIN), (2, "a", keep), (3, "a", PLAIN), (3, "#", keep)]);
    let retained = Message { retain: true, ..message("a", qos(0)) };
    let flags = |message| deliveries(&routes, message).into_iter().map(|(.., retain, _)| retain);
    assert_eq!(flags(&retained).collect::<Vec<_>>(), [false, true, true]);
    assert_eq!(flags(&message("a", qos(0))).collect::<Vec<_>>(), [false, false, false]);
}

#[test]
fn durable_session_gets_only_qos_0_and_nothing_that_its_holder_delivers() {
    let durable = |qos| Route { qos, wants: Wants::QosZero, ..PLAIN };
    let routes = routes(&[
        (1, "a", durable(qos(0))),
        (2, "a", durable(qos(1))),
        (3, "a", durable(qos(0))),
        (3, "+", durable(qos(2))),
    ]);
    let connections = |published| -> Vec<_> {
        deliveries(&routes, &message("a", qos(published))).into_iter().map(|d| (d.0, d.1)).collect()
    };
    assert_eq!(connections(0), [(1, 0), (2, 0), (3, 0)]);
    assert_eq!(connections(1), [(1, 0)]);
}

#[test]
fn no_local_filter_leaves_nothing_to_the_holder() {
    let durable = |qos, no_local| Route { qos, no_local, wants: Wants::QosZero, ..PLAIN };
    let routes =
        routes(&[(1_000, "a", durable(qos(1), true)), (1_000, "+", durable(qos(0), false))]);
    assert_eq!(deliveries(&routes, &message("a", qos(1))), [(1_000, 0, false, vec![])]);
}

#[test]
fn subscribing_again_replaces_and_unsubscribing_ends() {
    let mut routes = routes(&[(1, "a", with_id(1, qos(0))), (1, "a", with_id(2, qos(1)))]);
    assert_eq!(routes.len(), 1);
    assert_eq!(deliveries(&routes, &message("a", qos(2))), [(1, 1, false, vec![2])]);
    routes.remove(ConnectionId(2), &filter("a"));
    routes.remove(ConnectionId(1), &filter("b"));
    assert_eq!(routes.len(), 1);
    routes.remove(ConnectionId(1), &filter("a"));
    routes.remove(ConnectionId(1), &filter("a"));
    assert!(routes.is_empty() && routes.tree.is_empty() && routes.filters.is_empty());
    assert_eq!(deliveries(&routes, &message("a", qos(2))), []);
}

#[test]
fn connection_that_ends_leaves_those_of_others() {
    let mut routes = routes(&[(1, "a", PLAIN), (1, "#", PLAIN), (2, "a", PLAIN), (2, "b", PLAIN)]);
    routes.remove_all(ConnectionId(1));
    routes.remove_all(ConnectionId(1));
    assert_eq!(routes.len(), 2);
    assert_eq!(deliveries(&routes, &message("a", qos(0))), [(2, 0, false, vec![])]);
    routes.remove_all(ConnectionId(2));
    assert!(routes.is_empty() && routes.tree.is_empty());
}

/// What the model knows: everything, in one map.
type Model = BTreeMap<(u64, String), Route>;

#[derive(Clone, Debug)]
enum Change {
    Add(u64, String, Route),
    Remove(u64, String),
    RemoveAll(u64),
}

fn expected(model: &Model, message: &Message) -> Vec<Delivery> {
    let mut found = BTreeMap::<u64, (Vec<Route>, Vec<u32>)>::new();
    for ((connection, text), route) in model {
        let is_own = route.no_local && message.publisher.session.0 == *connection;
        if filter(text).matches(&message.topic) && !is_own {
            let (routes, ids) = found.entry(*connection).or_default();
            routes.push(*route);
            ids.extend(route.subscription_id.map(SubscriptionId::get));
        }
    }
    let delivery = |(connection, (routes, mut ids)): (u64, (Vec<Route>, Vec<u32>))| {
        let qos = routes.iter().map(|route| route.qos.level()).max()?.min(message.qos.level());
        let retain = message.retain && routes.iter().any(|route| route.retain_as_published);
        ids.sort_unstable();
        let is_ours = qos == 0 || routes[0].wants == Wants::All;
        is_ours.then_some((connection, qos, retain, ids))
    };
    found.into_iter().filter_map(delivery).collect()
}

fn text() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec!["a", "b", "+"]);
    (prop::collection::vec(level, 1..4), prop::bool::ANY)
        .prop_map(|(levels, rest)| levels.join("/") + if rest { "/#" } else { "" })
}

fn any_route() -> impl Strategy<Value = Route> {
    (0_u32..4, 0_u32..3, prop::bool::ANY, prop::bool::ANY).prop_map(
        |(id, level, no_local, retain_as_published)| Route {
            subscription_id: SubscriptionId::new(id),
            qos: qos(level),
            no_local,
            retain_as_published,
            ..PLAIN
        },
    )
}

fn change() -> impl Strategy<Value = Change> {
    // Every second connection is of a durable session.
    let wants = |connection| if connection % 2 == 0 { Wants::All } else { Wants::QosZero };
    prop_oneof![
        8 => (0_u64..6, text(), any_route()).prop_map(move |(connection, text, route)| {
            Change::Add(connection, text, Route { wants: wants(connection), ..route })
        }),
        2 => (0_u64..6, text()).prop_map(|(connection, text)| Change::Remove(connection, text)),
        1 => (0_u64..6).prop_map(Change::RemoveAll),
    ]
}

fn apply(change: Change, routes: &mut Routes<u64>, model: &mut Model) {
    match change {
        Change::Add(connection, text, route) => {
            add(routes, connection, &text, route);
            model.insert((connection, text), route);
        }
        Change::Remove(connection, text) => {
            routes.remove(ConnectionId(connection), &filter(&text));
            model.remove(&(connection, text));
        }
        Change::RemoveAll(connection) => {
            routes.remove_all(ConnectionId(connection));
            model.retain(|(other, _), _| *other != connection);
        }
    }
}

proptest! {
    #[test]
    fn routes_agree_with_trying_every_subscription(
        changes in prop::collection::vec(change(), 0..80),
        topic in prop::collection::vec(prop::sample::select(vec!["a", "b"]), 1..4),
        (level, retain, publisher) in (0_u32..3, prop::bool::ANY, 0_u64..6),
    ) {
        let (mut routes, mut model) = (Routes::new(3), Model::new());
        changes.into_iter().for_each(|change| apply(change, &mut routes, &mut model));
        prop_assert_eq!(routes.len(), model.len());
        let publisher = Publisher { session: SessionId(publisher), epoch: BrokerEpoch(0) };
        let message = Message { retain, publisher, ..message(&topic.join("/"), qos(level)) };
        let mut found = deliveries(&routes, &message);
        found.iter_mut().for_each(|(.., ids)| ids.sort_unstable());
        prop_assert_eq!(found, expected(&model, &message));
    }
}
