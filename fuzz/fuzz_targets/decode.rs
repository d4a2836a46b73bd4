//! Any bytes, as a stream of packets of every version, from either side: cut, decode, and hold what
//! was accepted to its own encoding.

#![no_main]

use broker_core::codec::{Connect, Frame, FromClient, FromServer, Recipient, Version, frame};
use bytes::BytesMut;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| decode(bytes));

/// Panics when a packet that was accepted does not come back from its own encoding.
fn decode(bytes: &[u8]) {
    let mut input = BytesMut::from(bytes);
    while let Ok(Some(frame)) = frame::split(&mut input, 1 << 20) {
        if let Ok(connect) = Connect::decode(&frame) {
            let again = rewritten(|out| connect.encode(out).expect("it was not too large"));
            assert_eq!(Connect::decode(&again), Ok(connect));
        }
        Version::ALL.into_iter().for_each(|version| decode_both(version, &frame));
    }
}

fn decode_both(version: Version, frame: &Frame) {
    let recipient = Recipient::any(version);
    if let Ok(packet) = FromClient::decode(version, frame.clone()) {
        let encode = |out: &mut BytesMut| packet.encode(&recipient, out).expect("it fits");
        assert_eq!(FromClient::decode(version, rewritten(encode)).as_ref(), Ok(&packet));
    }
    if let Ok(packet) = FromServer::decode(version, frame.clone()) {
        let encode = |out: &mut BytesMut| packet.encode(&recipient, out).expect("it fits");
        assert_eq!(FromServer::decode(version, rewritten(encode)).as_ref(), Ok(&packet));
    }
}

fn rewritten(encode: impl FnOnce(&mut BytesMut)) -> Frame {
    let mut out = BytesMut::new();
    encode(&mut out);
    frame::split(&mut out, usize::MAX).expect("well formed").expect("complete")
}
