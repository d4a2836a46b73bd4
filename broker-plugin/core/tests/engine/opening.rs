//! Clients whose session is being opened: they wait, go away, or are overtaken.

use broker_core::codec::{Connect, FromServer, Reason, Version};
use broker_core::engine::Ending;
use ha_types::Qos;

use crate::common::{drained, farewell, got, of_qos, payload, staying, subscribed, will};
use crate::spec::broker::{Broker, Client};
use crate::spec::packets::{suback, subscribe, text};

fn bob() -> Connect {
    staying(Version::V5, "bob")
}

/// The CONNACK that a client has just got: whether a session was present.
fn present(broker: &mut Broker, client: Client) -> bool {
    match broker.next_packet(client) {
        Some(FromServer::Connack(connack)) if connack.reason == Reason::SUCCESS => {
            connack.session_present
        }
        other => panic!("instead of CONNACK: {other:?}"),
    }
}

/// A broker with `watcher` of wills, whose holder's answers wait from now on.
fn broker_with_watcher() -> (Broker, Client) {
    let mut broker = Broker::new();
    let watcher = broker.connect(Version::V5, "watcher");
    subscribed(&mut broker, watcher, "will", Qos::AtLeastOnce);
    broker.hold_answers();
    (broker, watcher)
}

#[test]
fn what_follows_connect_waits_for_connack() {
    for version in Version::ALL {
        let mut broker = Broker::new();
        broker.hold_answers();
        let bob = broker.dial(&Connect::new(version, text("bob")));
        broker.send(bob, &subscribe(1, "a", Qos::AtLeastOnce));
        broker.send(bob, &of_qos(Qos::AtMostOnce, 0, "a", "x"));
        broker.pass(3_600_000);
        assert_eq!((broker.held().subscriptions, broker.published.len()), (0, 0));
        broker.let_go_all();
        assert!(!present(&mut broker, bob));
        let packets = broker.received(bob);
        assert!(packets.contains(&suback(1, &[Reason::GRANTED_QOS_1])));
        assert_eq!(crate::spec::packets::payloads(&packets), ["x"]);
    }
}

/// It was never told that it is connected: as if it had disconnected.
#[test]
fn client_that_goes_away_while_its_session_is_opened_leaves_what_it_would_leave_later() {
    for (session_expiry_s, sessions) in [(0, 1), (3_600, 2)] {
        let (mut broker, watcher) = broker_with_watcher();
        let connect = Connect { will: will("gone", 0), session_expiry_s, ..bob() };
        let bob = broker.dial(&connect);
        broker.drop_socket(bob);
        assert!(!broker.is_open(bob));
        broker.let_go_all();
        assert_eq!(broker.sessions(), sessions);
        assert_eq!(broker.held().connected, 1, "the watcher");
        broker.pass(3_600_000);
        assert_eq!(got(&mut broker, watcher), [""; 0]);
        assert_eq!(broker.received(bob), []);
        assert_eq!(broker.sessions(), 1);
    }
}

#[test]
fn session_that_was_opened_for_nobody_keeps_its_messages() {
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let mut broker = Broker::new();
        let alice = broker.connect(Version::V5, "alice");
        let (first, _) = broker.connect_with(bob());
        subscribed(&mut broker, first, "a", qos);
        broker.drop_socket(first);
        broker.send(alice, &of_qos(qos, 1, "a", "1"));
        broker.hold_answers();
        let second = broker.dial(&bob());
        broker.send(alice, &of_qos(qos, 2, "a", "2"));
        broker.drop_socket(second);
        broker.send(alice, &of_qos(qos, 3, "a", "3"));
        broker.let_go_all();
        broker.send(alice, &of_qos(qos, 4, "a", "4"));
        let (third, connack) = broker.connect_with(bob());
        assert!(connack.session_present);
        let messages = drained(&mut broker, third);
        assert_eq!(messages.iter().map(payload).collect::<Vec<_>>(), ["1", "2", "3", "4"]);
        assert_eq!(broker.held().queued, 0);
    }
}

#[test]
fn clean_start_of_a_client_that_goes_away_has_ended_the_session_before() {
    let (mut broker, watcher) = broker_with_watcher();
    broker.let_go_all();
    let (older, _) = broker.connect_with(Connect { will: will("gone", 60), ..bob() });
    subscribed(&mut broker, older, "a", Qos::AtLeastOnce);
    broker.drop_socket(older);
    broker.hold_answers();
    let newer = broker.dial(&Connect { clean_start: true, session_expiry_s: 0, ..bob() });
    broker.drop_socket(newer);
    broker.let_go_all();
    assert_eq!(got(&mut broker, watcher), ["gone"]);
    let held = broker.held();
    assert_eq!((held.sessions, held.subscriptions), (1, 1), "the watcher's");
}

/// The older is opened, hears that it has its session and at once that it must go.
#[test]
fn connection_that_is_taken_over_while_its_session_is_opened_is_told_both() {
    for (version, told) in [(Version::V5, Some(Reason::SESSION_TAKEN_OVER)), (Version::V311, None)]
    {
        let mut broker = Broker::new();
        broker.hold_answers();
        let older = broker.dial(&staying(version, "bob"));
        let newer = broker.dial(&staying(version, "bob"));
        broker.let_go(newer);
        assert_eq!(broker.received(newer), [], "it waits for the older");
        broker.let_go(older);
        assert!(!present(&mut broker, older));
        assert_eq!(farewell(&mut broker, older), told);
        broker.let_go(newer);
        assert!(present(&mut broker, newer));
        assert!(broker.is_open(newer));
    }
}

/// Its answer comes to nobody; the newer gets the session all the same.
#[test]
fn client_that_goes_away_while_it_is_taken_over_makes_room() {
    for session_expiry_s in [0, 3_600] {
        let (mut broker, watcher) = broker_with_watcher();
        let connect = Connect { will: will("gone", 0), session_expiry_s, ..bob() };
        let older = broker.dial(&connect);
        broker.drop_socket(older);
        let newer = broker.dial(&Connect { will: None, ..connect });
        broker.let_go(older);
        broker.let_go(newer);
        assert_eq!(present(&mut broker, newer), session_expiry_s > 0);
        broker.let_go_all();
        assert_eq!(got(&mut broker, watcher), [""; 0], "it was never connected");
        assert_eq!(broker.held().connected, 2);
    }
}

/// Nor does it go on for longer than the time that an older connection has.
#[test]
fn client_that_is_gone_and_never_hears_is_replaced_after_100_ms() {
    let mut broker = Broker::new();
    broker.hold_answers();
    let older = broker.dial(&bob());
    broker.drop_socket(older);
    let newer = broker.dial(&bob());
    broker.pass(99);
    broker.let_go(newer);
    assert_eq!(broker.received(newer), []);
    broker.pass(1);
    broker.let_go(newer);
    assert!(present(&mut broker, newer));
    broker.let_go_all();
    assert!(broker.is_open(newer));
    assert_eq!(broker.held().connected, 1);
}

/// The newest of three that were opened at once goes away as well: nobody is left, and nothing waits.
#[test]
fn all_that_want_a_session_may_go_away() {
    for session_expiry_s in [0, 3_600] {
        let mut broker = Broker::new();
        broker.hold_answers();
        let connect = Connect { session_expiry_s, ..bob() };
        let all = [0, 1, 2].map(|_| broker.dial(&connect));
        all.into_iter().for_each(|client| broker.drop_socket(client));
        broker.let_go_all();
        assert_eq!(broker.held().connected, 0);
        broker.pass(3_600_000);
        assert!(broker.is_empty());
    }
}

#[test]
fn broker_that_shuts_down_opens_no_session() {
    let mut broker = Broker::new();
    broker.hold_answers();
    let client = broker.dial(&bob());
    broker.end(client, Ending::ShuttingDown);
    broker.let_go_all();
    assert!(!broker.is_open(client));
    assert_eq!(broker.received(client), []);
    assert_eq!(broker.held().connected, 0);
}
