//! What decoding and encoding a PUBLISH costs. `bench/codec` compares with other codecs.

#![expect(clippy::unwrap_used, reason = "a measuring program")]

use std::hint::black_box;

use bench_core::codec::{PACKETS, decode_read, publish, read, write_encoded};
use broker_core::codec::{FromServer, Recipient, Version};
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
        let decode = |read| decode_read(version, read);
        bencher.iter_batched(|| BytesMut::from(&read[..]), decode, BatchSize::SmallInput);
    });
    group.throughput(Throughput::Elements(1));
    let mut out = BytesMut::with_capacity(1 << 16);
    let packet = FromServer::Publish(publish);
    group.bench_function("encode", |bencher| {
        bencher.iter(|| {
            out.clear();
            black_box(&packet).encode(&recipient, &mut out).unwrap();
        });
    });
    group.bench_function("write encoded", |bencher| {
        bencher.iter(write_encoded(version, payload_len));
    });
    group.finish();
}
