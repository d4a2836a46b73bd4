//! SUBSCRIBE (§3.8).

use bytes::{BufMut, BytesMut};
use ha_types::{Qos, Subscription};

use super::limits::FILTERS_MAX;
use super::property::{self as prop, Kept};
use super::reader::Reader;
use super::writer::{put_field, with_length};
use super::{
    DecodeError, Frame, PacketId, PacketType, Recipient, RetainHandling, SubscriptionId, TooLarge,
    UserProperties, Version,
};

/// A SUBSCRIBE packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Of the SUBACK that is awaited.
    pub packet_id: PacketId,
    /// Of all filters of this packet.
    pub subscription_id: Option<SubscriptionId>,
    /// None before 5.0.
    pub user_properties: UserProperties,
    /// At least one, at most [`FILTERS_MAX`].
    pub filters: Vec<FilterRequest>,
}

/// One topic filter of a SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterRequest {
    /// Plain or shared, in all versions.
    pub subscription: Subscription,
    /// How messages come.
    pub options: SubscriptionOptions,
}

/// Subscription Options (5.0 §3.8.3.1). Before 5.0 there is only the QoS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionOptions {
    /// The most that is wanted.
    pub qos: Qos,
    /// Nothing that the subscriber itself published.
    pub no_local: bool,
    /// Keep the RETAIN flag of the publisher.
    pub retain_as_published: bool,
    /// When retained messages are sent.
    pub retain_handling: RetainHandling,
}

impl Subscribe {
    pub(super) fn decode(version: Version, frame: &Frame) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(&frame.body);
        let packet_id = reader.packet_id()?;
        let (subscription_id, user_properties) = match version.has_properties() {
            true => read_properties(&mut reader)?,
            false => (None, UserProperties::default()),
        };
        let filters = read_filters(&mut reader, |reader| FilterRequest::read(version, reader))?;
        Ok(Self { packet_id, subscription_id, user_properties, filters })
    }

    pub(super) fn encode(&self, recipient: &Recipient, out: &mut BytesMut) -> Result<(), TooLarge> {
        recipient.write(out, PacketType::Subscribe.first_byte(), |out| {
            out.put_u16(self.packet_id.get());
            if recipient.version.has_properties() {
                with_length(out, |out| self.put_properties(out));
            }
            for request in &self.filters {
                put_subscription(out, &request.subscription);
                out.put_u8(request.options.bits());
            }
        })
    }

    fn put_properties(&self, out: &mut BytesMut) {
        if let Some(id) = self.subscription_id {
            prop::put_variable(out, prop::SUBSCRIPTION_ID, id.get());
        }
        self.user_properties.put(out);
    }
}

impl FilterRequest {
    fn read(version: Version, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let subscription = read_subscription(reader)?;
        let options = SubscriptionOptions::read(version, reader.byte()?)?;
        if options.no_local && matches!(subscription, Subscription::Shared(_)) {
            // [MQTT-3.8.3-4]
            return Err(DecodeError::Protocol("No Local on a shared subscription"));
        }
        Ok(Self { subscription, options })
    }
}

impl SubscriptionOptions {
    fn read(version: Version, bits: u8) -> Result<Self, DecodeError> {
        if bits & version.reserved_options() != 0 {
            return Err(DecodeError::Malformed("reserved bits of the subscription options"));
        }
        let qos = Qos::from_level(u32::from(bits & 0x03));
        let retain_handling = match bits >> 4 {
            0 => RetainHandling::AtSubscribe,
            1 => RetainHandling::IfNew,
            2 => RetainHandling::Never,
            _ => return Err(DecodeError::Protocol("retain handling 3")),
        };
        Ok(Self {
            qos: qos.ok_or(DecodeError::Protocol("maximum QoS 3"))?,
            no_local: bits & 0x04 != 0,
            retain_as_published: bits & 0x08 != 0,
            retain_handling,
        })
    }

    fn bits(self) -> u8 {
        let retain_handling = match self.retain_handling {
            RetainHandling::AtSubscribe => 0,
            RetainHandling::IfNew => 1,
            RetainHandling::Never => 2,
        };
        self.qos.level()
            | u8::from(self.no_local) << 2
            | u8::from(self.retain_as_published) << 3
            | retain_handling << 4
    }
}

fn read_properties(
    reader: &mut Reader<'_>,
) -> Result<(Option<SubscriptionId>, UserProperties), DecodeError> {
    let (mut id, mut kept) = (None, Kept::default());
    prop::scan(reader, prop::SUBSCRIBE, |property| {
        if property.id == prop::USER_PROPERTY {
            property.keep(&mut kept);
            return Ok(());
        }
        match id.replace(property.number) {
            None => Ok(()),
            Some(_) => Err(DecodeError::Protocol("a property appears twice")),
        }
    })?;
    Ok((id.and_then(SubscriptionId::new), UserProperties::kept(kept, reader)))
}

/// One or more filters up to the end of the packet [MQTT-3.8.3-2], [MQTT-3.10.3-2].
pub(super) fn read_filters<'a, T>(
    reader: &mut Reader<'a>,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    if reader.is_empty() {
        return Err(DecodeError::Protocol("no topic filter"));
    }
    let mut filters = Vec::new();
    while !reader.is_empty() {
        if filters.len() == FILTERS_MAX {
            return Err(DecodeError::Quota("too many topic filters in a packet"));
        }
        filters.push(read(reader)?);
    }
    Ok(filters)
}

pub(super) fn read_subscription(reader: &mut Reader<'_>) -> Result<Subscription, DecodeError> {
    let field = reader.field()?;
    Subscription::parse(reader.bytes(field)).map_err(DecodeError::filter)
}

pub(super) fn put_subscription(out: &mut BytesMut, subscription: &Subscription) {
    match subscription {
        Subscription::Plain(filter) => put_field(out, filter.as_str().as_bytes()),
        Subscription::Shared(shared) => {
            let text = format!("$share/{}/{}", shared.share_name, shared.filter);
            put_field(out, text.as_bytes());
        }
    }
}
