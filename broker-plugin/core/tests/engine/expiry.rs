//! What ends at its second: sessions with all that they have, wills that wait, messages of wills.

use broker_core::codec::{Connect, Disconnect, FromClient, FromServer, Reason, Version, Will};
use broker_core::engine::Limits;
use broker_core::holder::HolderConfig;
use ha_types::Qos;

use crate::common::{drained, got, of_qos, payload, staying, subscribed, will};
use crate::spec::broker::{Broker, Client};
use crate::spec::packets::{ack, disconnect, publishes, text};

/// Of a session of 60 seconds.
const AROUND_ITS_END: [(u64, bool); 2] = [(59_999, true), (60_000, false)];

fn bob() -> Connect {
    Connect { session_expiry_s: 60, ..staying(Version::V5, "bob") }
}

/// `bob`'s connection broke with one exchange of each kind in the middle, and one message is queued.
fn broker_without_bob() -> (Broker, Client) {
    let mut broker = Broker::new();
    let alice = broker.connect(Version::V5, "alice");
    let (client, _) = broker.connect_with(bob());
    subscribed(&mut broker, client, "a", Qos::ExactlyOnce);
    broker.send(client, &of_qos(Qos::ExactlyOnce, 9, "b", "his own"));
    for (packet_id, text) in [(1, "recorded"), (2, "sent")] {
        broker.send(alice, &of_qos(Qos::ExactlyOnce, packet_id, "a", text));
    }
    let sent = publishes(&broker.received(client));
    broker.send(client, &ack(FromClient::Pubrec, sent[0].flow.packet_id().unwrap().get()));
    broker.drop_socket(client);
    broker.send(alice, &of_qos(Qos::AtLeastOnce, 3, "a", "queued"));
    (broker, alice)
}

#[test]
fn session_has_everything_until_its_second_and_nothing_from_then_on() {
    for (away_ms, is_there) in AROUND_ITS_END {
        let (mut broker, alice) = broker_without_bob();
        broker.pass(away_ms);
        let held = broker.held();
        let expected = if is_there { (2, 1, 3) } else { (1, 0, 0) };
        assert_eq!((held.sessions, held.subscriptions, held.queued), expected);
        let (client, connack) = broker.connect_with(bob());
        assert_eq!(connack.session_present, is_there);
        broker.send(client, &ack(FromClient::Pubrel, 9));
        let packets = broker.received(client);
        let released = packets.iter().find_map(|packet| match packet {
            FromServer::Pubcomp(pubcomp) => Some(pubcomp.reason),
            _ => None,
        });
        let expected = if is_there { Reason::SUCCESS } else { Reason::PACKET_ID_NOT_FOUND };
        assert_eq!(released, Some(expected));
        let again = packets.iter().filter(|packet| matches!(packet, FromServer::Pubrel(_)));
        assert_eq!(again.count(), usize::from(is_there));
        let messages: Vec<_> = publishes(&packets).iter().map(payload).collect();
        let expected: &[&str] = if is_there { &["sent", "queued"] } else { &[] };
        assert_eq!(messages, expected);
        broker.send(alice, &of_qos(Qos::AtMostOnce, 0, "a", "live"));
        assert_eq!(got(&mut broker, client).len(), usize::from(is_there));
    }
}

#[test]
fn message_of_the_last_millisecond_is_queued_and_one_of_the_next_is_not() {
    for (away_ms, is_there) in AROUND_ITS_END {
        let (mut broker, alice) = broker_without_bob();
        broker.pass(away_ms);
        broker.send(alice, &of_qos(Qos::AtLeastOnce, 4, "a", "late"));
        assert_eq!(broker.held().queued, if is_there { 4 } else { 0 });
    }
}

#[test]
fn each_end_of_a_connection_begins_the_time_anew() {
    let mut broker = Broker::new();
    for _ in 0..9 {
        let (client, _) = broker.connect_with(bob());
        broker.pass(3_600_000);
        broker.drop_socket(client);
        broker.pass(59_999);
        assert_eq!(broker.sessions(), 1);
    }
    broker.pass(1);
    assert!(broker.is_empty());
}

/// A client that asks for longer is told; an older one, which wants its session for ever, cannot be.
#[test]
fn session_lasts_no_longer_than_the_listener_allows() {
    for version in Version::ALL {
        let limits = Limits { session_expiry_max_s: 30, ..Limits::default() };
        let mut broker = Broker::with(limits, HolderConfig::default());
        let (client, connack) = broker.connect_with(staying(version, "bob"));
        let told = (version == Version::V5).then_some(30);
        assert_eq!(connack.announcement.session_expiry_s, told);
        broker.drop_socket(client);
        broker.pass(29_999);
        assert_eq!(broker.sessions(), 1, "{version:?}");
        broker.pass(1);
        assert!(broker.is_empty(), "{version:?}");
    }
}

#[test]
fn disconnect_that_asks_for_longer_than_the_listener_allows_gets_that() {
    let limits = Limits { session_expiry_max_s: 30, ..Limits::default() };
    let mut broker = Broker::with(limits, HolderConfig::default());
    let (client, _) = broker.connect_with(Connect { session_expiry_s: 5, ..bob() });
    let last = Disconnect { session_expiry_s: Some(3_600), ..Disconnect::default() };
    broker.send(client, &FromClient::Disconnect(last));
    broker.pass(29_999);
    assert_eq!(broker.sessions(), 1);
    broker.pass(1);
    assert!(broker.is_empty());
}

/// A watcher of wills whose session stays and which is away, so that its wills wait for it.
fn broker_with_watcher() -> Broker {
    let mut broker = Broker::new();
    let (watcher, _) = broker.connect_with(staying(Version::V311, "watcher"));
    subscribed(&mut broker, watcher, "will", Qos::AtLeastOnce);
    broker.drop_socket(watcher);
    broker
}

/// The wills that the watcher finds when it comes back, and acknowledges.
fn wills(broker: &mut Broker) -> Vec<String> {
    let (watcher, _) = broker.connect_with(staying(Version::V311, "watcher"));
    let wills = drained(broker, watcher).iter().map(payload).collect();
    broker.drop_socket(watcher);
    wills
}

/// The next connection has a will of its own, which is another matter.
#[test]
fn will_of_a_client_that_is_back_in_time_is_replaced_and_of_one_that_is_late_is_published() {
    for (away_ms, first) in [(9_999, None), (10_000, Some("first")), (10_001, Some("first"))] {
        let mut broker = broker_with_watcher();
        let (client, _) = broker.connect_with(Connect { will: will("first", 10), ..bob() });
        broker.drop_socket(client);
        broker.pass(away_ms);
        let (client, _) = broker.connect_with(Connect { will: will("second", 10), ..bob() });
        broker.pass(60_000);
        assert_eq!(wills(&mut broker), Vec::from_iter(first), "{away_ms}");
        broker.drop_socket(client);
        broker.pass(9_999);
        assert_eq!(wills(&mut broker), [""; 0]);
        broker.pass(1);
        assert_eq!(wills(&mut broker), ["second"]);
        broker.pass(3_600_000);
        assert_eq!(wills(&mut broker), [""; 0]);
    }
}

#[test]
fn client_that_is_back_and_disconnects_leaves_no_will_at_all() {
    let mut broker = broker_with_watcher();
    let (client, _) = broker.connect_with(Connect { will: will("first", 10), ..bob() });
    broker.drop_socket(client);
    broker.pass(9_999);
    let (client, _) = broker.connect_with(Connect { will: will("second", 10), ..bob() });
    broker.send(client, &disconnect(Reason::SUCCESS));
    broker.pass(3_600_000);
    assert_eq!(wills(&mut broker), [""; 0]);
}

/// Whichever is first, and once, when both are due in the same millisecond.
#[test]
fn will_whose_delay_is_over_with_its_session_is_published_once() {
    let mut broker = broker_with_watcher();
    let (client, _) = broker.connect_with(Connect { will: will("once", 60), ..bob() });
    broker.drop_socket(client);
    broker.pass(59_999);
    assert_eq!((wills(&mut broker), broker.sessions()), (vec![], 2));
    broker.pass(1);
    assert_eq!((wills(&mut broker), broker.sessions()), (vec!["once".to_owned()], 1));
}

/// Its life begins when it is published, not when it was left.
#[test]
fn message_of_a_will_expires_so_long_after_its_delay() {
    for (waits_ms, left_s) in [(0, Some(5)), (4_999, Some(1)), (5_000, None)] {
        let mut broker = Broker::new();
        let (watcher, _) = broker.connect_with(staying(Version::V5, "watcher"));
        subscribed(&mut broker, watcher, "will", Qos::AtLeastOnce);
        broker.drop_socket(watcher);
        let expiring =
            will("gone", 10).map(|will| Will { expires_in_s: Some(5), retain: true, ..will });
        let (client, _) = broker.connect_with(Connect { will: expiring, ..bob() });
        broker.drop_socket(client);
        broker.pass(10_000 + waits_ms);
        assert_eq!(broker.retained("will").is_some(), left_s.is_some());
        let (watcher, _) = broker.connect_with(staying(Version::V5, "watcher"));
        let found = drained(&mut broker, watcher);
        let lives: Vec<_> = found.iter().map(|publish| publish.expires_in_s).collect();
        assert_eq!(lives, Vec::from_iter(left_s.map(Some)), "{waits_ms}");
    }
}

/// Who takes over is back in time for any delay, however little there is; whether it starts clean
/// decides what becomes of a will that waits.
#[test]
fn takeover_decides_about_the_will_at_once() {
    for (delay_s, clean_start, published) in
        [(0, false, true), (0, true, true), (1, false, false), (1, true, true)]
    {
        let mut broker = broker_with_watcher();
        broker.connect_with(Connect { will: will("gone", delay_s), ..bob() });
        let (newer, _) = broker.connect_with(Connect { clean_start, ..bob() });
        let expected = if published { vec!["gone".to_owned()] } else { Vec::new() };
        assert_eq!(wills(&mut broker), expected, "{delay_s} {clean_start}");
        broker.pass(60_000);
        broker.drop_socket(newer);
        broker.pass(60_000);
        assert_eq!(wills(&mut broker), [""; 0]);
    }
}

/// The client that was replaced by itself hears of its own end.
#[test]
fn will_of_a_takeover_comes_to_the_newer_connection_after_its_connack() {
    let mut broker = Broker::new();
    let (older, _) = broker.connect_with(Connect { will: will("gone", 0), ..bob() });
    subscribed(&mut broker, older, "will", Qos::AtLeastOnce);
    let (newer, connack) = broker.connect_with(bob());
    assert!(connack.session_present);
    assert_eq!(got(&mut broker, newer), ["gone"]);
}

#[test]
fn ephemeral_client_s_will_does_not_wait_for_its_delay() {
    let mut broker = broker_with_watcher();
    let connect = Connect { will: will("gone", 3_600), ..Connect::new(Version::V5, text("bob")) };
    let (client, _) = broker.connect_with(connect);
    broker.drop_socket(client);
    assert_eq!(wills(&mut broker), ["gone"]);
}
