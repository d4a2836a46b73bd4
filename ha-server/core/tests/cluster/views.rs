//! What operators see of sessions, subscriptions and retained messages.

use ha_core::cluster::{
    Command, PageLimits, RetainedFind, SessionFind, SessionView, SubscriptionFind, Which,
};
use ha_types::Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use ha_types::session::{CloseCause, Lifetime, Open};
use ha_types::{ClusterMillis, Message, TopicName};

use crate::common::{Bench, at, durable, ephemeral, message, will};

const ALL: SessionFind<'static> = SessionFind { text: "", broker: None, which: Which::All };
const ENOUGH: PageLimits = PageLimits { items: 1_000, bytes: 1 << 20, looks: 1_000 };

/// All pages together, and how many there were. Ends also when a list would go on for ever.
fn paged<T, K>(
    mut page: impl FnMut(Option<&K>) -> ha_core::cluster::Listed<T, K>,
) -> (Vec<T>, usize) {
    let (mut all, mut pages, mut next) = (Vec::new(), 0, None);
    while pages < 1_000 {
        let listed = page(next.as_ref());
        all.extend(listed.items);
        pages += 1;
        next = listed.next;
        if next.is_none() {
            break;
        }
    }
    (all, pages)
}

fn sessions(bench: &Bench, find: SessionFind<'_>, limits: PageLimits) -> (Vec<SessionView>, usize) {
    paged(|after| bench.state.list_sessions(find, after.map(AsRef::as_ref), limits))
}

fn names(views: &[SessionView]) -> Vec<&str> {
    views.iter().map(|view| view.client_id.as_ref()).collect()
}

/// `a1` and `b1` at broker `a`, `b2` at broker `z`, `away` nowhere.
fn four_clients() -> Bench {
    let mut bench = Bench::new();
    let other = bench.join("z", 1);
    bench.open(ephemeral("b1"));
    bench.open(durable("a1"));
    bench.open_at(other, durable("b2"));
    let away = bench.open(Open { lifetime: Lifetime::Seconds(60), ..durable("away") }).session;
    bench.close(away, CloseCause::Failure);
    bench
}

#[test]
fn sessions_are_listed_by_client_and_found_by_text_broker_and_connection() {
    let bench = four_clients();
    let found = |find| {
        let (views, _) = sessions(&bench, find, ENOUGH);
        names(&views).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(found(ALL), ["a1", "away", "b1", "b2"]);
    assert_eq!(found(SessionFind { text: "1", ..ALL }), ["a1", "b1"]);
    assert_eq!(found(SessionFind { broker: Some("z"), ..ALL }), ["b2"]);
    assert_eq!(found(SessionFind { broker: Some("nobody"), ..ALL }), [""; 0]);
    assert_eq!(found(SessionFind { which: Which::Connected, ..ALL }), ["a1", "b1", "b2"]);
}

#[test]
fn pages_of_any_size_together_have_every_session_once() {
    let bench = four_clients();
    for (items, looks, bytes) in [(1, 9, 999), (9, 1, 999), (9, 9, 1), (3, 9, 999), (0, 0, 0)] {
        let (views, pages) = sessions(&bench, ALL, PageLimits { items, bytes, looks });
        assert_eq!(names(&views), ["a1", "away", "b1", "b2"], "{items} {looks} {bytes}");
        assert!(pages > 1, "{pages}");
    }
}

#[test]
fn search_that_finds_nothing_looks_at_a_part_and_says_where_to_go_on() {
    let bench = four_clients();
    let find = SessionFind { text: "nothing", ..ALL };
    let limits = PageLimits { looks: 2, ..ENOUGH };
    let page = bench.state.list_sessions(find, None, limits);
    assert_eq!((page.items.len(), page.next.as_deref()), (0, Some("away")));
    let (views, pages) = sessions(&bench, find, limits);
    assert_eq!((views.len(), pages), (0, 2));
}

#[test]
fn session_that_went_away_between_two_pages_is_no_reason_to_begin_again() {
    let mut bench = four_clients();
    let limits = PageLimits { items: 2, ..ENOUGH };
    let page = bench.state.list_sessions(ALL, None, limits);
    bench.pass(60_000);
    let page = bench.state.list_sessions(ALL, page.next.as_deref(), limits);
    assert_eq!((names(&page.items), page.next), (vec!["b1", "b2"], None));
}

#[test]
fn session_shows_what_waits_for_it_and_when_it_ends() {
    let mut bench = Bench::new();
    let open = Open { lifetime: Lifetime::Seconds(60), will: will("gone", 90), ..durable("a") };
    let session = bench.open(open).session;
    bench.subscribe(session, at("t", ExactlyOnce));
    bench.publish(message("t", "one", AtLeastOnce));
    bench.publish(message("t", "two", ExactlyOnce));
    let view = |bench: &Bench| sessions(bench, ALL, ENOUGH).0.remove(0);
    let connected = view(&bench);
    assert_eq!(connected.broker.as_ref().map(ToString::to_string).as_deref(), Some("a"));
    assert_eq!((connected.subscriptions, connected.waiting, connected.ends_at), (1, 1, None));
    assert_eq!((connected.exchanges, connected.has_will, connected.is_durable), (1, true, true));
    bench.close(session, CloseCause::Failure);
    let away = view(&bench);
    assert_eq!((away.broker, away.waiting), (None, 1));
    assert_eq!(away.ends_at, Some(ClusterMillis(bench.now + 60_000)));
    assert_eq!(away.session, session);
}

#[test]
fn client_of_a_lost_broker_counts_as_away_before_it_is_freed() {
    let mut bench = Bench::new();
    bench.open(durable("a"));
    bench.one(Command::Leave { broker: bench.broker });
    assert_eq!(sessions(&bench, ALL, ENOUGH).0.remove(0).broker, None);
    assert!(sessions(&bench, SessionFind { which: Which::Connected, ..ALL }, ENOUGH).0.is_empty());
}

/// `a` has none, `b` has three, `c` has one.
fn four_subscriptions() -> Bench {
    let mut bench = Bench::new();
    bench.open(durable("a"));
    let b = bench.open(durable("b")).session;
    for filter in ["x/+", "$share/g/x", "y"] {
        bench.subscribe(b, at(filter, AtLeastOnce));
    }
    let c = bench.open(ephemeral("c")).session;
    bench.subscribe(c, at("x/1", AtMostOnce));
    bench.open(durable("d"));
    bench
}

fn subscriptions(bench: &Bench, find: SubscriptionFind<'_>, limits: PageLimits) -> Vec<String> {
    let (views, _) = paged(|after| bench.state.list_subscriptions(find, after, limits));
    let text = views.iter().map(|view| format!("{} {}", view.client_id, view.options.subscription));
    text.collect()
}

#[test]
fn subscriptions_are_found_by_client_and_filter_on_pages_of_any_size() {
    let bench = four_subscriptions();
    let any = SubscriptionFind { text: "", client: None };
    for (items, looks, bytes) in [(9, 9, 999), (1, 9, 999), (9, 1, 999), (9, 9, 1), (2, 2, 999)] {
        let limits = PageLimits { items, bytes, looks };
        let all = ["b x/+", "b y", "b $share/g/x", "c x/1"];
        assert_eq!(subscriptions(&bench, any, limits), all, "{limits:?}");
        let x = SubscriptionFind { text: "x/", client: None };
        assert_eq!(subscriptions(&bench, x, limits), ["b x/+", "c x/1"], "{limits:?}");
        let shared = SubscriptionFind { text: "$share/g/", client: None };
        assert_eq!(subscriptions(&bench, shared, limits), ["b $share/g/x"], "{limits:?}");
        for (client, count) in [("a", 0), ("b", 3), ("c", 1), ("nobody", 0)] {
            let of = SubscriptionFind { text: "", client: Some(client) };
            assert_eq!(subscriptions(&bench, of, limits).len(), count, "{client} {limits:?}");
        }
    }
}

#[test]
fn list_of_subscriptions_goes_on_behind_one_that_is_gone() {
    let mut bench = four_subscriptions();
    let any = SubscriptionFind { text: "", client: None };
    let limits = PageLimits { items: 1, ..ENOUGH };
    let page = bench.state.list_subscriptions(any, None, limits);
    let (b, _) = bench.state.session_of("b").unwrap();
    bench.unsubscribe(b, "x/+");
    let page = bench.state.list_subscriptions(any, page.next.as_ref(), limits);
    assert_eq!(page.items[0].options.subscription.to_string(), "y");
}

fn retained(topic: &str, payload: &str) -> Message {
    Message { retain: true, ..message(topic, payload, AtLeastOnce) }
}

#[test]
fn retained_messages_are_found_by_text_or_topic_filter_and_not_when_they_are_over() {
    let mut bench = Bench::new();
    for topic in ["a/1", "a/2", "b/a/1", "gone"] {
        bench.publish(retained(topic, "12345"));
    }
    bench.publish(retained("gone", ""));
    let now = ClusterMillis(bench.now);
    bench.publish(Message { expires_at: Some(ClusterMillis(now.0 + 5)), ..retained("late", "") });
    let expiring = Message { expires_at: Some(ClusterMillis(now.0 + 5)), ..retained("late", "x") };
    bench.publish(expiring);
    for (items, looks) in [(9, 9), (1, 9), (9, 1)] {
        let limits = PageLimits { items, looks, bytes: 999 };
        let topics = |text: &str, now| {
            let find = RetainedFind::of(text);
            let (views, _) = paged(|after: Option<&TopicName>| {
                bench.state.list_retained(&find, after, now, limits)
            });
            views.iter().map(|view| view.topic.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(topics("", now), ["a/1", "a/2", "b/a/1", "late"]);
        assert_eq!(topics("", ClusterMillis(now.0 + 5)), ["a/1", "a/2", "b/a/1"]);
        assert_eq!(topics("a/1", now), ["a/1", "b/a/1"]);
        assert_eq!(topics("a/+", now), ["a/1", "a/2"]);
        assert_eq!(topics("a+", now), [""; 0], "what is no filter is a text");
    }
    let page = bench.state.list_retained(&RetainedFind::of(""), None, now, ENOUGH);
    assert_eq!((page.items[0].bytes, page.items[0].qos), (5, AtLeastOnce));
}
