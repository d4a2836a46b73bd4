//! Cuts the byte stream of a connection into packets.

use bytes::{Buf, Bytes, BytesMut};

use super::{DecodeError, PacketType};

/// One packet, not yet decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Packet type and flags.
    pub first: u8,
    /// How the remaining length was written.
    pub length: LengthForm,
    /// What the remaining length counts.
    pub body: Bytes,
}

/// How a remaining length was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthForm {
    /// With no more bytes than needed.
    Minimal,
    /// With zero bits that were not needed. 5.0 forbids it, 3.1.1 does not.
    Padded,
}

impl Frame {
    /// `None` for type 0, which does not exist.
    #[must_use]
    pub fn packet_type(&self) -> Option<PacketType> {
        PacketType::from_bits(self.first >> 4)
    }

    /// The four flags of the fixed header.
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.first & 0x0F
    }
}

/// Takes the next packet from `input`; `None` when it is not complete yet.
///
/// A packet of more than `bytes_max` bytes, header included, is refused as soon as its length is
/// known, so `input` never holds more than one packet and one read.
///
/// # Errors
/// [`DecodeError::Malformed`] for a length of more than four bytes, [`DecodeError::PacketTooLarge`].
/// Nothing is taken then.
#[inline]
pub fn split(input: &mut BytesMut, bytes_max: usize) -> Result<Option<Frame>, DecodeError> {
    let Some(header) = header(input)? else { return Ok(None) };
    let packet_len = header.len + header.body_len;
    if packet_len > bytes_max {
        return Err(DecodeError::PacketTooLarge);
    }
    if input.len() < packet_len {
        return Ok(None);
    }
    let first = input[0];
    input.advance(header.len);
    let body = match header.body_len {
        0 => Bytes::new(),
        len => input.split_to(len).freeze(),
    };
    Ok(Some(Frame { first, length: header.form, body }))
}

struct Header {
    len: usize,
    body_len: usize,
    form: LengthForm,
}

/// `None` when the header is not complete yet.
#[inline]
fn header(input: &[u8]) -> Result<Option<Header>, DecodeError> {
    let mut body_len = 0;
    for at in 1..=4 {
        let Some(&byte) = input.get(at) else { return Ok(None) };
        body_len |= usize::from(byte & 0x7F) << (7 * (at - 1));
        if byte & 0x80 == 0 {
            let form = if byte == 0 && at > 1 { LengthForm::Padded } else { LengthForm::Minimal };
            return Ok(Some(Header { len: at + 1, body_len, form }));
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
        assert_eq!(frame.packet_type(), Some(PacketType::Publish));
        assert_eq!(&frame.body[..], [7, 8]);
        assert_eq!(split(&mut input, 100), Ok(None));
        assert_eq!(&input[..], [0xC0]);
    }

    /// 3.1.1 §2.2.3, 5.0 §1.5.5
    #[test]
    fn remaining_length_of_five_bytes_is_malformed_and_nothing_is_taken() {
        let mut input = BytesMut::from(&[0x30, 0x80, 0x80, 0x80, 0x80][..]);
        assert!(matches!(split(&mut input, 1 << 30), Err(DecodeError::Malformed(_))));
        assert_eq!(input.len(), 5);
    }

    #[test]
    fn packet_above_the_maximum_is_refused_before_its_body_arrives() {
        let mut input = BytesMut::from(&[0x30, 99][..]);
        assert_eq!(split(&mut input, 100), Err(DecodeError::PacketTooLarge));
        assert_eq!(split(&mut input, 101), Ok(None));
        let mut input = BytesMut::from(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F][..]);
        assert_eq!(split(&mut input, 1 << 20), Err(DecodeError::PacketTooLarge));
        assert_eq!(input.len(), 5);
    }

    #[test]
    fn padded_length_is_told_from_a_minimal_one() {
        let form = |bytes: &[u8]| split(&mut BytesMut::from(bytes), 100).unwrap().unwrap().length;
        assert_eq!(form(&[0xC0, 0]), LengthForm::Minimal);
        assert_eq!(form(&[0xC0, 0x80, 0]), LengthForm::Padded);
    }
}
