//! Packet identifiers that are in use while the holder has not answered.

use broker_core::codec::{Ack, FromClient, FromServer, Reason, Remarks, Version};
use ha_types::Qos;

use crate::common::{broker_with_alice, farewell, of_qos, unsuback};
use crate::spec::id;
use crate::spec::packets::{ack, suback, subscribe, unsubscribe};

fn in_use(packet: fn(Ack) -> FromServer, packet_id: u16) -> FromServer {
    let remarks = Remarks::because("the packet identifier is in use");
    packet(Ack { packet_id: id(packet_id), reason: Reason::PACKET_ID_IN_USE, remarks })
}

/// 5.0 can say so; an older client, which cannot be told, is closed.
#[test]
fn identifier_of_a_publish_that_is_not_answered_is_in_use() {
    for (used, again) in [
        (Qos::AtLeastOnce, Qos::AtLeastOnce),
        (Qos::AtLeastOnce, Qos::ExactlyOnce),
        (Qos::ExactlyOnce, Qos::AtLeastOnce),
    ] {
        let (mut broker, alice) = broker_with_alice(Version::V5);
        broker.send(alice, &of_qos(used, 7, "a", "first"));
        broker.send(alice, &of_qos(again, 7, "a", "second"));
        let refused = match again {
            Qos::ExactlyOnce => in_use(FromServer::Pubrec, 7),
            _ => in_use(FromServer::Puback, 7),
        };
        assert_eq!(broker.received(alice), [refused], "{used:?} {again:?}");
        broker.let_go_all();
        assert_eq!(broker.received(alice).len(), 1);
        assert_eq!(broker.published.len(), 1);

        let (mut broker, alice) = broker_with_alice(Version::V311);
        broker.send(alice, &of_qos(used, 7, "a", "first"));
        broker.send(alice, &of_qos(again, 7, "a", "second"));
        assert_eq!(farewell(&mut broker, alice), None);
        assert_eq!(broker.published.len(), 1);
    }
}

#[test]
fn identifier_is_in_use_until_pubcomp() {
    let (mut broker, alice) = broker_with_alice(Version::V5);
    broker.send(alice, &of_qos(Qos::ExactlyOnce, 7, "a", "first"));
    broker.let_go(alice);
    broker.send(alice, &ack(FromClient::Pubrel, 7));
    broker.received(alice);
    broker.send(alice, &of_qos(Qos::ExactlyOnce, 7, "a", "too early"));
    assert_eq!(broker.received(alice), [in_use(FromServer::Pubrec, 7)]);
    broker.let_go(alice);
    assert_eq!(broker.received(alice), [ack(FromServer::Pubcomp, 7)]);
    broker.send(alice, &of_qos(Qos::ExactlyOnce, 7, "a", "second"));
    broker.let_go(alice);
    assert_eq!(broker.received(alice), [ack(FromServer::Pubrec, 7)]);
    assert_eq!(broker.published.len(), 2);
}

#[test]
fn identifier_of_a_subscribe_that_is_not_answered_is_in_use() {
    let (mut broker, alice) = broker_with_alice(Version::V5);
    broker.send(alice, &subscribe(7, "a", Qos::AtLeastOnce));
    broker.send(alice, &subscribe(7, "b", Qos::AtLeastOnce));
    broker.send(alice, &unsubscribe(7, "a"));
    let refused = [suback(7, &[Reason::PACKET_ID_IN_USE]), unsuback(7, Reason::PACKET_ID_IN_USE)];
    assert_eq!(broker.received(alice), refused);
    assert_eq!(broker.held().subscriptions, 1);
    broker.let_go(alice);
    assert_eq!(broker.received(alice), [suback(7, &[Reason::GRANTED_QOS_1])]);
    broker.send(alice, &unsubscribe(7, "a"));
    broker.send(alice, &subscribe(7, "b", Qos::AtLeastOnce));
    assert_eq!(broker.received(alice), [suback(7, &[Reason::PACKET_ID_IN_USE])]);
    broker.let_go(alice);
    assert_eq!(broker.received(alice), [unsuback(7, Reason::SUCCESS)]);
}

#[test]
fn older_client_is_told_that_the_identifier_of_its_subscribe_is_in_use() {
    let (mut broker, alice) = broker_with_alice(Version::V311);
    broker.send(alice, &subscribe(7, "a", Qos::AtLeastOnce));
    broker.send(alice, &subscribe(7, "b", Qos::AtLeastOnce));
    assert_eq!(broker.received(alice), [suback(7, &[Reason::UNSPECIFIED_ERROR])]);
    broker.let_go(alice);
    assert_eq!(broker.received(alice), [suback(7, &[Reason::GRANTED_QOS_1])]);
}

/// An UNSUBACK of 3.1.1 says that the subscription is gone, and there is no other word.
#[test]
fn older_client_is_closed_when_the_identifier_of_its_unsubscribe_is_in_use() {
    for version in [Version::V31, Version::V311] {
        let (mut broker, alice) = broker_with_alice(version);
        broker.send(alice, &subscribe(7, "a", Qos::AtLeastOnce));
        broker.send(alice, &unsubscribe(7, "a"));
        assert!(!broker.is_open(alice));
        assert_eq!(broker.received(alice), []);
    }
}
