//! Short words for tests.

pub(crate) mod any;

use broker_core::codec::{
    Connect, ConnectError, DecodeError, Frame, FromClient, FromServer, PacketId, Recipient, Text,
    Version, frame,
};
use bytes::{Bytes, BytesMut};

pub(crate) fn id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

pub(crate) fn text(text: &str) -> Text {
    Text::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

/// A frame of the first byte and a body, as it comes from a socket.
pub(crate) fn frame(first: u8, body: &[u8]) -> Frame {
    let mut input = BytesMut::from(&[first][..]);
    let mut len = body.len();
    while len > 0x7F {
        input.extend_from_slice(&[u8::try_from(len & 0x7F).unwrap() | 0x80]);
        len >>= 7;
    }
    input.extend_from_slice(&[u8::try_from(len).unwrap()]);
    input.extend_from_slice(body);
    frame::split(&mut input, usize::MAX).unwrap().unwrap()
}

pub(crate) fn from_client(
    version: Version,
    first: u8,
    body: &[u8],
) -> Result<FromClient, DecodeError> {
    FromClient::decode(version, frame(first, body))
}

pub(crate) fn from_server(
    version: Version,
    first: u8,
    body: &[u8],
) -> Result<FromServer, DecodeError> {
    FromServer::decode(version, frame(first, body))
}

pub(crate) fn connect(body: &[u8]) -> Result<Connect, ConnectError> {
    Connect::decode(&frame(0x10, body))
}

/// What a server writes for a recipient without limits.
pub(crate) fn encoded(version: Version, packet: &FromServer) -> BytesMut {
    let mut out = BytesMut::new();
    packet.encode(&Recipient::any(version), &mut out).unwrap();
    out
}

pub(crate) fn reason<T: std::fmt::Debug>(result: Result<T, DecodeError>) -> u8 {
    result.unwrap_err().reason().0
}

pub(crate) const MALFORMED: u8 = 0x81;
pub(crate) const PROTOCOL_ERROR: u8 = 0x82;
