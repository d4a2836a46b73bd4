//! The will of a CONNECT (§3.1.2.5, §3.1.3.2).

use bytes::{Bytes, BytesMut};
use ha_types::{Qos, TopicName};

use super::property::{self as prop, Kept};
use super::reader::Reader;
use super::writer::{put_field, with_length};
use super::{Binary, DecodeError, Version};

/// A Will Message and its delay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Where it is published.
    pub topic: TopicName,
    /// At most 65,535 bytes.
    pub payload: Binary,
    /// At which it is published.
    pub qos: Qos,
    /// Whether it is published as a retained message.
    pub retain: bool,
    /// As of [`Publish::properties`](super::Publish::properties).
    pub properties: Bytes,
    /// Message Expiry Interval.
    pub expires_in_s: Option<u32>,
    /// Will Delay Interval; zero: when the connection ends.
    pub delay_s: u32,
}

impl Will {
    /// Will QoS and Will Retain of `flags` have been checked.
    pub(super) fn read(
        version: Version,
        flags: u8,
        reader: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        let (mut kept, mut expires_in_s, mut delay_s) = (Kept::default(), None, 0);
        if version.has_properties() {
            prop::scan(reader, prop::WILL, |property| {
                match property.id {
                    prop::MESSAGE_EXPIRY => expires_in_s = Some(property.number),
                    prop::WILL_DELAY => delay_s = property.number,
                    _ => property.keep(&mut kept),
                }
                Ok(())
            })?;
        }
        let topic = reader.field()?;
        Ok(Self {
            topic: TopicName::parse(reader.share(topic)).map_err(DecodeError::name)?,
            payload: reader.binary()?,
            qos: Qos::from_level(u32::from((flags >> 3) & 0x03)).unwrap_or_default(),
            retain: flags & 0x20 != 0,
            properties: kept.finish(reader),
            expires_in_s,
            delay_s,
        })
    }

    /// Its part of the connect flags.
    pub(super) fn flags(&self) -> u8 {
        0x04 | self.qos.level() << 3 | u8::from(self.retain) << 5
    }

    pub(super) fn put(&self, version: Version, out: &mut BytesMut) {
        if version.has_properties() {
            with_length(out, |out| self.put_properties(out));
        }
        put_field(out, self.topic.as_bytes());
        put_field(out, self.payload.as_bytes());
    }

    fn put_properties(&self, out: &mut BytesMut) {
        if self.delay_s != 0 {
            prop::put_four(out, prop::WILL_DELAY, self.delay_s);
        }
        if let Some(expiry) = self.expires_in_s {
            prop::put_four(out, prop::MESSAGE_EXPIRY, expiry);
        }
        out.extend_from_slice(&self.properties);
    }
}
