//! Exchanges of QoS 2 that an earlier connection left before PUBREL.

use broker_core::codec::{FromClient, FromServer, Version};
use ha_types::Qos;

use crate::common::{of_qos, staying};
use crate::spec::broker::{Broker, Client};
use crate::spec::packets::ack;

/// `alice` published and went away; she is back, and nothing is answered.
fn back() -> (Broker, Client) {
    let mut broker = Broker::new();
    let (alice, _) = broker.connect_with(staying(Version::V5, "alice"));
    broker.send(alice, &of_qos(Qos::ExactlyOnce, 7, "a", "x"));
    broker.drop_socket(alice);
    let (alice, _) = broker.connect_with(staying(Version::V5, "alice"));
    broker.hold_answers();
    (broker, alice)
}

/// Not everybody may have it: the holder knows.
#[test]
fn repeat_is_acknowledged_when_the_holder_says_so_and_from_then_on_at_once() {
    let (mut broker, alice) = back();
    for _ in 0..2 {
        broker.send(alice, &of_qos(Qos::ExactlyOnce, 7, "a", "x"));
        assert_eq!(broker.received(alice), []);
    }
    broker.let_go_all();
    assert_eq!(broker.received(alice), [ack(FromServer::Pubrec, 7)]);
    broker.send(alice, &of_qos(Qos::ExactlyOnce, 7, "a", "x"));
    assert_eq!(broker.received(alice), [ack(FromServer::Pubrec, 7)]);
}

#[test]
fn pubrel_ends_it_without_a_repeat() {
    let (mut broker, alice) = back();
    broker.send(alice, &ack(FromClient::Pubrel, 7));
    broker.let_go_all();
    assert_eq!(broker.received(alice), [ack(FromServer::Pubcomp, 7)]);
}
