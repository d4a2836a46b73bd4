//! §4.3 and §4.4, the sender's side: what clients are sent, and sent again.

use std::collections::BTreeSet;

use broker_core::codec::{Ack, Connect, FromClient, FromServer, Publish, Reason, Topic};
use ha_types::Qos;

use crate::common::{QOS, client, got, staying, subscribed};
use crate::spec::broker::{Broker, Client};
use crate::spec::id;
use crate::spec::packets::{ack, name, payloads, publish, publish_1, publish_2, publishes};

/// A broker with `alice`, who publishes, and `bob`, who has subscribed to `a` at QoS 2 and whose
/// session stays.
fn broker_with_bob() -> (Broker, Client, Client) {
    broker_with(staying("bob"))
}

fn broker_with(connect: Connect) -> (Broker, Client, Client) {
    let mut broker = Broker::new();
    let alice = client(&mut broker, "alice");
    let (bob, _) = broker.connect_with(connect);
    subscribed(&mut broker, bob, "a", Qos::ExactlyOnce);
    (broker, alice, bob)
}

/// `bob` loses his connection and comes back.
fn back(broker: &mut Broker, bob: Client) -> Client {
    broker.drop_socket(bob);
    let (bob, connack) = broker.connect_with(staying("bob"));
    assert!(connack.session_present);
    bob
}

fn of_qos(qos: Qos, packet_id: u16, payload: &str) -> Publish {
    match qos {
        Qos::AtMostOnce => publish("a", payload),
        Qos::AtLeastOnce => publish_1(packet_id, "a", payload),
        Qos::ExactlyOnce => publish_2(packet_id, "a", payload),
    }
}

/// Publishes at this QoS, and takes what `bob` gets.
fn delivered(broker: &mut Broker, alice: Client, bob: Client, packet: Publish) -> Publish {
    broker.send(alice, &FromClient::Publish(packet));
    let mut found = publishes(&broker.received(bob));
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn packet_id(publish: &Publish) -> u16 {
    publish.flow.packet_id().unwrap().get()
}

/// [MQTT-4.3.1-1]: at QoS 0 the packet says QoS 0 and DUP 0.
#[test]
fn delivery_at_qos_0_has_dup_0() {
    let (mut broker, alice, bob) = broker_with_bob();
    for qos in QOS {
        let filter = format!("q/{}", qos.level());
        subscribed(&mut broker, bob, &filter, Qos::AtMostOnce);
        let packet = Publish { dup: qos > Qos::AtMostOnce, ..of_qos(qos, 1, "x") };
        let topic = Topic::Name(name(&filter));
        broker.send(alice, &FromClient::Publish(Publish { topic, ..packet }));
        let frame = broker.next_frame(bob).unwrap();
        assert_eq!(frame.flags() & 0b1110, 0, "{qos:?}");
    }
}

/// [MQTT-2.2.1-4], [MQTT-4.3.2-1], [MQTT-4.3.3-1]: a new message gets an identifier that is not in
/// use, and not 0.
#[test]
fn new_message_gets_an_identifier_that_is_not_in_use() {
    for session_expiry_s in [0, 3_600] {
        let (mut broker, alice, bob) = broker_with(Connect { session_expiry_s, ..staying("bob") });
        let mut in_use = BTreeSet::new();
        for at in 0..600_u16 {
            let qos = if at % 2 == 0 { Qos::AtLeastOnce } else { Qos::ExactlyOnce };
            let found = delivered(&mut broker, alice, bob, of_qos(qos, at / 2 + 1, "x"));
            broker.send(alice, &ack(FromClient::Pubrel, at / 2 + 1));
            assert!(in_use.insert(packet_id(&found)), "{at}");
            if at % 4 == 0 {
                broker.send(bob, &ack(FromClient::Puback, packet_id(&found)));
                in_use.remove(&packet_id(&found));
            }
        }
        assert_eq!(in_use.len(), 450);
    }
}

/// [MQTT-2.2.1-4], of a session that has used all identifiers but one that it still waits for.
#[test]
fn identifier_in_use_is_left_out_when_identifiers_begin_again() {
    let (mut broker, alice, bob) = broker_with(Connect { session_expiry_s: 0, ..staying("bob") });
    let held = packet_id(&delivered(&mut broker, alice, bob, publish_1(1, "a", "held")));
    let mut used = BTreeSet::new();
    for _ in 0..151 {
        used.append(&mut ids_of_434(&mut broker, alice, bob));
    }
    assert_eq!(used.len(), 65_534);
    let next = ids_of_434(&mut broker, alice, bob);
    assert!(!used.contains(&held) && next.is_subset(&used));
}

/// The identifiers of so many messages at QoS 1, which `bob` acknowledges.
fn ids_of_434(broker: &mut Broker, alice: Client, bob: Client) -> BTreeSet<u16> {
    broker.send_bytes(alice, &b"\x32\x06\0\x01a\0\x01\0".repeat(434));
    let ids: BTreeSet<_> = publishes(&broker.received(bob)).iter().map(packet_id).collect();
    assert_eq!(ids.len(), 434, "all in use at the same time");
    let puback = |id: &u16| [&[0x40, 2], &id.to_be_bytes()[..]].concat();
    broker.send_bytes(bob, &ids.iter().map(puback).collect::<Vec<_>>().concat());
    ids
}

/// [MQTT-4.3.2-2], [MQTT-4.3.3-2], [MQTT-3.3.1-3]: the first delivery has DUP 0, whatever DUP the
/// publisher sent.
#[test]
fn first_delivery_has_dup_0() {
    for session_expiry_s in [0, 3_600] {
        for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
            for dup in [false, true] {
                let (mut broker, alice, bob) =
                    broker_with(Connect { session_expiry_s, ..staying("bob") });
                let packet = Publish { dup, ..of_qos(qos, 1, "x") };
                let found = delivered(&mut broker, alice, bob, packet);
                assert!(!found.dup && found.flow.qos() == qos);
            }
        }
    }
}

/// [MQTT-4.3.2-2], [MQTT-4.3.3-2], of messages that wait until the client is back: they are new to
/// it, also those that waited for their turn when it went away.
#[test]
fn first_delivery_on_a_later_connection_has_dup_0() {
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let (mut broker, alice, bob) =
            broker_with(Connect { receive_maximum: 1, ..staying("bob") });
        for (at, payload) in [(1, "sent"), (2, "given")] {
            broker.send(alice, &FromClient::Publish(of_qos(qos, at, payload)));
        }
        assert_eq!(got(&mut broker, bob), ["sent"]);
        broker.drop_socket(bob);
        broker.send(alice, &FromClient::Publish(of_qos(qos, 3, "queued")));
        let (bob, _) = broker.connect_with(staying("bob"));
        let packets = broker.received(bob);
        assert_eq!(payloads(&packets), ["sent", "given", "queued"]);
        let dup: Vec<_> = publishes(&packets).iter().map(|publish| publish.dup).collect();
        assert_eq!(dup, [true, false, false], "{qos:?}");
    }
}

/// [MQTT-3.3.1-1]: what is delivered again has DUP 1, each time.
#[test]
fn delivery_that_is_repeated_has_dup_1() {
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let (mut broker, alice, mut bob) = broker_with_bob();
        let first = delivered(&mut broker, alice, bob, of_qos(qos, 1, "x"));
        for _ in 0..3 {
            bob = back(&mut broker, bob);
            let again = publishes(&broker.received(bob));
            assert_eq!(again, [Publish { dup: true, ..first.clone() }], "{qos:?}");
        }
    }
}

/// [MQTT-4.3.2-3]: at QoS 1 a message is unacknowledged until PUBACK, and not after.
#[test]
fn message_at_qos_1_is_unacknowledged_until_puback() {
    let (mut broker, alice, bob) = broker_with_bob();
    let one = delivered(&mut broker, alice, bob, publish_1(1, "a", "one"));
    let two = delivered(&mut broker, alice, bob, publish_1(1, "a", "two"));
    broker.send(bob, &ack(FromClient::Puback, packet_id(&two)));
    let bob = back(&mut broker, bob);
    assert_eq!(got(&mut broker, bob), ["one"]);
    broker.send(bob, &ack(FromClient::Puback, packet_id(&one)));
    let bob = back(&mut broker, bob);
    assert_eq!(broker.received(bob), []);
}

/// [MQTT-4.3.3-3], [MQTT-4.3.3-6]: at QoS 2 a PUBLISH is unacknowledged until PUBREC; from then on it
/// is never sent again.
#[test]
fn publish_at_qos_2_is_unacknowledged_until_pubrec() {
    let (mut broker, alice, bob) = broker_with_bob();
    let found = delivered(&mut broker, alice, bob, publish_2(1, "a", "x"));
    let bob = back(&mut broker, bob);
    assert_eq!(got(&mut broker, bob), ["x"]);
    broker.send(bob, &ack(FromClient::Pubrec, packet_id(&found)));
    assert_eq!(broker.received(bob), [ack(FromServer::Pubrel, packet_id(&found))]);
    let mut bob = bob;
    for _ in 0..3 {
        bob = back(&mut broker, bob);
        assert_eq!(broker.received(bob), [ack(FromServer::Pubrel, packet_id(&found))]);
    }
}

/// [MQTT-4.3.3-4]: PUBREC below 0x80 is answered with PUBREL of the same identifier, each time; from
/// 0x80 on it is not.
#[test]
fn pubrec_is_answered_with_pubrel() {
    for session_expiry_s in [0, 3_600] {
        for (reason, is_answered) in [
            (Reason::SUCCESS, true),
            (Reason::NO_MATCHING_SUBSCRIBERS, true),
            (Reason::UNSPECIFIED_ERROR, false),
            (Reason::QUOTA_EXCEEDED, false),
        ] {
            let (mut broker, alice, bob) =
                broker_with(Connect { session_expiry_s, ..staying("bob") });
            let found = delivered(&mut broker, alice, bob, publish_2(1, "a", "x"));
            let pubrec = FromClient::Pubrec(Ack::new(id(packet_id(&found)), reason));
            broker.send(bob, &pubrec);
            let pubrel = ack(FromServer::Pubrel, packet_id(&found));
            let expected = if is_answered { vec![pubrel.clone()] } else { Vec::new() };
            assert_eq!(broker.received(bob), expected, "{reason:?}");
            if is_answered {
                broker.send(bob, &pubrec);
                assert_eq!(broker.received(bob), [pubrel]);
            }
        }
    }
}

/// [MQTT-4.3.3-5]: a PUBREL is unacknowledged until PUBCOMP, and not after.
#[test]
fn pubrel_is_unacknowledged_until_pubcomp() {
    let (mut broker, alice, bob) = broker_with_bob();
    let one = packet_id(&delivered(&mut broker, alice, bob, publish_2(1, "a", "one")));
    let two = packet_id(&delivered(&mut broker, alice, bob, publish_2(2, "a", "two")));
    for packet_id in [one, two] {
        broker.send(bob, &ack(FromClient::Pubrec, packet_id));
    }
    broker.send(bob, &ack(FromClient::Pubcomp, two));
    broker.received(bob);
    let bob = back(&mut broker, bob);
    assert_eq!(broker.received(bob), [ack(FromServer::Pubrel, one)]);
    broker.send(bob, &ack(FromClient::Pubcomp, one));
    let bob = back(&mut broker, bob);
    assert_eq!(broker.received(bob), []);
}

/// [MQTT-4.4.0-1]: a session that is resumed gets what it did not acknowledge, PUBLISH and PUBREL,
/// with the same identifiers.
#[test]
fn resumed_session_gets_again_what_it_did_not_acknowledge() {
    let (mut broker, alice, bob) = broker_with_bob();
    let qos_1 = delivered(&mut broker, alice, bob, publish_1(1, "a", "one"));
    let qos_2 = delivered(&mut broker, alice, bob, publish_2(2, "a", "two"));
    let received = delivered(&mut broker, alice, bob, publish_2(3, "a", "three"));
    broker.send(bob, &ack(FromClient::Pubrec, packet_id(&received)));
    broker.received(bob);
    let bob = back(&mut broker, bob);
    let again = broker.received(bob);
    let expected = [
        FromServer::Publish(Publish { dup: true, ..qos_1 }),
        FromServer::Publish(Publish { dup: true, ..qos_2 }),
        ack(FromServer::Pubrel, packet_id(&received)),
    ];
    assert!(expected.iter().all(|packet| again.contains(packet)), "{again:?}");
    assert_eq!(again.len(), 3);
}

/// [MQTT-4.4.0-1]: nothing else sends them again: neither time, nor other packets, nor a clean start.
#[test]
fn nothing_is_sent_again_on_the_same_connection_or_after_a_clean_start() {
    let (mut broker, alice, bob) = broker_with_bob();
    delivered(&mut broker, alice, bob, publish_1(1, "a", "one"));
    let two = delivered(&mut broker, alice, bob, publish_2(2, "a", "two"));
    broker.send(bob, &ack(FromClient::Pubrec, packet_id(&two)));
    broker.received(bob);
    for _ in 0..10 {
        broker.pass(60_000);
        broker.send(bob, &FromClient::Pingreq);
        assert_eq!(broker.received(bob), [FromServer::Pingresp]);
    }
    broker.drop_socket(bob);
    let (bob, _) = broker.connect_with(Connect { clean_start: true, ..staying("bob") });
    assert_eq!(broker.received(bob), []);
}

/// [MQTT-4.4.0-2]: what was answered with 0x80 or above is not sent again.
#[test]
fn message_that_was_refused_is_not_sent_again() {
    let (mut broker, alice, bob) = broker_with_bob();
    let one = packet_id(&delivered(&mut broker, alice, bob, publish_1(1, "a", "one")));
    let two = packet_id(&delivered(&mut broker, alice, bob, publish_2(2, "a", "two")));
    broker.send(bob, &FromClient::Puback(Ack::new(id(one), Reason::UNSPECIFIED_ERROR)));
    broker.send(bob, &FromClient::Pubrec(Ack::new(id(two), Reason::UNSPECIFIED_ERROR)));
    let three = delivered(&mut broker, alice, bob, publish_1(1, "a", "three"));
    let bob = back(&mut broker, bob);
    assert_eq!(broker.received(bob), [FromServer::Publish(Publish { dup: true, ..three })]);
}
