//! All packets, by who sends them.

use bytes::BytesMut;

use super::{
    Ack, Auth, Connack, DecodeError, Disconnect, Frame, Publish, Recipient, Suback, Subscribe,
    TooLarge, Unsuback, Unsubscribe, Version,
};

/// MQTT Control Packet type (§2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the words of the specification")]
pub enum PacketType {
    Connect,
    Connack,
    Publish,
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
    Subscribe,
    Suback,
    Unsubscribe,
    Unsuback,
    Pingreq,
    Pingresp,
    Disconnect,
    Auth,
}

const TYPES: [PacketType; 15] = [
    PacketType::Connect,
    PacketType::Connack,
    PacketType::Publish,
    PacketType::Puback,
    PacketType::Pubrec,
    PacketType::Pubrel,
    PacketType::Pubcomp,
    PacketType::Subscribe,
    PacketType::Suback,
    PacketType::Unsubscribe,
    PacketType::Unsuback,
    PacketType::Pingreq,
    PacketType::Pingresp,
    PacketType::Disconnect,
    PacketType::Auth,
];

impl PacketType {
    /// From the upper four bits of the first byte; `None` for 0.
    pub(super) fn from_bits(bits: u8) -> Option<Self> {
        TYPES.get(usize::from(bits).checked_sub(1)?).copied()
    }

    /// The first byte of a packet; a PUBLISH adds its flags.
    pub(super) fn first_byte(self) -> u8 {
        match self {
            Self::Connect => 0x10,
            Self::Connack => 0x20,
            Self::Publish => 0x30,
            Self::Puback => 0x40,
            Self::Pubrec => 0x50,
            Self::Pubrel => 0x62,
            Self::Pubcomp => 0x70,
            Self::Subscribe => 0x82,
            Self::Suback => 0x90,
            Self::Unsubscribe => 0xA2,
            Self::Unsuback => 0xB0,
            Self::Pingreq => 0xC0,
            Self::Pingresp => 0xD0,
            Self::Disconnect => 0xE0,
            Self::Auth => 0xF0,
        }
    }
}

/// Who sends a packet: some have other rules in each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// To a server.
    Client,
    /// To a client.
    Server,
}

/// A packet from a client after its CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the specification")]
pub enum FromClient {
    Publish(Publish),
    Puback(Ack),
    Pubrec(Ack),
    Pubrel(Ack),
    Pubcomp(Ack),
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
    Pingreq,
    Disconnect(Disconnect),
    Auth(Auth),
}

/// A packet from a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the specification")]
pub enum FromServer {
    Connack(Connack),
    Publish(Publish),
    Puback(Ack),
    Pubrec(Ack),
    Pubrel(Ack),
    Pubcomp(Ack),
    Suback(Suback),
    Unsuback(Unsuback),
    Pingresp,
    Disconnect(Disconnect),
    Auth(Auth),
}

impl FromClient {
    /// Decodes any packet that a client may send after its CONNECT.
    ///
    /// # Errors
    /// [`DecodeError`]: the connection must end. Before 5.0 it is closed without a word.
    pub fn decode(version: Version, frame: Frame) -> Result<Self, DecodeError> {
        let kind = version.check_header(&frame)?;
        let ack = |frame: &Frame| Ack::decode(version, (kind, Sender::Client), frame);
        match kind {
            PacketType::Publish => {
                Publish::decode(Sender::Client, version, frame).map(Self::Publish)
            }
            PacketType::Puback => ack(&frame).map(Self::Puback),
            PacketType::Pubrec => ack(&frame).map(Self::Pubrec),
            PacketType::Pubrel => ack(&frame).map(Self::Pubrel),
            PacketType::Pubcomp => ack(&frame).map(Self::Pubcomp),
            PacketType::Subscribe => Subscribe::decode(version, &frame).map(Self::Subscribe),
            PacketType::Unsubscribe => Unsubscribe::decode(version, &frame).map(Self::Unsubscribe),
            PacketType::Pingreq => empty(&frame).map(|()| Self::Pingreq),
            PacketType::Disconnect => {
                Disconnect::decode(Sender::Client, version, &frame).map(Self::Disconnect)
            }
            PacketType::Auth => auth(Sender::Client, version, &frame).map(Self::Auth),
            // [MQTT-3.1.0-2]
            PacketType::Connect => Err(DecodeError::Protocol("a second CONNECT")),
            PacketType::Connack
            | PacketType::Suback
            | PacketType::Unsuback
            | PacketType::Pingresp => Err(DecodeError::Protocol("a packet that only servers send")),
        }
    }

    /// Appends the packet.
    ///
    /// # Errors
    /// [`TooLarge`], and nothing is written.
    pub fn encode(&self, recipient: &Recipient, out: &mut BytesMut) -> Result<(), TooLarge> {
        match self {
            Self::Publish(publish) => publish.encode(recipient, out),
            Self::Puback(ack) => ack.encode(PacketType::Puback, recipient, out),
            Self::Pubrec(ack) => ack.encode(PacketType::Pubrec, recipient, out),
            Self::Pubrel(ack) => ack.encode(PacketType::Pubrel, recipient, out),
            Self::Pubcomp(ack) => ack.encode(PacketType::Pubcomp, recipient, out),
            Self::Subscribe(subscribe) => subscribe.encode(recipient, out),
            Self::Unsubscribe(unsubscribe) => unsubscribe.encode(recipient, out),
            Self::Pingreq => recipient.write(out, PacketType::Pingreq.first_byte(), |_| ()),
            Self::Disconnect(disconnect) => disconnect.encode(recipient, out),
            Self::Auth(auth) => auth.encode(recipient, out),
        }
    }
}

impl FromServer {
    /// Decodes any packet that a server may send.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(version: Version, frame: Frame) -> Result<Self, DecodeError> {
        let kind = version.check_header(&frame)?;
        let ack = |frame: &Frame| Ack::decode(version, (kind, Sender::Server), frame);
        match kind {
            PacketType::Connack => Connack::decode(version, &frame).map(Self::Connack),
            PacketType::Publish => {
                Publish::decode(Sender::Server, version, frame).map(Self::Publish)
            }
            PacketType::Puback => ack(&frame).map(Self::Puback),
            PacketType::Pubrec => ack(&frame).map(Self::Pubrec),
            PacketType::Pubrel => ack(&frame).map(Self::Pubrel),
            PacketType::Pubcomp => ack(&frame).map(Self::Pubcomp),
            PacketType::Suback => Suback::decode(version, &frame).map(Self::Suback),
            PacketType::Unsuback => Unsuback::decode(version, &frame).map(Self::Unsuback),
            PacketType::Pingresp => empty(&frame).map(|()| Self::Pingresp),
            PacketType::Disconnect if version.has_properties() => {
                Disconnect::decode(Sender::Server, version, &frame).map(Self::Disconnect)
            }
            PacketType::Auth => auth(Sender::Server, version, &frame).map(Self::Auth),
            PacketType::Connect
            | PacketType::Subscribe
            | PacketType::Unsubscribe
            | PacketType::Pingreq
            | PacketType::Disconnect => {
                Err(DecodeError::Protocol("a packet that only clients send"))
            }
        }
    }

    /// Appends the packet, with as many [`Remarks`](super::Remarks) as the recipient wants and takes.
    /// Nothing is written for what the version does not have: DISCONNECT and AUTH before 5.0, a
    /// CONNACK with a reason that has no return code.
    ///
    /// # Errors
    /// [`TooLarge`], and nothing is written.
    pub fn encode(&self, recipient: &Recipient, out: &mut BytesMut) -> Result<(), TooLarge> {
        match self {
            Self::Connack(connack) => connack.encode(recipient, out),
            Self::Publish(publish) => publish.encode(recipient, out),
            Self::Puback(ack) => ack.encode(PacketType::Puback, recipient, out),
            Self::Pubrec(ack) => ack.encode(PacketType::Pubrec, recipient, out),
            Self::Pubrel(ack) => ack.encode(PacketType::Pubrel, recipient, out),
            Self::Pubcomp(ack) => ack.encode(PacketType::Pubcomp, recipient, out),
            Self::Suback(suback) => suback.encode(recipient, out),
            Self::Unsuback(unsuback) => unsuback.encode(recipient, out),
            Self::Pingresp => recipient.write(out, PacketType::Pingresp.first_byte(), |_| ()),
            Self::Disconnect(_) | Self::Auth(_) if !recipient.version.has_properties() => Ok(()),
            Self::Disconnect(disconnect) => disconnect.encode(recipient, out),
            Self::Auth(auth) => auth.encode(recipient, out),
        }
    }
}

fn empty(frame: &Frame) -> Result<(), DecodeError> {
    if frame.body.is_empty() {
        return Ok(());
    }
    Err(DecodeError::Malformed("a ping with a body"))
}

fn auth(sender: Sender, version: Version, frame: &Frame) -> Result<Auth, DecodeError> {
    if !version.has_properties() {
        return Err(DecodeError::Malformed("packet type 15"));
    }
    Auth::decode(sender, frame)
}
