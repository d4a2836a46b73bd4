//! Short words for tests of 5.0.

use broker_core::codec::{
    Connect, ConnectError, DecodeError, FromClient, FromServer, PacketType, Reason, Recipient,
    Sender, TooLarge, Version,
};
use bytes::BytesMut;

use crate::spec::packet;

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
