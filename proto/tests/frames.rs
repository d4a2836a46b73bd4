//! What is packed is read back, within the limits; what breaks the specification is refused.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;

use bytes::Bytes;
use ha_proto::frames::{Down, Reader, Up, pack};
use ha_proto::{ProtocolError, v1};
use ha_types::limits::{FRAME_BYTES, FRAME_BYTES_MAX, PACKET_BYTES_MAX};
use ha_types::link::{
    Downstream, Goodbye, GoodbyeReason, Hello, PROTOCOL_VERSIONS, PublishOutcome, RetainedChange,
    RetainedCopy, Upstream, Welcome,
};
use ha_types::{
    BrokerEpoch, BrokerName, ClusterMillis, Incarnation, Message, PublishNumber, Publisher, Qos,
    RetainedVersion, ServerIncarnation, SessionId, Ticket, TopicFilter, TopicName,
};
use proptest::prelude::*;
use prost::Message as _;

fn topic(text: &'static str) -> TopicName {
    TopicName::parse(Bytes::from_static(text.as_bytes())).unwrap()
}

fn message(payload: Bytes) -> Arc<Message> {
    Arc::new(Message {
        topic: topic("plant/7/speed"),
        payload,
        properties: Bytes::from_static(b"\x01\x01"),
        qos: Qos::ExactlyOnce,
        retain: true,
        expires_at: Some(ClusterMillis(77)),
        publisher: Publisher { session: SessionId(5), epoch: BrokerEpoch(6) },
    })
}

fn publish(payload_bytes: usize) -> Upstream {
    let payload = (0..payload_bytes).map(|i| u8::try_from(i % 251).unwrap()).collect();
    Upstream::Publish { number: Some(PublishNumber(9)), exchange: None, message: message(payload) }
}

fn read_up(frames: Vec<v1::UpstreamFrame>) -> Result<Vec<Upstream>, ProtocolError> {
    let mut reader = Reader::<Up>::default();
    let mut all = Vec::new();
    for frame in frames {
        // Through the bytes of the wire, so that the generated code is part of the test.
        let frame = v1::UpstreamFrame::decode(Bytes::from(frame.encode_to_vec())).unwrap();
        all.extend(reader.read(frame)?);
    }
    Ok(all)
}

#[test]
fn every_upstream_item_survives_the_wire() {
    let hello = Hello {
        versions: PROTOCOL_VERSIONS,
        name: BrokerName::parse("b1").unwrap(),
        incarnation: Incarnation(3),
        software: "ha-broker".into(),
        copy_of: Some(ServerIncarnation(4)),
    };
    let filters = vec![TopicFilter::parse(b"a/+/#").unwrap()];
    let change = |message| RetainedChange {
        topic: topic("plant/7/speed"),
        version: RetainedVersion(8),
        message,
    };
    let items = vec![
        Upstream::Hello(hello),
        publish(10),
        Upstream::Publish { number: None, exchange: None, message: message(Bytes::new()) },
        Upstream::Announce { ticket: Ticket(1), needs: Needs::All, filters: filters.clone() },
        Upstream::Withdraw { filters },
        Upstream::RetainedCopy(change(None)),
        Upstream::RetainedCopy(change(Some(message(Bytes::from_static(b"x"))))),
        Upstream::RetainedCopyEnd,
        Upstream::Leave,
    ];
    assert_eq!(read_up(pack::<Up>(items.clone())), Ok(items));
}

#[test]
fn every_downstream_item_survives_the_wire() {
    let welcome = Welcome {
        version: 1,
        epoch: BrokerEpoch(2),
        server: ServerIncarnation(3),
        lease_ms: 4,
        heartbeat_ms: 5,
        taken_upto: PublishNumber(6),
        publish_window: 7,
        cluster_time: ClusterMillis(8),
        retained_copy: RetainedCopy::Wanted,
        leader_hint: Some("host:2000".into()),
        software: "ha-server".into(),
    };
    let items = vec![
        Downstream::Welcome(welcome),
        Downstream::PublishResult {
            number: PublishNumber(1),
            outcome: PublishOutcome::RetainedFull,
            retained: RetainedVersion(2),
        },
        Downstream::InterestTaken { ticket: Ticket(3) },
        Downstream::Deliver { origin: None, message: message(Bytes::new()), retained: RetainedVersion(4) },
        Downstream::RetainedUpdate(RetainedChange {
            topic: topic("t"),
            version: RetainedVersion(5),
            message: None,
        }),
        Downstream::RetainedBegin,
        Downstream::RetainedSynced { version: RetainedVersion(6) },
        Downstream::Goodbye(Goodbye { reason: GoodbyeReason::NotLeader, detail: "b leads".into(), leader: None }),
    ];
    let mut reader = Reader::<Down>::default();
    let frames = pack::<Down>(items.clone());
    let read: Vec<_> = frames.into_iter().flat_map(|frame| reader.read(frame).unwrap()).collect();
    assert_eq!(read, items);
}

#[test]
fn largest_message_travels_in_frames_that_the_receiver_accepts() {
    let items = vec![publish(10), publish(PACKET_BYTES_MAX), publish(10)];
    let frames = pack::<Up>(items.clone());
    assert!(frames.iter().all(|frame| frame.encoded_len() <= FRAME_BYTES_MAX));
    assert_eq!(read_up(frames), Ok(items));
}

#[test]
fn payload_of_exactly_one_frame_is_not_chunked() {
    let items = |bytes| pack::<Up>([publish(bytes)]).iter().map(|f| f.items.len()).sum::<usize>();
    assert_eq!(items(FRAME_BYTES), 1);
    assert_eq!(items(FRAME_BYTES + 1), 2);
}

#[test]
fn small_items_share_a_frame() {
    assert_eq!(pack::<Up>((0..64).map(|_| publish(256))).len(), 1);
}

#[test]
fn promise_of_more_than_the_largest_packet_is_refused() {
    let mut frames = pack::<Up>([publish(FRAME_BYTES + 1)]);
    let item = frames[0].items[0].item.as_mut().unwrap();
    let v1::upstream_item::Item::Publish(publish) = item else { panic!("not a publish") };
    publish.message.as_mut().unwrap().more_bytes = u64::MAX;
    assert!(matches!(read_up(frames), Err(ProtocolError::OutOfRange { .. })));
}

#[test]
fn message_inside_a_chunked_message_is_refused() {
    let mut frames = pack::<Up>([publish(FRAME_BYTES + 1)]);
    frames.truncate(1);
    frames.extend(pack::<Up>([publish(1)]));
    assert_eq!(read_up(frames), Err(ProtocolError::Interleaved));
}

#[test]
fn chunk_without_a_message_or_longer_than_announced_is_refused() {
    let frames = pack::<Up>([publish(FRAME_BYTES + 1)]);
    assert_eq!(read_up(vec![frames[1].clone()]), Err(ProtocolError::UnexpectedChunk));
    let twice = vec![frames[0].clone(), frames[1].clone(), frames[1].clone()];
    assert_eq!(read_up(twice), Err(ProtocolError::UnexpectedChunk));
}

#[test]
fn item_of_unknown_kind_is_refused() {
    let frame = v1::UpstreamFrame { items: vec![v1::UpstreamItem { item: None }], group: 0 };
    assert_eq!(read_up(vec![frame]), Err(ProtocolError::UnknownItem));
}

#[test]
fn retained_message_of_another_topic_than_its_change_is_refused() {
    let message = Some(message(Bytes::from_static(b"x")));
    let change = RetainedChange { topic: topic("other"), version: RetainedVersion(1), message };
    let read = read_up(pack::<Up>([Upstream::RetainedCopy(change)]));
    assert_eq!(read, Err(ProtocolError::TopicsDiffer));
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

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        if let Ok(frame) = v1::UpstreamFrame::decode(Bytes::from(bytes.clone())) {
            let _ = Reader::<Up>::default().read(frame);
        }
        if let Ok(frame) = v1::DownstreamFrame::decode(Bytes::from(bytes)) {
            let _ = Reader::<Down>::default().read(frame);
        }
    }

    #[test]
    fn any_mix_of_sizes_is_read_back_in_order(
        sizes in prop::collection::vec(
            prop_oneof![4 => 0..2_000usize, 1 => 200_000..900_000usize],
            0..12,
        ),
    ) {
        let items: Vec<_> = sizes.into_iter().map(publish).collect();
        let frames = pack::<Up>(items.clone());
        prop_assert!(frames.iter().all(|frame| frame.encoded_len() <= FRAME_BYTES_MAX));
        prop_assert_eq!(read_up(frames), Ok(items));
    }
}
