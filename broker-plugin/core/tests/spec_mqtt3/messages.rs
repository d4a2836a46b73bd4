//! PUBLISH, its acknowledgements, and retained messages (§3.3, §4.3, §4.6).

use std::sync::Arc;

use broker_core::access::{Access, Action, Identity};
use broker_core::codec::{FromClient, FromServer, Publish};
use ha_types::Qos;

use crate::common::{client, got, subscriber};
use crate::spec::broker::Broker;
use crate::spec::packets::{ack, publish, publish_1, publish_2, publishes, subscribe};

fn retained(publish: Publish) -> FromClient {
    FromClient::Publish(Publish { retain: true, ..publish })
}

/// [MQTT-3.3.1-3], [MQTT-4.3.1-1]: 0 in a first delivery, whatever the publisher says.
#[test]
fn dup_of_a_publisher_is_not_passed_on() {
    let mut broker = Broker::new();
    let bob = subscriber(&mut broker, "bob", "a", Qos::AtLeastOnce);
    let alice = client(&mut broker, "alice");
    let again = Publish { dup: true, ..publish_1(1, "a", "x") };
    for packet in [again, publish("a", "zero")] {
        broker.send(alice, &FromClient::Publish(packet));
    }
    let got = publishes(&broker.received(bob));
    assert_eq!(got.iter().map(|publish| publish.dup).collect::<Vec<_>>(), [false, false]);
    assert_eq!(got[1].flow.qos(), Qos::AtMostOnce);
}

/// [MQTT-3.3.1-5], [MQTT-3.3.1-6], [MQTT-3.3.1-8], [MQTT-3.3.1-9]: the last one of each topic, with
/// its QoS; RETAIN is 1 for a new subscription and 0 for an established one.
#[test]
fn last_retained_message_waits_for_new_subscriptions() {
    let mut broker = Broker::new();
    let early = subscriber(&mut broker, "early", "#", Qos::ExactlyOnce);
    let alice = client(&mut broker, "alice");
    for packet in [publish_1(1, "a", "old"), publish_1(2, "a", "new"), publish_1(3, "b", "other")] {
        broker.send(alice, &retained(packet));
    }
    let live = publishes(&broker.received(early));
    assert!(live.len() == 3 && live.iter().all(|publish| !publish.retain));
    let late = client(&mut broker, "late");
    broker.send(late, &subscribe(1, "#", Qos::ExactlyOnce));
    let mut kept = publishes(&broker.received(late));
    kept.sort_by(|a, b| a.payload.cmp(&b.payload));
    let shown: Vec<_> = kept.iter().map(|p| (&p.payload[..], p.flow.qos(), p.retain)).collect();
    let one = Qos::AtLeastOnce;
    assert_eq!(shown, [(&b"new"[..], one, true), (&b"other"[..], one, true)]);
}

/// [MQTT-3.3.1-7], [MQTT-3.3.1-12]: QoS 0 replaces, and RETAIN 0 changes nothing.
#[test]
fn only_a_message_with_retain_replaces_the_retained_one() {
    let mut broker = Broker::new();
    let alice = client(&mut broker, "alice");
    broker.send(alice, &retained(publish_1(1, "a", "first")));
    broker.send(alice, &retained(publish("a", "second")));
    broker.send(alice, &FromClient::Publish(publish("a", "live")));
    broker.send(alice, &FromClient::Publish(publish("a", "")));
    assert_eq!(&broker.retained("a").unwrap().payload[..], b"second");
}

/// [MQTT-3.3.1-10], [MQTT-3.3.1-11]
#[test]
fn empty_payload_clears_and_is_delivered_and_not_kept() {
    let mut broker = Broker::new();
    let bob = subscriber(&mut broker, "bob", "a", Qos::AtMostOnce);
    let alice = client(&mut broker, "alice");
    broker.send(alice, &retained(publish("a", "kept")));
    broker.send(alice, &retained(publish("a", "")));
    assert_eq!(got(&mut broker, bob), ["kept", ""]);
    assert_eq!(broker.retained("a"), None);
}

/// [MQTT-3.3.4-1], [MQTT-2.3.1-6], [MQTT-4.3.2-2]: nothing, PUBACK, PUBREC, each with the identifier;
/// after PUBACK the same identifier is a new message.
#[test]
fn publish_is_answered_as_its_qos_asks() {
    let mut broker = Broker::new();
    let bob = subscriber(&mut broker, "bob", "a", Qos::AtMostOnce);
    let alice = client(&mut broker, "alice");
    broker.send(alice, &FromClient::Publish(publish("a", "0")));
    assert_eq!(broker.received(alice), []);
    for _ in 0..2 {
        broker.send(alice, &FromClient::Publish(publish_1(300, "a", "1")));
        assert_eq!(broker.received(alice), [ack(FromServer::Puback, 300)]);
    }
    broker.send(alice, &FromClient::Publish(publish_2(301, "a", "2")));
    assert_eq!(broker.received(alice), [ack(FromServer::Pubrec, 301)]);
    assert_eq!(got(&mut broker, bob), ["0", "1", "1", "2"]);
}

/// [MQTT-4.3.3-2]
#[test]
fn repeated_message_at_qos_2_is_delivered_once_until_pubrel() {
    let mut broker = Broker::new();
    let bob = subscriber(&mut broker, "bob", "a", Qos::AtMostOnce);
    let alice = client(&mut broker, "alice");
    for _ in 0..3 {
        let again = Publish { dup: true, ..publish_2(1, "a", "x") };
        broker.send(alice, &FromClient::Publish(again));
        assert_eq!(broker.received(alice), [ack(FromServer::Pubrec, 1)]);
    }
    assert_eq!(got(&mut broker, bob), ["x"]);
    broker.send(alice, &ack(FromClient::Pubrel, 1));
    assert_eq!(broker.received(alice), [ack(FromServer::Pubcomp, 1)]);
    broker.send(alice, &FromClient::Publish(publish_2(1, "a", "y")));
    assert_eq!(got(&mut broker, bob), ["y"]);
}

/// [MQTT-4.3.2-1], [MQTT-4.3.3-1], [MQTT-2.3.1-4]: DUP 0, identifiers that are not in use, and after
/// PUBREC a PUBREL instead of the message.
#[test]
fn deliveries_in_flight_have_identifiers_of_their_own() {
    let mut broker = Broker::new();
    let bob = subscriber(&mut broker, "bob", "a", Qos::ExactlyOnce);
    let alice = client(&mut broker, "alice");
    for packet in [publish_1(1, "a", "1"), publish_2(2, "a", "2"), publish_1(3, "a", "3")] {
        broker.send(alice, &FromClient::Publish(packet));
    }
    let got = publishes(&broker.received(bob));
    let mut ids: Vec<_> = got.iter().map(|publish| publish.flow.packet_id().unwrap()).collect();
    assert!(got.iter().all(|publish| !publish.dup));
    let second = ids[1].get();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    for _ in 0..2 {
        broker.send(bob, &ack(FromClient::Pubrec, second));
        assert_eq!(broker.received(bob), [ack(FromServer::Pubrel, second)]);
    }
    broker.send(bob, &ack(FromClient::Pubcomp, second));
    assert_eq!(broker.received(bob), []);
}

#[derive(Debug)]
struct NobodyPublishes;

impl Access for NobodyPublishes {
    fn allows(&self, _: &Identity, action: Action<'_>) -> bool {
        !matches!(action, Action::Publish(_))
    }
}

/// [MQTT-3.3.5-2]: acknowledged as usual.
#[test]
fn publish_that_is_not_authorized_is_acknowledged_and_goes_nowhere() {
    let mut broker = Broker::new();
    broker.access = Some(Arc::new(NobodyPublishes));
    let bob = subscriber(&mut broker, "bob", "a", Qos::AtMostOnce);
    let alice = client(&mut broker, "alice");
    broker.send(alice, &FromClient::Publish(publish_1(1, "a", "x")));
    broker.send(alice, &FromClient::Publish(publish_2(2, "a", "x")));
    let expected = [ack(FromServer::Puback, 1), ack(FromServer::Pubrec, 2)];
    assert_eq!(broker.received(alice), expected);
    assert_eq!(got(&mut broker, bob), [""; 0]);
}

/// [MQTT-4.6.0-2], [MQTT-4.6.0-3]
#[test]
fn acknowledgements_are_in_the_order_of_their_messages() {
    let mut broker = Broker::new();
    let alice = client(&mut broker, "alice");
    let sent = [(5, true), (1, false), (9, true), (3, false)];
    for (id, is_qos_2) in sent {
        let packet = if is_qos_2 { publish_2(id, "a", "x") } else { publish_1(id, "a", "x") };
        broker.send(alice, &FromClient::Publish(packet));
    }
    let expected = sent.map(|(id, is_qos_2)| match is_qos_2 {
        true => ack(FromServer::Pubrec, id),
        false => ack(FromServer::Puback, id),
    });
    assert_eq!(broker.received(alice), expected);
}

/// [MQTT-4.6.0-5], [MQTT-4.6.0-6]
#[test]
fn messages_of_one_client_topic_and_qos_stay_in_order() {
    let mut broker = Broker::new();
    let bob = subscriber(&mut broker, "bob", "#", Qos::ExactlyOnce);
    let alice = client(&mut broker, "alice");
    let numbers: Vec<_> = (1..=200_u16).collect();
    for number in &numbers {
        let text = number.to_string();
        let packet = match number % 2 {
            0 => publish_1(*number, "one", &text),
            _ => publish_2(*number, "two", &text),
        };
        broker.send(alice, &FromClient::Publish(packet));
    }
    let got = publishes(&broker.received(bob));
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let of_qos = got.iter().filter(|publish| publish.flow.qos() == qos);
        let order: Vec<u16> =
            of_qos.map(|p| std::str::from_utf8(&p.payload).unwrap().parse().unwrap()).collect();
        assert!(order.len() == 100 && order.is_sorted(), "{qos:?}");
    }
}
