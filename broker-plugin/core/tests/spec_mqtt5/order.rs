//! §4.6: what comes in which order.

use broker_core::codec::{Connect, FromClient, FromServer, Publish};
use ha_types::Qos;

use crate::common::{QOS, client, got, staying, subscribed};
use crate::spec::broker::{Broker, Client};
use crate::spec::packets::{ack, payloads, publish, publish_1, publish_2, publishes};

/// A broker with `alice`, who publishes, and `bob`, who has subscribed to `#` at QoS 2 and takes so
/// many messages at a time.
fn broker_with_bob(session_expiry_s: u32, receive_maximum: u16) -> (Broker, Client, Client) {
    let mut broker = Broker::new();
    let alice = client(&mut broker, "alice");
    let connect = Connect { session_expiry_s, receive_maximum, ..staying("bob") };
    let (bob, _) = broker.connect_with(connect);
    subscribed(&mut broker, bob, "#", Qos::ExactlyOnce);
    (broker, alice, bob)
}

fn of_qos(qos: Qos, packet_id: u16, topic: &str, payload: &str) -> FromClient {
    FromClient::Publish(match qos {
        Qos::AtMostOnce => publish(topic, payload),
        Qos::AtLeastOnce => publish_1(packet_id, topic, payload),
        Qos::ExactlyOnce => publish_2(packet_id, topic, payload),
    })
}

fn packet_ids(publishes: &[Publish]) -> Vec<u16> {
    publishes.iter().map(|publish| publish.flow.packet_id().unwrap().get()).collect()
}

/// What a client answers.
fn acknowledged(publish: &Publish) -> Option<FromClient> {
    let id = publish.flow.packet_id()?.get();
    Some(match publish.flow.qos() {
        Qos::ExactlyOnce => ack(FromClient::Pubrec, id),
        _ => ack(FromClient::Puback, id),
    })
}

/// `bob` acknowledges all that he gets until nothing more comes. Payloads in their order.
fn drained(broker: &mut Broker, bob: Client) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let packets = broker.received(bob);
        if packets.is_empty() {
            return all;
        }
        all.extend(payloads(&packets));
        for packet in packets {
            let answer = match packet {
                FromServer::Publish(publish) => match acknowledged(&publish) {
                    Some(answer) => answer,
                    None => continue,
                },
                FromServer::Pubrel(pubrel) => ack(FromClient::Pubcomp, pubrel.packet_id.get()),
                other => panic!("{other:?}"),
            };
            broker.send(bob, &answer);
        }
    }
}

fn numbers(range: std::ops::Range<u16>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// [MQTT-4.6.0-1]: what is sent again is sent in the order of the first time, whatever was
/// acknowledged in between, and before what is new.
#[test]
fn messages_are_sent_again_in_their_order() {
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let (mut broker, alice, bob) = broker_with_bob(3_600, 20);
        for number in 1..=9 {
            broker.send(alice, &of_qos(qos, number, "a", &number.to_string()));
        }
        let ids = packet_ids(&publishes(&broker.received(bob)));
        for at in [6, 1] {
            let done =
                if qos == Qos::AtLeastOnce { FromClient::Puback } else { FromClient::Pubrec };
            broker.send(bob, &ack(done, ids[at]));
            broker.send(bob, &ack(FromClient::Pubcomp, ids[at]));
        }
        broker.drop_socket(bob);
        broker.send(alice, &of_qos(qos, 10, "a", "10"));
        let (bob, _) = broker.connect_with(staying("bob"));
        let again = broker.received(bob);
        assert_eq!(payloads(&again), ["1", "3", "4", "5", "6", "8", "9", "10"]);
        let expected: Vec<_> = [0, 2, 3, 4, 5, 7, 8].map(|at: usize| ids[at]).to_vec();
        assert_eq!(packet_ids(&publishes(&again))[..7], expected);
    }
}

/// [MQTT-4.6.0-2]: PUBACKs come in the order of the PUBLISH packets.
#[test]
fn pubacks_come_in_the_order_of_their_messages() {
    let (mut broker, alice, _) = broker_with_bob(0, 20);
    let ids = [9, 3, 65_535, 1, 4];
    let bytes = ids.map(|id: u16| [b"\x32\x06\0\x01a", &id.to_be_bytes()[..], b"\0"].concat());
    broker.send_bytes(alice, &bytes.concat());
    assert_eq!(broker.received(alice), ids.map(|id| ack(FromServer::Puback, id)));
}

/// [MQTT-4.6.0-3]: PUBRECs come in the order of the PUBLISH packets.
#[test]
fn pubrecs_come_in_the_order_of_their_messages() {
    let (mut broker, alice, _) = broker_with_bob(0, 20);
    let ids = [9, 3, 65_535, 1, 4];
    let bytes = ids.map(|id: u16| [b"\x34\x06\0\x01a", &id.to_be_bytes()[..], b"\0"].concat());
    broker.send_bytes(alice, &bytes.concat());
    assert_eq!(broker.received(alice), ids.map(|id| ack(FromServer::Pubrec, id)));
}

/// [MQTT-4.6.0-4]: PUBRELs come in the order of the PUBRECs.
#[test]
fn pubrels_come_in_the_order_of_the_pubrecs() {
    for session_expiry_s in [0, 3_600] {
        let (mut broker, alice, bob) = broker_with_bob(session_expiry_s, 20);
        for number in 1..=5 {
            broker.send(alice, &of_qos(Qos::ExactlyOnce, number, "a", ""));
        }
        let ids = packet_ids(&publishes(&broker.received(bob)));
        let order = [3, 0, 4, 1, 2].map(|at: usize| ids[at]);
        let pubrec = |id: u16| [&[0x50, 2], &id.to_be_bytes()[..]].concat();
        broker.send_bytes(bob, &order.map(pubrec).concat());
        assert_eq!(broker.received(bob), order.map(|id| ack(FromServer::Pubrel, id)));
    }
}

/// [MQTT-4.6.0-4], of PUBRELs that a resumed session gets again.
#[test]
fn pubrels_are_sent_again_in_the_order_of_the_pubrecs() {
    let (mut broker, alice, bob) = broker_with_bob(3_600, 20);
    for number in 1..=5 {
        broker.send(alice, &of_qos(Qos::ExactlyOnce, number, "a", ""));
    }
    let ids = packet_ids(&publishes(&broker.received(bob)));
    let order = [3, 0, 4, 1, 2].map(|at: usize| ids[at]);
    for id in order {
        broker.send(bob, &ack(FromClient::Pubrec, id));
    }
    broker.drop_socket(bob);
    let (bob, _) = broker.connect_with(staying("bob"));
    assert_eq!(broker.received(bob), order.map(|id| ack(FromServer::Pubrel, id)));
}

/// [MQTT-4.6.0-5]: messages of one client, topic and QoS come in their order: to a client that takes
/// one at a time, to one that is away for a while, to one that takes all.
#[test]
fn messages_of_a_client_topic_and_qos_come_in_their_order() {
    for qos in QOS {
        for receive_maximum in [1, 3, 65_535] {
            for session_expiry_s in [0, 3_600] {
                let (mut broker, alice, bob) = broker_with_bob(session_expiry_s, receive_maximum);
                for number in 1..100 {
                    broker.send(alice, &of_qos(qos, number, "a", &number.to_string()));
                }
                assert_eq!(drained(&mut broker, bob), numbers(1..100), "{qos:?}");
            }
        }
    }
}

/// [MQTT-4.6.0-5], of a client that does not read for a while, and of more than may wait for it at its
/// connection.
#[test]
fn messages_keep_their_order_when_their_client_does_not_read() {
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let (mut broker, alice, bob) = broker_with_bob(3_600, 20);
        broker.limits.queue_bytes_max = 500;
        broker.limits.queue_messages_max = 5;
        broker.set_reading(bob, false);
        for number in 1..100 {
            broker.send(alice, &of_qos(qos, number, "a", &number.to_string()));
        }
        assert_eq!(broker.received(bob), []);
        broker.set_reading(bob, true);
        broker.send(bob, &FromClient::Pingreq);
        let begun = broker.received(bob);
        assert!(begun.contains(&FromServer::Pingresp));
        let mut all = payloads(&begun);
        for publish in publishes(&begun) {
            broker.send(bob, &acknowledged(&publish).unwrap());
        }
        all.extend(drained(&mut broker, bob));
        assert_eq!(all, numbers(1..100), "{qos:?}");
    }
}

/// [MQTT-4.6.0-5], of messages that come while the client is away and back and away.
#[test]
fn messages_keep_their_order_across_connections() {
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let (mut broker, alice, mut bob) = broker_with_bob(3_600, 3);
        let mut first_times = Vec::new();
        for number in 1..60 {
            broker.send(alice, &of_qos(qos, number, "a", &number.to_string()));
            if number % 7 == 0 {
                let new = publishes(&broker.received(bob)).into_iter().filter(|new| !new.dup);
                first_times.extend(new.map(|new| new.payload));
                broker.drop_socket(bob);
            }
            if number % 7 == 3 {
                bob = broker.connect_with(Connect { receive_maximum: 3, ..staying("bob") }).0;
            }
        }
        let known = first_times.len();
        let mut all: Vec<_> =
            first_times.iter().map(|new| String::from_utf8(new.to_vec()).unwrap()).collect();
        let again = drained(&mut broker, bob);
        let new = again.into_iter().filter(|payload| !all[..known].contains(payload));
        all.extend(new.collect::<Vec<_>>());
        assert_eq!(all, numbers(1..60), "{qos:?}");
    }
}

/// [MQTT-4.6.0-6]: every topic is ordered, also with others in between and at mixed QoS.
#[test]
fn each_topic_is_ordered_whatever_is_between() {
    for session_expiry_s in [0, 3_600] {
        let (mut broker, alice, bob) = broker_with_bob(session_expiry_s, 20);
        let eve = client(&mut broker, "eve");
        let mut expected = Vec::new();
        for number in 1..60_u16 {
            let publisher = if number % 2 == 0 { alice } else { eve };
            let qos = QOS[usize::from(number / 2 % 3)];
            let topic = format!("t/{}", number % 5);
            broker.send(publisher, &of_qos(qos, number, &topic, &number.to_string()));
            expected.push(number.to_string());
            if number % 10 == 0 {
                assert_eq!(drained(&mut broker, bob), expected);
                expected.clear();
            }
        }
        assert_eq!(got(&mut broker, bob), expected);
    }
}
