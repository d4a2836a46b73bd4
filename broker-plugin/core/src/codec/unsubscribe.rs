//! UNSUBSCRIBE (§3.10).

use bytes::{BufMut, BytesMut};
use ha_types::Subscription;

use super::property;
use super::reader::Reader;
use super::subscribe::{put_subscription, read_filters, read_subscription};
use super::writer::with_length;
use super::{
    DecodeError, Frame, PacketId, PacketType, Recipient, TooLarge, UserProperties, Version,
};

/// An UNSUBSCRIBE packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Of the UNSUBACK that is awaited.
    pub packet_id: PacketId,
    /// None before 5.0.
    pub user_properties: UserProperties,
    /// At least one, at most [`FILTERS_MAX`](super::limits::FILTERS_MAX).
    pub filters: Vec<Subscription>,
}

impl Unsubscribe {
    pub(super) fn decode(version: Version, frame: &Frame) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(&frame.body);
        let packet_id = reader.packet_id()?;
        let user_properties = match version.has_properties() {
            true => property::user_properties(&mut reader)?,
            false => UserProperties::default(),
        };
        let filters = read_filters(&mut reader, read_subscription)?;
        Ok(Self { packet_id, user_properties, filters })
    }

    pub(super) fn encode(&self, recipient: &Recipient, out: &mut BytesMut) -> Result<(), TooLarge> {
        recipient.write(out, PacketType::Unsubscribe.first_byte(), |out| {
            out.put_u16(self.packet_id.get());
            if recipient.version.has_properties() {
                with_length(out, |out| self.user_properties.put(out));
            }
            self.filters.iter().for_each(|filter| put_subscription(out, filter));
        })
    }
}
