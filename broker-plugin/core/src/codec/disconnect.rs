//! DISCONNECT (§3.14).

use bytes::BytesMut;

use super::property as prop;
use super::reader::Reader;
use super::remarks::{RemarksRead, put_reason, read_reason};
use super::{
    DecodeError, Frame, PacketType, Reason, Recipient, Remarks, Sender, Text, TooLarge, Version,
};

/// The last packet of a connection. Before 5.0 only clients send it, and it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disconnect {
    /// Why.
    pub reason: Reason,
    /// From a client: replaces the one of CONNECT. Whether it may is for the session to judge.
    pub session_expiry_s: Option<u32>,
    /// From a server: another one to use.
    pub server_reference: Option<Text>,
    /// What the sender says.
    pub remarks: Remarks,
}

impl Disconnect {
    /// With remarks.
    #[must_use]
    pub fn because(reason: Reason, remarks: Remarks) -> Self {
        Self { reason, remarks, ..Self::default() }
    }

    pub(super) fn decode(
        sender: Sender,
        version: Version,
        frame: &Frame,
    ) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(&frame.body);
        let mut disconnect = Self::default();
        if version.has_properties() {
            let mut remarks = RemarksRead::default();
            let allowed = match sender {
                Sender::Client => prop::CLIENT_DISCONNECT,
                Sender::Server => prop::SERVER_DISCONNECT,
            };
            let from = (PacketType::Disconnect, sender);
            disconnect.reason = read_reason(&mut reader, from, allowed, |property| {
                match property.id {
                    prop::SESSION_EXPIRY => disconnect.session_expiry_s = Some(property.number),
                    prop::SERVER_REFERENCE => disconnect.server_reference = Some(property.text()),
                    _ => remarks.visit(&property),
                }
                Ok(())
            })?;
            disconnect.remarks = remarks.finish(&reader);
        }
        reader.finish()?;
        Ok(disconnect)
    }

    pub(super) fn encode(&self, recipient: &Recipient, out: &mut BytesMut) -> Result<(), TooLarge> {
        let first = PacketType::Disconnect.first_byte();
        recipient.write_remarking(out, first, &self.remarks, |out, remarks| {
            if recipient.version.has_properties() {
                put_reason(out, self.reason, |out| self.put_properties(out, remarks));
            }
        })
    }

    fn put_properties(&self, out: &mut BytesMut, remarks: &Remarks) {
        if let Some(expiry) = self.session_expiry_s {
            prop::put_four(out, prop::SESSION_EXPIRY, expiry);
        }
        if let Some(server) = &self.server_reference {
            prop::put_field(out, prop::SERVER_REFERENCE, server.as_bytes());
        }
        remarks.put(out);
    }
}
