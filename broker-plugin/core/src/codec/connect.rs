//! CONNECT (§3.1) of all versions on one port, told apart by protocol name and level.

use bytes::{BufMut, BytesMut};

use super::auth::AuthenticationRead;
use super::property::{self as prop, Kept};
use super::reader::Reader;
use super::writer::{put_field, with_length};
use super::{
    Authentication, Binary, ConnectError, DecodeError, Frame, PacketType, ProblemInformation,
    Recipient, Text, TooLarge, UserProperties, Version, Will,
};

/// Session Expiry Interval of a session that does not expire.
pub const NEVER_EXPIRES: u32 = u32::MAX;

/// A CONNECT packet. What it does not say has the value that the specification gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Of everything that follows on the connection.
    pub version: Version,
    /// Empty: the client asks for one. Never so where its version does not allow it.
    pub client_id: Text,
    /// Clean Session before 5.0.
    pub clean_start: bool,
    /// Zero: none.
    pub keep_alive_s: u16,
    /// Zero: the session ends with the connection. Before 5.0: zero with a clean session, otherwise
    /// [`NEVER_EXPIRES`].
    pub session_expiry_s: u32,
    /// QoS 1 and 2 messages that the client takes at once; at least 1.
    pub receive_maximum: u16,
    /// Maximum Packet Size, at least 1; `u32::MAX`: any.
    pub packet_bytes_max: u32,
    /// Zero: none.
    pub topic_alias_maximum: u16,
    /// Whether CONNACK should have Response Information.
    pub wants_response_information: bool,
    /// Whether other packets than CONNACK and DISCONNECT may have [`Remarks`](super::Remarks).
    pub problem_information: ProblemInformation,
    /// None before 5.0.
    pub user_properties: UserProperties,
    /// Enhanced authentication.
    pub authentication: Option<Authentication>,
    /// Published when the connection ends without DISCONNECT.
    pub will: Option<Will>,
    /// Not secret.
    pub user_name: Option<Text>,
    /// Secret. Before 5.0 only with a user name.
    pub password: Option<Binary>,
}

impl Connect {
    /// With the defaults of the specification, and a clean start.
    #[must_use]
    pub fn new(version: Version, client_id: Text) -> Self {
        Self {
            version,
            client_id,
            clean_start: true,
            keep_alive_s: 0,
            session_expiry_s: 0,
            receive_maximum: u16::MAX,
            packet_bytes_max: u32::MAX,
            topic_alias_maximum: 0,
            wants_response_information: false,
            problem_information: ProblemInformation::Wanted,
            user_properties: UserProperties::default(),
            authentication: None,
            will: None,
            user_name: None,
            password: None,
        }
    }

    /// How to write to this client.
    #[must_use]
    pub fn recipient(&self) -> Recipient {
        Recipient {
            version: self.version,
            packet_bytes_max: self.packet_bytes_max,
            problem_information: self.problem_information,
        }
    }

    /// Decodes the first packet of a connection.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn decode(frame: &Frame) -> Result<Self, ConnectError> {
        if frame.packet_type() != Some(PacketType::Connect) {
            return Err(ConnectError::NotMqtt);
        }
        let mut reader = Reader::new(&frame.body);
        let name = reader.field().map_err(|_| ConnectError::NotMqtt)?;
        let level = reader.byte().map_err(|_| ConnectError::NotMqtt)?;
        let version = Version::named(reader.bytes(name), level)?;
        let refuse = |error| ConnectError::Refused { version, error };
        version.check_header(frame).map_err(refuse)?;
        Self::read(version, reader).map_err(refuse)
    }

    fn read(version: Version, mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let flags = reader.byte()?;
        version.check_connect_flags(flags)?;
        let mut connect = Self::new(version, Text::default());
        connect.clean_start = flags & 0x02 != 0;
        connect.keep_alive_s = reader.two_bytes()?;
        match version {
            Version::V5 => connect.read_properties(&mut reader)?,
            Version::V31 | Version::V311 if connect.clean_start => (),
            Version::V31 | Version::V311 => connect.session_expiry_s = NEVER_EXPIRES,
        }
        connect.client_id = reader.text()?;
        version.check_client_id(connect.client_id.as_str(), flags)?;
        if flags & 0x04 != 0 {
            connect.will = Some(Will::read(version, flags, &mut reader)?);
        }
        let is_there = |bit, reader: &Reader<'_>| {
            flags & bit != 0 && !(reader.is_empty() && version.credentials_may_be_missing())
        };
        if is_there(0x80, &reader) {
            connect.user_name = Some(reader.text()?);
        }
        if is_there(0x40, &reader) {
            connect.password = Some(reader.binary()?);
        }
        reader.finish()?;
        Ok(connect)
    }

    fn read_properties(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let (mut kept, mut authentication) = (Kept::default(), AuthenticationRead::default());
        prop::scan(reader, prop::CONNECT, |property| {
            match property.id {
                prop::SESSION_EXPIRY => self.session_expiry_s = property.number,
                prop::RECEIVE_MAXIMUM => self.receive_maximum = property.two_bytes(),
                prop::MAXIMUM_PACKET_SIZE => self.packet_bytes_max = property.number,
                prop::TOPIC_ALIAS_MAXIMUM => self.topic_alias_maximum = property.two_bytes(),
                prop::REQUEST_RESPONSE_INFORMATION => {
                    self.wants_response_information = property.number != 0;
                }
                prop::REQUEST_PROBLEM_INFORMATION if property.number == 0 => {
                    self.problem_information = ProblemInformation::Unwanted;
                }
                prop::USER_PROPERTY => property.keep(&mut kept),
                _ => authentication.visit(&property),
            }
            Ok(())
        })?;
        self.user_properties = UserProperties::kept(kept, reader);
        self.authentication = authentication.finish()?;
        Ok(())
    }

    /// Appends the packet.
    ///
    /// # Errors
    /// [`TooLarge`] for a packet that the protocol cannot express.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), TooLarge> {
        let server = Recipient::any(self.version);
        server.write(out, PacketType::Connect.first_byte(), |out| self.put(out))
    }

    fn put(&self, out: &mut BytesMut) {
        let (name, level) = self.version.protocol();
        put_field(out, name);
        out.put_u8(level);
        out.put_u8(self.flags());
        out.put_u16(self.keep_alive_s);
        if self.version.has_properties() {
            with_length(out, |out| self.put_properties(out));
        }
        put_field(out, self.client_id.as_bytes());
        if let Some(will) = &self.will {
            will.put(self.version, out);
        }
        if let Some(user_name) = &self.user_name {
            put_field(out, user_name.as_bytes());
        }
        if let Some(password) = &self.password {
            put_field(out, password.as_bytes());
        }
    }

    fn flags(&self) -> u8 {
        u8::from(self.clean_start) << 1
            | self.will.as_ref().map_or(0, Will::flags)
            | u8::from(self.password.is_some()) << 6
            | u8::from(self.user_name.is_some()) << 7
    }

    fn put_properties(&self, out: &mut BytesMut) {
        if self.session_expiry_s != 0 {
            prop::put_four(out, prop::SESSION_EXPIRY, self.session_expiry_s);
        }
        if self.receive_maximum != u16::MAX {
            prop::put_two(out, prop::RECEIVE_MAXIMUM, self.receive_maximum);
        }
        if self.packet_bytes_max != u32::MAX {
            prop::put_four(out, prop::MAXIMUM_PACKET_SIZE, self.packet_bytes_max);
        }
        if self.topic_alias_maximum != 0 {
            prop::put_two(out, prop::TOPIC_ALIAS_MAXIMUM, self.topic_alias_maximum);
        }
        if self.wants_response_information {
            prop::put_one(out, prop::REQUEST_RESPONSE_INFORMATION, 1);
        }
        if self.problem_information == ProblemInformation::Unwanted {
            prop::put_one(out, prop::REQUEST_PROBLEM_INFORMATION, 0);
        }
        self.user_properties.put(out);
        if let Some(authentication) = &self.authentication {
            authentication.put(out);
        }
    }
}
