//! §4.3, the receiver's side: what clients publish.

use broker_core::codec::{Ack, FromClient, FromServer, Publish, Reason};
use ha_types::Qos;
use ha_types::session::RefuseReason;

use crate::common::{client, got, staying, subscriber};
use crate::spec::broker::{Broker, Client};
use crate::spec::id;
use crate::spec::packets::{ack, publish_1, publish_2};

/// A broker with `alice`, whose session stays, and `bob`, who sees what is published to `a`.
fn broker_with_bob() -> (Broker, Client, Client) {
    let mut broker = Broker::new();
    let bob = subscriber(&mut broker, "bob", "a", Qos::AtMostOnce);
    let (alice, _) = broker.connect_with(staying("alice"));
    (broker, alice, bob)
}

fn refused(packet: fn(Ack) -> FromServer, packet_id: u16, reason: Reason) -> FromServer {
    packet(Ack::new(id(packet_id), reason))
}

/// What was answered, without remarks.
fn answers(broker: &mut Broker, client: Client) -> Vec<FromServer> {
    let bare = |ack: Ack| Ack::new(ack.packet_id, ack.reason);
    let all = broker.received(client).into_iter();
    all.map(|packet| match packet {
        FromServer::Puback(ack) => FromServer::Puback(bare(ack)),
        FromServer::Pubrec(ack) => FromServer::Pubrec(bare(ack)),
        FromServer::Pubcomp(ack) => FromServer::Pubcomp(bare(ack)),
        other => other,
    })
    .collect()
}

/// [MQTT-4.3.2-4]: PUBACK once the broker has the message, and with a failure if it does not take it.
#[test]
fn publish_at_qos_1_is_answered_with_puback() {
    let (mut broker, alice, bob) = broker_with_bob();
    broker.send(alice, &FromClient::Publish(publish_1(7, "a", "x")));
    assert_eq!(answers(&mut broker, alice), [ack(FromServer::Puback, 7)]);
    assert_eq!(got(&mut broker, bob), ["x"]);
    broker.send(alice, &FromClient::Publish(publish_1(8, "$SYS/a", "x")));
    let refusal = refused(FromServer::Puback, 8, Reason::NOT_AUTHORIZED);
    assert_eq!(answers(&mut broker, alice), [refusal]);
}

/// [MQTT-4.3.2-4], [MQTT-4.3.3-8], of what the holder of sessions does not take: a reason that the
/// acknowledgement may have, and the connection goes on.
#[test]
fn message_that_cannot_be_kept_is_acknowledged_with_a_failure() {
    for (refusal, reason) in [
        (RefuseReason::QuotaExceeded, Reason::QUOTA_EXCEEDED),
        (RefuseReason::NotAuthorized, Reason::NOT_AUTHORIZED),
        (RefuseReason::Unavailable, Reason::IMPLEMENTATION_SPECIFIC),
    ] {
        let (mut broker, alice, _) = broker_with_bob();
        broker.refusal = Some(refusal);
        broker.send(alice, &FromClient::Publish(publish_1(1, "a", "x")));
        broker.send(alice, &FromClient::Publish(publish_2(2, "a", "x")));
        let expected =
            [refused(FromServer::Puback, 1, reason), refused(FromServer::Pubrec, 2, reason)];
        assert_eq!(answers(&mut broker, alice), expected);
        assert!(broker.is_open(alice));
    }
}

/// [MQTT-4.3.2-5]: after PUBACK the same identifier is a new message, whatever DUP says.
#[test]
fn same_identifier_after_puback_is_a_new_message() {
    for dup in [false, true] {
        let (mut broker, alice, bob) = broker_with_bob();
        for payload in ["one", "two"] {
            let packet = Publish { dup, ..publish_1(7, "a", payload) };
            broker.send(alice, &FromClient::Publish(packet));
            assert_eq!(answers(&mut broker, alice), [ack(FromServer::Puback, 7)]);
        }
        assert_eq!(got(&mut broker, bob), ["one", "two"]);
    }
}

/// [MQTT-4.3.3-8]: PUBREC once the broker has the message, and with a failure if it does not take it.
#[test]
fn publish_at_qos_2_is_answered_with_pubrec() {
    let (mut broker, alice, bob) = broker_with_bob();
    broker.send(alice, &FromClient::Publish(publish_2(7, "a", "x")));
    assert_eq!(answers(&mut broker, alice), [ack(FromServer::Pubrec, 7)]);
    assert_eq!(got(&mut broker, bob), ["x"]);
    broker.send(alice, &FromClient::Publish(publish_2(8, "$SYS/a", "x")));
    let refusal = refused(FromServer::Pubrec, 8, Reason::NOT_AUTHORIZED);
    assert_eq!(answers(&mut broker, alice), [refusal]);
}

/// [MQTT-4.3.3-9]: after a PUBREC from 0x80 on the same identifier is a new message.
#[test]
fn same_identifier_after_a_pubrec_that_refuses_is_a_new_message() {
    let (mut broker, alice, bob) = broker_with_bob();
    broker.send(alice, &FromClient::Publish(publish_2(7, "$SYS/a", "refused")));
    broker.refusal = Some(RefuseReason::QuotaExceeded);
    broker.send(alice, &FromClient::Publish(publish_2(7, "a", "refused too")));
    broker.refusal = None;
    broker.send(alice, &FromClient::Publish(publish_2(7, "a", "taken")));
    let expected = [
        refused(FromServer::Pubrec, 7, Reason::NOT_AUTHORIZED),
        refused(FromServer::Pubrec, 7, Reason::QUOTA_EXCEEDED),
        ack(FromServer::Pubrec, 7),
    ];
    assert_eq!(answers(&mut broker, alice), expected);
    assert_eq!(got(&mut broker, bob), ["taken"]);
}

/// [MQTT-4.3.3-10]: until PUBREL the same identifier gets PUBREC again and nothing is delivered again,
/// also on the next connection of the session.
#[test]
fn same_identifier_before_pubrel_is_acknowledged_and_not_delivered_again() {
    let (mut broker, mut alice, bob) = broker_with_bob();
    for dup in [false, true, true] {
        let packet = Publish { dup, ..publish_2(7, "a", "x") };
        broker.send(alice, &FromClient::Publish(packet));
        assert_eq!(answers(&mut broker, alice), [ack(FromServer::Pubrec, 7)]);
        broker.drop_socket(alice);
        alice = broker.connect_with(staying("alice")).0;
        broker.send(alice, &FromClient::Publish(publish_2(7, "a", "x")));
        assert_eq!(answers(&mut broker, alice), [ack(FromServer::Pubrec, 7)]);
    }
    broker.send(alice, &FromClient::Publish(publish_2(8, "a", "y")));
    assert_eq!(got(&mut broker, bob), ["x", "y"]);
}

/// [MQTT-4.3.3-11]: PUBREL is answered with PUBCOMP of the same identifier; of one that is not known,
/// PUBCOMP says so.
#[test]
fn pubrel_is_answered_with_pubcomp() {
    let (mut broker, alice, _) = broker_with_bob();
    for packet_id in [1, 65_535] {
        broker.send(alice, &FromClient::Publish(publish_2(packet_id, "a", "x")));
        broker.send(alice, &ack(FromClient::Pubrel, packet_id));
        broker.send(alice, &ack(FromClient::Pubrel, packet_id));
        let expected = [
            ack(FromServer::Pubrec, packet_id),
            ack(FromServer::Pubcomp, packet_id),
            refused(FromServer::Pubcomp, packet_id, Reason::PACKET_ID_NOT_FOUND),
        ];
        assert_eq!(answers(&mut broker, alice), expected);
    }
}

/// [MQTT-4.3.3-11], of a session that is resumed between PUBREC and PUBREL.
#[test]
fn pubrel_on_the_next_connection_is_answered_with_pubcomp() {
    let (mut broker, alice, bob) = broker_with_bob();
    broker.send(alice, &FromClient::Publish(publish_2(7, "a", "x")));
    broker.drop_socket(alice);
    let (alice, _) = broker.connect_with(staying("alice"));
    broker.send(alice, &ack(FromClient::Pubrel, 7));
    assert_eq!(answers(&mut broker, alice), [ack(FromServer::Pubcomp, 7)]);
    assert_eq!(got(&mut broker, bob), ["x"]);
}

/// [MQTT-4.3.3-12]: after PUBCOMP the same identifier is a new message, whatever DUP says.
#[test]
fn same_identifier_after_pubcomp_is_a_new_message() {
    for dup in [false, true] {
        let (mut broker, alice, bob) = broker_with_bob();
        for payload in ["one", "two"] {
            let packet = Publish { dup, ..publish_2(7, "a", payload) };
            broker.send(alice, &FromClient::Publish(packet));
            broker.send(alice, &ack(FromClient::Pubrel, 7));
            let expected = [ack(FromServer::Pubrec, 7), ack(FromServer::Pubcomp, 7)];
            assert_eq!(answers(&mut broker, alice), expected);
        }
        assert_eq!(got(&mut broker, bob), ["one", "two"]);
    }
}

/// [MQTT-4.3.3-10], of a client that begins anew: nothing is known of its identifiers.
#[test]
fn clean_start_forgets_exchanges_that_were_begun() {
    let (mut broker, alice, bob) = broker_with_bob();
    broker.send(alice, &FromClient::Publish(publish_2(7, "a", "one")));
    broker.drop_socket(alice);
    let alice = client(&mut broker, "alice");
    broker.send(alice, &FromClient::Publish(publish_2(7, "a", "two")));
    assert_eq!(answers(&mut broker, alice), [ack(FromServer::Pubrec, 7)]);
    assert_eq!(got(&mut broker, bob), ["one", "two"]);
}
