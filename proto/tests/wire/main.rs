//! What is packed is read back, within the limits; what breaks the specification is refused.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod chunks;
mod hostile;
mod parts;
mod refused;
mod round_trips;
mod values;

use std::sync::Arc;

use bytes::Bytes;
use ha_proto::frames::{Direction, Down, Reader, Up};
use ha_proto::{ProtocolError, v1};
use ha_types::limits::{FRAME_BYTES, FRAME_BYTES_MAX, FRAME_ITEMS_MAX};
use ha_types::link::{Downstream, Upstream};
use ha_types::session::{Offset, PacketId, Queued, SessionEpoch, SessionKey};
use ha_types::{
    BrokerEpoch, ClusterMillis, Message, PublishNumber, Publisher, Qos, SessionId, TopicName,
};
use prost::Message as _;

fn topic(text: &'static str) -> TopicName {
    TopicName::parse(Bytes::from_static(text.as_bytes())).unwrap()
}

fn message(payload: Bytes) -> Arc<Message> {
    Arc::new(Message {
        topic: topic("plant/7/speed"),
        payload,
        properties: Bytes::from_static(b"\x01\x01"),
        qos: Qos::ExactlyOnce,
        retain: true,
        expires_at: Some(ClusterMillis(77)),
        publisher: Publisher { session: SessionId(5), epoch: BrokerEpoch(6) },
    })
}

/// So many bytes that differ from their neighbours.
fn payload(bytes: usize) -> Bytes {
    (0..251).cycle().take(bytes).collect()
}

fn publish(payload_bytes: usize) -> Upstream {
    let message = message(payload(payload_bytes));
    Upstream::Publish { number: Some(PublishNumber(9)), exchange: None, message }
}

fn key() -> SessionKey {
    SessionKey { id: SessionId(1), epoch: SessionEpoch(2) }
}

fn packet_id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

fn queued(offset: u64, payload_bytes: usize) -> Queued {
    Queued {
        offset: Offset::new(offset),
        message: message(payload(payload_bytes)),
        qos: Qos::AtLeastOnce,
        retain: false,
        subscription_ids: Vec::new(),
        record: None,
    }
}

/// Through the bytes of the wire, so that the generated code is part of the test.
fn over_the_wire<D: Direction>(frames: Vec<D::Frame>) -> Result<Vec<D::Value>, ProtocolError>
where
    D::Frame: prost::Message + Default,
{
    let mut reader = Reader::<D>::default();
    let mut all = Vec::new();
    for frame in frames {
        let frame = D::Frame::decode(Bytes::from(frame.encode_to_vec())).unwrap();
        all.extend(reader.read(frame)?);
    }
    Ok(all)
}

fn read_up(frames: Vec<v1::UpstreamFrame>) -> Result<Vec<Upstream>, ProtocolError> {
    over_the_wire::<Up>(frames)
}

fn read_down(frames: Vec<v1::DownstreamFrame>) -> Result<Vec<Downstream>, ProtocolError> {
    over_the_wire::<Down>(frames)
}

/// How a receiver sees a frame of so many items and bytes.
fn is_within_the_limits(items: usize, bytes: usize) -> bool {
    items <= FRAME_ITEMS_MAX && bytes <= if items == 1 { FRAME_BYTES_MAX } else { FRAME_BYTES }
}
