//! `mqtt-protocol-core`'s packet layer. It decodes from an `Arc<[u8]>` of the body, so its input is
//! copied once; framing is ours. Encoding copies its slices into the buffer.

use std::hint::black_box;
use std::io::IoSlice;
use std::sync::Arc;

use broker_core::codec::frame;
use bytes::BytesMut;
use mqtt_protocol_core::mqtt::packet::{v3_1_1, v5_0};

use super::Worker;
use crate::PACKETS;
use crate::shape::Shape;

pub(super) fn decoder(shape: &Shape) -> Worker {
    let is_v5 = shape.version.has_properties();
    Box::new(move |read| {
        while let Some((flags, body)) = next(read) {
            if is_v5 {
                black_box(v5_0::Publish::parse(flags, body).unwrap());
            } else {
                black_box(v3_1_1::Publish::parse(flags, body).unwrap());
            }
        }
    })
}

pub(super) fn encoder(shape: &Shape) -> Worker {
    let (flags, body) = next(&mut shape.packet()).unwrap();
    if shape.version.has_properties() {
        let (packet, _) = v5_0::Publish::parse(flags, body).unwrap();
        return Box::new(move |out| write(out, || packet.to_buffers()));
    }
    let (packet, _) = v3_1_1::Publish::parse(flags, body).unwrap();
    Box::new(move |out| write(out, || packet.to_buffers()))
}

fn next(read: &mut BytesMut) -> Option<(u8, Arc<[u8]>)> {
    let frame = frame::split(read, 1 << 20).unwrap()?;
    Some((frame.flags(), Arc::from(&frame.body[..])))
}

fn write<'a>(out: &mut BytesMut, buffers: impl Fn() -> Vec<IoSlice<'a>>) {
    out.clear();
    for _ in 0..PACKETS {
        black_box(buffers()).iter().for_each(|slice| out.extend_from_slice(slice));
    }
}
