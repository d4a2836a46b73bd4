//! What clients see while the holder's answers are on their way.

use broker_core::codec::{Ack, Connect, FromClient, FromServer, Reason, Version};
use broker_core::engine::Limits;
use broker_core::holder::HolderConfig;
use ha_types::Qos;

use crate::common::{
    broker_with_alice, drained, farewell, got, of_qos, payload, staying, subscribed, unsuback,
};
use crate::spec::broker::{Broker, Client};
use crate::spec::id;
use crate::spec::packets::{ack, publishes, suback, subscribe, unsubscribe};

/// The one packet that a client got.
fn only(broker: &mut Broker, client: Client) -> FromServer {
    let mut packets = broker.received(client);
    assert_eq!(packets.len(), 1, "{packets:?}");
    packets.remove(0)
}

#[test]
fn acknowledgements_wait_for_the_holder_and_come_in_order() {
    let (mut broker, alice) = broker_with_alice(Version::V5);
    for packet_id in 1..=100 {
        let qos = if packet_id % 3 == 0 { Qos::ExactlyOnce } else { Qos::AtLeastOnce };
        broker.send(alice, &of_qos(qos, packet_id, "a", "x"));
    }
    let answer = |packet_id: u16| match packet_id % 3 {
        0 => ack(FromServer::Pubrec, packet_id),
        _ => ack(FromServer::Puback, packet_id),
    };
    assert_eq!(broker.received(alice), []);
    broker.let_go_one(alice);
    assert_eq!(broker.received(alice), [answer(1)]);
    broker.let_go_all();
    assert_eq!(broker.received(alice), (2..=100).map(answer).collect::<Vec<_>>());
}

#[test]
fn qos_2_publish_that_comes_again_before_its_pubrec_is_the_same() {
    for version in Version::ALL {
        let (mut broker, alice) = broker_with_alice(version);
        (0..3).for_each(|_| broker.send(alice, &of_qos(Qos::ExactlyOnce, 7, "a", "x")));
        assert_eq!(broker.received(alice), []);
        broker.let_go(alice);
        assert_eq!(broker.received(alice), [ack(FromServer::Pubrec, 7)]);
        (0..3).for_each(|_| broker.send(alice, &ack(FromClient::Pubrel, 7)));
        assert_eq!(broker.received(alice), []);
        broker.let_go(alice);
        assert_eq!(broker.received(alice), [ack(FromServer::Pubcomp, 7)]);
        assert_eq!(broker.published.len(), 1);
    }
}

#[test]
fn pubrel_before_its_pubrec_is_a_protocol_error() {
    let (mut broker, alice) = broker_with_alice(Version::V5);
    broker.send(alice, &of_qos(Qos::ExactlyOnce, 7, "a", "x"));
    broker.send(alice, &ack(FromClient::Pubrel, 7));
    assert_eq!(farewell(&mut broker, alice), Some(Reason::PROTOCOL_ERROR));
}

#[test]
fn exchange_goes_on_after_a_connection_that_has_not_heard_of_it() {
    let (mut broker, alice) = broker_with_alice(Version::V5);
    broker.send(alice, &of_qos(Qos::ExactlyOnce, 7, "a", "x"));
    broker.drop_socket(alice);
    broker.let_go_all();
    let (alice, _) = broker.connect_with(staying(Version::V5, "alice"));
    broker.send(alice, &of_qos(Qos::ExactlyOnce, 7, "a", "x"));
    assert_eq!(broker.received(alice), [ack(FromServer::Pubrec, 7)]);
    assert_eq!(broker.published.len(), 1);
    broker.hold_answers();
    broker.send(alice, &ack(FromClient::Pubrel, 7));
    broker.drop_socket(alice);
    broker.let_go_all();
    let (alice, _) = broker.connect_with(staying(Version::V5, "alice"));
    broker.send(alice, &ack(FromClient::Pubrel, 7));
    let answer = Ack::new(id(7), Reason::PACKET_ID_NOT_FOUND);
    assert_eq!(broker.received(alice), [FromServer::Pubcomp(answer)]);
}

#[test]
fn subscribe_and_unsubscribe_are_answered_in_order() {
    let (mut broker, alice) = broker_with_alice(Version::V5);
    broker.send(alice, &subscribe(1, "a", Qos::AtMostOnce));
    broker.send(alice, &unsubscribe(2, "a"));
    broker.send(alice, &subscribe(3, "a", Qos::ExactlyOnce));
    broker.let_go_all();
    let expected = [
        suback(1, &[Reason::SUCCESS]),
        unsuback(2, Reason::SUCCESS),
        suback(3, &[Reason::GRANTED_QOS_2]),
    ];
    assert_eq!(broker.received(alice), expected);
}

/// `bob`, who has subscribed to `a` and takes one message at a time.
fn bob(broker: &mut Broker) -> Client {
    let connect = Connect { receive_maximum: 1, ..staying(Version::V5, "bob") };
    let (bob, _) = broker.connect_with(connect);
    subscribed(broker, bob, "a", Qos::ExactlyOnce);
    bob
}

#[test]
fn pubrel_waits_for_the_record_of_its_pubrec_and_the_next_message_for_that_of_pubcomp() {
    let mut broker = Broker::new();
    let alice = broker.connect(Version::V5, "alice");
    let bob = bob(&mut broker);
    for (packet_id, text) in [(1, "first"), (2, "second")] {
        broker.send(alice, &of_qos(Qos::ExactlyOnce, packet_id, "a", text));
    }
    let first = publishes(&broker.received(bob));
    let packet_id = first[0].flow.packet_id().unwrap().get();
    broker.hold_answers();
    (0..3).for_each(|_| broker.send(bob, &ack(FromClient::Pubrec, packet_id)));
    assert_eq!(broker.received(bob), []);
    broker.let_go(bob);
    assert_eq!(broker.received(bob), [ack(FromServer::Pubrel, packet_id)]);
    (0..3).for_each(|_| broker.send(bob, &ack(FromClient::Pubcomp, packet_id)));
    assert_eq!(broker.received(bob), []);
    broker.let_go(bob);
    assert_eq!(got(&mut broker, bob), ["second"]);
}

#[test]
fn pubcomp_before_the_record_of_its_pubrec_is_a_protocol_error() {
    let mut broker = Broker::new();
    let alice = broker.connect(Version::V5, "alice");
    let bob = bob(&mut broker);
    broker.send(alice, &of_qos(Qos::ExactlyOnce, 1, "a", "x"));
    let sent = publishes(&broker.received(bob));
    let packet_id = sent[0].flow.packet_id().unwrap().get();
    broker.hold_answers();
    broker.send(bob, &ack(FromClient::Pubrec, packet_id));
    broker.send(bob, &ack(FromClient::Pubcomp, packet_id));
    assert_eq!(farewell(&mut broker, bob), Some(Reason::PROTOCOL_ERROR));
}

/// Whoever hears first: the publisher of its message's acceptance, or the subscriber of the message.
#[test]
fn answers_of_one_connection_do_not_wait_for_those_of_another() {
    for is_publisher_first in [false, true] {
        let mut broker = Broker::new();
        let alice = broker.connect(Version::V5, "alice");
        let bob = bob(&mut broker);
        broker.hold_answers();
        broker.send(alice, &of_qos(Qos::ExactlyOnce, 1, "a", "x"));
        let (first, second) = if is_publisher_first { (alice, bob) } else { (bob, alice) };
        broker.let_go(first);
        assert_eq!(broker.received(second), []);
        only(&mut broker, first);
        broker.let_go(second);
        only(&mut broker, second);
    }
}

#[test]
fn message_that_its_client_has_not_heard_of_comes_on_the_next_connection() {
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let mut broker = Broker::new();
        let alice = broker.connect(Version::V5, "alice");
        let bob = bob(&mut broker);
        broker.hold_answers();
        for number in 1..=9 {
            broker.send(alice, &of_qos(qos, number, "a", &number.to_string()));
        }
        broker.let_go_one(bob);
        broker.drop_socket(bob);
        broker.let_go_all();
        let (bob, _) = broker.connect_with(staying(Version::V5, "bob"));
        let messages = drained(&mut broker, bob);
        let payloads: Vec<_> = messages.iter().map(payload).collect();
        assert_eq!(payloads, ["1", "2", "3", "4", "5", "6", "7", "8", "9"], "{qos:?}");
        assert_eq!(broker.held().queued, 0);
    }
}

/// While as many publishes wait as the holder may be asked at a time, the others wait in the socket.
#[test]
fn answers_that_come_at_once_go_to_who_waits_for_them() {
    let limits = Limits { receive_maximum: 3, subscribing_max: 2, ..Limits::default() };
    let mut broker = Broker::with(limits, HolderConfig::default());
    let all = Version::ALL.map(|version| {
        broker
            .connect_with(staying(
                version,
                match version {
                    Version::V31 => "old",
                    Version::V311 => "older",
                    Version::V5 => "new",
                },
            ))
            .0
    });
    broker.hold_answers();
    for client in all {
        for packet_id in 1..=50 {
            broker.send(client, &subscribe(packet_id, &packet_id.to_string(), Qos::AtLeastOnce));
            broker.send(client, &of_qos(Qos::AtLeastOnce, packet_id, "a", "x"));
        }
    }
    broker.let_go_all();
    for client in all {
        let answers = (1..=50).flat_map(|packet_id| {
            [suback(packet_id, &[Reason::GRANTED_QOS_1]), ack(FromServer::Puback, packet_id)]
        });
        let mut got = broker.received(client);
        let mut expected: Vec<_> = answers.collect();
        let key = |packet: &FromServer| format!("{packet:?}");
        got.sort_by_key(key);
        expected.sort_by_key(key);
        assert_eq!(got, expected);
    }
}
