//! Bytes, for the tests of both specifications. The root of each says which `Holder` the broker has.

mod alone;
pub(crate) mod broker;
pub(crate) mod packets;
mod watch;

use broker_core::codec::{Frame, PacketId, frame};
use bytes::BytesMut;

/// A packet as it comes from a socket; its body has at most 127 bytes.
pub(crate) fn packet(first: u8, body: &[u8]) -> Frame {
    let len = u8::try_from(body.len()).unwrap();
    assert!(len < 0x80, "the length would take two bytes");
    let mut input = BytesMut::from(&[&[first, len], body].concat()[..]);
    frame::split(&mut input, usize::MAX).unwrap().unwrap()
}

/// A string or binary data with its length.
pub(crate) fn field(content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [&u16::try_from(content.len()).unwrap().to_be_bytes(), content].concat()
}

pub(crate) fn id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

/// Bytes that are no UTF-8: a lone continuation, overlong forms, both ends of the surrogates, what
/// lies above U+10FFFF, and a character that is cut.
pub(crate) const NOT_UTF_8: [&[u8]; 7] = [
    b"\x80",
    b"\xC0\x80",
    b"\xE0\x80\xAF",
    b"\xED\xA0\x80",
    b"\xED\xBF\xBF",
    b"\xF4\x90\x80\x80",
    b"\xE2\x82",
];

/// First bytes with flags that are not those of the table, for each packet of a client that has
/// fixed flags. AUTH is not among them.
pub(crate) fn wrong_flags() -> impl Iterator<Item = u8> {
    let fixed = [0x40, 0x50, 0x62, 0x70, 0x82, 0xA2, 0xC0, 0xE0];
    let wrong =
        |right: u8| (0..16).map(move |flags| right & 0xF0 | flags).filter(move |&b| b != right);
    fixed.into_iter().flat_map(wrong)
}
