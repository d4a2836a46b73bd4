use bytes::Bytes;

use super::*;

fn message(qos: Qos) -> Outgoing {
    Outgoing {
        topic: TopicName::parse(Bytes::from_static(b"t")).unwrap(),
        payload: Bytes::new(),
        properties: Bytes::new(),
        expires_in_s: None,
        subscription_id: None,
        qos,
        retain: false,
    }
}

fn id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

fn flow(qos: Qos, packet_id: u16) -> Flow {
    match qos {
        Qos::AtMostOnce => Flow::AtMostOnce,
        Qos::AtLeastOnce => Flow::AtLeastOnce(id(packet_id)),
        Qos::ExactlyOnce => Flow::ExactlyOnce(id(packet_id)),
    }
}

fn router(packet_id: u16, qos: Qos) -> Source {
    Source::Router(flow(qos, packet_id))
}

fn publish(qos: Qos, packet_id: u16) -> Output {
    Output::Publish(message(qos).publish(flow(qos, packet_id)))
}

const Q0: Qos = Qos::AtMostOnce;
const Q1: Qos = Qos::AtLeastOnce;
const Q2: Qos = Qos::ExactlyOnce;

#[test]
fn router_hears_of_acknowledgements_in_its_own_order() {
    let mut outflow = Outflow::new(10);
    for id in 1..=3 {
        outflow.deliver(router(id, Q1), message(Q1));
    }
    outflow.take_outputs();
    outflow.puback(id(2));
    outflow.puback(id(3));
    assert_eq!(outflow.take_outputs(), []);
    outflow.puback(id(1));
    let order =
        [Output::RouterPuback(id(1)), Output::RouterPuback(id(2)), Output::RouterPuback(id(3))];
    assert_eq!(outflow.take_outputs(), order);
}

#[test]
fn acknowledgement_that_nothing_waits_for_does_not_reach_the_router() {
    let mut outflow = Outflow::new(10);
    outflow.deliver(router(1, Q1), message(Q1));
    outflow.take_outputs();
    outflow.puback(id(2));
    outflow.pubcomp(id(1));
    assert_eq!(outflow.take_outputs(), []);
    outflow.pubrec(id(9), Reason::SUCCESS);
    assert_eq!(outflow.take_outputs(), [Output::Pubrel(id(9), Reason::PACKET_ID_NOT_FOUND)]);
}

#[test]
fn message_of_qos_0_is_acknowledged_to_the_router_at_once() {
    let mut outflow = Outflow::new(10);
    outflow.deliver(router(1, Q1), message(Q0));
    assert_eq!(outflow.take_outputs(), [publish(Q0, 0), Output::RouterPuback(id(1))]);
    outflow.deliver(router(2, Q2), message(Q0));
    let both = [publish(Q0, 0), Output::RouterPubrec(id(2)), Output::RouterPubcomp(id(2))];
    assert_eq!(outflow.take_outputs(), both);
    outflow.router_pubrel(id(2));
    assert_eq!(outflow.take_outputs(), []);
}

#[test]
fn message_of_qos_1_to_a_qos_2_subscription_needs_one_puback() {
    let mut outflow = Outflow::new(10);
    outflow.deliver(router(1, Q2), message(Q1));
    assert_eq!(outflow.take_outputs(), [publish(Q1, 1)]);
    outflow.puback(id(1));
    assert_eq!(outflow.take_outputs(), [Output::RouterPubrec(id(1)), Output::RouterPubcomp(id(1))]);
}

#[test]
fn qos_2_exchange_is_completed_with_client_and_router() {
    let mut outflow = Outflow::new(10);
    outflow.deliver(router(1, Q2), message(Q2));
    outflow.take_outputs();
    outflow.pubrec(id(1), Reason::SUCCESS);
    let released = [Output::Pubrel(id(1), Reason::SUCCESS), Output::RouterPubrec(id(1))];
    assert_eq!(outflow.take_outputs(), released);
    outflow.router_pubrel(id(1));
    assert_eq!(outflow.take_outputs(), []);
    outflow.pubrec(id(1), Reason::SUCCESS);
    assert_eq!(outflow.take_outputs(), [Output::Pubrel(id(1), Reason::SUCCESS)]);
    outflow.pubcomp(id(1));
    assert_eq!(outflow.take_outputs(), [Output::RouterPubcomp(id(1))]);
}

#[test]
fn pubrec_with_a_failure_ends_the_exchange_without_pubrel() {
    let mut outflow = Outflow::new(10);
    outflow.deliver(router(1, Q2), message(Q2));
    outflow.take_outputs();
    outflow.pubrec(id(1), Reason::QUOTA_EXCEEDED);
    assert_eq!(outflow.take_outputs(), [Output::RouterPubrec(id(1)), Output::RouterPubcomp(id(1))]);
}

#[test]
fn router_may_use_a_packet_id_again_while_its_pubcomp_is_missing() {
    let mut outflow = Outflow::new(10);
    outflow.deliver(router(1, Q2), message(Q2));
    outflow.pubrec(id(1), Reason::SUCCESS);
    outflow.deliver(router(1, Q2), message(Q2));
    outflow.take_outputs();
    outflow.pubcomp(id(1));
    assert_eq!(outflow.take_outputs(), [Output::RouterPubcomp(id(1))]);
    outflow.pubrec(id(1), Reason::SUCCESS);
    outflow.pubcomp(id(1));
    let second = [
        Output::Pubrel(id(1), Reason::SUCCESS),
        Output::RouterPubrec(id(1)),
        Output::RouterPubcomp(id(1)),
    ];
    assert_eq!(outflow.take_outputs(), second);
}

#[test]
fn resumed_session_sends_the_pubrel_that_the_router_remembers() {
    let mut outflow = Outflow::new(10);
    outflow.router_pubrel(id(5));
    assert_eq!(outflow.take_outputs(), [Output::Pubrel(id(5), Reason::SUCCESS)]);
    outflow.pubcomp(id(5));
    assert_eq!(outflow.take_outputs(), [Output::RouterPubcomp(id(5))]);
}

/// [MQTT-3.3.4-9]
#[test]
fn no_more_than_receive_maximum_are_on_the_wire() {
    let mut outflow = Outflow::new(2);
    outflow.deliver(router(1, Q1), message(Q1));
    outflow.deliver(Source::Retained, message(Q2));
    outflow.deliver(router(2, Q1), message(Q1));
    assert_eq!(outflow.take_outputs(), [publish(Q1, 1), publish(Q2, OWN_ID_FIRST)]);
    outflow.deliver(router(0, Q0), message(Q0));
    assert_eq!(outflow.take_outputs(), [publish(Q0, 0)]);
    outflow.pubrec(id(OWN_ID_FIRST), Reason::SUCCESS);
    assert_eq!(outflow.take_outputs(), [Output::Pubrel(id(OWN_ID_FIRST), Reason::SUCCESS)]);
    outflow.pubcomp(id(OWN_ID_FIRST));
    assert_eq!(outflow.take_outputs(), [publish(Q1, 2)]);
}

#[test]
fn retained_messages_have_packet_ids_that_the_router_never_uses() {
    let mut outflow = Outflow::new(u16::MAX);
    for _ in 0..3 {
        outflow.deliver(Source::Retained, message(Q1));
    }
    let ids = [1_001, 1_002, 1_003].map(|id| publish(Q1, id));
    assert_eq!(outflow.take_outputs(), ids);
    outflow.puback(id(1_002));
    assert_eq!(outflow.take_outputs(), []);
}

#[test]
fn message_that_the_client_cannot_take_frees_its_place() {
    let mut outflow = Outflow::new(1);
    outflow.deliver(router(1, Q2), message(Q2));
    outflow.deliver(router(2, Q1), message(Q1));
    outflow.take_outputs();
    outflow.unsendable(id(1));
    let next = [Output::RouterPubrec(id(1)), Output::RouterPubcomp(id(1)), publish(Q1, 2)];
    assert_eq!(outflow.take_outputs(), next);
}
