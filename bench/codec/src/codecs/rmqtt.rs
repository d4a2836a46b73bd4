//! `rmqtt-codec`. Its `encode` takes the packet by value, so each one is a clone.

use std::fmt::Debug;
use std::hint::black_box;

use bytes::BytesMut;
use rmqtt_codec::{v3, v5};
use tokio_util::codec::{Decoder, Encoder};

use super::Worker;
use crate::PACKETS;
use crate::shape::Shape;

pub(super) fn decoder(shape: &Shape) -> Worker {
    if shape.version.has_properties() {
        decode(v5::Codec::new(1 << 20, 0))
    } else {
        decode(v3::Codec::new(1 << 20))
    }
}

pub(super) fn encoder(shape: &Shape) -> Worker {
    let mut packet = shape.packet();
    if shape.version.has_properties() {
        encode(v5::Codec::new(1 << 20, 0), &mut packet)
    } else {
        encode(v3::Codec::new(1 << 20), &mut packet)
    }
}

fn decode<C: Decoder<Error: Debug> + 'static>(mut codec: C) -> Worker {
    Box::new(move |read| {
        while let Some(item) = codec.decode(read).unwrap() {
            black_box(item);
        }
    })
}

fn encode<C, P>(mut codec: C, packet: &mut BytesMut) -> Worker
where
    C: Decoder<Item = (P, u32), Error: Debug> + Encoder<P, Error: Debug> + 'static,
    P: Clone + 'static,
{
    let (packet, _) = codec.decode(packet).unwrap().unwrap();
    Box::new(move |out| {
        out.clear();
        for _ in 0..PACKETS {
            codec.encode(black_box(&packet).clone(), out).unwrap();
        }
    })
}
