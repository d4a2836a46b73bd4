//! Each codec's way to decode a read and to write as many packets.

mod core;
mod ours;
mod rmqtt;
mod rumqttd;

use bytes::BytesMut;

use crate::shape::Shape;

/// Decodes the packets of a read, or writes as many into the emptied buffer.
pub(crate) type Worker = Box<dyn FnMut(&mut BytesMut)>;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Decode,
    Encode,
}

impl Work {
    pub(crate) const ALL: [Self; 2] = [Self::Decode, Self::Encode];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Encode => "encode",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Ours,
    /// Encoding only: one message to many subscribers.
    OursShared,
    Rumqttd,
    ProtocolCore,
    Rmqtt,
}

impl Codec {
    pub(crate) const ALL: [Self; 5] =
        [Self::Ours, Self::OursShared, Self::Rumqttd, Self::ProtocolCore, Self::Rmqtt];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::OursShared => "ours, encoded once",
            Self::Rumqttd => "rumqttd",
            Self::ProtocolCore => "mqtt-protocol-core",
            Self::Rmqtt => "rmqtt-codec",
        }
    }

    /// `None`: this codec does not do that.
    pub(crate) fn worker(self, shape: &Shape, work: Work) -> Option<Worker> {
        Some(match (self, work) {
            (Self::Ours, Work::Decode) => ours::decoder(shape),
            (Self::Ours, Work::Encode) => ours::encoder(shape),
            (Self::OursShared, Work::Decode) => return None,
            (Self::OursShared, Work::Encode) => ours::shared_encoder(shape),
            (Self::Rumqttd, Work::Decode) => rumqttd::decoder(shape),
            (Self::Rumqttd, Work::Encode) => rumqttd::encoder(shape),
            (Self::ProtocolCore, Work::Decode) => core::decoder(shape),
            (Self::ProtocolCore, Work::Encode) => core::encoder(shape),
            (Self::Rmqtt, Work::Decode) => rmqtt::decoder(shape),
            (Self::Rmqtt, Work::Encode) => rmqtt::encoder(shape),
        })
    }
}
