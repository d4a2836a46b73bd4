//! Any bytes, as a stream of packets of 3.1 and of 3.1.1 from either side.

#![no_main]

#[path = "stream.rs"]
mod stream;

use broker_core::codec::Version;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stream::decode(bytes, &[Version::V31, Version::V311]));
