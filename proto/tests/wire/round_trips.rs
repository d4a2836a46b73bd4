//! Whatever a core sends comes out as it went in, in frames that the receiver accepts.

use std::sync::Arc;

use bytes::Bytes;
use ha_proto::frames::{Down, Up, pack};
use ha_types::limits::FRAME_BYTES;
use ha_types::link::Upstream;
use ha_types::{ClusterMillis, Message};
use proptest::prelude::*;
use prost::Message as _;

use crate::values::{downstream, upstream};
use crate::{is_within_the_limits, message, publish, read_down, read_up};

proptest! {
    #[test]
    fn any_upstream_items_are_read_back_in_order(items in prop::collection::vec(upstream(), 0..12)) {
        let frames = pack::<Up>(items.clone());
        for frame in &frames {
            prop_assert!(is_within_the_limits(frame.items.len(), frame.encoded_len()));
        }
        prop_assert_eq!(read_up(frames), Ok(items));
    }

    #[test]
    fn any_downstream_items_are_read_back_in_order(
        items in prop::collection::vec(downstream(), 0..12),
    ) {
        let frames = pack::<Down>(items.clone());
        for frame in &frames {
            prop_assert!(is_within_the_limits(frame.items.len(), frame.encoded_len()));
        }
        prop_assert_eq!(read_down(frames), Ok(items));
    }
}

/// So many of an item that they fill several frames, but no more than 5,000.
fn many(bytes: usize) -> usize {
    (3 * FRAME_BYTES / bytes.max(1) + 1).min(5_000)
}

proptest! {
    #[test]
    fn frames_that_are_filled_with_one_kind_are_not_too_large(up in upstream(), down in downstream()) {
        let bytes = pack::<Up>([up.clone()])[0].encoded_len();
        for frame in pack::<Up>(vec![up; many(bytes)]) {
            prop_assert!(is_within_the_limits(frame.items.len(), frame.encoded_len()));
        }
        let bytes = pack::<Down>([down.clone()])[0].encoded_len();
        for frame in pack::<Down>(vec![down; many(bytes)]) {
            prop_assert!(is_within_the_limits(frame.items.len(), frame.encoded_len()));
        }
    }
}

#[test]
fn small_items_share_a_frame() {
    assert_eq!(pack::<Up>((0..64).map(|_| publish(256))).len(), 1);
}

#[test]
fn frame_holds_no_more_than_4096_items() {
    let frames = pack::<Up>((0..10_000).map(|count| Upstream::Received { count }));
    let sizes: Vec<_> = frames.iter().map(|frame| frame.items.len()).collect();
    assert_eq!(sizes, [4_096, 4_096, 10_000 - 2 * 4_096]);
}

#[test]
fn message_that_expires_at_zero_does_not_live_for_ever() {
    let mut expired = Message::clone(&message(Bytes::new()));
    expired.expires_at = Some(ClusterMillis(0));
    let item = Upstream::Publish { number: None, exchange: None, message: Arc::new(expired) };
    let read = read_up(pack::<Up>([item])).unwrap();
    let Upstream::Publish { message, .. } = &read[0] else { panic!("not a publish") };
    assert!(message.is_expired(ClusterMillis(1)));
}
