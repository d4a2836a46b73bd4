//! §3.3.2.3.3: messages that expire.

use broker_core::codec::{Connect, FromClient, FromServer, Publish, Reason};
use ha_types::Qos;

use crate::common::{client, got, staying, subscribed};
use crate::spec::broker::{Broker, Client};
use crate::spec::packets::{ack, disconnect, payloads, publish, publish_1, publish_2, publishes};

/// A message that lives for so many seconds.
fn expiring(publish: Publish, seconds: u32) -> FromClient {
    FromClient::Publish(Publish { expires_in_s: Some(seconds), ..publish })
}

/// A publisher, and `bob`, who takes `receive_maximum` messages at a time and does not acknowledge.
fn broker_with_slow_bob(receive_maximum: u16, qos: Qos) -> (Broker, Client, Client) {
    let mut broker = Broker::new();
    let alice = client(&mut broker, "alice");
    let (bob, _) = broker.connect_with(Connect { receive_maximum, ..staying("bob") });
    subscribed(&mut broker, bob, "a", qos);
    (broker, alice, bob)
}

/// [MQTT-3.3.2-5]: a message that expires while its client is away is not delivered; one that does
/// not is.
#[test]
fn message_that_expires_while_its_client_is_away_is_dropped() {
    for (away_ms, delivered) in [(4_999, 1), (5_000, 0)] {
        let (mut broker, alice, bob) = broker_with_slow_bob(9, Qos::AtLeastOnce);
        broker.send(bob, &disconnect(Reason::SUCCESS));
        broker.send(alice, &expiring(publish_1(1, "a", "short"), 5));
        broker.pass(away_ms);
        let (bob, _) = broker.connect_with(staying("bob"));
        assert_eq!(got(&mut broker, bob).len(), delivered, "{away_ms}");
    }
}

/// [MQTT-3.3.2-5]: the same while its client takes no more, and of a retained message.
#[test]
fn message_that_expires_before_its_delivery_begins_is_dropped() {
    for (waits_ms, delivered) in [(4_999, 1), (5_000, 0)] {
        let (mut broker, alice, bob) = broker_with_slow_bob(1, Qos::AtLeastOnce);
        broker.send(alice, &FromClient::Publish(publish_1(1, "a", "first")));
        let retained = Publish { retain: true, ..publish_1(2, "a", "short") };
        broker.send(alice, &expiring(retained, 5));
        assert_eq!(got(&mut broker, bob), ["first"]);
        broker.pass(waits_ms);
        broker.send(bob, &ack(FromClient::Puback, 1));
        assert_eq!(got(&mut broker, bob).len(), delivered, "{waits_ms}");
        let carol = client(&mut broker, "carol");
        let retained = subscribed(&mut broker, carol, "a", Qos::AtMostOnce);
        assert_eq!(payloads(&retained).len(), delivered, "{waits_ms}");
    }
}

/// [MQTT-3.3.2-5]: a message that waited for its turn when its client went away, and expired since, is
/// not delivered either: its delivery had not begun.
#[test]
fn message_that_was_never_sent_expires_across_connections() {
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let (mut broker, alice, bob) = broker_with_slow_bob(1, qos);
        broker.send(alice, &FromClient::Publish(publish_2(1, "a", "first")));
        broker.send(alice, &expiring(publish_2(2, "a", "short"), 5));
        assert_eq!(got(&mut broker, bob), ["first"]);
        broker.drop_socket(bob);
        broker.pass(5_000);
        let (bob, _) = broker.connect_with(staying("bob"));
        assert_eq!(got(&mut broker, bob), ["first"], "{qos:?}");
    }
}

/// [MQTT-3.3.2-6]: what is left of its life is sent with it; without expiry nothing is.
#[test]
fn expiry_interval_is_less_by_the_time_that_the_message_waited() {
    for (waits_ms, left) in [(0, 5), (999, 5), (1_000, 4), (3_999, 2), (4_999, 1)] {
        let (mut broker, alice, bob) = broker_with_slow_bob(1, Qos::AtLeastOnce);
        broker.send(alice, &FromClient::Publish(publish_1(1, "a", "first")));
        broker.send(alice, &expiring(publish_1(2, "a", "second"), 5));
        let first = publishes(&broker.received(bob));
        assert_eq!(first[0].expires_in_s, None);
        broker.pass(waits_ms);
        broker.send(bob, &ack(FromClient::Puback, 1));
        let second = publishes(&broker.received(bob));
        assert_eq!(second[0].expires_in_s, Some(left), "{waits_ms}");
    }
}

/// [MQTT-3.3.2-6], of a retained message.
#[test]
fn expiry_interval_of_a_retained_message_is_less_by_its_age() {
    let mut broker = Broker::new();
    let alice = client(&mut broker, "alice");
    let retained = Publish { retain: true, ..publish("a", "kept") };
    broker.send(alice, &expiring(retained, 60));
    broker.pass(20_000);
    let found = publishes(&subscribed(&mut broker, alice, "a", Qos::AtMostOnce));
    assert_eq!(found[0].expires_in_s, Some(40));
}

/// [MQTT-4.3.3-7]: at QoS 2 a message whose PUBLISH was sent does not expire any more: it is sent
/// again to a client that comes back late.
#[test]
fn message_at_qos_2_does_not_expire_once_it_was_sent() {
    let (mut broker, alice, bob) = broker_with_slow_bob(9, Qos::ExactlyOnce);
    broker.send(alice, &expiring(publish_2(1, "a", "sent"), 5));
    assert_eq!(got(&mut broker, bob), ["sent"]);
    broker.drop_socket(bob);
    broker.pass(60_000);
    let (bob, _) = broker.connect_with(staying("bob"));
    let again = publishes(&broker.received(bob));
    assert!(again.len() == 1 && again[0].dup, "{again:?}");
    let id = again[0].flow.packet_id().unwrap().get();
    broker.send(bob, &ack(FromClient::Pubrec, id));
    assert_eq!(broker.received(bob), [ack(FromServer::Pubrel, id)]);
}

/// [MQTT-4.3.3-13]: an exchange of a client goes on although the message has expired.
#[test]
fn exchange_at_qos_2_goes_on_when_its_message_has_expired() {
    let (mut broker, alice, _) = broker_with_slow_bob(9, Qos::ExactlyOnce);
    broker.send(alice, &expiring(publish_2(1, "a", "x"), 1));
    assert_eq!(broker.received(alice), [ack(FromServer::Pubrec, 1)]);
    broker.pass(60_000);
    broker.send(alice, &expiring(Publish { dup: true, ..publish_2(1, "a", "x") }, 1));
    broker.send(alice, &ack(FromClient::Pubrel, 1));
    let answers = [ack(FromServer::Pubrec, 1), ack(FromServer::Pubcomp, 1)];
    assert_eq!(broker.received(alice), answers);
}
