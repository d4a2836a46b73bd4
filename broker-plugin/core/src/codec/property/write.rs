//! Writes single properties.

use bytes::{BufMut, BytesMut};

use crate::codec::writer;

pub(in crate::codec) fn put_one(out: &mut BytesMut, id: u8, value: u8) {
    out.extend_from_slice(&[id, value]);
}

pub(in crate::codec) fn put_two(out: &mut BytesMut, id: u8, value: u16) {
    out.put_u8(id);
    out.put_u16(value);
}

pub(in crate::codec) fn put_four(out: &mut BytesMut, id: u8, value: u32) {
    out.put_u8(id);
    out.put_u32(value);
}

pub(in crate::codec) fn put_variable(out: &mut BytesMut, id: u8, value: u32) {
    out.put_u8(id);
    writer::put_variable(out, usize::try_from(value).expect("28 bits"));
}

/// A string or binary data.
pub(in crate::codec) fn put_field(out: &mut BytesMut, id: u8, bytes: &[u8]) {
    out.put_u8(id);
    writer::put_field(out, bytes);
}
