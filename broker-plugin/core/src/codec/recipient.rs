//! Whom a packet is written for, and what it can take.

use bytes::BytesMut;

use super::limits::PACKET_BYTES_LIMIT;
use super::{Remarks, Version, writer};

/// Whom a packet is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Of its connection.
    pub version: Version,
    /// Its Maximum Packet Size; `u32::MAX`: it named none.
    pub packet_bytes_max: u32,
    /// What it asked for.
    pub problem_information: ProblemInformation,
}

/// Whether [`Remarks`] may be in other packets than CONNACK and DISCONNECT [MQTT-3.1.2-29].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemInformation {
    /// The default.
    Wanted,
    /// Request Problem Information was 0.
    Unwanted,
}

/// The packet is larger than the recipient's Maximum Packet Size, also without remarks. Nothing was
/// written [MQTT-3.1.2-24]. A message is dropped as if it had been sent [MQTT-3.1.2-25]; for an
/// answer that cannot be left out the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("larger than the recipient's Maximum Packet Size")]
pub struct TooLarge;

impl Recipient {
    /// Without any limit.
    #[must_use]
    pub fn any(version: Version) -> Self {
        let problem_information = ProblemInformation::Wanted;
        Self { version, packet_bytes_max: u32::MAX, problem_information }
    }

    pub(super) fn check_len(&self, packet_len: usize) -> Result<(), TooLarge> {
        let max = usize::try_from(self.packet_bytes_max).unwrap_or(usize::MAX);
        if packet_len > max.min(PACKET_BYTES_LIMIT) { Err(TooLarge) } else { Ok(()) }
    }

    /// Writes a packet that has no remarks, or nothing.
    pub(super) fn write(
        &self,
        out: &mut BytesMut,
        first: u8,
        body: impl FnOnce(&mut BytesMut),
    ) -> Result<(), TooLarge> {
        let start = out.len();
        writer::packet(out, first, body);
        self.check_len(out.len() - start).inspect_err(|_| out.truncate(start))
    }

    /// Writes a CONNACK or DISCONNECT with as many remarks as fit [MQTT-3.2.2-19],
    /// [MQTT-3.2.2-20], [MQTT-3.14.2-3], [MQTT-3.14.2-4].
    pub(super) fn write_remarking(
        &self,
        out: &mut BytesMut,
        first: u8,
        remarks: &Remarks,
        body: impl Fn(&mut BytesMut, &Remarks),
    ) -> Result<(), TooLarge> {
        let written = self.write(out, first, |out| body(out, remarks));
        if written.is_ok() || remarks.is_empty() {
            return written;
        }
        let [_, reason_string, nothing] = remarks.shrinking();
        self.write(out, first, |out| body(out, &reason_string))
            .or_else(|_| self.write(out, first, |out| body(out, &nothing)))
    }

    /// The same of any other answer: the recipient may not want remarks at all [MQTT-3.4.2-2],
    /// [MQTT-3.4.2-3] and their like.
    pub(super) fn write_answer(
        &self,
        out: &mut BytesMut,
        first: u8,
        remarks: &Remarks,
        body: impl Fn(&mut BytesMut, &Remarks),
    ) -> Result<(), TooLarge> {
        match self.problem_information {
            ProblemInformation::Wanted => self.write_remarking(out, first, remarks, body),
            ProblemInformation::Unwanted => {
                self.write(out, first, |out| body(out, &Remarks::default()))
            }
        }
    }
}
