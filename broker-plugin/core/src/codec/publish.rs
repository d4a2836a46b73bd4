//! PUBLISH (§3.3), in both directions.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use ha_types::{Qos, TopicName};

use super::property::{self as prop, Kept};
use super::reader::Reader;
use super::writer::{put_field, put_variable, variable_len};
use super::{
    DecodeError, Frame, PacketId, Recipient, Sender, SubscriptionId, TooLarge, TopicAlias, Version,
};

/// A PUBLISH packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// QoS and packet identifier.
    pub flow: Flow,
    /// Sent before on this or an earlier connection.
    pub dup: bool,
    /// From a client: keep it. To a client: it was kept.
    pub retain: bool,
    /// By name, by alias, or both.
    pub topic: Topic,
    /// Message Expiry Interval; `None`: never.
    pub expires_in_s: Option<u32>,
    /// Of all subscriptions that match; none from a client [MQTT-3.3.4-6].
    pub subscription_ids: Vec<SubscriptionId>,
    /// What travels with the message: payload format, content type, response topic, correlation data
    /// and user properties in their wire encoding, without length. Empty before 5.0.
    pub properties: Bytes,
    /// Opaque.
    pub payload: Bytes,
}

/// Quality of service and, where it has one, the packet identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// QoS 0.
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce(PacketId),
    /// QoS 2.
    ExactlyOnce(PacketId),
}

impl Flow {
    /// 0, 1 or 2.
    #[must_use]
    pub fn qos(self) -> Qos {
        match self {
            Self::AtMostOnce => Qos::AtMostOnce,
            Self::AtLeastOnce(_) => Qos::AtLeastOnce,
            Self::ExactlyOnce(_) => Qos::ExactlyOnce,
        }
    }

    /// `None` at QoS 0 [MQTT-2.2.1-2].
    #[must_use]
    pub fn packet_id(self) -> Option<PacketId> {
        match self {
            Self::AtMostOnce => None,
            Self::AtLeastOnce(id) | Self::ExactlyOnce(id) => Some(id),
        }
    }

    #[inline]
    fn read(qos: Qos, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match qos {
            Qos::AtMostOnce => Self::AtMostOnce,
            Qos::AtLeastOnce => Self::AtLeastOnce(reader.packet_id()?),
            Qos::ExactlyOnce => Self::ExactlyOnce(reader.packet_id()?),
        })
    }
}

/// How a PUBLISH names its topic (5.0 §3.3.2.3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Always so before 5.0.
    Name(TopicName),
    /// The alias has this name from now on.
    Both(TopicName, TopicAlias),
    /// As it was said before. Whether it was only the connection can tell.
    Alias(TopicAlias),
}

impl Topic {
    #[inline]
    fn new(name: Option<TopicName>, alias: Option<TopicAlias>) -> Result<Self, DecodeError> {
        match (name, alias) {
            (Some(name), None) => Ok(Self::Name(name)),
            (Some(name), Some(alias)) => Ok(Self::Both(name, alias)),
            (None, Some(alias)) => Ok(Self::Alias(alias)),
            (None, None) => Err(DecodeError::Protocol("neither topic name nor topic alias")),
        }
    }

    fn name(&self) -> &[u8] {
        match self {
            Self::Name(name) | Self::Both(name, _) => name.as_bytes(),
            Self::Alias(_) => &[],
        }
    }

    fn alias(&self) -> Option<TopicAlias> {
        match self {
            Self::Name(_) => None,
            Self::Both(_, alias) | Self::Alias(alias) => Some(*alias),
        }
    }
}

impl Publish {
    /// Takes the frame, whose body becomes the payload: one share less to count.
    #[inline]
    pub(super) fn decode(
        sender: Sender,
        version: Version,
        frame: Frame,
    ) -> Result<Self, DecodeError> {
        let flags = frame.flags();
        let qos = Qos::from_level(u32::from((flags >> 1) & 0x03));
        let qos = qos.ok_or(DecodeError::Malformed("QoS 3"))?;
        version.check_dup(qos, flags)?;
        let mut reader = Reader::new(&frame.body);
        let name = read_name(&mut reader)?;
        let flow = Flow::read(qos, &mut reader)?;
        let mut properties = Properties::default();
        if version.has_properties() {
            properties.read(sender, &mut reader)?;
        }
        let kept = properties.kept.finish(&reader);
        let payload_at = reader.position();
        let mut payload = frame.body;
        payload.advance(payload_at);
        Ok(Self {
            flow,
            dup: flags & 0x08 != 0,
            retain: flags & 0x01 != 0,
            topic: Topic::new(name, properties.alias)?,
            expires_in_s: properties.expires_in_s,
            subscription_ids: properties.subscription_ids,
            properties: kept,
            payload,
        })
    }

    pub(super) fn encode(&self, recipient: &Recipient, out: &mut BytesMut) -> Result<(), TooLarge> {
        let parts = Parts {
            first: first_byte(self.flow.qos(), self.dup, self.retain),
            name: self.topic.name(),
            packet_id: self.flow.packet_id(),
            own: OwnProperties { alias: self.topic.alias(), ids: &self.subscription_ids },
            expires_in_s: self.expires_in_s,
            properties: &self.properties,
            payload: &self.payload,
        };
        parts.write(recipient, out)
    }
}

/// What a PUBLISH is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    pub(super) first: u8,
    /// Empty: the topic is named by its alias.
    pub(super) name: &'a [u8],
    pub(super) packet_id: Option<PacketId>,
    pub(super) own: OwnProperties<'a>,
    pub(super) expires_in_s: Option<u32>,
    pub(super) properties: &'a [u8],
    pub(super) payload: &'a [u8],
}

impl Parts<'_> {
    pub(super) fn write(&self, recipient: &Recipient, out: &mut BytesMut) -> Result<(), TooLarge> {
        let properties_len = self.own.len() + shared_len(self.expires_in_s, self.properties);
        let has_properties = recipient.version.has_properties();
        let body_len = 2
            + self.name.len()
            + if self.packet_id.is_some() { 2 } else { 0 }
            + if has_properties { variable_len(properties_len) + properties_len } else { 0 }
            + self.payload.len();
        let packet_len = 1 + variable_len(body_len) + body_len;
        recipient.check_len(packet_len)?;
        out.reserve(packet_len);
        out.put_u8(self.first);
        put_variable(out, body_len);
        put_field(out, self.name);
        if let Some(id) = self.packet_id {
            out.put_u16(id.get());
        }
        if has_properties {
            put_variable(out, properties_len);
            self.own.put(out);
            put_shared(out, self.expires_in_s, self.properties);
        }
        out.extend_from_slice(self.payload);
        Ok(())
    }
}

pub(super) fn first_byte(qos: Qos, dup: bool, retain: bool) -> u8 {
    0x30 | u8::from(dup) << 3 | qos.level() << 1 | u8::from(retain)
}

/// The properties that each subscriber has for itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnProperties<'a> {
    pub(super) alias: Option<TopicAlias>,
    pub(super) ids: &'a [SubscriptionId],
}

impl OwnProperties<'_> {
    pub(super) fn len(&self) -> usize {
        let id_len = |id: &SubscriptionId| {
            1 + variable_len(usize::try_from(id.get()).expect("an id has 28 bits"))
        };
        self.alias.map_or(0, |_| 3) + self.ids.iter().map(id_len).sum::<usize>()
    }

    pub(super) fn put(&self, out: &mut BytesMut) {
        if let Some(alias) = self.alias {
            prop::put_two(out, prop::TOPIC_ALIAS, alias.get());
        }
        for id in self.ids {
            prop::put_variable(out, prop::SUBSCRIPTION_ID, id.get());
        }
    }
}

/// Bytes of the properties that all subscribers get.
pub(super) fn shared_len(expires_in_s: Option<u32>, properties: &[u8]) -> usize {
    expires_in_s.map_or(0, |_| 5) + properties.len()
}

pub(super) fn put_shared(out: &mut BytesMut, expires_in_s: Option<u32>, properties: &[u8]) {
    if let Some(expiry) = expires_in_s {
        prop::put_four(out, prop::MESSAGE_EXPIRY, expiry);
    }
    out.extend_from_slice(properties);
}

/// `None`: empty, so named by an alias.
#[inline]
fn read_name(reader: &mut Reader<'_>) -> Result<Option<TopicName>, DecodeError> {
    let field = reader.field()?;
    if field.is_empty() {
        return Ok(None);
    }
    TopicName::parse(reader.share(field)).map(Some).map_err(DecodeError::name)
}

#[derive(Debug, Default)]
struct Properties {
    alias: Option<TopicAlias>,
    expires_in_s: Option<u32>,
    subscription_ids: Vec<SubscriptionId>,
    kept: Kept,
}

impl Properties {
    fn read(&mut self, sender: Sender, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        prop::scan(reader, prop::PUBLISH, |property| {
            match property.id {
                prop::TOPIC_ALIAS => self.alias = TopicAlias::new(property.two_bytes()),
                prop::MESSAGE_EXPIRY => self.expires_in_s = Some(property.number),
                prop::SUBSCRIPTION_ID if sender == Sender::Client => {
                    let why = "a subscription identifier from a client"; // [MQTT-3.3.4-6]
                    return Err(DecodeError::Protocol(why));
                }
                prop::SUBSCRIPTION_ID => {
                    self.subscription_ids.extend(SubscriptionId::new(property.number));
                }
                _ => property.keep(&mut self.kept),
            }
            Ok(())
        })
    }
}
