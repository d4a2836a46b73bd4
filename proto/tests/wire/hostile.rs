//! Nothing that a peer sends panics, or makes the reader keep more than was sent.

use bytes::Bytes;
use ha_proto::frames::{Down, Reader, Up, pack};
use ha_proto::v1;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message as _;

use crate::values::{downstream, upstream};

/// Reads frames as they come from the network until the first that is refused.
fn read_all(frames: impl IntoIterator<Item = Vec<u8>> + Clone) {
    let (mut up, mut down) = (Reader::<Up>::default(), Reader::<Down>::default());
    for bytes in frames.clone() {
        match v1::UpstreamFrame::decode(Bytes::from(bytes)).map(|frame| up.read(frame)) {
            Ok(Ok(_)) => (),
            _ => break,
        }
    }
    for bytes in frames {
        match v1::DownstreamFrame::decode(Bytes::from(bytes)).map(|frame| down.read(frame)) {
            Ok(Ok(_)) => (),
            _ => break,
        }
    }
}

fn flipped(mut bytes: Vec<u8>, flips: &[(Index, u8)]) -> Vec<u8> {
    // Near the beginning: further on there is often nothing but payload.
    let reach = bytes.len().min(2_000);
    for (at, bits) in flips {
        bytes[at.index(reach)] ^= bits;
    }
    bytes
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        read_all([bytes]);
    }

    #[test]
    fn damaged_frames_never_panic(
        ups in prop::collection::vec(upstream(), 1..4),
        downs in prop::collection::vec(downstream(), 1..4),
        flips in prop::collection::vec((any::<Index>(), 1..=u8::MAX), 1..6),
    ) {
        let ups: Vec<_> = pack::<Up>(ups).iter().map(|f| f.encode_to_vec()).collect();
        let downs: Vec<_> = pack::<Down>(downs).iter().map(|f| f.encode_to_vec()).collect();
        read_all(ups.into_iter().map(|bytes| flipped(bytes, &flips)).collect::<Vec<_>>());
        read_all(downs.into_iter().map(|bytes| flipped(bytes, &flips)).collect::<Vec<_>>());
    }

    #[test]
    fn items_that_promise_what_does_not_come_never_panic(
        items in prop::collection::vec(upstream(), 1..8),
        more in prop::collection::vec(any::<bool>(), 8),
        order in Just((0..8usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let frames = pack::<Up>(items);
        let items: Vec<_> = frames.into_iter().flat_map(|frame| frame.items).collect();
        let mut reader = Reader::<Up>::default();
        for (at, more) in order.into_iter().zip(more) {
            let Some(item) = items.get(at).cloned() else { continue };
            let items = vec![v1::UpstreamItem { more, ..item }];
            if reader.read(v1::UpstreamFrame { items, group: 0 }).is_err() {
                break;
            }
        }
    }
}
