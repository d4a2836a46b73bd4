//! §4.9: Receive Maximum in both directions.

use broker_core::codec::{Ack, Connect, FromClient, FromServer, Reason, Remarks, Unsuback};
use broker_core::engine::Limits;
use broker_core::holder::HolderConfig;
use ha_types::Qos;

use crate::common::{client, farewell, got, staying, subscribed};
use crate::spec::broker::{Broker, Client};
use crate::spec::id;
use crate::spec::packets::{
    ack, payloads, publish, publish_1, publish_2, publishes, suback, subscribe, unsubscribe,
};

/// A broker that takes two exchanges at a time.
fn broker_taking_2() -> Broker {
    let limits = Limits { receive_maximum: 2, ..Limits::default() };
    Broker::with(limits, HolderConfig::default())
}

/// [MQTT-3.3.4-7]: a client with more exchanges open than the Receive Maximum of CONNACK is
/// disconnected with 0x93. QoS 0 does not count, and what was finished does not.
#[test]
fn client_above_the_receive_maximum_is_disconnected() {
    let mut broker = broker_taking_2();
    let (alice, connack) = broker.connect_with(staying("alice"));
    assert_eq!(connack.announcement.receive_maximum, 2);
    for packet_id in [1, 2] {
        broker.send(alice, &FromClient::Publish(publish_2(packet_id, "a", "x")));
    }
    broker.send(alice, &FromClient::Publish(publish("a", "x")));
    broker.send(alice, &ack(FromClient::Pubrel, 1));
    broker.send(alice, &FromClient::Publish(publish_2(3, "a", "x")));
    broker.send(alice, &FromClient::Publish(publish_2(3, "a", "again")));
    assert!(broker.is_open(alice));
    broker.send(alice, &FromClient::Publish(publish_1(4, "a", "x")));
    assert_eq!(farewell(&mut broker, alice), Some(Reason::RECEIVE_MAXIMUM_EXCEEDED));
    assert_eq!(broker.published.len(), 4);
}

/// A client that takes so many at a time, and how many of ten messages it gets.
fn of_ten_messages(receive_maximum: u16, inflight_max: u16, session_expiry_s: u32) -> usize {
    let limits = Limits { inflight_max, ..Limits::default() };
    let mut broker = Broker::with(limits, HolderConfig::default());
    let alice = client(&mut broker, "alice");
    let connect = Connect { receive_maximum, session_expiry_s, ..staying("bob") };
    let (bob, _) = broker.connect_with(connect);
    subscribed(&mut broker, bob, "a", Qos::ExactlyOnce);
    for packet_id in 1..=10 {
        broker.send(alice, &FromClient::Publish(publish_2(packet_id, "a", "x")));
    }
    got(&mut broker, bob).len()
}

/// [MQTT-4.9.0-1]: the send quota begins above 0, and not above the client's Receive Maximum.
#[test]
fn send_quota_begins_between_1_and_the_receive_maximum() {
    for session_expiry_s in [0, 3_600] {
        for (receive_maximum, inflight_max, sent) in [
            (1, 1_024, 1),
            (9, 1_024, 9),
            (65_535, 1_024, 10),
            (65_535, 4, 4),
            (3, 4, 3),
            (5, 4, 4),
        ] {
            let found = of_ten_messages(receive_maximum, inflight_max, session_expiry_s);
            assert_eq!(found, sent, "{receive_maximum} {inflight_max}");
        }
    }
}

/// A broker with `alice`, and `bob`, who has subscribed to `a`, takes two messages at a time, and has
/// both of them open: one at QoS 1, one at QoS 2. Three more wait.
fn broker_with_full_bob(session_expiry_s: u32) -> (Broker, Client, Client, [u16; 2]) {
    let mut broker = Broker::new();
    let alice = client(&mut broker, "alice");
    let connect = Connect { receive_maximum: 2, session_expiry_s, ..staying("bob") };
    let (bob, _) = broker.connect_with(connect);
    subscribed(&mut broker, bob, "a", Qos::ExactlyOnce);
    broker.send(alice, &FromClient::Publish(publish_1(1, "a", "1")));
    for (packet_id, payload) in [(2, "2"), (3, "3"), (4, "4"), (5, "5")] {
        broker.send(alice, &FromClient::Publish(publish_2(packet_id, "a", payload)));
    }
    let sent = publishes(&broker.received(bob));
    let ids: Vec<_> = sent.iter().map(|sent| sent.flow.packet_id().unwrap().get()).collect();
    (broker, alice, bob, ids.try_into().unwrap())
}

/// [MQTT-4.9.0-2], [MQTT-3.3.4-9]: at a send quota of 0 no PUBLISH above QoS 0 is sent. PUBACK, a
/// PUBREC that refuses and PUBCOMP make room for one each; another PUBREC does not.
#[test]
fn nothing_above_qos_0_is_sent_without_send_quota() {
    for session_expiry_s in [0, 3_600] {
        let (mut broker, _, bob, [one, two]) = broker_with_full_bob(session_expiry_s);
        broker.pass(60_000);
        assert_eq!(broker.received(bob), []);
        broker.send(bob, &ack(FromClient::Pubrec, two));
        assert_eq!(broker.received(bob), [ack(FromServer::Pubrel, two)]);
        broker.send(bob, &ack(FromClient::Puback, one));
        let three = publishes(&broker.received(bob));
        assert_eq!((three.len(), &three[0].payload[..]), (1, &b"3"[..]));
        broker.send(bob, &ack(FromClient::Pubcomp, two));
        assert_eq!(got(&mut broker, bob), ["4"]);
        let refusal = Ack::new(three[0].flow.packet_id().unwrap(), Reason::UNSPECIFIED_ERROR);
        broker.send(bob, &FromClient::Pubrec(refusal));
        assert_eq!(got(&mut broker, bob), ["5"]);
    }
}

/// [MQTT-3.3.4-9], of a session that is resumed with a smaller Receive Maximum.
#[test]
fn resumed_session_keeps_to_its_new_receive_maximum() {
    let (mut broker, _, bob, [one, two]) = broker_with_full_bob(3_600);
    broker.drop_socket(bob);
    let (bob, _) = broker.connect_with(Connect { receive_maximum: 1, ..staying("bob") });
    assert_eq!(got(&mut broker, bob), ["1"]);
    broker.send(bob, &ack(FromClient::Puback, one));
    assert_eq!(got(&mut broker, bob), ["2"]);
    broker.send(bob, &ack(FromClient::Pubrec, two));
    assert_eq!(broker.received(bob), [ack(FromServer::Pubrel, two)]);
    broker.send(bob, &ack(FromClient::Pubcomp, two));
    assert_eq!(got(&mut broker, bob), ["3"]);
}

/// [MQTT-4.9.0-3], [MQTT-3.3.4-10]: at a send quota of 0 all other packets are still processed and
/// answered, and PUBLISH at QoS 0 is sent.
#[test]
fn other_packets_are_processed_and_sent_without_send_quota() {
    for session_expiry_s in [0, 3_600] {
        let (mut broker, alice, bob, [_, two]) = broker_with_full_bob(session_expiry_s);
        broker.send(alice, &FromClient::Publish(publish("a", "0")));
        assert_eq!(payloads(&broker.received(bob)), ["0"]);
        broker.send(bob, &FromClient::Pingreq);
        broker.send(bob, &subscribe(1, "b", Qos::AtLeastOnce));
        broker.send(bob, &unsubscribe(2, "b"));
        broker.send(bob, &FromClient::Publish(publish_1(3, "c", "x")));
        broker.send(bob, &FromClient::Publish(publish_2(4, "c", "x")));
        broker.send(bob, &ack(FromClient::Pubrel, 4));
        broker.send(bob, &ack(FromClient::Pubrec, two));
        let (packet_id, reasons) = (id(2), vec![Reason::SUCCESS]);
        let unsuback = Unsuback { packet_id, reasons, remarks: Remarks::default() };
        let expected = [
            FromServer::Pingresp,
            suback(1, &[Reason::GRANTED_QOS_1]),
            FromServer::Unsuback(unsuback),
            ack(FromServer::Puback, 3),
            ack(FromServer::Pubrec, 4),
            ack(FromServer::Pubcomp, 4),
            ack(FromServer::Pubrel, two),
        ];
        assert_eq!(broker.received(bob), expected);
    }
}
