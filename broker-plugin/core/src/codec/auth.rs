//! AUTH (5.0 §3.15), and the authentication of CONNECT and CONNACK (§4.12).

use bytes::{BufMut, BytesMut};

use super::property::{self as prop, Property};
use super::reader::Reader;
use super::remarks::RemarksRead;
use super::writer::with_length;
use super::{
    Binary, DecodeError, Frame, PacketType, Reason, Recipient, Remarks, Sender, Text, TooLarge,
};

/// One step of enhanced authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Continue, re-authenticate, or success.
    pub reason: Reason,
    /// Always with a method.
    pub authentication: Authentication,
    /// What the sender says.
    pub remarks: Remarks,
}

/// Authentication Method and Data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// Such as `SCRAM-SHA-256`.
    pub method: Text,
    /// As the method defines.
    pub data: Option<Binary>,
}

impl Auth {
    pub(super) fn decode(sender: Sender, frame: &Frame) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(&frame.body);
        if reader.is_empty() {
            return Err(DecodeError::Protocol("AUTH without an authentication method"));
        }
        let reason = Reason(reader.byte()?).check(PacketType::Auth, sender)?;
        let (mut authentication, mut remarks) =
            (AuthenticationRead::default(), RemarksRead::default());
        prop::scan(&mut reader, prop::AUTH, |property| {
            authentication.visit(&property);
            remarks.visit(&property);
            Ok(())
        })?;
        let remarks = remarks.finish(&reader);
        reader.finish()?;
        let missing = DecodeError::Protocol("AUTH without an authentication method");
        Ok(Self { reason, authentication: authentication.finish()?.ok_or(missing)?, remarks })
    }

    pub(super) fn encode(&self, recipient: &Recipient, out: &mut BytesMut) -> Result<(), TooLarge> {
        let first = PacketType::Auth.first_byte();
        recipient.write_answer(out, first, &self.remarks, |out, remarks| {
            out.put_u8(self.reason.0);
            with_length(out, |out| {
                self.authentication.put(out);
                remarks.put(out);
            });
        })
    }
}

impl Authentication {
    pub(super) fn put(&self, out: &mut BytesMut) {
        prop::put_field(out, prop::AUTHENTICATION_METHOD, self.method.as_bytes());
        if let Some(data) = &self.data {
            prop::put_field(out, prop::AUTHENTICATION_DATA, data.as_bytes());
        }
    }
}

/// Authentication while the properties of a packet are read.
#[derive(Debug, Default)]
pub(super) struct AuthenticationRead {
    method: Option<Text>,
    data: Option<Binary>,
}

impl AuthenticationRead {
    /// Other properties are ignored.
    pub(super) fn visit(&mut self, property: &Property<'_>) {
        match property.id {
            prop::AUTHENTICATION_METHOD => self.method = Some(property.text()),
            prop::AUTHENTICATION_DATA => self.data = Some(property.binary()),
            _ => (),
        }
    }

    pub(super) fn finish(self) -> Result<Option<Authentication>, DecodeError> {
        match (self.method, self.data) {
            (Some(method), data) => Ok(Some(Authentication { method, data })),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(DecodeError::Protocol("authentication data without a method")),
        }
    }
}
