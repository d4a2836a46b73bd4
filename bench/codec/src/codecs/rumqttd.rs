//! `rumqttd::protocol`. Its `write` takes the packet by value, so each one is a clone.

use std::hint::black_box;

use bytes::BytesMut;
use rumqttd::protocol::v4::V4;
use rumqttd::protocol::v5::V5;
use rumqttd::protocol::{Packet, Protocol};

use super::Worker;
use crate::PACKETS;
use crate::shape::Shape;

pub(super) fn decoder(shape: &Shape) -> Worker {
    if shape.version.has_properties() { decode(V5) } else { decode(V4) }
}

pub(super) fn encoder(shape: &Shape) -> Worker {
    let mut packet = shape.packet();
    if shape.version.has_properties() { encode(V5, &mut packet) } else { encode(V4, &mut packet) }
}

fn decode(mut codec: impl Protocol + 'static) -> Worker {
    Box::new(move |read| {
        while !read.is_empty() {
            black_box(codec.read_mut(read, 1 << 20).unwrap());
        }
    })
}

fn encode(mut codec: impl Protocol + 'static, packet: &mut BytesMut) -> Worker {
    let packet: Packet = codec.read_mut(packet, 1 << 20).unwrap();
    Box::new(move |out| {
        out.clear();
        for _ in 0..PACKETS {
            codec.write(black_box(&packet).clone(), out).unwrap();
        }
    })
}
