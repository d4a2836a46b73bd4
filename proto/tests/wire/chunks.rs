//! Messages that are larger than a frame.

use std::sync::Arc;

use bytes::Bytes;
use ha_proto::ProtocolError;
use ha_proto::frames::{Down, Up, pack};
use ha_proto::v1;
use ha_types::AskNumber;
use ha_types::limits::{FRAME_BYTES, FRAME_BYTES_MAX, PACKET_BYTES_MAX, PROPERTIES_BYTES_MAX};
use ha_types::link::{Downstream, Upstream};
use ha_types::session::{
    Ask, ConnectionId, Lifetime, NewWill, Offset, Open, Page, PageEnd, Start, SubscriptionId, Tell,
};
use ha_types::{Message, TopicName};
use prost::Message as _;

use crate::{key, message, packet_id, payload, publish, queued, read_down, read_up};

fn page(sizes: &[usize]) -> Downstream {
    let messages = (1..).zip(sizes).map(|(offset, bytes)| queued(offset, *bytes)).collect();
    let page = Page { messages, end: PageEnd::More(Offset::new(9)) };
    Downstream::Tell { connection: ConnectionId(3), tell: Tell::Page { session: key(), page } }
}

#[test]
fn largest_message_travels_in_frames_that_the_receiver_accepts() {
    let items = vec![publish(10), publish(PACKET_BYTES_MAX), publish(10)];
    let frames = pack::<Up>(items.clone());
    assert!(frames.iter().all(|frame| frame.encoded_len() <= FRAME_BYTES_MAX));
    assert_eq!(read_up(frames), Ok(items));
}

#[test]
fn largest_topic_properties_and_lists_beside_a_frame_of_payload_fit_into_one() {
    let mut queued = queued(u64::MAX, 0);
    let mut large = Message::clone(&message(payload(FRAME_BYTES)));
    large.topic = TopicName::parse(Bytes::from(vec![b'a'; 65_535])).unwrap();
    large.properties = payload(PROPERTIES_BYTES_MAX);
    queued.message = Arc::new(large);
    queued.subscription_ids = vec![SubscriptionId::new(268_435_455).unwrap(); 65_535];
    queued.record = Some(packet_id(u16::MAX));
    let tell = Tell::Deliver { session: key(), queued };
    let items = vec![Downstream::Tell { connection: ConnectionId(u64::MAX), tell }];
    let frames = pack::<Down>(items.clone());
    assert_eq!(frames.len(), 1);
    assert!(frames[0].encoded_len() <= FRAME_BYTES_MAX);
    assert_eq!(read_down(frames), Ok(items));
}

#[test]
fn payload_of_exactly_one_frame_is_not_chunked() {
    let items = |bytes| pack::<Up>([publish(bytes)]).iter().map(|f| f.items.len()).sum::<usize>();
    assert_eq!(items(FRAME_BYTES), 1);
    assert_eq!(items(FRAME_BYTES + 1), 2);
}

#[test]
fn chunked_messages_of_a_page_come_in_parts_of_their_own() {
    let items = vec![
        page(&[10, FRAME_BYTES + 1, 3 * FRAME_BYTES, 20]),
        page(&[FRAME_BYTES + 1, 0]),
        page(&[0, FRAME_BYTES + 1]),
        page(&[PACKET_BYTES_MAX]),
    ];
    let frames = pack::<Down>(items.clone());
    assert!(frames.iter().all(|frame| frame.encoded_len() <= FRAME_BYTES_MAX));
    assert_eq!(read_down(frames), Ok(items));
}

#[test]
fn will_that_is_larger_than_a_frame_is_read_back() {
    let will =
        NewWill { message: message(payload(FRAME_BYTES + 1)), expires_in_s: None, delay_s: 0 };
    let open = Open {
        connection: ConnectionId(1),
        client_id: "c".into(),
        start: Start::Clean,
        lifetime: Lifetime::Connection,
        will: Some(will),
        receive_maximum: 1,
    };
    let items = vec![Upstream::Ask { number: AskNumber(1), ask: Ask::Open(open) }, publish(1)];
    assert_eq!(read_up(pack::<Up>(items.clone())), Ok(items));
}

#[test]
fn promise_of_more_than_the_largest_packet_is_refused() {
    let mut frames = pack::<Up>([publish(FRAME_BYTES + 1)]);
    let item = frames[0].items[0].item.as_mut().unwrap();
    let v1::upstream_item::Item::Publish(publish) = item else { panic!("not a publish") };
    let promised = &mut publish.message.as_mut().unwrap().more_bytes;
    *promised = (PACKET_BYTES_MAX - FRAME_BYTES + 1) as u64;
    assert!(matches!(
        read_up(frames.clone()),
        Err(ProtocolError::OutOfRange { field: "more_bytes", .. })
    ));
}

#[test]
fn nothing_else_comes_inside_a_chunked_message() {
    for other in [publish(1), Upstream::Received { count: 1 }] {
        let mut frames = pack::<Up>([publish(FRAME_BYTES + 1)]);
        frames.truncate(1);
        frames.extend(pack::<Up>([other]));
        assert_eq!(read_up(frames), Err(ProtocolError::Interleaved));
    }
}

#[test]
fn chunk_without_a_message_or_longer_than_announced_is_refused() {
    let frames = pack::<Up>([publish(FRAME_BYTES + 1)]);
    assert_eq!(read_up(vec![frames[1].clone()]), Err(ProtocolError::UnexpectedChunk));
    let twice = vec![frames[0].clone(), frames[1].clone(), frames[1].clone()];
    assert_eq!(read_up(twice), Err(ProtocolError::UnexpectedChunk));
}

#[test]
fn chunked_message_beside_another_of_its_item_is_refused() {
    let mut frames = pack::<Down>([page(&[1, 1])]);
    let item = frames[0].items[0].item.as_mut().unwrap();
    let v1::downstream_item::Item::Page(page) = item else { panic!("not a page") };
    page.messages[1].message.as_mut().unwrap().more_bytes = 1;
    assert_eq!(read_down(frames), Err(ProtocolError::Incomplete));
}
