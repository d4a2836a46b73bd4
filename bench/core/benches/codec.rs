//! What decoding and encoding a PUBLISH costs. `bench/codec` compares with other codecs.

#![expect(clippy::unwrap_used, reason = "a measuring program")]

use std::hint::black_box;

use bench_core::topic;
use broker_core::codec::{
    AliasUse, EncodedPublish, Envelope, Flow, FromClient, FromServer, PacketId, Publish, Recipient,
    Topic, Version, frame,
};
use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, Criterion, Throughput};
use ha_types::{Message, Publisher};

/// Packets that one read from a socket gives.
const PACKETS: u64 = 64;

const TOPIC: &str = "plant/7/line/3/speed";

fn main() {
    let mut criterion = bench_core::criterion();
    for (name, version) in [("3.1.1", Version::V311), ("5.0", Version::V5)] {
        for payload_len in [16, 1_024] {
            measure(&mut criterion, name, version, payload_len);
        }
    }
    criterion.final_summary();
}

fn measure(criterion: &mut Criterion, name: &str, version: Version, payload_len: usize) {
    let mut group = criterion.benchmark_group(format!("codec/{name}, {payload_len} B"));
    let publish = publish(payload_len);
    let recipient = Recipient::any(version);
    let mut packet = BytesMut::new();
    FromClient::Publish(publish.clone()).encode(&recipient, &mut packet).unwrap();
    let read = packet.repeat(usize::try_from(PACKETS).unwrap());
    group.throughput(Throughput::Elements(PACKETS));
    group.bench_function("decode 64", |bencher| {
        let decode = |mut read: BytesMut| {
            while let Some(frame) = frame::split(&mut read, 1 << 20).unwrap() {
                black_box(FromClient::decode(version, frame).unwrap());
            }
            read
        };
        bencher.iter_batched(|| BytesMut::from(&read[..]), decode, BatchSize::SmallInput);
    });
    group.throughput(Throughput::Elements(1));
    let mut out = BytesMut::with_capacity(1 << 16);
    let envelope = envelope(&publish);
    let shared = EncodedPublish::new(version, publish.flow.qos(), &message(&publish), None);
    let packet = FromServer::Publish(publish);
    group.bench_function("encode", |bencher| {
        bencher.iter(|| {
            out.clear();
            black_box(&packet).encode(&recipient, &mut out).unwrap();
        });
    });
    group.bench_function("write encoded", |bencher| {
        bencher.iter(|| {
            out.clear();
            shared.write_to(&mut out, &recipient, black_box(&envelope)).unwrap();
        });
    });
    group.finish();
}

fn publish(payload_len: usize) -> Publish {
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

fn message(publish: &Publish) -> Message {
    Message {
        topic: topic(TOPIC),
        payload: publish.payload.clone(),
        properties: Bytes::new(),
        qos: publish.flow.qos(),
        retain: false,
        expires_at: None,
        publisher: Publisher::default(),
    }
}

fn envelope(publish: &Publish) -> Envelope<'static> {
    Envelope {
        flow: publish.flow,
        dup: false,
        retain: false,
        subscription_ids: &[],
        alias: AliasUse::None,
    }
}
