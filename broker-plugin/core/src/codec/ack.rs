//! PUBACK, PUBREC, PUBREL and PUBCOMP (§3.4 to §3.7), which have the same form.

use bytes::{BufMut, BytesMut};

use super::property as prop;
use super::reader::Reader;
use super::remarks::{RemarksRead, put_reason, read_reason};
use super::{
    DecodeError, Frame, PacketId, PacketType, Reason, Recipient, Remarks, Sender, TooLarge, Version,
};

/// A step of an exchange at QoS 1 or 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Of the exchange.
    pub packet_id: PacketId,
    /// Always success before 5.0.
    pub reason: Reason,
    /// None before 5.0.
    pub remarks: Remarks,
}

impl Ack {
    /// Without remarks.
    #[must_use]
    pub fn new(packet_id: PacketId, reason: Reason) -> Self {
        Self { packet_id, reason, remarks: Remarks::default() }
    }

    pub(super) fn decode(
        version: Version,
        from: (PacketType, Sender),
        frame: &Frame,
    ) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(&frame.body);
        let mut ack = Self::new(reader.packet_id()?, Reason::SUCCESS);
        if version.has_properties() {
            let mut remarks = RemarksRead::default();
            ack.reason = read_reason(&mut reader, from, prop::REMARKS, |property| {
                remarks.visit(&property);
                Ok(())
            })?;
            ack.remarks = remarks.finish(&reader);
        }
        reader.finish()?;
        Ok(ack)
    }

    pub(super) fn encode(
        &self,
        packet: PacketType,
        recipient: &Recipient,
        out: &mut BytesMut,
    ) -> Result<(), TooLarge> {
        recipient.write_answer(out, packet.first_byte(), &self.remarks, |out, remarks| {
            out.put_u16(self.packet_id.get());
            if recipient.version.has_properties() {
                put_reason(out, self.reason, |out| remarks.put(out));
            }
        })
    }
}
