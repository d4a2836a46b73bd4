//! Messages of a durable session that are never sent: nothing newer is, before the holder knows.

use broker_core::codec::{Connect, FromClient, Publish, Version};
use ha_types::Qos;

use crate::common::{payload, staying};
use crate::order::slow;
use crate::spec::broker::{Broker, Client};
use crate::spec::packets::{ack, publish_1, publish_2, publishes, subscribe};

/// `bob` takes one message at a time, and has the first.
fn behind(session_expiry_s: u32, messages: &[Publish]) -> (Broker, Client) {
    let mut broker = Broker::new();
    let bob = slow(&mut broker, session_expiry_s);
    published(&mut broker, bob, messages);
    (broker, bob)
}

fn published(broker: &mut Broker, bob: Client, messages: &[Publish]) {
    broker.send(bob, &subscribe(1, "t", Qos::ExactlyOnce));
    let alice = broker.connect(Version::V5, "alice");
    for message in messages {
        broker.send(alice, &FromClient::Publish(message.clone()));
    }
    broker.received(bob);
    broker.pass(2_000);
}

fn received(broker: &mut Broker, bob: Client) -> Vec<String> {
    publishes(&broker.received(bob)).iter().map(payload).collect()
}

#[test]
fn message_that_expired_is_passed_over_before_a_newer_one_is_sent() {
    let short = |publish| Publish { expires_in_s: Some(1), ..publish };
    let messages = [
        publish_1(1, "t", "first"),
        short(publish_1(2, "t", "short")),
        short(publish_2(3, "t", "short too")),
        publish_1(4, "t", "last"),
    ];
    let (mut broker, bob) = behind(60, &messages);
    broker.hold_answers();
    broker.send(bob, &ack(FromClient::Puback, 1));
    assert_eq!(received(&mut broker, bob), [""; 0]);
    broker.let_go_all();
    assert_eq!(received(&mut broker, bob), ["last"]);
    assert_eq!(broker.held().queued, 1, "the holder is done with what was passed over");
}

#[test]
fn message_too_large_is_passed_over_before_a_newer_one_is_sent() {
    let mut broker = Broker::new();
    let connect = staying(Version::V5, "bob");
    let small = Connect { receive_maximum: 1, packet_bytes_max: 50, ..connect };
    let (bob, _) = broker.connect_with(small);
    let large = "x".repeat(100);
    let messages =
        [publish_1(1, "t", "first"), publish_1(2, "t", &large), publish_1(3, "t", "last")];
    published(&mut broker, bob, &messages);
    broker.hold_answers();
    broker.send(bob, &ack(FromClient::Puback, 1));
    assert_eq!(received(&mut broker, bob), [""; 0]);
    broker.let_go_all();
    assert_eq!(received(&mut broker, bob), ["last"]);
}

/// Nobody else will have its session.
#[test]
fn client_whose_session_ends_with_its_connection_does_not_wait() {
    let short = Publish { expires_in_s: Some(1), ..publish_1(2, "t", "short") };
    let (mut broker, bob) =
        behind(0, &[publish_1(1, "t", "first"), short, publish_1(3, "t", "last")]);
    broker.hold_answers();
    broker.send(bob, &ack(FromClient::Puback, 1));
    assert_eq!(received(&mut broker, bob), ["last"]);
}
