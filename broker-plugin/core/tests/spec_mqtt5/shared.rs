//! §4.8.2: shared subscriptions.

use broker_core::codec::{Ack, Connect, FromClient, FromServer, Publish, Reason};
use ha_types::Qos;

use crate::common::{QOS, client, got, staying, subscribed};
use crate::spec::broker::{Broker, Client};
use crate::spec::id;
use crate::spec::packets::{ack, payloads, publish, publish_1, publish_2, publishes};

/// A broker with `alice`, who publishes, and two members of a share of `a`.
fn broker_with_members(session_expiry_s: u32, qos: [Qos; 2]) -> (Broker, Client, [Client; 2]) {
    let mut broker = Broker::new();
    let alice = client(&mut broker, "alice");
    let member = |broker: &mut Broker, id: &str, qos| {
        let connect = Connect { session_expiry_s, ..staying(id) };
        let (member, _) = broker.connect_with(connect);
        subscribed(broker, member, "$share/g/a", qos);
        member
    };
    let members = [member(&mut broker, "bob", qos[0]), member(&mut broker, "carol", qos[1])];
    (broker, alice, members)
}

fn of_qos(qos: Qos, packet_id: u16, payload: &str) -> FromClient {
    FromClient::Publish(match qos {
        Qos::AtMostOnce => publish("a", payload),
        Qos::AtLeastOnce => publish_1(packet_id, "a", payload),
        Qos::ExactlyOnce => publish_2(packet_id, "a", payload),
    })
}

/// The member that got the only message of all, its message, and the other member.
fn chosen(broker: &mut Broker, members: [Client; 2]) -> (Client, Publish, Client) {
    let [one, other] = members.map(|member| publishes(&broker.received(member)));
    match (&one[..], &other[..]) {
        ([publish], []) => (members[0], publish.clone(), members[1]),
        ([], [publish]) => (members[1], publish.clone(), members[0]),
        _ => panic!("{one:?} {other:?}"),
    }
}

fn packet_id(publish: &Publish) -> u16 {
    publish.flow.packet_id().unwrap().get()
}

/// The name of this member.
fn name_of(member: Client, members: [Client; 2]) -> &'static str {
    if member == members[0] { "bob" } else { "carol" }
}

/// [MQTT-4.8.2-3]: each member gets messages at the QoS that it was granted, or that they have.
#[test]
fn member_gets_messages_at_the_qos_that_it_was_granted() {
    for session_expiry_s in [0, 3_600] {
        for published in QOS {
            for granted in [[QOS[0], QOS[2]], [QOS[1], QOS[0]], [QOS[2], QOS[1]]] {
                let (mut broker, alice, members) = broker_with_members(session_expiry_s, granted);
                for number in 1..=8 {
                    broker.send(alice, &of_qos(published, number, "x"));
                }
                let mut all = 0;
                for (member, granted) in members.into_iter().zip(granted) {
                    let found = publishes(&broker.received(member));
                    let qos = found.iter().map(|publish| publish.flow.qos());
                    assert!(
                        !found.is_empty() && qos.clone().all(|qos| qos == published.min(granted))
                    );
                    all += found.len();
                }
                assert_eq!(all, 8);
            }
        }
    }
}

/// [MQTT-4.8.2-4]: a QoS 2 delivery that was broken off waits for its client, and is finished with it.
#[test]
fn delivery_at_qos_2_that_broke_off_is_finished_with_the_same_client() {
    for was_received in [false, true] {
        let (mut broker, alice, members) = broker_with_members(3_600, [Qos::ExactlyOnce; 2]);
        broker.send(alice, &of_qos(Qos::ExactlyOnce, 1, "x"));
        let (member, first, other) = chosen(&mut broker, members);
        if was_received {
            broker.send(member, &ack(FromClient::Pubrec, packet_id(&first)));
        }
        broker.drop_socket(member);
        assert_eq!(got(&mut broker, other), [""; 0]);
        let (member, _) = broker.connect_with(staying(name_of(member, members)));
        let again = broker.received(member);
        let expected = match was_received {
            false => FromServer::Publish(Publish { dup: true, ..first.clone() }),
            true => ack(FromServer::Pubrel, packet_id(&first)),
        };
        assert_eq!(again, [expected]);
        assert_eq!(got(&mut broker, other), [""; 0]);
    }
}

/// [MQTT-4.8.2-5]: if the session of that client ends first, nobody else gets the message.
#[test]
fn delivery_at_qos_2_that_broke_off_ends_with_its_session() {
    for session_expiry_s in [0, 10] {
        for ends_by_time in [false, true] {
            let (mut broker, alice, members) =
                broker_with_members(session_expiry_s, [Qos::ExactlyOnce; 2]);
            broker.send(alice, &of_qos(Qos::ExactlyOnce, 1, "x"));
            let (member, _, other) = chosen(&mut broker, members);
            broker.drop_socket(member);
            if ends_by_time {
                broker.pass(10_000);
            } else {
                client(&mut broker, name_of(member, members));
            }
            assert_eq!(got(&mut broker, other), [""; 0], "{session_expiry_s}");
            broker.send(alice, &of_qos(Qos::ExactlyOnce, 2, "y"));
            assert_eq!(got(&mut broker, other), ["y"]);
        }
    }
}

/// [MQTT-4.8.2-5], and not more than that: what was not begun, and what was begun at QoS 1, goes to
/// another member.
#[test]
fn what_was_not_begun_at_qos_2_goes_to_another_member() {
    for (qos, expected) in [(Qos::AtLeastOnce, &["1", "2"][..]), (Qos::ExactlyOnce, &["2"])] {
        let mut broker = Broker::new();
        let alice = client(&mut broker, "alice");
        let (bob, _) = broker.connect_with(Connect { receive_maximum: 1, ..staying("bob") });
        subscribed(&mut broker, bob, "$share/g/a", qos);
        for number in 1..=2 {
            broker.send(alice, &of_qos(qos, number, &number.to_string()));
        }
        assert_eq!(got(&mut broker, bob), ["1"]);
        let (carol, _) = broker.connect_with(staying("carol"));
        subscribed(&mut broker, carol, "$share/g/a", qos);
        broker.drop_socket(bob);
        assert_eq!(got(&mut broker, carol), expected, "{qos:?}");
    }
}

/// [MQTT-4.8.2-6]: a message that its member answers with 0x80 or above goes to no other, also not
/// when that member leaves.
#[test]
fn message_that_a_member_refuses_goes_to_no_other() {
    for session_expiry_s in [0, 3_600] {
        for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
            let (mut broker, alice, members) = broker_with_members(session_expiry_s, [qos; 2]);
            broker.send(alice, &of_qos(qos, 1, "x"));
            let (member, publish, other) = chosen(&mut broker, members);
            let refusal = Ack::new(id(packet_id(&publish)), Reason::QUOTA_EXCEEDED);
            broker.send(
                member,
                &match qos {
                    Qos::ExactlyOnce => FromClient::Pubrec(refusal),
                    _ => FromClient::Puback(refusal),
                },
            );
            assert_eq!(broker.received(member), []);
            broker.drop_socket(member);
            broker.pass(3_600_000);
            let (member, _) = broker.connect_with(staying(name_of(member, members)));
            assert_eq!(payloads(&broker.received(member)), [""; 0]);
            assert_eq!(got(&mut broker, other), [""; 0], "{qos:?}");
        }
    }
}
