//! Connecting, and the session behind it (§3.1, §3.2, §4.1).

use broker_core::codec::{Connect, FromClient, FromServer, Reason, Version};
use broker_core::holder::HolderConfig;
use ha_types::Qos;

use crate::common::{client, got, staying, subscriber};
use crate::spec::broker::Broker;
use crate::spec::packets::{disconnect, publish, publish_1, publish_2, subscribe, text};

/// [MQTT-3.1.2-4], [MQTT-3.1.2-5], [MQTT-4.1.0-1]: it begins, goes on, and collects meanwhile.
#[test]
fn session_without_clean_session_stays_and_collects() {
    let mut broker = Broker::new();
    let (bob, connack) = broker.connect_with(staying("bob"));
    assert!(!connack.session_present);
    broker.send(bob, &subscribe(1, "a", Qos::ExactlyOnce));
    broker.drop_socket(bob);
    let alice = client(&mut broker, "alice");
    for packet in [publish_1(1, "a", "one"), publish_2(2, "a", "two"), publish("a", "zero")] {
        broker.send(alice, &FromClient::Publish(packet));
    }
    let (bob, connack) = broker.connect_with(staying("bob"));
    assert!(connack.session_present);
    assert_eq!(got(&mut broker, bob), ["one", "two"]);
}

/// [MQTT-3.1.2-6], [MQTT-3.1.4-3]: nothing old is used, and nothing is kept.
#[test]
fn clean_session_begins_with_nothing_and_leaves_nothing() {
    let mut broker = Broker::new();
    let (bob, _) = broker.connect_with(staying("bob"));
    broker.send(bob, &subscribe(1, "a", Qos::AtLeastOnce));
    broker.drop_socket(bob);
    let bob = client(&mut broker, "bob");
    let alice = client(&mut broker, "alice");
    broker.send(alice, &FromClient::Publish(publish_1(1, "a", "x")));
    assert_eq!(broker.received(bob), []);
    broker.send(bob, &subscribe(1, "a", Qos::AtLeastOnce));
    broker.drop_socket(bob);
    assert_eq!(broker.sessions(), 1);
    let (_, connack) = broker.connect_with(staying("bob"));
    assert!(!connack.session_present);
}

/// [MQTT-3.1.2-7]
#[test]
fn retained_message_outlives_the_session_of_its_publisher() {
    let mut broker = Broker::new();
    let alice = client(&mut broker, "alice");
    let kept = broker_core::codec::Publish { retain: true, ..publish("a", "kept") };
    broker.send(alice, &FromClient::Publish(kept));
    broker.send(alice, &disconnect(Reason::SUCCESS));
    let bob = client(&mut broker, "bob");
    broker.send(bob, &subscribe(1, "a", Qos::AtMostOnce));
    assert_eq!(got(&mut broker, bob), ["kept"]);
}

/// [MQTT-3.1.2-24]: not before one and a half times the keep alive, and then at once.
#[test]
fn silent_client_is_closed_after_one_and_a_half_keep_alives() {
    let mut broker = Broker::new();
    let connect = Connect { keep_alive_s: 10, ..Connect::new(Version::V311, text("bob")) };
    let (bob, _) = broker.connect_with(connect);
    broker.pass(14_999);
    assert!(broker.is_open(bob));
    broker.send(bob, &FromClient::Pingreq);
    broker.pass(14_999);
    assert!(broker.is_open(bob));
    broker.pass(1);
    assert!(!broker.is_open(bob));
}

/// [MQTT-3.1.3-2]
#[test]
fn state_is_found_by_the_client_id() {
    let mut broker = Broker::new();
    for name in ["bob", "eve"] {
        let (client, _) = broker.connect_with(staying(name));
        broker.send(client, &subscribe(1, name, Qos::AtLeastOnce));
        broker.drop_socket(client);
    }
    let alice = client(&mut broker, "alice");
    broker.send(alice, &FromClient::Publish(publish_1(1, "bob", "for bob")));
    let (eve, _) = broker.connect_with(staying("eve"));
    assert_eq!(got(&mut broker, eve), [""; 0]);
    let (bob, _) = broker.connect_with(staying("bob"));
    assert_eq!(got(&mut broker, bob), ["for bob"]);
}

/// [MQTT-3.1.3-6]
#[test]
fn clients_without_an_id_do_not_disturb_each_other() {
    let mut broker = Broker::new();
    let (one, _) = broker.connect_with(Connect::new(Version::V311, text("")));
    let (other, _) = broker.connect_with(Connect::new(Version::V311, text("")));
    assert!(broker.is_open(one) && broker.is_open(other));
    assert_eq!(broker.sessions(), 2);
}

/// [MQTT-3.1.3-9]: return code 2, then the end.
#[test]
fn empty_client_id_with_a_session_that_stays_is_refused() {
    let mut broker = Broker::new();
    let (bob, connack) = broker.try_connect(staying(""));
    assert_eq!(connack.reason, Reason::CLIENT_ID_NOT_VALID);
    assert!(!broker.is_open(bob));
}

/// [MQTT-3.1.4-2]
#[test]
fn newer_connection_ends_the_older_one_of_its_client_id() {
    let mut broker = Broker::new();
    let older = client(&mut broker, "bob");
    let newer = client(&mut broker, "bob");
    assert!(!broker.is_open(older) && broker.is_open(newer));
    assert_eq!(broker.received(older), []);
}

/// [MQTT-3.1.4-4], [MQTT-3.2.0-1]: the first packet, with return code 0.
#[test]
fn connack_is_the_first_packet_and_says_that_the_client_is_in() {
    let mut broker = Broker::new();
    let bob = broker.socket(Version::V311);
    // A client need not wait for CONNACK.
    broker.send_bytes(bob, b"\x10\x0F\0\x04MQTT\x04\x02\0\0\0\x03bob\xC0\0");
    let packets = broker.received(bob);
    assert!(matches!(&packets[0], FromServer::Connack(c) if c.reason == Reason::SUCCESS));
    assert_eq!(packets[1..], [FromServer::Pingresp]);
}

/// [MQTT-3.1.4-5], [MQTT-3.2.2-5]: after another return code nothing is processed, and the
/// connection ends.
#[test]
fn nothing_that_follows_a_refused_connect_is_processed() {
    let config = HolderConfig { sessions_max: 0, ..HolderConfig::default() };
    let mut broker = Broker::with(broker_core::engine::Limits::default(), config);
    let bob = broker.socket(Version::V311);
    let publish = b"\x30\x04\0\x01ax";
    broker.send_bytes(bob, &[&b"\x10\x0F\0\x04MQTT\x04\x02\0\0\0\x03bob"[..], publish].concat());
    let packets = broker.received(bob);
    assert!(matches!(&packets[..], [FromServer::Connack(c)] if c.reason.is_failure()));
    assert!(!broker.is_open(bob));
    assert_eq!(broker.published, []);
}

/// [MQTT-3.2.2-1], [MQTT-3.2.2-2], [MQTT-3.2.2-3]
#[test]
fn session_present_says_whether_there_was_one() {
    let mut broker = Broker::new();
    for (clean, expected) in [(false, false), (false, true), (true, false), (false, false)] {
        let connect = match clean {
            true => Connect::new(Version::V311, text("bob")),
            false => staying("bob"),
        };
        let (bob, connack) = broker.connect_with(connect);
        assert_eq!(connack.session_present, expected);
        broker.drop_socket(bob);
    }
}

/// [MQTT-4.1.0-2]
#[test]
fn session_lasts_as_long_as_its_connection() {
    let mut broker = Broker::new();
    let bob = subscriber(&mut broker, "bob", "a", Qos::AtLeastOnce);
    broker.pass(1_000_000_000);
    let alice = client(&mut broker, "alice");
    broker.send(alice, &FromClient::Publish(publish_1(1, "a", "x")));
    assert_eq!(got(&mut broker, bob), ["x"]);
}

/// [MQTT-3.12.4-1]
#[test]
fn ping_is_answered() {
    let mut broker = Broker::new();
    let bob = client(&mut broker, "bob");
    broker.send(bob, &FromClient::Pingreq);
    assert_eq!(broker.received(bob), [FromServer::Pingresp]);
}

/// [MQTT-4.8.0-1]: the connection that it came on, and no other.
#[test]
fn violation_ends_the_connection_that_it_came_on() {
    for violation in
        [&b"\x10\x0F\0\x04MQTT\x04\x02\0\0\0\x03bob"[..], b"\x36\x04\0\x01ax", b"\xF0\0"]
    {
        let mut broker = Broker::new();
        let (bob, eve) = (client(&mut broker, "bob"), client(&mut broker, "eve"));
        broker.send_bytes(bob, violation);
        assert!(!broker.is_open(bob) && broker.is_open(eve), "{violation:02X?}");
        assert_eq!(broker.received(bob), []);
    }
}

/// [MQTT-4.8.0-2]: the holder cannot take the message now.
#[test]
fn transient_error_ends_the_connection_instead_of_acknowledging() {
    let mut broker = Broker::new();
    let bob = client(&mut broker, "bob");
    broker.refusal = Some(ha_types::session::RefuseReason::Unavailable);
    broker.send(bob, &FromClient::Publish(publish_1(1, "a", "x")));
    assert_eq!(broker.received(bob), []);
    assert!(!broker.is_open(bob));
}
