//! What an answer may say in words, and what is left out first when it does not fit.

use bytes::{BufMut, BytesMut};

use super::property::{self as prop, Kept, Property, PropertySet};
use super::reader::Reader;
use super::writer::with_length;
use super::{DecodeError, PacketType, Reason, Sender, Text, UserProperties};

/// Reason String and User Properties of any packet but PUBLISH, CONNECT and the two subscribing ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// For people and logs, not to be parsed.
    pub reason_string: Option<Text>,
    /// In their order.
    pub user_properties: UserProperties,
}

impl Remarks {
    /// With a reason string alone. A text that is too long or has U+0000 is left out.
    #[must_use]
    pub fn because(text: impl Into<bytes::Bytes>) -> Self {
        let reason_string = Text::parse(text.into()).ok();
        Self { reason_string, user_properties: UserProperties::default() }
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reason_string.is_none() && self.user_properties.is_empty()
    }

    /// All of them, the reason string alone, nothing.
    pub(super) fn shrinking(&self) -> [Self; 3] {
        let user_properties = UserProperties::default();
        let reason_string = self.reason_string.clone();
        [self.clone(), Self { reason_string, user_properties }, Self::default()]
    }

    pub(super) fn put(&self, out: &mut BytesMut) {
        if let Some(text) = &self.reason_string {
            prop::put_field(out, prop::REASON_STRING, text.as_bytes());
        }
        self.user_properties.put(out);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut remarks = RemarksRead::default();
        prop::scan(reader, prop::REMARKS, |property| {
            remarks.visit(&property);
            Ok(())
        })?;
        Ok(remarks.finish(reader))
    }
}

/// Remarks while the properties of a packet are read.
#[derive(Debug, Default)]
pub(super) struct RemarksRead {
    reason_string: Option<Text>,
    user_properties: Kept,
}

impl RemarksRead {
    /// Other properties are ignored.
    pub(super) fn visit(&mut self, property: &Property<'_>) {
        match property.id {
            prop::REASON_STRING => self.reason_string = Some(property.text()),
            prop::USER_PROPERTY => property.keep(&mut self.user_properties),
            _ => (),
        }
    }

    pub(super) fn finish(self, reader: &Reader<'_>) -> Remarks {
        let user_properties = UserProperties::kept(self.user_properties, reader);
        Remarks { reason_string: self.reason_string, user_properties }
    }
}

/// The end of acknowledgements and DISCONNECT in 5.0: without properties their length is left out,
/// and success is left out as well (§3.4.2.1, §3.14.2.1).
pub(super) fn put_reason(
    out: &mut BytesMut,
    reason: Reason,
    properties: impl FnOnce(&mut BytesMut),
) {
    let start = out.len();
    out.put_u8(reason.0);
    with_length(out, properties);
    if out.len() == start + 2 {
        out.truncate(if reason == Reason::SUCCESS { start } else { start + 1 });
    }
}

/// What [`put_reason`] writes, and the longer forms of the same.
pub(super) fn read_reason<'a>(
    reader: &mut Reader<'a>,
    (packet, sender): (PacketType, Sender),
    allowed: PropertySet,
    visit: impl FnMut(Property<'a>) -> Result<(), DecodeError>,
) -> Result<Reason, DecodeError> {
    if reader.is_empty() {
        return Ok(Reason::SUCCESS);
    }
    let reason = Reason(reader.byte()?).check(packet, sender)?;
    if !reader.is_empty() {
        prop::scan(reader, allowed, visit)?;
    }
    Ok(reason)
}
