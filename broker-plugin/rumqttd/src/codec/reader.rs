//! Reads the data types of MQTT (5.0 §1.5) from a packet's body.

use bytes::{Buf, Bytes};

use super::DecodeError;

const SHORT: DecodeError = DecodeError::Malformed("the packet ends inside a field");

/// What is left of a packet's body. Fields share its storage.
#[derive(Clone, Debug)]
pub(crate) struct Reader(Bytes);

impl Reader {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything that is left.
    pub(crate) fn rest(self) -> Bytes {
        self.0
    }

    /// Bytes that are left.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Refuses bytes after the last field.
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(DecodeError::Malformed("bytes after the last field"))
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<Bytes, DecodeError> {
        if self.0.len() < len {
            return Err(SHORT);
        }
        Ok(self.0.split_to(len))
    }

    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        self.0.try_get_u8().map_err(|_| SHORT)
    }

    pub(crate) fn two_bytes(&mut self) -> Result<u16, DecodeError> {
        self.0.try_get_u16().map_err(|_| SHORT)
    }

    pub(crate) fn four_bytes(&mut self) -> Result<u32, DecodeError> {
        self.0.try_get_u32().map_err(|_| SHORT)
    }

    /// A packet identifier. Zero is refused [MQTT-2.2.1-3], 3.1.1 [MQTT-2.3.1-1].
    pub(crate) fn packet_id(&mut self) -> Result<u16, DecodeError> {
        match self.two_bytes()? {
            0 => Err(DecodeError::Protocol("packet identifier 0")),
            id => Ok(id),
        }
    }

    /// A Variable Byte Integer of one to four bytes.
    pub(crate) fn variable(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Malformed("a variable byte integer of more than four bytes"))
    }

    pub(crate) fn binary(&mut self) -> Result<Bytes, DecodeError> {
        let len = self.two_bytes()?;
        self.take(usize::from(len))
    }

    /// A UTF-8 string without U+0000 [MQTT-1.5.4-1], [MQTT-1.5.4-2].
    pub(crate) fn text(&mut self) -> Result<Bytes, DecodeError> {
        let bytes = self.binary()?;
        if std::str::from_utf8(&bytes).is_err() {
            return Err(DecodeError::Malformed("a string is not UTF-8"));
        }
        if bytes.contains(&0) {
            return Err(DecodeError::Malformed("a string contains U+0000"));
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &'static [u8]) -> Reader {
        Reader::new(Bytes::from_static(bytes))
    }

    #[test]
    fn variable_byte_integer_has_at_most_four_bytes() {
        assert_eq!(reader(&[0xFF, 0xFF, 0xFF, 0x7F]).variable(), Ok(268_435_455));
        assert!(reader(&[0x80, 0x80, 0x80, 0x80, 0x01]).variable().is_err());
        assert_eq!(reader(&[0x80]).variable(), Err(SHORT));
    }

    #[test]
    fn text_refuses_null_and_what_is_not_utf8() {
        assert_eq!(reader(b"\0\x01a").text(), Ok(Bytes::from_static(b"a")));
        assert!(reader(b"\0\x01\0").text().is_err());
        assert!(reader(b"\0\x01\xFF").text().is_err());
        assert_eq!(reader(b"\0\x02a").text(), Err(SHORT));
    }
}
