//! Reads the data types of MQTT (5.0 §1.5) from a packet's body.

use std::ops::Range;

use bytes::Bytes;

use super::text::{self, InvalidText};
use super::{Binary, DecodeError, PacketId, Text};

const SHORT: DecodeError = DecodeError::Malformed("the packet ends inside a field");

/// A place in a packet's body. Fields are borrowed; those that are kept share its storage.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    body: &'a Bytes,
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    pub(super) fn new(body: &'a Bytes) -> Self {
        Self { body, at: 0, end: body.len() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at == self.end
    }

    /// Bytes of the body before this place.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The whole body, of which ranges of fields are parts.
    pub(super) fn body(&self) -> &'a Bytes {
        self.body
    }

    /// Part of the body, sharing its storage.
    #[inline]
    pub(super) fn share(&self, range: Range<usize>) -> Bytes {
        share(self.body, range)
    }

    /// Part of the body.
    pub(super) fn bytes(&self, range: Range<usize>) -> &'a [u8] {
        &self.body[range]
    }

    /// Everything that is left.
    pub(super) fn rest(self) -> Bytes {
        self.share(self.at..self.end)
    }

    /// Refuses bytes after the last field.
    pub(super) fn finish(self) -> Result<(), DecodeError> {
        if self.is_empty() {
            return Ok(());
        }
        Err(DecodeError::Malformed("bytes after the last field"))
    }

    /// A reader of the next `len` bytes alone; this one goes on after them.
    pub(super) fn split(&mut self, len: usize) -> Result<Self, DecodeError> {
        let range = self.take(len)?;
        Ok(Self { body: self.body, at: range.start, end: range.end })
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, DecodeError> {
        let range = self.take(1)?;
        Ok(self.body[range.start])
    }

    #[inline]
    pub(super) fn two_bytes(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn four_bytes(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A packet identifier. Zero is refused [MQTT-2.2.1-3], 3.1.1 [MQTT-2.3.1-1].
    #[inline]
    pub(super) fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        PacketId::new(self.two_bytes()?).ok_or(DecodeError::Protocol("packet identifier 0"))
    }

    /// A Variable Byte Integer of one to four bytes, and no more than needed [MQTT-1.5.5-1].
    pub(super) fn variable(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7F) << shift;
            if byte == 0 && shift > 0 {
                return Err(DecodeError::Malformed("a variable byte integer is padded"));
            }
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Malformed("a variable byte integer of more than four bytes"))
    }

    /// Where the next field with a 16-bit length is.
    #[inline]
    pub(super) fn field(&mut self) -> Result<Range<usize>, DecodeError> {
        let len = self.two_bytes()?;
        self.take(usize::from(len))
    }

    /// Where the next string is [MQTT-1.5.4-1], [MQTT-1.5.4-2].
    pub(super) fn text_field(&mut self) -> Result<Range<usize>, DecodeError> {
        let range = self.field()?;
        text::check(&self.body[range.clone()]).map_err(malformed)?;
        Ok(range)
    }

    pub(super) fn binary(&mut self) -> Result<Binary, DecodeError> {
        let range = self.field()?;
        Binary::parse(self.share(range)).map_err(malformed)
    }

    pub(super) fn text(&mut self) -> Result<Text, DecodeError> {
        let range = self.field()?;
        Text::parse(self.share(range)).map_err(malformed)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let range = self.take(N)?;
        self.body[range].try_into().map_err(|_| SHORT)
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<Range<usize>, DecodeError> {
        if self.end - self.at < len {
            return Err(SHORT);
        }
        let start = self.at;
        self.at += len;
        Ok(start..self.at)
    }
}

/// Part of a body, sharing its storage.
#[inline]
pub(super) fn share(body: &Bytes, range: Range<usize>) -> Bytes {
    if range.is_empty() { Bytes::new() } else { body.slice(range) }
}

pub(super) fn malformed(invalid: InvalidText) -> DecodeError {
    DecodeError::Malformed(match invalid {
        InvalidText::NotUtf8 => "a string is not UTF-8",
        InvalidText::ContainsNull => "a string contains U+0000",
        InvalidText::TooLong => "a field is too long",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(bytes: &'static [u8]) -> Result<u32, DecodeError> {
        Reader::new(&Bytes::from_static(bytes)).variable()
    }

    #[test]
    fn variable_byte_integer_has_at_most_four_bytes() {
        assert_eq!(variable(&[0xFF, 0xFF, 0xFF, 0x7F]), Ok(268_435_455));
        assert!(variable(&[0x80, 0x80, 0x80, 0x80, 0x01]).is_err());
        assert_eq!(variable(&[0x80]), Err(SHORT));
    }

    /// [MQTT-1.5.5-1]
    #[test]
    fn variable_byte_integer_is_not_padded() {
        assert_eq!(variable(&[0]), Ok(0));
        assert_eq!(variable(&[0x80, 0x01]), Ok(128));
        for padded in [&[0x80, 0][..], &[0x81, 0], &[0xFF, 0x80, 0], &[0x80, 0x80, 0x80, 0]] {
            let read = Reader::new(&Bytes::from_static(padded)).variable();
            assert!(matches!(read, Err(DecodeError::Malformed(_))), "{padded:x?}");
        }
    }

    #[test]
    fn field_that_reaches_over_the_end_is_malformed() {
        let body = Bytes::from_static(b"\0\x02a");
        assert_eq!(Reader::new(&body).text(), Err(SHORT));
        assert_eq!(Reader::new(&body).binary(), Err(SHORT));
    }

    #[test]
    fn split_reader_does_not_see_what_follows() {
        let body = Bytes::from_static(&[1, 2, 3]);
        let mut reader = Reader::new(&body);
        let mut part = reader.split(2).unwrap();
        assert_eq!(part.two_bytes(), Ok(0x0102));
        assert_eq!(part.byte(), Err(SHORT));
        assert_eq!(reader.byte(), Ok(3));
    }
}
