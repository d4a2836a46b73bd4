//! SUBACK (§3.9) and UNSUBACK (§3.11).

use bytes::{BufMut, BytesMut};

use super::reader::Reader;
use super::writer::with_length;
use super::{
    DecodeError, Frame, PacketId, PacketType, Reason, Recipient, Remarks, Sender, TooLarge, Version,
};

/// The answer to a SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suback {
    /// Of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// One for each of its filters, in their order [MQTT-3.8.4-6].
    pub reasons: Vec<Reason>,
    /// None before 5.0.
    pub remarks: Remarks,
}

/// The answer to an UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsuback {
    /// Of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// One for each of its filters, in their order [MQTT-3.11.3-1]; not written before 5.0.
    pub reasons: Vec<Reason>,
    /// None before 5.0.
    pub remarks: Remarks,
}

impl Suback {
    pub(super) fn decode(version: Version, frame: &Frame) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(&frame.body);
        let packet_id = reader.packet_id()?;
        let remarks = read_remarks(version, &mut reader)?;
        let reasons = read_reasons(PacketType::Suback, reader)?;
        let is_old = |reason: &Reason| reason.0 <= 2 || reason.0 == 0x80;
        if !version.has_properties() && !reasons.iter().all(is_old) {
            return Err(DecodeError::Protocol("a return code that SUBACK cannot have"));
        }
        Ok(Self { packet_id, reasons, remarks })
    }

    pub(super) fn encode(&self, recipient: &Recipient, out: &mut BytesMut) -> Result<(), TooLarge> {
        let version = recipient.version;
        let first = PacketType::Suback.first_byte();
        recipient.write_answer(out, first, &self.remarks, |out, remarks| {
            out.put_u16(self.packet_id.get());
            if version.has_properties() {
                with_length(out, |out| remarks.put(out));
            }
            out.extend(self.reasons.iter().map(|&reason| version.suback_code(reason)));
        })
    }
}

impl Unsuback {
    pub(super) fn decode(version: Version, frame: &Frame) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(&frame.body);
        let packet_id = reader.packet_id()?;
        let remarks = read_remarks(version, &mut reader)?;
        if !version.has_properties() {
            reader.finish()?;
            return Ok(Self { packet_id, reasons: Vec::new(), remarks });
        }
        let reasons = read_reasons(PacketType::Unsuback, reader)?;
        Ok(Self { packet_id, reasons, remarks })
    }

    pub(super) fn encode(&self, recipient: &Recipient, out: &mut BytesMut) -> Result<(), TooLarge> {
        let first = PacketType::Unsuback.first_byte();
        recipient.write_answer(out, first, &self.remarks, |out, remarks| {
            out.put_u16(self.packet_id.get());
            if recipient.version.has_properties() {
                with_length(out, |out| remarks.put(out));
                out.extend(self.reasons.iter().map(|reason| reason.0));
            }
        })
    }
}

fn read_remarks(version: Version, reader: &mut Reader<'_>) -> Result<Remarks, DecodeError> {
    if version.has_properties() { Remarks::read(reader) } else { Ok(Remarks::default()) }
}

/// At least one, and to the end of the packet.
fn read_reasons(packet: PacketType, reader: Reader<'_>) -> Result<Vec<Reason>, DecodeError> {
    let codes = reader.rest();
    if codes.is_empty() {
        return Err(DecodeError::Protocol("an answer without a reason code"));
    }
    codes.iter().map(|&code| Reason(code).check(packet, Sender::Server)).collect()
}
