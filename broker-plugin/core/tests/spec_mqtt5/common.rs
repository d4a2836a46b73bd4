//! Short words for tests of 5.0.

use broker_core::codec::{
    Connect, ConnectError, DecodeError, FromClient, FromServer, PacketType, Reason, Recipient,
    Sender, TooLarge, Version,
};
use bytes::BytesMut;
use ha_types::Qos;

use crate::spec::broker::{Broker, Client};
use crate::spec::packet;
use crate::spec::packets::{payloads, suback, subscribe, text};

pub(crate) const MALFORMED: Reason = Reason::MALFORMED_PACKET;
pub(crate) const PROTOCOL_ERROR: Reason = Reason::PROTOCOL_ERROR;

pub(crate) fn received(first: u8, body: &[u8]) -> Result<FromClient, DecodeError> {
    FromClient::decode(Version::V5, packet(first, body))
}

/// Why a packet is refused; `None`: it is not.
pub(crate) fn refusal(first: u8, body: &[u8]) -> Option<Reason> {
    received(first, body).err().map(DecodeError::reason)
}

/// A CONNECT with these flags, keep alive 0, these properties, and the payload's fields one after
/// the other.
pub(crate) fn connect_with(
    flags: u8,
    properties: &[u8],
    fields: &[&[u8]],
) -> Result<Connect, ConnectError> {
    let header = [b"\0\x04MQTT\x05", &[flags, 0, 0][..]].concat();
    Connect::decode(&packet(0x10, &[header, counted(properties), fields.concat()].concat()))
}

pub(crate) fn connect(flags: u8, fields: &[&[u8]]) -> Result<Connect, ConnectError> {
    connect_with(flags, &[], fields)
}

/// Why a CONNECT is refused; `None`: it is not.
pub(crate) fn connect_refusal(flags: u8, fields: &[&[u8]]) -> Option<Reason> {
    match connect(flags, fields) {
        Ok(_) => None,
        Err(ConnectError::Refused { version: Version::V5, error }) => Some(error.reason()),
        Err(other) => panic!("not as 5.0: {other:?}"),
    }
}

/// Properties with their length.
pub(crate) fn counted(properties: &[u8]) -> Vec<u8> {
    [&[u8::try_from(properties.len()).unwrap()], properties].concat()
}

pub(crate) fn sent(answer: &FromServer) -> Vec<u8> {
    sent_to(&Recipient::any(Version::V5), answer).unwrap()
}

/// What is written for a client.
pub(crate) fn sent_to(client: &Recipient, answer: &FromServer) -> Result<Vec<u8>, TooLarge> {
    let mut out = BytesMut::new();
    let result = answer.encode(client, &mut out);
    assert!(result.is_ok() || out.is_empty(), "nothing is written of what is too large");
    result.map(|()| out.to_vec())
}

/// The reason codes that a server may put into a packet.
pub(crate) fn server_reasons(packet: PacketType) -> Vec<u8> {
    (0..=0xFF).filter(|&code| Reason(code).is_allowed_in(packet, Sender::Server)).collect()
}

/// A CONNECT of a client whose session stays for an hour, and which goes on with it.
pub(crate) fn staying(client_id: &str) -> Connect {
    Connect {
        clean_start: false,
        session_expiry_s: 3_600,
        ..Connect::new(Version::V5, text(client_id))
    }
}

/// A client of 5.0 with a clean start.
pub(crate) fn client(broker: &mut Broker, client_id: &str) -> Client {
    broker.connect(Version::V5, client_id)
}

/// A client of 5.0 with one subscription.
pub(crate) fn subscriber(broker: &mut Broker, client_id: &str, filter: &str, qos: Qos) -> Client {
    let subscriber = client(broker, client_id);
    subscribed(broker, subscriber, filter, qos);
    subscriber
}

/// Subscribes, and takes what follows SUBACK.
pub(crate) fn subscribed(
    broker: &mut Broker,
    client: Client,
    filter: &str,
    qos: Qos,
) -> Vec<FromServer> {
    broker.send(client, &subscribe(900, filter, qos));
    let mut packets = broker.received(client);
    assert_eq!(packets.remove(0), suback(900, &[Reason(qos.level())]));
    packets
}

/// What the broker said at the end of a connection; `None`: nothing. The connection must have ended.
pub(crate) fn farewell(broker: &mut Broker, client: Client) -> Option<Reason> {
    assert!(!broker.is_open(client), "the connection goes on");
    match broker.received(client).pop() {
        Some(FromServer::Disconnect(disconnect)) => Some(disconnect.reason),
        _ => None,
    }
}

/// The payloads that a client got.
pub(crate) fn got(broker: &mut Broker, client: Client) -> Vec<String> {
    payloads(&broker.received(client))
}

pub(crate) const QOS: [Qos; 3] = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];
