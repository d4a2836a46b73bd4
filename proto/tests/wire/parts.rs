//! Items whose lists are larger than a frame.

use bytes::Bytes;
use ha_proto::ProtocolError;
use ha_proto::frames::{Direction, Down, Reader, Up, pack};
use ha_proto::v1::{self, upstream_item::Item};
use ha_types::limits::{FRAME_BYTES, FRAME_BYTES_MAX};
use ha_types::link::{Downstream, Needs, Upstream};
use ha_types::session::{
    Ask, CloseCause, ConnectionId, Granted, Offset, Opened, PageEnd, Progress, Record, RecordStage,
    Refused, RetainHandling, SubscribeOptions, Tell,
};
use ha_types::{AskNumber, Qos, Subscription, Ticket, TopicFilter};
use prost::Message as _;

use crate::{key, packet_id, queued, read_down, read_up};

fn ask(ask: Ask) -> Upstream {
    Upstream::Ask { number: AskNumber(1), ask }
}

fn tell(tell: Tell) -> Downstream {
    Downstream::Tell { connection: ConnectionId(7), tell }
}

fn progress(entries: u16) -> Progress {
    let offset = |at: u16| Offset { message: u64::MAX - u64::from(at), private: u32::MAX };
    let packet_ids = || (1..=entries).map(packet_id).collect();
    let refused = |at| match at % 2 {
        0 => Refused::Offset(offset(at)),
        _ => Refused::Record(packet_id(at)),
    };
    Progress {
        acknowledged: (1..=entries).map(offset).collect(),
        received: packet_ids(),
        completed: packet_ids(),
        refused: (1..=entries).map(refused).collect(),
        passed_over: (1..=entries).map(offset).collect(),
    }
}

fn long_filter(at: usize) -> TopicFilter {
    let text = format!("{at}/{}", "x".repeat(65_535 - 6));
    TopicFilter::parse(text.as_bytes()).unwrap()
}

fn options(at: usize) -> SubscribeOptions {
    SubscribeOptions {
        subscription: Subscription::Plain(
            TopicFilter::parse(format!("f/{at}").as_bytes()).unwrap(),
        ),
        qos: Qos::AtLeastOnce,
        no_local: false,
        retain_as_published: true,
        retain_handling: RetainHandling::Never,
        subscription_id: None,
    }
}

/// An UNSUBSCRIBE of these filters, the first of several parts or the only one.
fn unsubscribe(filters: Vec<Bytes>, more: bool) -> v1::UpstreamItem {
    let (number, session, session_epoch, ticket) = (1, 1, 1, 1);
    let item = v1::Unsubscribe { number, session, session_epoch, ticket, filters };
    v1::UpstreamItem { item: Some(Item::Unsubscribe(item)), more }
}

fn frame(items: Vec<v1::UpstreamItem>) -> v1::UpstreamFrame {
    v1::UpstreamFrame { items, group: 0 }
}

fn received() -> v1::UpstreamItem {
    v1::UpstreamItem { item: Some(Item::Received(v1::Received { count: 1 })), more: false }
}

#[test]
fn longest_upstream_lists_travel_in_frames_that_the_receiver_accepts() {
    let progress = progress(u16::MAX);
    let filters: Vec<_> = (0..32).map(long_filter).collect();
    let items = vec![
        ask(Ask::Progress { session: key(), progress: progress.clone() }),
        ask(Ask::Close { session: key(), cause: CloseCause::Failure, progress, lifetime: None }),
        ask(Ask::Subscribe {
            session: key(),
            ticket: Ticket(4),
            subscriptions: (0..65_535).map(options).collect(),
        }),
        ask(Ask::Unsubscribe {
            session: key(),
            ticket: Ticket(5),
            subscriptions: filters.iter().cloned().map(Subscription::Plain).collect(),
        }),
        Upstream::Announce {
            ticket: Ticket(6),
            needs: Needs::AtMostOnce,
            filters: filters.clone(),
        },
        Upstream::Withdraw { filters },
        Upstream::Received { count: 1 },
    ];
    let frames = pack::<Up>(items.clone());
    assert!(frames.iter().all(|frame| frame.encoded_len() <= FRAME_BYTES));
    assert!(read_up(frames) == Ok(items));
}

#[test]
fn longest_downstream_lists_travel_in_frames_that_the_receiver_accepts() {
    let packet_ids: Vec<_> = (1..=u16::MAX).map(packet_id).collect();
    let record = |at: u16| Record {
        packet_id: packet_id(at),
        stage: match at % 2 {
            0 => RecordStage::Sent(queued(at.into(), usize::from(at % 300))),
            _ => RecordStage::Received,
        },
    };
    let granted = |at: usize| Granted {
        qos: Qos::AtLeastOnce,
        retained: (0..3).map(|offset| queued(offset, at)).collect(),
        unqueued: Vec::new(),
    };
    let opened = Opened {
        connection: ConnectionId(7),
        session: key(),
        is_present: true,
        subscriptions: (0..20_000).map(options).collect(),
        inbound: packet_ids.clone(),
        records: (1..=u16::MAX).map(record).collect(),
        backlog: PageEnd::Live(Offset::new(9)),
    };
    let (received, completed) = (packet_ids.clone(), packet_ids);
    let passed_over = (1..=65_535).map(Offset::new).collect();
    let items = vec![
        tell(Tell::Opened(opened)),
        tell(Tell::Recorded { session: key(), received, completed, passed_over }),
        tell(Tell::Unsubscribed { session: key(), ticket: Ticket(1), existed: vec![true; 65_535] }),
        tell(Tell::Subscribed {
            session: key(),
            ticket: Ticket(2),
            granted: (0..2_000).map(|at| Ok(granted(at))).collect(),
        }),
    ];
    let frames = pack::<Down>(items.clone());
    assert!(frames.iter().all(|frame| frame.encoded_len() <= FRAME_BYTES));
    assert!(read_down(frames) == Ok(items));
}

#[test]
fn lists_that_fit_into_a_frame_stay_in_one_item() {
    let page = |bytes| {
        let page = ha_types::session::Page {
            messages: vec![queued(1, bytes), queued(2, 10)],
            end: PageEnd::Live(Offset::new(2)),
        };
        let frames = pack::<Down>([tell(Tell::Page { session: key(), page })]);
        frames.iter().map(|frame| frame.items.len()).sum::<usize>()
    };
    assert_eq!((page(FRAME_BYTES / 2), page(FRAME_BYTES)), (1, 2));
}

#[test]
fn of_all_fields_but_lists_those_of_the_last_part_count() {
    let mut last = unsubscribe(vec!["b".into()], false);
    let Some(Item::Unsubscribe(item)) = &mut last.item else { panic!("not an unsubscribe") };
    (item.number, item.ticket) = (8, 9);
    let read = read_up(vec![frame(vec![unsubscribe(vec!["a".into()], true), last])]).unwrap();
    let filter = |text: &str| Subscription::parse(text.as_bytes()).unwrap();
    let subscriptions = vec![filter("a"), filter("b")];
    let ask = Ask::Unsubscribe {
        session: ha_types::session::SessionKey {
            id: ha_types::SessionId(1),
            epoch: ha_types::session::SessionEpoch(1),
        },
        ticket: Ticket(9),
        subscriptions,
    };
    assert_eq!(read, vec![Upstream::Ask { number: AskNumber(8), ask }]);
}

#[test]
fn parts_go_on_with_nothing_but_parts_of_the_same_kind() {
    let part = || unsubscribe(vec!["a".into()], true);
    let progress = v1::Progress { number: 1, session: 1, ..v1::Progress::default() };
    let progress = v1::UpstreamItem { item: Some(Item::Progress(progress)), more: false };
    for other in [received(), progress] {
        let read = read_up(vec![frame(vec![part()]), frame(vec![other])]);
        assert_eq!(read, Err(ProtocolError::UnexpectedPart));
    }
    let chunk = Some(Item::Chunk(v1::Chunk { payload: "x".into() }));
    let chunk = v1::UpstreamItem { item: chunk, more: false };
    assert_eq!(read_up(vec![frame(vec![part(), chunk])]), Err(ProtocolError::UnexpectedChunk));
}

#[test]
fn kind_without_lists_has_no_parts() {
    let part = v1::UpstreamItem { more: true, ..received() };
    assert_eq!(read_up(vec![frame(vec![part])]), Err(ProtocolError::UnexpectedPart));
}

#[test]
fn parts_without_end_are_refused_at_the_maximum() {
    let filter = Bytes::from(vec![b'a'; 65_535]);
    let part = frame(vec![unsubscribe(vec![filter; 15], true)]);
    assert!(part.encoded_len() <= FRAME_BYTES_MAX);
    let parts_max = Up::ITEM_BYTES_MAX / part.encoded_len();
    let mut reader = Reader::<Up>::default();
    let accepted = (0..).take_while(|_| reader.read(part.clone()).is_ok()).count();
    assert!((parts_max - 2..=parts_max).contains(&accepted), "{accepted} of {parts_max}");
}

#[test]
fn empty_entries_and_empty_parts_count_as_well() {
    let entries = frame(vec![unsubscribe(vec![Bytes::new(); 100_000], true)]);
    let empty = frame((0..4_096).map(|_| unsubscribe(Vec::new(), true)).collect());
    for part in [entries, empty] {
        let mut reader = Reader::<Up>::default();
        let accepted = (0..1_000).take_while(|_| reader.read(part.clone()).is_ok()).count();
        assert!((1..100).contains(&accepted), "{accepted}");
    }
}

#[test]
fn list_of_more_entries_than_there_are_packet_ids_is_refused() {
    let progress = |received: usize, more| {
        let received = vec![1; received];
        let progress = v1::Progress { number: 1, session: 1, received, ..Default::default() };
        v1::UpstreamItem { item: Some(Item::Progress(progress)), more }
    };
    let most = read_up(vec![frame(vec![progress(65_534, true), progress(1, false)])]);
    assert_eq!(most.map(|items| items.len()), Ok(1));
    let read = read_up(vec![frame(vec![progress(65_535, true), progress(1, false)])]);
    assert_eq!(read, Err(ProtocolError::OutOfRange { field: "received", value: 65_536 }));
}
