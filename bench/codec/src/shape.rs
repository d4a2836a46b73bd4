//! The packets that are measured.

use std::fmt;

use broker_core::codec::{Flow, FromClient, PacketId, Publish, Recipient, Topic, Version};
use bytes::{Bytes, BytesMut};
use ha_types::TopicName;

use crate::PACKETS;

/// One kind of PUBLISH.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) version: Version,
    pub(crate) flow: Flow,
    payload_len: usize,
    properties: &'static [u8],
}

/// Content type, response topic, correlation data and one user property.
const PROPERTIES: &[u8] = b"\x03\x00\x10application/json\x08\x00\x0Creply/client\x09\x00\x08\
    12345678\x26\x00\x05trace\x00\x10abcdef0123456789";

impl Shape {
    pub(crate) fn all() -> Vec<Self> {
        let mut shapes = Vec::new();
        let id = PacketId::new(7).unwrap();
        for (version, properties) in
            [(Version::V311, &[][..]), (Version::V5, &[]), (Version::V5, PROPERTIES)]
        {
            for flow in [Flow::AtMostOnce, Flow::AtLeastOnce(id)] {
                for payload_len in [16, 256, 4_096] {
                    shapes.push(Self { version, flow, payload_len, properties });
                }
            }
        }
        shapes
    }

    pub(crate) fn publish(&self) -> Publish {
        Publish {
            flow: self.flow,
            dup: false,
            retain: false,
            topic: Topic::Name(self.topic()),
            expires_in_s: None,
            subscription_ids: Vec::new(),
            properties: Bytes::from_static(self.properties),
            payload: Bytes::from(vec![7; self.payload_len]),
        }
    }

    pub(crate) fn topic(&self) -> TopicName {
        TopicName::parse(Bytes::from_static(b"plant/7/line/3/speed")).unwrap()
    }

    /// One packet as bytes.
    pub(crate) fn packet(&self) -> BytesMut {
        let mut out = BytesMut::new();
        let packet = FromClient::Publish(self.publish());
        packet.encode(&Recipient::any(self.version), &mut out).unwrap();
        out
    }

    /// What one read from the socket gives.
    pub(crate) fn read(&self) -> Vec<u8> {
        self.packet().repeat(PACKETS)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = if self.version.has_properties() { "5.0" } else { "3.1.1" };
        let qos = self.flow.qos().level();
        write!(f, "{version} QoS {qos}, {} B", self.payload_len)?;
        if self.properties.is_empty() { Ok(()) } else { f.write_str(", properties") }
    }
}
