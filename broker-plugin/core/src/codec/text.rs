//! UTF-8 Encoded Strings and Binary Data (5.0 §1.5.4, §1.5.6) that fit into a packet.

use std::fmt;

use bytes::Bytes;

use super::limits::FIELD_BYTES_MAX;

/// Why bytes cannot be a field of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// [MQTT-1.5.4-1]: surrogates and overlong forms included.
    #[error("a string is not UTF-8")]
    NotUtf8,
    /// [MQTT-1.5.4-2]
    #[error("a string contains U+0000")]
    ContainsNull,
    /// The length prefix has 16 bits.
    #[error("a field has more than 65,535 bytes")]
    TooLong,
}

/// A string: UTF-8 without U+0000, at most 65,535 bytes, perhaps empty. Cheap to clone.
///
/// Control characters and non-characters are allowed: the specification only advises against them.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Bytes);

impl Text {
    /// Checks the bytes of a string.
    ///
    /// # Errors
    /// [`InvalidText`] with the first rule that is broken.
    pub fn parse(bytes: Bytes) -> Result<Self, InvalidText> {
        if bytes.len() > FIELD_BYTES_MAX {
            return Err(InvalidText::TooLong);
        }
        check(&bytes)?;
        Ok(Self(bytes))
    }

    /// The string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked by parse")
    }

    /// The bytes, sharing their storage.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Whether it has no characters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The rules of [`Text`], without its length.
pub(super) fn check(bytes: &[u8]) -> Result<(), InvalidText> {
    // Most text is ASCII without null: one pass, which the compiler makes 16 bytes at once.
    let unusual = |seen, &byte: &u8| seen | u8::from(byte.wrapping_sub(1) >= 0x7F);
    if bytes.iter().fold(0, unusual) == 0 {
        return Ok(());
    }
    if std::str::from_utf8(bytes).is_err() {
        return Err(InvalidText::NotUtf8);
    }
    if bytes.contains(&0) {
        return Err(InvalidText::ContainsNull);
    }
    Ok(())
}

/// Binary Data: at most 65,535 bytes. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binary(Bytes);

impl Binary {
    /// Checks the length.
    ///
    /// # Errors
    /// [`InvalidText::TooLong`].
    pub fn parse(bytes: Bytes) -> Result<Self, InvalidText> {
        if bytes.len() > FIELD_BYTES_MAX {
            return Err(InvalidText::TooLong);
        }
        Ok(Self(bytes))
    }

    /// The bytes, sharing their storage.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &'static [u8]) -> Result<Text, InvalidText> {
        Text::parse(Bytes::from_static(bytes))
    }

    /// [MQTT-1.5.4-1]
    #[test]
    fn surrogates_and_overlong_forms_are_not_text() {
        for bytes in [&b"\xED\xA0\x80"[..], b"\xC0\x80", b"\xC1\xBF", b"\xE0\x80\xAF", b"\xFF"] {
            assert_eq!(text(bytes), Err(InvalidText::NotUtf8), "{bytes:x?}");
        }
        assert_eq!(text(b"\xF4\x90\x80\x80"), Err(InvalidText::NotUtf8));
    }

    /// [MQTT-1.5.4-2]
    #[test]
    fn null_is_not_text_but_control_and_non_characters_are() {
        assert_eq!(text(b"a\0b"), Err(InvalidText::ContainsNull));
        assert!(text(b"\x01\x1F\x7F").is_ok());
        assert!(text("\u{FFFF}\u{FDD0}\u{85}".as_bytes()).is_ok());
    }

    /// [MQTT-1.5.4-3]
    #[test]
    fn byte_order_mark_is_kept() {
        assert_eq!(text(b"\xEF\xBB\xBFa").unwrap().as_str(), "\u{FEFF}a");
    }

    #[test]
    fn field_has_at_most_65535_bytes() {
        let bytes = |len| Bytes::from(vec![b'a'; len]);
        assert!(Text::parse(bytes(65_535)).is_ok());
        assert_eq!(Text::parse(bytes(65_536)), Err(InvalidText::TooLong));
        assert!(Binary::parse(bytes(65_535)).is_ok());
        assert_eq!(Binary::parse(bytes(65_536)), Err(InvalidText::TooLong));
    }
}
