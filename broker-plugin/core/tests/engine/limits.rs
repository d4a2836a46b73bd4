//! What a listener allows one connection, on both sides of each limit.

use broker_core::codec::{Connect, FromClient, FromServer, Reason, Version, Will};
use broker_core::engine::Limits;
use broker_core::holder::HolderConfig;
use ha_types::Qos;

use crate::common::{QOS, farewell, got, of_qos, staying, subscribed, will};
use crate::spec::broker::{Broker, Client};
use crate::spec::packets::{ack, name, suback, subscribe, text, unsubscribe};

fn broker_with(limits: Limits) -> Broker {
    Broker::with(limits, HolderConfig::default())
}

fn publish_all(broker: &mut Broker, client: Client, qos: Qos, count: u16) {
    (1..=count).for_each(|id| broker.send(client, &of_qos(qos, id, "a", &id.to_string())));
}

/// It is read from more slowly: nothing is lost, and what comes behind waits as well.
#[test]
fn client_that_publishes_too_fast_is_slowed_down() {
    for version in Version::ALL {
        for qos in QOS {
            let mut broker = broker_with(Limits { publish_rate_max: 2, ..Limits::default() });
            let bob = broker.connect(version, "bob");
            subscribed(&mut broker, bob, "a", Qos::AtMostOnce);
            let alice = broker.connect(version, "alice");
            publish_all(&mut broker, alice, qos, 5);
            broker.send(alice, &FromClient::Pingreq);
            assert_eq!(got(&mut broker, bob), ["1", "2"]);
            for (number, at_ms) in [("3", 500), ("4", 1_000), ("5", 1_500)] {
                broker.pass(499);
                assert_eq!(got(&mut broker, bob), [""; 0], "before {at_ms}");
                broker.pass(1);
                assert_eq!(got(&mut broker, bob), [number], "at {at_ms}");
            }
            assert!(!broker.received(alice).contains(&FromServer::Pingresp));
            broker.pass(500);
            assert!(broker.received(alice).contains(&FromServer::Pingresp));
            assert!(broker.is_open(alice));
        }
    }
}

#[test]
fn client_that_publishes_slowly_enough_is_not_slowed_down() {
    let mut broker = broker_with(Limits { publish_rate_max: 2, ..Limits::default() });
    let alice = broker.connect(Version::V5, "alice");
    for sent in 1..=20 {
        broker.send(alice, &of_qos(Qos::AtMostOnce, 0, "a", "x"));
        assert_eq!(broker.published.len(), sent);
        broker.pass(500);
    }
    broker.pass(3_600_000);
    publish_all(&mut broker, alice, Qos::AtMostOnce, 5);
    assert_eq!(broker.published.len(), 22, "an hour of silence saves no more than a second's");
}

#[test]
fn clients_do_not_share_their_publish_rate() {
    let mut broker = broker_with(Limits { publish_rate_max: 1, ..Limits::default() });
    for at in 1..=9 {
        let client = broker.connect(Version::V5, &at.to_string());
        publish_all(&mut broker, client, Qos::AtMostOnce, 2);
        assert_eq!(broker.published.len(), at);
    }
}

/// Clients before 5.0 do not know of it. One of 5.0 that does not keep to it is closed.
#[test]
fn older_client_is_not_read_from_above_the_receive_maximum() {
    for version in [Version::V31, Version::V311] {
        for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
            let mut broker = broker_with(Limits { receive_maximum: 3, ..Limits::default() });
            let alice = broker.connect(version, "alice");
            broker.hold_answers();
            publish_all(&mut broker, alice, qos, 10);
            broker.send(alice, &FromClient::Pingreq);
            assert_eq!(broker.published.len(), 3);
            for done in 1..=7 {
                broker.let_go_one(alice);
                assert_eq!(broker.received(alice).len(), 1);
                assert_eq!(broker.published.len(), 3 + done);
            }
            broker.let_go_one(alice);
            assert!(broker.received(alice).contains(&FromServer::Pingresp));
            broker.let_go_all();
            assert_eq!(broker.received(alice).len(), 2);
        }
    }
}

/// What waits for the client does not count: it could not end it if it were not read from.
#[test]
fn older_client_may_leave_more_exchanges_unfinished_than_the_receive_maximum() {
    let mut broker = broker_with(Limits { receive_maximum: 3, ..Limits::default() });
    let alice = broker.connect(Version::V311, "alice");
    publish_all(&mut broker, alice, Qos::ExactlyOnce, 10);
    (1..=10).for_each(|id| broker.send(alice, &ack(FromClient::Pubrel, id)));
    let answers = broker.received(alice);
    let pubcomps = (1..=10).map(|id| ack(FromServer::Pubcomp, id)).collect::<Vec<_>>();
    assert_eq!(answers[10..], pubcomps);
}

#[test]
fn client_with_too_many_subscribes_under_way_is_not_read_from() {
    for version in Version::ALL {
        let mut broker = broker_with(Limits { subscribing_max: 2, ..Limits::default() });
        let alice = broker.connect(version, "alice");
        broker.hold_answers();
        broker.send(alice, &subscribe(1, "a", Qos::AtMostOnce));
        broker.send(alice, &unsubscribe(2, "x"));
        broker.send(alice, &subscribe(3, "b", Qos::AtMostOnce));
        broker.send(alice, &of_qos(Qos::AtMostOnce, 0, "c", "x"));
        assert_eq!((broker.held().subscriptions, broker.published.len()), (1, 0));
        broker.let_go_one(alice);
        assert_eq!(broker.received(alice), [suback(1, &[Reason::SUCCESS])]);
        assert_eq!((broker.held().subscriptions, broker.published.len()), (2, 0));
        broker.let_go_one(alice);
        assert_eq!(broker.published.len(), 1);
    }
}

/// Three levels and nine bytes are allowed.
fn with_short_topics() -> Broker {
    broker_with(Limits { topic_levels_max: 3, topic_bytes_max: 9, ..Limits::default() })
}

const SHORT: [&str; 4] = ["a/b/c", "123456789", "//", "a/234/678"];
const LONG: [&str; 4] = ["a/b/c/d", "1234567890", "///", "a/234/6789"];

#[test]
fn publish_to_a_topic_above_the_limits_is_refused() {
    for version in Version::ALL {
        let mut broker = with_short_topics();
        let alice = broker.connect(version, "alice");
        for (at, topic) in SHORT.into_iter().chain(LONG).enumerate() {
            for qos in QOS {
                broker.send(alice, &of_qos(qos, 1, topic, "x"));
                let refused = at >= SHORT.len() && version == Version::V5;
                let expected = if refused { Reason::TOPIC_NAME_INVALID } else { Reason::SUCCESS };
                match broker.next_packet(alice) {
                    None => assert_eq!(qos, Qos::AtMostOnce),
                    Some(FromServer::Puback(ack) | FromServer::Pubrec(ack)) => {
                        assert_eq!(ack.reason, expected, "{topic}");
                    }
                    other => panic!("{other:?}"),
                }
                broker.send(alice, &ack(FromClient::Pubrel, 1));
                broker.received(alice);
            }
        }
        assert_eq!(broker.published.len(), SHORT.len() * QOS.len());
        assert!(broker.is_open(alice));
        assert_eq!(broker.counts(alice).denied, 12);
    }
}

#[test]
fn filter_above_the_limits_is_refused() {
    for version in Version::ALL {
        let mut broker = with_short_topics();
        let alice = broker.connect(version, "alice");
        let refused =
            if version == Version::V5 { Reason::TOPIC_FILTER_INVALID } else { Reason(0x80) };
        for (at, filter) in SHORT.into_iter().chain(LONG).enumerate() {
            broker.send(alice, &subscribe(1, filter, Qos::AtLeastOnce));
            let expected = if at < SHORT.len() { Reason::GRANTED_QOS_1 } else { refused };
            assert_eq!(broker.received(alice), [suback(1, &[expected])], "{filter}");
        }
        assert_eq!(broker.held().subscriptions, SHORT.len());
    }
}

#[test]
fn connect_whose_will_has_a_topic_above_the_limits_is_refused() {
    for version in Version::ALL {
        let connect = |topic| {
            let will = will("x", 0).map(|will| Will { topic: name(topic), ..will });
            Connect { will, ..Connect::new(version, text("alice")) }
        };
        for topic in SHORT {
            with_short_topics().connect_with(connect(topic));
        }
        // Before 5.0 there is no word for it.
        let told = (version == Version::V5).then_some(Reason::TOPIC_NAME_INVALID);
        for topic in LONG {
            let mut broker = with_short_topics();
            let alice = broker.dial(&connect(topic));
            assert_eq!(farewell(&mut broker, alice), told, "{topic}");
            assert_eq!(broker.sessions(), 0);
        }
    }
}

#[test]
fn connection_without_connect_is_closed_exactly_at_its_timeout_and_without_a_word() {
    let beginnings: [&[u8]; 3] = [b"", b"\x10", b"\x10\x0D\0\x04MQTT\x05"];
    for bytes in beginnings {
        let mut broker = broker_with(Limits { connect_timeout_ms: 5_000, ..Limits::default() });
        let silent = broker.socket(Version::V5);
        broker.pass(4_998);
        broker.send_bytes(silent, bytes);
        broker.pass(1);
        assert!(broker.is_open(silent));
        broker.pass(1);
        assert_eq!(farewell(&mut broker, silent), None);
        assert!(broker.is_empty());
    }
}

#[test]
fn connection_that_connects_just_in_time_stays() {
    let mut broker = broker_with(Limits { connect_timeout_ms: 5_000, ..Limits::default() });
    let bob = broker.socket(Version::V5);
    broker.send_bytes(bob, b"\x10\x10\0\x04MQTT\x05\x02\0\0\0\0\x03b");
    broker.pass(4_999);
    broker.send_bytes(bob, b"ob");
    assert!(matches!(broker.next_packet(bob), Some(FromServer::Connack(_))));
    broker.pass(3_600_000);
    assert!(broker.is_open(bob));
}

/// What a client does.
type Act = fn(&mut Broker, Client);

/// A client that the broker does not read from, for three reasons: each until it is read from again.
fn unread() -> [(Limits, Act); 3] {
    [
        (Limits { receive_maximum: 1, ..Limits::default() }, |broker, bob| {
            broker.send(bob, &of_qos(Qos::AtLeastOnce, 1, "a", "x"))
        }),
        (Limits { subscribing_max: 1, ..Limits::default() }, |broker, bob| {
            broker.send(bob, &subscribe(1, "a", Qos::AtMostOnce))
        }),
        (Limits { queue_bytes_max: 1, ..Limits::default() }, |broker, bob| {
            broker.set_reading(bob, false);
            (0..9).for_each(|_| broker.send(bob, &FromClient::Pingreq));
        }),
    ]
}

#[test]
fn keep_alive_is_not_enforced_while_the_client_is_not_read_from() {
    for version in Version::ALL {
        for (limits, begin) in unread() {
            let mut broker = broker_with(limits);
            let connect = Connect { keep_alive_s: 10, ..staying(version, "bob") };
            let (bob, _) = broker.connect_with(connect);
            broker.hold_answers();
            begin(&mut broker, bob);
            broker.pass(600_000);
            assert!(broker.is_open(bob));
            broker.let_go_all();
            broker.set_reading(bob, true);
            broker.pass(14_999);
            assert!(broker.is_open(bob));
            broker.pass(1);
            assert!(!broker.is_open(bob), "it is silent and read from");
        }
    }
}

/// What it sent meanwhile counts from when it is read.
#[test]
fn ping_that_waited_to_be_read_counts() {
    for (limits, begin) in unread() {
        let mut broker = broker_with(limits);
        let connect = Connect { keep_alive_s: 10, ..staying(Version::V5, "bob") };
        let (bob, _) = broker.connect_with(connect);
        broker.hold_answers();
        begin(&mut broker, bob);
        broker.pass(14_000);
        broker.send(bob, &FromClient::Pingreq);
        broker.pass(14_000);
        broker.let_go_all();
        broker.set_reading(bob, true);
        broker.pass(14_999);
        assert!(broker.is_open(bob));
        broker.pass(1);
        assert!(!broker.is_open(bob));
    }
}

#[test]
fn keep_alive_is_not_enforced_while_the_client_is_slowed_down() {
    let mut broker = broker_with(Limits { publish_rate_max: 1, ..Limits::default() });
    let connect = Connect { keep_alive_s: 1, ..staying(Version::V5, "bob") };
    let (bob, _) = broker.connect_with(connect);
    publish_all(&mut broker, bob, Qos::AtMostOnce, 60);
    broker.pass(59_000);
    assert!(broker.is_open(bob));
    assert_eq!(broker.published.len(), 60);
    broker.pass(2_500);
    assert_eq!(farewell(&mut broker, bob), Some(Reason::KEEP_ALIVE_TIMEOUT));
}
