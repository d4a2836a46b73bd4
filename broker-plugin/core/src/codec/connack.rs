//! CONNACK (§3.2).

use bytes::BytesMut;
use ha_types::Qos;

use super::auth::AuthenticationRead;
use super::property::{self as prop, Property};
use super::reader::Reader;
use super::remarks::RemarksRead;
use super::writer::with_length;
use super::{
    Authentication, DecodeError, Frame, PacketType, Reason, Recipient, Remarks, Sender, Text,
    TooLarge, Version,
};

/// The answer to a CONNECT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connack {
    /// Whether the server has the client's session; only with success [MQTT-3.2.2-6].
    pub session_present: bool,
    /// Before 5.0 as one of five return codes.
    pub reason: Reason,
    /// Not written before 5.0.
    pub announcement: Announcement,
    /// None before 5.0.
    pub remarks: Remarks,
}

/// What a server of 5.0 says about itself. The default is what a CONNACK without properties says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// When it is not what the client asked for.
    pub session_expiry_s: Option<u32>,
    /// QoS 1 and 2 messages that the server takes at once; at least 1.
    pub receive_maximum: u16,
    /// Highest QoS of a PUBLISH.
    pub maximum_qos: Qos,
    /// Whether messages may be retained.
    pub retain_available: bool,
    /// Maximum Packet Size, at least 1; `u32::MAX`: any.
    pub packet_bytes_max: u32,
    /// When the client asked for one.
    pub assigned_client_id: Option<Text>,
    /// Zero: none.
    pub topic_alias_maximum: u16,
    /// Whether filters may have wildcards.
    pub wildcards_available: bool,
    /// Whether SUBSCRIBE may have an identifier.
    pub subscription_ids_available: bool,
    /// Whether there are shared subscriptions.
    pub shared_available: bool,
    /// When it is not what the client asked for.
    pub server_keep_alive_s: Option<u16>,
    /// When the client asked for it.
    pub response_information: Option<Text>,
    /// Another server to use.
    pub server_reference: Option<Text>,
    /// Enhanced authentication.
    pub authentication: Option<Authentication>,
}

impl Default for Announcement {
    fn default() -> Self {
        Self {
            session_expiry_s: None,
            receive_maximum: u16::MAX,
            maximum_qos: Qos::ExactlyOnce,
            retain_available: true,
            packet_bytes_max: u32::MAX,
            assigned_client_id: None,
            topic_alias_maximum: 0,
            wildcards_available: true,
            subscription_ids_available: true,
            shared_available: true,
            server_keep_alive_s: None,
            response_information: None,
            server_reference: None,
            authentication: None,
        }
    }
}

impl Connack {
    /// That refuses.
    #[must_use]
    pub fn refusal(reason: Reason, remarks: Remarks) -> Self {
        Self { reason, remarks, ..Self::default() }
    }

    pub(super) fn decode(version: Version, frame: &Frame) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(&frame.body);
        let flags = reader.byte()?;
        let session_present = flags & 0x01 != 0;
        // In 3.1 the byte is reserved without a rule.
        if version.has_session_present() && flags & 0xFE != 0 {
            return Err(DecodeError::Malformed("reserved flags of CONNACK"));
        }
        let reason = version.connack_reason(reader.byte()?);
        let reason =
            reason.ok_or(DecodeError::Protocol("a return code that CONNACK cannot have"))?;
        reason.check(PacketType::Connack, Sender::Server)?;
        if session_present && reason != Reason::SUCCESS {
            return Err(DecodeError::Protocol("a refusal with a session"));
        }
        let mut connack = Self { reason, ..Self::default() };
        connack.session_present = session_present && version.has_session_present();
        if version.has_properties() {
            connack.read_properties(&mut reader)?;
        }
        reader.finish()?;
        Ok(connack)
    }

    fn read_properties(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let (mut remarks, mut authentication) =
            (RemarksRead::default(), AuthenticationRead::default());
        let announcement = &mut self.announcement;
        prop::scan(reader, prop::CONNACK, |property| {
            announcement.visit(&property);
            remarks.visit(&property);
            authentication.visit(&property);
            Ok(())
        })?;
        self.remarks = remarks.finish(reader);
        self.announcement.authentication = authentication.finish()?;
        Ok(())
    }

    /// Nothing is written for a reason that this version has no code for.
    pub(super) fn encode(&self, recipient: &Recipient, out: &mut BytesMut) -> Result<(), TooLarge> {
        let version = recipient.version;
        let Some(code) = version.connack_code(self.reason) else { return Ok(()) };
        let present =
            self.session_present && self.reason == Reason::SUCCESS && version.has_session_present();
        let first = PacketType::Connack.first_byte();
        recipient.write_remarking(out, first, &self.remarks, |out, remarks| {
            out.extend_from_slice(&[u8::from(present), code]);
            if version.has_properties() {
                with_length(out, |out| {
                    self.announcement.put(out);
                    remarks.put(out);
                });
            }
        })
    }
}

impl Announcement {
    fn visit(&mut self, property: &Property<'_>) {
        let number = property.number;
        match property.id {
            prop::SESSION_EXPIRY => self.session_expiry_s = Some(number),
            prop::RECEIVE_MAXIMUM => self.receive_maximum = property.two_bytes(),
            prop::MAXIMUM_QOS => self.maximum_qos = Qos::from_level(number).unwrap_or_default(),
            prop::RETAIN_AVAILABLE => self.retain_available = number != 0,
            prop::MAXIMUM_PACKET_SIZE => self.packet_bytes_max = number,
            prop::ASSIGNED_CLIENT_ID => self.assigned_client_id = Some(property.text()),
            prop::TOPIC_ALIAS_MAXIMUM => self.topic_alias_maximum = property.two_bytes(),
            prop::WILDCARDS_AVAILABLE => self.wildcards_available = number != 0,
            prop::SUBSCRIPTION_IDS_AVAILABLE => self.subscription_ids_available = number != 0,
            prop::SHARED_AVAILABLE => self.shared_available = number != 0,
            prop::SERVER_KEEP_ALIVE => self.server_keep_alive_s = Some(property.two_bytes()),
            prop::RESPONSE_INFORMATION => self.response_information = Some(property.text()),
            prop::SERVER_REFERENCE => self.server_reference = Some(property.text()),
            _ => (),
        }
    }

    fn put(&self, out: &mut BytesMut) {
        self.put_numbers(out);
        let texts = [
            (prop::ASSIGNED_CLIENT_ID, &self.assigned_client_id),
            (prop::RESPONSE_INFORMATION, &self.response_information),
            (prop::SERVER_REFERENCE, &self.server_reference),
        ];
        for (id, text) in texts {
            if let Some(text) = text {
                prop::put_field(out, id, text.as_bytes());
            }
        }
        if let Some(authentication) = &self.authentication {
            authentication.put(out);
        }
    }

    fn put_numbers(&self, out: &mut BytesMut) {
        if let Some(expiry) = self.session_expiry_s {
            prop::put_four(out, prop::SESSION_EXPIRY, expiry);
        }
        if self.receive_maximum != u16::MAX {
            prop::put_two(out, prop::RECEIVE_MAXIMUM, self.receive_maximum);
        }
        if self.maximum_qos != Qos::ExactlyOnce {
            prop::put_one(out, prop::MAXIMUM_QOS, self.maximum_qos.level());
        }
        if self.packet_bytes_max != u32::MAX {
            prop::put_four(out, prop::MAXIMUM_PACKET_SIZE, self.packet_bytes_max);
        }
        if self.topic_alias_maximum != 0 {
            prop::put_two(out, prop::TOPIC_ALIAS_MAXIMUM, self.topic_alias_maximum);
        }
        if let Some(keep_alive) = self.server_keep_alive_s {
            prop::put_two(out, prop::SERVER_KEEP_ALIVE, keep_alive);
        }
        let available = [
            (prop::RETAIN_AVAILABLE, self.retain_available),
            (prop::WILDCARDS_AVAILABLE, self.wildcards_available),
            (prop::SUBSCRIPTION_IDS_AVAILABLE, self.subscription_ids_available),
            (prop::SHARED_AVAILABLE, self.shared_available),
        ];
        available.iter().filter(|(_, is)| !is).for_each(|&(id, _)| prop::put_one(out, id, 0));
    }
}
