//! What is encoded is decoded as the same, however the bytes arrive.

use broker_core::codec::{Connect, FromClient, FromServer, Recipient, Version, frame};
use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::common::any;

fn one_frame(mut bytes: BytesMut) -> frame::Frame {
    let frame = frame::split(&mut bytes, usize::MAX).unwrap().unwrap();
    assert!(bytes.is_empty());
    frame
}

fn with_version<T: std::fmt::Debug>(
    strategy: impl Fn(Version) -> BoxedStrategy<T>,
) -> impl Strategy<Value = (Version, T)> {
    any::version().prop_flat_map(move |version| (Just(version), strategy(version)))
}

proptest! {
    #[test]
    fn connect_comes_back(connect in any::connect()) {
        let mut out = BytesMut::new();
        connect.encode(&mut out).unwrap();
        prop_assert_eq!(Connect::decode(&one_frame(out)), Ok(connect));
    }

    #[test]
    fn packet_from_a_client_comes_back((version, packet) in with_version(any::from_client)) {
        let mut out = BytesMut::new();
        packet.encode(&Recipient::any(version), &mut out).unwrap();
        prop_assert_eq!(FromClient::decode(version, one_frame(out)), Ok(packet));
    }

    #[test]
    fn packet_from_a_server_comes_back((version, packet) in with_version(any::from_server)) {
        let mut out = BytesMut::new();
        packet.encode(&Recipient::any(version), &mut out).unwrap();
        prop_assert_eq!(FromServer::decode(version, one_frame(out)), Ok(packet));
    }

    #[test]
    fn stream_cut_anywhere_gives_the_same_packets(
        (version, packets) in any::version().prop_flat_map(|version| {
            (Just(version), vec(any::from_client(version), 1..5))
        }),
        cuts in vec(any::<Index>(), 0..8),
    ) {
        let mut stream = BytesMut::new();
        for packet in &packets {
            packet.encode(&Recipient::any(version), &mut stream).unwrap();
        }
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        ends.push(stream.len());
        ends.sort_unstable();
        let (mut input, mut at, mut decoded) = (BytesMut::new(), 0, Vec::new());
        for end in ends {
            input.extend_from_slice(&stream[at..end]);
            at = end;
            while let Some(frame) = frame::split(&mut input, usize::MAX).unwrap() {
                decoded.push(FromClient::decode(version, frame).unwrap());
            }
        }
        prop_assert_eq!(decoded, packets);
    }

    #[test]
    fn packet_that_is_not_complete_is_never_taken(
        (version, packet) in with_version(any::from_client),
        cut in any::<Index>(),
    ) {
        let mut out = BytesMut::new();
        packet.encode(&Recipient::any(version), &mut out).unwrap();
        out.truncate(cut.index(out.len()));
        let len = out.len();
        prop_assert_eq!(frame::split(&mut out, usize::MAX), Ok(None));
        prop_assert_eq!(out.len(), len);
    }
}
