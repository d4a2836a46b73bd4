//! §4.1 and §4.5: how long a session stays, and what it gets.

use broker_core::codec::{Connect, Disconnect, FromClient, NEVER_EXPIRES};
use ha_types::Qos;

use crate::common::{client, got, staying, subscribed, subscriber};
use crate::spec::broker::Broker;
use crate::spec::packets::{publish_1, publish_2};

fn with_expiry(session_expiry_s: u32) -> Connect {
    Connect { session_expiry_s, ..staying("bob") }
}

/// [MQTT-4.1.0-1]: while its connection is open a session is not discarded, however short its expiry.
#[test]
fn session_stays_while_its_connection_is_open() {
    for session_expiry_s in [0, 1] {
        let mut broker = Broker::new();
        let alice = client(&mut broker, "alice");
        let (bob, _) = broker.connect_with(with_expiry(session_expiry_s));
        subscribed(&mut broker, bob, "a", Qos::AtLeastOnce);
        broker.drop_socket(bob);
        broker.pass(999 * u64::from(session_expiry_s));
        let (bob, connack) = broker.connect_with(with_expiry(session_expiry_s));
        assert_eq!(connack.session_present, session_expiry_s > 0);
        if session_expiry_s == 0 {
            subscribed(&mut broker, bob, "a", Qos::AtLeastOnce);
        }
        broker.pass(3_600_000);
        broker.send(alice, &FromClient::Publish(publish_1(1, "a", "x")));
        assert_eq!(got(&mut broker, bob), ["x"]);
    }
}

/// [MQTT-4.1.0-2]: a session that is not connected is discarded when its expiry is over, and no
/// sooner.
#[test]
fn session_is_discarded_when_its_expiry_is_over() {
    for (session_expiry_s, away_ms, is_present) in [
        (1, 999, true),
        (1, 1_000, false),
        (3_600, 3_599_999, true),
        (3_600, 3_600_000, false),
        (NEVER_EXPIRES - 1, 1_000_000_000_000, true),
        (NEVER_EXPIRES, 10_000_000_000_000, true),
    ] {
        let mut broker = Broker::new();
        let (bob, _) = broker.connect_with(with_expiry(session_expiry_s));
        broker.drop_socket(bob);
        broker.pass(away_ms);
        assert_eq!(broker.sessions(), usize::from(is_present), "{session_expiry_s} {away_ms}");
        let (_, connack) = broker.connect_with(with_expiry(session_expiry_s));
        assert_eq!(connack.session_present, is_present, "{session_expiry_s} {away_ms}");
    }
}

/// [MQTT-4.1.0-2]: the expiry of DISCONNECT counts, and that of the last CONNECT.
#[test]
fn last_expiry_that_the_client_gave_counts() {
    for (at_disconnect, away_ms, is_present) in [
        (Some(5), 4_999, true),
        (Some(5), 5_000, false),
        (Some(0), 0, false),
        (None, 59_999, true),
        (None, 60_000, false),
    ] {
        let mut broker = Broker::new();
        let (bob, _) = broker.connect_with(with_expiry(3_600));
        broker.drop_socket(bob);
        let (bob, _) = broker.connect_with(with_expiry(60));
        let disconnect = Disconnect { session_expiry_s: at_disconnect, ..Disconnect::default() };
        broker.send(bob, &FromClient::Disconnect(disconnect));
        broker.pass(away_ms);
        assert_eq!(broker.sessions(), usize::from(is_present), "{at_disconnect:?} {away_ms}");
    }
}

/// [MQTT-4.5.0-1]: a message is added to every session that has a matching subscription, connected
/// or not, and to no other.
#[test]
fn message_is_added_to_the_sessions_of_all_matching_subscriptions() {
    let mut broker = Broker::new();
    let alice = client(&mut broker, "alice");
    let connected = ["a/b", "a/+", "#"].map(|filter| {
        let (client, _) = broker.connect_with(staying(&format!("durable {filter}")));
        subscribed(&mut broker, client, filter, Qos::AtLeastOnce);
        let id = format!("ephemeral {filter}");
        [client, subscriber(&mut broker, &id, filter, Qos::ExactlyOnce)]
    });
    let (away, _) = broker.connect_with(staying("away"));
    subscribed(&mut broker, away, "a/b", Qos::AtLeastOnce);
    broker.drop_socket(away);
    let other = subscriber(&mut broker, "other", "a/c", Qos::ExactlyOnce);
    broker.send(alice, &FromClient::Publish(publish_1(1, "a/b", "one")));
    broker.send(alice, &FromClient::Publish(publish_2(2, "a/b", "two")));
    let (away, _) = broker.connect_with(staying("away"));
    for client in connected.into_iter().flatten().chain([away]) {
        assert_eq!(got(&mut broker, client), ["one", "two"]);
    }
    assert_eq!(got(&mut broker, other), [""; 0]);
}
