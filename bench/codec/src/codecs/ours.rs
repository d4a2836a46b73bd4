//! `broker_core::codec`.

use std::hint::black_box;

use broker_core::codec::{
    AliasUse, EncodedPublish, Envelope, FromClient, FromServer, Recipient, frame,
};
use ha_types::{Message, Publisher};

use super::Worker;
use crate::PACKETS;
use crate::shape::Shape;

pub(super) fn decoder(shape: &Shape) -> Worker {
    let version = shape.version;
    Box::new(move |read| {
        while let Some(frame) = frame::split(read, 1 << 20).unwrap() {
            black_box(FromClient::decode(version, frame).unwrap());
        }
    })
}

pub(super) fn encoder(shape: &Shape) -> Worker {
    let packet = FromServer::Publish(shape.publish());
    let recipient = Recipient::any(shape.version);
    Box::new(move |out| {
        out.clear();
        for _ in 0..PACKETS {
            black_box(&packet).encode(&recipient, out).unwrap();
        }
    })
}

pub(super) fn shared_encoder(shape: &Shape) -> Worker {
    let publish = shape.publish();
    let message = Message {
        topic: shape.topic(),
        payload: publish.payload,
        properties: publish.properties,
        qos: shape.flow.qos(),
        retain: false,
        expires_at: None,
        publisher: Publisher::default(),
    };
    let shared = EncodedPublish::new(shape.version, shape.flow.qos(), &message, None);
    let recipient = Recipient::any(shape.version);
    let flow = shape.flow;
    Box::new(move |out| {
        out.clear();
        for _ in 0..PACKETS {
            let envelope = Envelope {
                flow: black_box(flow),
                dup: false,
                retain: false,
                subscription_ids: &[],
                alias: AliasUse::None,
            };
            shared.write_to(out, &recipient, &envelope).unwrap();
        }
    })
}
