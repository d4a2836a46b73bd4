//! PUBLISH packets on their way in and out.

use std::hint::black_box;

use broker_core::codec::{
    AliasUse, EncodedPublish, Envelope, Flow, FromClient, PacketId, Publish, Recipient, Topic,
    Version, frame,
};
use bytes::{Bytes, BytesMut};

use crate::{TOPIC, message, topic};

/// Packets that one read from a socket gives.
pub const PACKETS: u64 = 64;

/// What a read gives: [`PACKETS`] times this one.
#[must_use]
pub fn read(version: Version, publish: &Publish) -> Vec<u8> {
    let mut packet = BytesMut::new();
    let recipient = Recipient::any(version);
    FromClient::Publish(publish.clone()).encode(&recipient, &mut packet).unwrap();
    packet.repeat(usize::try_from(PACKETS).unwrap())
}

/// A round decodes one read.
pub fn decode(version: Version, payload_len: usize) -> impl FnMut() {
    let read = read(version, &publish(payload_len));
    move || {
        black_box(decode_read(version, BytesMut::from(&read[..])));
    }
}

/// All of its packets; what is left is nothing.
#[must_use]
pub fn decode_read(version: Version, mut read: BytesMut) -> BytesMut {
    while let Some(frame) = frame::split(&mut read, 1 << 20).unwrap() {
        black_box(FromClient::decode(version, frame).unwrap());
    }
    read
}

/// A round writes one packet that is encoded once for all its recipients.
pub fn write_encoded(version: Version, payload_len: usize) -> impl FnMut() {
    let publish = publish(payload_len);
    let (recipient, envelope) = (Recipient::any(version), envelope(&publish));
    let message = message(publish.flow.qos(), publish.payload.clone());
    let shared = EncodedPublish::new(version, publish.flow.qos(), &message, None);
    let mut out = BytesMut::with_capacity(1 << 16);
    move || {
        out.clear();
        shared.write_to(&mut out, &recipient, black_box(&envelope)).unwrap();
    }
}

/// Of QoS 1 with this much payload.
#[must_use]
pub fn publish(payload_len: usize) -> Publish {
    Publish {
        flow: Flow::AtLeastOnce(PacketId::new(7).unwrap()),
        dup: false,
        retain: false,
        topic: Topic::Name(topic(TOPIC)),
        expires_in_s: None,
        subscription_ids: Vec::new(),
        properties: Bytes::new(),
        payload: Bytes::from(vec![7; payload_len]),
    }
}

/// How a subscriber gets it.
fn envelope(publish: &Publish) -> Envelope<'static> {
    Envelope {
        flow: publish.flow,
        dup: false,
        retain: false,
        subscription_ids: &[],
        alias: AliasUse::None,
    }
}
