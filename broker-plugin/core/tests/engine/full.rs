//! What the holder in memory does when a queue is full: what is new is dropped.

use broker_core::codec::{Connect, FromClient, FromServer, Publish, Version};
use broker_core::engine::Limits;
use broker_core::holder::HolderConfig;
use ha_types::Qos;

use crate::common::{drained, staying};
use crate::paging::{broker_with_bob, numbers, payloads_of, publish_all};
use crate::spec::packets::publish_2;

/// Going through all of a queue is not for every publish.
#[test]
fn full_queue_looks_for_expired_messages_once_a_second() {
    let config = HolderConfig { queue_messages_max: 2, ..HolderConfig::default() };
    let (mut broker, alice, bob) =
        broker_with_bob(Limits::default(), config, staying(Version::V5, "bob"));
    broker.drop_socket(bob);
    for packet_id in 1..=2 {
        let short = Publish { expires_in_s: Some(1), ..publish_2(packet_id, "a", "short") };
        broker.send(alice, &FromClient::Publish(short));
        broker.pass(500);
    }
    publish_all(&mut broker, alice, Qos::AtLeastOnce, 3..=3);
    assert_eq!((broker.held().queued, broker.held().dropped), (2, 0), "the first has expired");
    broker.pass(999);
    publish_all(&mut broker, alice, Qos::AtLeastOnce, 4..=4);
    assert_eq!(broker.held().dropped, 1);
    broker.pass(1);
    publish_all(&mut broker, alice, Qos::AtLeastOnce, 5..=5);
    assert_eq!((broker.held().queued, broker.held().dropped), (2, 1), "the second has as well");
}

/// A client that was away for long must not find a queue that is full of nothing.
#[test]
fn full_queue_makes_room_when_its_messages_expire() {
    for (away_ms, taken) in [(4_999, false), (5_000, true)] {
        let config = HolderConfig { queue_messages_max: 10, ..HolderConfig::default() };
        let connect = Connect { receive_maximum: 2, ..staying(Version::V5, "bob") };
        let (mut broker, alice, bob) = broker_with_bob(Limits::default(), config, connect.clone());
        for packet_id in 1..=10 {
            let short = Publish { expires_in_s: Some(5), ..publish_2(packet_id, "a", "short") };
            broker.send(alice, &FromClient::Publish(short));
        }
        broker.drop_socket(bob);
        broker.pass(away_ms);
        publish_all(&mut broker, alice, Qos::ExactlyOnce, 11..=18);
        let expected = if taken { (10, 0) } else { (10, 8) };
        assert_eq!((broker.held().queued, broker.held().dropped), expected);
        publish_all(&mut broker, alice, Qos::ExactlyOnce, 19..=19);
        assert_eq!(broker.held().dropped, expected.1 + 1, "the two that were sent stay");
        let (bob, _) = broker.connect_with(connect);
        let messages = payloads_of(&drained(&mut broker, bob));
        let new = messages.iter().filter(|payload| *payload != "short").cloned();
        let expected = if taken { numbers(11..=18) } else { Vec::new() };
        assert_eq!(new.collect::<Vec<_>>(), expected);
        assert_eq!(broker.held().queued, 0);
    }
}

#[test]
fn full_queue_of_a_durable_session_drops_what_is_new_counts_it_and_takes_more_when_it_has_room() {
    for reads in [false, true] {
        let config = HolderConfig { queue_messages_max: 10, ..HolderConfig::default() };
        let bob = Connect { receive_maximum: 3, ..staying(Version::V5, "bob") };
        let (mut broker, alice, bob) = broker_with_bob(Limits::default(), config, bob);
        broker.set_reading(bob, reads);
        publish_all(&mut broker, alice, Qos::AtLeastOnce, 1..=10);
        assert_eq!((broker.held().queued, broker.held().dropped), (10, 0));
        publish_all(&mut broker, alice, Qos::AtLeastOnce, 11..=15);
        assert_eq!((broker.held().queued, broker.held().dropped), (10, 5));
        broker.set_reading(bob, true);
        assert_eq!(payloads_of(&drained(&mut broker, bob)), numbers(1..=10));
        publish_all(&mut broker, alice, Qos::AtLeastOnce, 16..=17);
        assert_eq!(payloads_of(&drained(&mut broker, bob)), numbers(16..=17));
        assert_eq!((broker.held().queued, broker.held().dropped), (0, 5));
    }
}

/// The publisher is not to blame: it is acknowledged.
#[test]
fn publisher_to_a_full_queue_is_acknowledged() {
    let config = HolderConfig { queue_messages_max: 1, ..HolderConfig::default() };
    let (mut broker, alice, bob) =
        broker_with_bob(Limits::default(), config, staying(Version::V5, "bob"));
    broker.drop_socket(bob);
    publish_all(&mut broker, alice, Qos::AtLeastOnce, 1..=3);
    let acks = broker.received(alice);
    let is_success =
        |packet: &FromServer| matches!(packet, FromServer::Puback(ack) if !ack.reason.is_failure());
    assert_eq!(acks.iter().filter(|packet| is_success(packet)).count(), 3);
    assert_eq!(broker.held().dropped, 2);
}
