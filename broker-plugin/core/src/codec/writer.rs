//! Writes the data types of MQTT (5.0 §1.5) to a connection's buffer.

use bytes::{BufMut, BytesMut};

/// A string or binary data with its length.
///
/// # Panics
/// With more than 65,535 bytes: the types that hold fields are at most that long.
pub(super) fn put_field(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u16(u16::try_from(bytes.len()).expect("fields are parsed to at most 65,535 bytes"));
    out.extend_from_slice(bytes);
}

/// Variable Byte Integer.
pub(super) fn put_variable(out: &mut BytesMut, value: usize) {
    let (bytes, len) = variable(value);
    out.extend_from_slice(&bytes[..len]);
}

/// Bytes of `value` as a Variable Byte Integer.
pub(super) fn variable_len(value: usize) -> usize {
    match value {
        0..128 => 1,
        128..16_384 => 2,
        16_384..2_097_152 => 3,
        _ => 4,
    }
}

/// Appends what `write` appends, with its length before it as a Variable Byte Integer.
///
/// Written in place: almost every length fits into the one byte that is left for it.
pub(super) fn with_length(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.put_u8(0);
    write(out);
    let (bytes, len) = variable(out.len() - at - 1);
    if len > 1 {
        let end = out.len();
        out.put_bytes(0, len - 1);
        out.copy_within(at + 1..end, at + len);
    }
    out[at..at + len].copy_from_slice(&bytes[..len]);
}

/// A packet: its first byte, its length, and what `write` appends.
pub(super) fn packet(out: &mut BytesMut, first: u8, write: impl FnOnce(&mut BytesMut)) {
    out.put_u8(first);
    with_length(out, write);
}

/// Five bytes, so that also a length that no packet can have is written, and then found too large.
fn variable(mut value: usize) -> ([u8; 5], usize) {
    let mut bytes = [0; 5];
    for at in 0..5 {
        bytes[at] = u8::try_from(value & 0x7F).expect("seven bits");
        value >>= 7;
        if value == 0 {
            return (bytes, at + 1);
        }
        bytes[at] |= 0x80;
    }
    (bytes, 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_written_before_what_it_counts() {
        for len in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152] {
            let content: Vec<_> = (0..=255_u8).cycle().take(len).collect();
            let mut out = BytesMut::from(&b"x"[..]);
            with_length(&mut out, |out| out.extend_from_slice(&content));
            let mut expected = BytesMut::from(&b"x"[..]);
            put_variable(&mut expected, len);
            assert_eq!(expected.len(), 1 + variable_len(len));
            expected.extend_from_slice(&content);
            assert!(out == expected, "{len}");
        }
    }
}
