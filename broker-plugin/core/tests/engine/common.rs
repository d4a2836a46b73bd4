//! Short words for tests of a whole broker.

use broker_core::codec::{
    Binary, Connect, FromClient, FromServer, NEVER_EXPIRES, Publish, Reason, Remarks, Unsuback,
    Version, Will,
};
use bytes::Bytes;
use ha_types::Qos;

use crate::spec::broker::{Broker, Client};
use crate::spec::id;
use crate::spec::packets::{ack, name, payloads, publish, publish_1, publish_2, subscribe, text};

pub(crate) const QOS: [Qos; 3] = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];

/// A CONNECT of a client whose session stays and which goes on with it: for ever before 5.0, for an
/// hour in 5.0.
pub(crate) fn staying(version: Version, client_id: &str) -> Connect {
    let session_expiry_s = if version == Version::V5 { 3_600 } else { NEVER_EXPIRES };
    Connect { clean_start: false, session_expiry_s, ..Connect::new(version, text(client_id)) }
}

/// Subscribes, and takes the SUBACK, which must grant it.
pub(crate) fn subscribed(broker: &mut Broker, client: Client, filter: &str, qos: Qos) {
    broker.send(client, &subscribe(900, filter, qos));
    match broker.next_packet(client) {
        Some(FromServer::Suback(suback)) => assert_eq!(suback.reasons, [Reason(qos.level())]),
        other => panic!("instead of SUBACK: {other:?}"),
    }
}

/// A PUBLISH; at QoS 0 without the packet identifier.
pub(crate) fn of_qos(qos: Qos, packet_id: u16, topic: &str, payload: &str) -> FromClient {
    FromClient::Publish(match qos {
        Qos::AtMostOnce => publish(topic, payload),
        Qos::AtLeastOnce => publish_1(packet_id, topic, payload),
        Qos::ExactlyOnce => publish_2(packet_id, topic, payload),
    })
}

/// The payloads that a client got.
pub(crate) fn got(broker: &mut Broker, client: Client) -> Vec<String> {
    payloads(&broker.received(client))
}

/// What a client says to a packet that asks for an answer.
pub(crate) fn answer(packet: &FromServer) -> Option<FromClient> {
    match packet {
        FromServer::Publish(publish) => {
            let id = publish.flow.packet_id()?.get();
            Some(match publish.flow.qos() {
                Qos::ExactlyOnce => ack(FromClient::Pubrec, id),
                _ => ack(FromClient::Puback, id),
            })
        }
        FromServer::Pubrel(pubrel) => Some(ack(FromClient::Pubcomp, pubrel.packet_id.get())),
        FromServer::Pubrec(pubrec) if !pubrec.reason.is_failure() => {
            Some(ack(FromClient::Pubrel, pubrec.packet_id.get()))
        }
        _ => None,
    }
}

/// The client answers all that it gets until nothing more comes. Returns the messages in their
/// order.
pub(crate) fn drained(broker: &mut Broker, client: Client) -> Vec<Publish> {
    let mut all = Vec::new();
    while let Some(packet) = broker.next_packet(client) {
        if let Some(answer) = answer(&packet) {
            broker.send(client, &answer);
        }
        if let FromServer::Publish(publish) = packet {
            all.push(publish);
        }
    }
    all
}

/// The payload as text.
pub(crate) fn payload(publish: &Publish) -> String {
    String::from_utf8(publish.payload.to_vec()).unwrap()
}

/// How a connection ended, which must have: the reason of DISCONNECT, or of CONNACK; `None`: without
/// a word.
pub(crate) fn farewell(broker: &mut Broker, client: Client) -> Option<Reason> {
    assert!(!broker.is_open(client), "the connection goes on");
    match broker.received(client).pop()? {
        FromServer::Disconnect(disconnect) => Some(disconnect.reason),
        FromServer::Connack(connack) => Some(connack.reason),
        _ => None,
    }
}

/// A will of QoS 1 on the topic `will`.
pub(crate) fn will(payload: &str, delay_s: u32) -> Option<Will> {
    Some(Will {
        topic: name("will"),
        payload: Binary::parse(Bytes::copy_from_slice(payload.as_bytes())).unwrap(),
        qos: Qos::AtLeastOnce,
        retain: false,
        properties: Bytes::new(),
        expires_in_s: None,
        delay_s,
    })
}

/// A broker with `alice`, whose holder's answers wait from now on.
pub(crate) fn broker_with_alice(version: Version) -> (Broker, Client) {
    let mut broker = Broker::new();
    let (alice, _) = broker.connect_with(staying(version, "alice"));
    broker.hold_answers();
    (broker, alice)
}

/// An UNSUBACK with this reason.
pub(crate) fn unsuback(packet_id: u16, reason: Reason) -> FromServer {
    let (packet_id, reasons) = (id(packet_id), vec![reason]);
    FromServer::Unsuback(Unsuback { packet_id, reasons, remarks: Remarks::default() })
}
