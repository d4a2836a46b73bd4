//! No bytes make the codec panic, and what it accepts it can write again.

use broker_core::codec::property::check_opaque;
use broker_core::codec::{Connect, Frame, FromClient, FromServer, Recipient, Version, frame};
use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::common::any;

fn decode_everything(bytes: &[u8]) {
    let mut input = BytesMut::from(bytes);
    let before = input.len();
    loop {
        let len = input.len();
        match frame::split(&mut input, 1 << 20) {
            Ok(Some(frame)) => decode_all(&frame),
            Ok(None) | Err(_) => {
                assert_eq!(input.len(), len, "nothing is taken");
                break;
            }
        }
    }
    assert!(input.len() <= before);
}

/// What is accepted means the same when it is written and read again.
fn decode_all(frame: &Frame) {
    for version in Version::ALL {
        let recipient = Recipient::any(version);
        if let Ok(packet) = FromClient::decode(version, frame.clone()) {
            let again = rewritten(|out| packet.encode(&recipient, out).unwrap());
            assert_eq!(FromClient::decode(version, again), Ok(packet));
        }
        if let Ok(packet) = FromServer::decode(version, frame.clone()) {
            let again = rewritten(|out| packet.encode(&recipient, out).unwrap());
            assert_eq!(FromServer::decode(version, again), Ok(packet));
        }
    }
    if let Ok(connect) = Connect::decode(frame) {
        let again = rewritten(|out| connect.encode(out).unwrap());
        assert_eq!(Connect::decode(&again), Ok(connect));
    }
    let _ = check_opaque(&frame.body);
}

fn rewritten(write: impl FnOnce(&mut BytesMut)) -> Frame {
    let mut out = BytesMut::new();
    write(&mut out);
    frame::split(&mut out, usize::MAX).unwrap().unwrap()
}

/// A valid packet of any kind, as bytes.
fn valid() -> impl Strategy<Value = Vec<u8>> {
    let bytes = |write: &dyn Fn(&mut BytesMut)| {
        let mut out = BytesMut::new();
        write(&mut out);
        out.to_vec()
    };
    prop_oneof![
        any::connect().prop_map(move |packet| bytes(&|out| packet.encode(out).unwrap())),
        any::version().prop_flat_map(move |version| {
            any::from_client(version).prop_map(move |packet| {
                bytes(&|out| packet.encode(&Recipient::any(version), out).unwrap())
            })
        }),
        any::version().prop_flat_map(move |version| {
            any::from_server(version).prop_map(move |packet| {
                bytes(&|out| packet.encode(&Recipient::any(version), out).unwrap())
            })
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn no_bytes_panic_the_codec(bytes in vec(any::<u8>(), 0..256)) {
        decode_everything(&bytes);
    }

    #[test]
    fn no_body_panics_a_decoder(first in any::<u8>(), body in vec(any::<u8>(), 0..128)) {
        decode_all(&crate::common::frame(first, &body));
    }

    #[test]
    fn no_mutation_of_a_valid_packet_panics_the_codec(
        mut bytes in valid(),
        changes in vec((any::<Index>(), any::<u8>()), 1..4),
        cut in any::<Index>(),
    ) {
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            decode_everything(&bytes);
        }
        bytes.truncate(cut.index(bytes.len()));
        decode_everything(&bytes);
    }

    /// A body that is cut is no packet, or one whose last field takes all that is left.
    #[test]
    fn no_truncated_body_panics_a_decoder(bytes in valid(), cut in any::<Index>()) {
        let frame = frame::split(&mut BytesMut::from(&bytes[..]), usize::MAX).unwrap().unwrap();
        let body = frame.body.slice(..cut.index(frame.body.len() + 1));
        decode_all(&Frame { body, ..frame });
    }
}

/// A packet of this size must not take time that grows faster than its length.
#[test]
fn megabyte_of_nonsense_is_refused_in_no_time() {
    for byte in [0x00, 0x26, 0x30, 0xFF] {
        let body = Bytes::from(vec![byte; 1 << 20]);
        for first in 0..=255 {
            decode_refusable(first, &body);
        }
    }
}

fn decode_refusable(first: u8, body: &Bytes) {
    let length = frame::LengthForm::Minimal;
    let frame = Frame { first, length, body: body.clone() };
    for version in Version::ALL {
        let _ = FromClient::decode(version, frame.clone());
        let _ = FromServer::decode(version, frame.clone());
    }
}
