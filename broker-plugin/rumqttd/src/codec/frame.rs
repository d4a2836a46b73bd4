//! Cuts the byte stream of a connection into packets.

use bytes::{Buf, Bytes, BytesMut};

use super::DecodeError;

/// One packet, not yet decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Packet type and flags.
    pub(crate) first: u8,
    /// What the remaining length counts.
    pub(crate) body: Bytes,
}

impl Frame {
    /// Packet type: 1 is CONNECT, 15 is AUTH.
    pub(crate) fn packet_type(&self) -> u8 {
        self.first >> 4
    }

    /// The four flags of the fixed header.
    pub(crate) fn flags(&self) -> u8 {
        self.first & 0x0F
    }
}

/// Takes the next packet from `input`; `None` when it is not complete yet.
///
/// A packet of more than `bytes_max` bytes, header included, is refused as soon as its length is
/// known, so `input` never holds more than one packet and one read.
pub(crate) fn split(input: &mut BytesMut, bytes_max: usize) -> Result<Option<Frame>, DecodeError> {
    let Some((header_len, body_len)) = lengths(input)? else { return Ok(None) };
    if header_len + body_len > bytes_max {
        return Err(DecodeError::TooLarge);
    }
    if input.len() < header_len + body_len {
        return Ok(None);
    }
    let first = input[0];
    input.advance(header_len);
    Ok(Some(Frame { first, body: input.split_to(body_len).freeze() }))
}

/// Bytes of the fixed header and of the body; `None` when the header is not complete yet.
fn lengths(input: &[u8]) -> Result<Option<(usize, usize)>, DecodeError> {
    let mut body_len = 0;
    for at in 1..=4 {
        let Some(&byte) = input.get(at) else { return Ok(None) };
        body_len |= usize::from(byte & 0x7F) << (7 * (at - 1));
        if byte & 0x80 == 0 {
            return Ok(Some((at + 1, body_len)));
        }
    }
    Err(DecodeError::Malformed("a remaining length of more than four bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_is_taken_only_when_it_is_complete() {
        let mut input = BytesMut::from(&[0x30, 2, 7][..]);
        assert_eq!(split(&mut input, 100), Ok(None));
        input.extend_from_slice(&[8, 0xC0]);
        let frame = split(&mut input, 100).unwrap().unwrap();
        assert_eq!((frame.packet_type(), &frame.body[..]), (3, &[7, 8][..]));
        assert_eq!(split(&mut input, 100), Ok(None));
        assert_eq!(&input[..], [0xC0]);
    }

    #[test]
    fn remaining_length_of_five_bytes_is_malformed() {
        let mut input = BytesMut::from(&[0x30, 0x80, 0x80, 0x80, 0x80, 0x01][..]);
        assert!(matches!(split(&mut input, 1 << 30), Err(DecodeError::Malformed(_))));
    }

    #[test]
    fn packet_above_the_maximum_is_refused_before_its_body_arrives() {
        let mut input = BytesMut::from(&[0x30, 99][..]);
        assert_eq!(split(&mut input, 100), Err(DecodeError::TooLarge));
        assert_eq!(split(&mut input, 101), Ok(None));
    }
}
