//! User properties, kept as they were sent.

use std::fmt;

use bytes::{Bytes, BytesMut};

use super::Text;
use super::property::{self as prop, Kept};
use super::reader::Reader;
use super::writer;

/// Any number of names with values, in their order; names may repeat. Cheap to clone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UserProperties(Bytes);

impl UserProperties {
    /// In the order given.
    #[must_use]
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a Text, &'a Text)>) -> Self {
        let mut out = BytesMut::new();
        for (name, value) in pairs {
            prop::put_field(&mut out, prop::USER_PROPERTY, name.as_bytes());
            writer::put_field(&mut out, value.as_bytes());
        }
        Self(out.freeze())
    }

    /// Names and values.
    pub fn pairs(&self) -> impl Iterator<Item = (Text, Text)> + '_ {
        let mut reader = Reader::new(&self.0);
        std::iter::from_fn(move || {
            reader.byte().ok()?;
            Some((reader.text().ok()?, reader.text().ok()?))
        })
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn kept(kept: Kept, reader: &Reader<'_>) -> Self {
        Self(kept.finish(reader))
    }

    pub(super) fn put(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.0);
    }
}

impl fmt::Debug for UserProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.pairs()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_come_back_in_their_order() {
        let text = |text: &'static str| Text::parse(Bytes::from_static(text.as_bytes())).unwrap();
        let pairs = [(text("b"), text("1")), (text("a"), text("")), (text("b"), text("2"))];
        let properties = UserProperties::from_pairs(pairs.iter().map(|(n, v)| (n, v)));
        assert!(properties.pairs().eq(pairs));
    }
}
