//! What decoding and encoding a PUBLISH costs. `bench/codec` compares with other codecs.

#![expect(clippy::unwrap_used, reason = "a measuring program")]

use std::hint::black_box;

use bench_core::codec::{PACKETS, envelope, message, publish, read};
use broker_core::codec::{EncodedPublish, FromClient, FromServer, Recipient, Version, frame};
use bytes::BytesMut;
use criterion::{BatchSize, Criterion, Throughput};

mod common;

fn main() {
    let mut criterion = common::criterion();
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
    let read = read(version, &publish);
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
