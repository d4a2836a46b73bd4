//! Any bytes, as a stream of packets of 5.0 from either side.

#![no_main]

#[path = "stream.rs"]
mod stream;

use broker_core::codec::Version;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stream::decode(bytes, &[Version::V5]));
