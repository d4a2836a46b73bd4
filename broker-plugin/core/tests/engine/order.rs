//! Nothing older of a topic comes after something newer, whatever was retained.

use broker_core::codec::{Connect, Flow, FromClient, Publish, Version};
use ha_types::Qos;

use crate::spec::broker::{Broker, Client};
use crate::spec::packets::{ack, publish, publish_1, publishes, subscribe, text};

/// Payloads that came for a topic, in order, until nothing more comes. Everything is acknowledged.
fn all_of(broker: &mut Broker, client: Client, topic: &str) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let got = publishes(&broker.received(client));
        if got.is_empty() {
            return found;
        }
        for publish in got {
            if format!("{:?}", publish.topic).contains(topic) {
                found.push(String::from_utf8(publish.payload.to_vec()).unwrap());
            }
            match publish.flow {
                Flow::AtMostOnce => (),
                Flow::AtLeastOnce(id) => broker.send(client, &ack(FromClient::Puback, id.get())),
                Flow::ExactlyOnce(id) => {
                    broker.send(client, &ack(FromClient::Pubrec, id.get()));
                    broker.send(client, &ack(FromClient::Pubcomp, id.get()));
                }
            }
        }
    }
}

pub(crate) fn retain(broker: &mut Broker, publish: Publish) {
    let alice = broker.connect(Version::V5, "alice");
    broker.send(alice, &FromClient::Publish(Publish { retain: true, ..publish }));
}

/// A client that takes one message at a time, of a session that lasts so many seconds.
pub(crate) fn slow(broker: &mut Broker, session_expiry_s: u32) -> Client {
    let bob = Connect::new(Version::V5, text("bob"));
    broker.connect_with(Connect { receive_maximum: 1, session_expiry_s, ..bob }).0
}

#[test]
fn retained_messages_that_wait_are_not_overtaken() {
    for session_expiry_s in [0, 60] {
        let mut broker = Broker::new();
        for n in 1..=100_u16 {
            retain(&mut broker, publish_1(n, &format!("t/{n:03}"), "old"));
        }
        let bob = slow(&mut broker, session_expiry_s);
        broker.send(bob, &subscribe(1, "t/+", Qos::AtLeastOnce));
        retain(&mut broker, publish_1(200, "t/100", "new"));
        assert_eq!(all_of(&mut broker, bob, "t/100"), ["old", "new"], "{session_expiry_s}");
    }
}

#[test]
fn retained_messages_of_qos_0_that_wait_are_not_overtaken() {
    for session_expiry_s in [0, 60] {
        let mut broker = Broker::new();
        broker.limits.queue_bytes_max = 1_000;
        for n in 1..=100 {
            retain(&mut broker, publish(&format!("t/{n:03}"), "old"));
        }
        let bob = slow(&mut broker, session_expiry_s);
        broker.set_reading(bob, false);
        broker.send(bob, &subscribe(1, "t/+", Qos::AtMostOnce));
        retain(&mut broker, publish("t/100", "new"));
        broker.set_reading(bob, true);
        let found = all_of(&mut broker, bob, "t/100");
        assert!(found.is_sorted_by_key(|payload| payload == "new"), "{session_expiry_s} {found:?}");
    }
}

#[test]
fn retained_message_comes_also_when_another_subscription_has_just_brought_it() {
    let mut broker = Broker::new();
    let bob = slow(&mut broker, 0);
    broker.send(bob, &subscribe(1, "t", Qos::AtMostOnce));
    retain(&mut broker, publish("t", "new"));
    broker.send(bob, &subscribe(2, "#", Qos::AtMostOnce));
    assert_eq!(all_of(&mut broker, bob, "t"), ["new", "new"]);
}

#[test]
fn more_retained_messages_than_may_wait_do_not_end_the_connection() {
    let mut broker = Broker::new();
    broker.limits.queue_messages_max = 5;
    for n in 1..=10_u16 {
        retain(&mut broker, publish_1(n, &format!("t/{n}"), "old"));
    }
    let bob = slow(&mut broker, 0);
    broker.send(bob, &subscribe(1, "t/+", Qos::AtLeastOnce));
    for n in 1..=5 {
        retain(&mut broker, publish_1(n, "t/live", "live"));
    }
    assert_eq!(all_of(&mut broker, bob, "t/").len(), 1 + 5 + 5);
    assert!(broker.is_open(bob));
}
