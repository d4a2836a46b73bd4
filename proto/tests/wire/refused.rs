//! What breaks the specification is refused, and the error says where.

use bytes::Bytes;
use ha_proto::ProtocolError;
use ha_proto::frames::{Down, Reader, Up, pack};
use ha_proto::v1::{self, downstream_item, upstream_item::Item};
use ha_types::link::{Downstream, RetainedChange, Upstream};
use ha_types::session::{Ask, Eviction, Tell};
use ha_types::{InvalidTopic, RetainedVersion};

use crate::{key, message, topic};

fn up(item: Item) -> Result<Upstream, ProtocolError> {
    let item = v1::UpstreamItem { item: Some(item), more: false };
    let frame = v1::UpstreamFrame { items: vec![item], group: 0 };
    Reader::<Up>::default().read(frame).map(|mut items| items.remove(0))
}

fn down(item: downstream_item::Item) -> Result<Downstream, ProtocolError> {
    let item = v1::DownstreamItem { item: Some(item), more: false };
    let frame = v1::DownstreamFrame { items: vec![item], group: 0 };
    Reader::<Down>::default().read(frame).map(|mut items| items.remove(0))
}

fn out_of_range<T>(field: &'static str, value: u64) -> Result<T, ProtocolError> {
    Err(ProtocolError::OutOfRange { field, value })
}

fn wire_message(qos: u32) -> Option<v1::Message> {
    Some(v1::Message { topic: "t".into(), qos, ..v1::Message::default() })
}

fn wire_queued() -> v1::Queued {
    v1::Queued { message: wire_message(1), qos: 1, ..v1::Queued::default() }
}

fn open() -> v1::Open {
    v1::Open { number: 1, client_id: "c".into(), receive_maximum: 1, ..v1::Open::default() }
}

fn publish() -> v1::Publish {
    let exchange = v1::Exchange { session: 1, session_epoch: 1, packet_id: 1 };
    v1::Publish { number: 1, message: wire_message(2), exchange: Some(exchange) }
}

fn release() -> v1::Release {
    v1::Release { number: 1, session: 1, session_epoch: 0, packet_id: 65_535 }
}

fn options() -> v1::SubscribeOptions {
    v1::SubscribeOptions { filter: "$share/g/a".into(), ..v1::SubscribeOptions::default() }
}

#[test]
fn item_of_unknown_kind_is_refused() {
    let item = v1::UpstreamItem { item: None, more: false };
    let frame = v1::UpstreamFrame { items: vec![item], group: 0 };
    assert_eq!(Reader::<Up>::default().read(frame), Err(ProtocolError::UnknownItem));
}

#[test]
fn frame_of_more_than_4096_items_is_refused() {
    let frame = |items| {
        let item = Some(Item::Leave(v1::Leave {}));
        v1::UpstreamFrame { items: vec![v1::UpstreamItem { item, more: false }; items], group: 0 }
    };
    assert!(Reader::<Up>::default().read(frame(4_096)).is_ok());
    assert_eq!(Reader::<Up>::default().read(frame(4_097)), out_of_range("items", 4_097));
}

#[test]
fn retained_message_of_another_topic_than_its_change_is_refused() {
    let message = Some(message(Bytes::from_static(b"x")));
    let change = RetainedChange { topic: topic("other"), version: RetainedVersion(1), message };
    let frame = pack::<Down>([Downstream::RetainedUpdate(change)]).remove(0);
    assert_eq!(Reader::<Down>::default().read(frame), Err(ProtocolError::TopicsDiffer));
}

#[test]
fn ask_has_a_number_and_a_session() {
    assert!(up(Item::Release(release())).is_ok());
    let unnumbered = v1::Release { number: 0, ..release() };
    assert_eq!(up(Item::Release(unnumbered)), Err(ProtocolError::Missing("the number of an ask")));
    let nobodys = v1::Release { session: 0, ..release() };
    assert_eq!(up(Item::Release(nobodys)), Err(ProtocolError::Missing("session")));
}

/// [MQTT-2.2.1-3]
#[test]
fn packet_id_is_1_to_65535() {
    for packet_id in [0, 65_536, u32::MAX] {
        let item = Item::Release(v1::Release { packet_id, ..release() });
        assert_eq!(up(item), out_of_range("packet_id", packet_id.into()));
    }
    let received = vec![1, 0];
    let progress = v1::Progress { number: 1, session: 1, received, ..v1::Progress::default() };
    assert_eq!(up(Item::Progress(progress)), out_of_range("packet_id", 0));
    let recorded = v1::Recorded { session: 1, completed: vec![65_536], ..v1::Recorded::default() };
    assert_eq!(down(downstream_item::Item::Recorded(recorded)), out_of_range("packet_id", 65_536));
}

#[test]
fn exchange_is_of_a_numbered_message_of_qos_1_or_2() {
    for qos in [1, 2] {
        let publish = v1::Publish { message: wire_message(qos), ..publish() };
        assert!(up(Item::Publish(publish)).is_ok());
    }
    let nobodys = Some(v1::Exchange::default());
    let refused = [
        (v1::Publish { number: 0, ..publish() }, ProtocolError::UnexpectedExchange),
        (v1::Publish { message: wire_message(0), ..publish() }, ProtocolError::UnexpectedExchange),
        (v1::Publish { exchange: nobodys, ..publish() }, ProtocolError::Missing("session")),
        (v1::Publish { message: None, ..publish() }, ProtocolError::Missing("message")),
    ];
    for (publish, error) in refused {
        assert_eq!(up(Item::Publish(publish)), Err(error));
    }
}

#[test]
fn client_id_is_text_of_1_to_65535_bytes() {
    let with = |client_id: Vec<u8>| {
        up(Item::Open(Box::new(v1::Open { client_id: client_id.into(), ..open() }))).map(|_| ())
    };
    assert_eq!(with(vec![b'c'; 65_535]), Ok(()));
    assert_eq!(with(vec![b'c'; 65_536]), out_of_range("client_id", 65_536));
    assert_eq!(with(Vec::new()), out_of_range("client_id", 0));
    assert_eq!(with(vec![0xFF]), Err(ProtocolError::ClientId));
    assert_eq!(with(vec![b'c', 0]), Err(ProtocolError::ClientId));
}

#[test]
fn receive_maximum_is_1_to_65535() {
    for receive_maximum in [0, 65_536] {
        let open = Item::Open(Box::new(v1::Open { receive_maximum, ..open() }));
        let resume =
            Item::Resume(v1::Resume { session: 1, receive_maximum, ..v1::Resume::default() });
        for item in [open, resume] {
            assert_eq!(up(item), out_of_range("receive_maximum", receive_maximum.into()));
        }
    }
}

#[test]
fn subscription_is_as_in_mqtt() {
    let with = |options| {
        let subscriptions = vec![options];
        let item = v1::Subscribe { number: 1, session: 1, subscriptions, ..Default::default() };
        up(Item::Subscribe(item)).map(|_| ())
    };
    assert_eq!(with(options()), Ok(()));
    assert_eq!(with(v1::SubscribeOptions { qos: 3, ..options() }), out_of_range("qos", 3));
    let handling = v1::SubscribeOptions { retain_handling: 3, ..options() };
    assert_eq!(with(handling), out_of_range("retain_handling", 3));
    let id = v1::SubscribeOptions { subscription_id: 268_435_456, ..options() };
    assert_eq!(with(id), out_of_range("subscription_id", 268_435_456));
    let malformed = v1::SubscribeOptions { filter: "$share/g".into(), ..options() };
    assert_eq!(with(malformed), Err(ProtocolError::Topic(InvalidTopic::MalformedShare)));
}

#[test]
fn fetch_asks_for_one_message_at_least_and_may_ask_for_all() {
    let fetch = |messages_max| {
        let fetch = v1::Fetch {
            number: 1,
            session: 1,
            messages_max,
            bytes_max: u64::MAX,
            after: None,
            ..Default::default()
        };
        up(Item::Fetch(fetch))
    };
    assert_eq!(fetch(0), out_of_range("messages_max", 0));
    let Ok(Upstream::Ask { ask: Ask::Fetch { messages_max, .. }, .. }) = fetch(u64::MAX) else {
        panic!("not a fetch")
    };
    assert_eq!(messages_max, usize::MAX);
}

#[test]
fn choice_that_is_not_known_is_refused_and_never_taken_for_another() {
    let hello = v1::Hello { name: "b".into(), retained: 2, ..v1::Hello::default() };
    let announce = v1::Announce { needs: -1, ..v1::Announce::default() };
    let close = v1::Close { number: 1, session: 1, cause: 3, ..v1::Close::default() };
    let refused = v1::Progress {
        number: 1,
        session: 1,
        refused: vec![v1::Refused { by: None }],
        ..v1::Progress::default()
    };
    assert_eq!(up(Item::Hello(hello)), out_of_range("retained", 2));
    assert_eq!(up(Item::Announce(announce)), out_of_range("needs", u64::MAX));
    assert_eq!(up(Item::Close(close)), out_of_range("cause", 3));
    assert_eq!(up(Item::Progress(refused)), Err(ProtocolError::Missing("refused")));
    let result = v1::PublishResult { number: 1, outcome: 5, ..v1::PublishResult::default() };
    let goodbye = v1::Goodbye { reason: 10, ..v1::Goodbye::default() };
    let open_refused = v1::OpenRefused { connection: 1, reason: 0x80 };
    assert_eq!(down(downstream_item::Item::PublishResult(result)), out_of_range("outcome", 5));
    assert_eq!(down(downstream_item::Item::Goodbye(goodbye)), out_of_range("reason", 10));
    assert_eq!(
        down(downstream_item::Item::OpenRefused(open_refused)),
        out_of_range("reason", 0x80)
    );
}

#[test]
fn publish_result_and_origin_have_their_numbers() {
    let result = downstream_item::Item::PublishResult(v1::PublishResult::default());
    assert_eq!(down(result), Err(ProtocolError::Missing("the number of a publish")));
    for (origin_epoch, origin_number, missing) in [(0, 1, "origin_epoch"), (1, 0, "origin_number")]
    {
        let message = wire_message(1);
        let of = v1::Deliver { message, origin_epoch, origin_number, ..Default::default() };
        let deliver = downstream_item::Item::Deliver(of);
        assert_eq!(down(deliver), Err(ProtocolError::Missing(missing)));
    }
}

#[test]
fn message_without_an_origin_has_no_others_and_one_with_it_has_eight_at_most() {
    let deliver = |epoch, others| {
        let known_as = vec![v1::Origin { epoch: 1, number: 1 }; others];
        let (message, origin_number) = (wire_message(1), epoch);
        let of = v1::Deliver {
            message,
            origin_epoch: epoch,
            origin_number,
            known_as,
            ..Default::default()
        };
        down(downstream_item::Item::Deliver(of))
    };
    assert_eq!(deliver(0, 1), Err(ProtocolError::Missing("origin_epoch")));
    assert!(deliver(1, 8).is_ok());
    assert!(matches!(
        deliver(1, 9),
        Err(ProtocolError::OutOfRange { field: "known_as", value: 9 })
    ));
}

#[test]
fn leader_is_an_address_of_262_bytes_at_most() {
    let goodbye = |bytes| {
        let leader = "h".repeat(bytes);
        let goodbye = v1::Goodbye { reason: 8, leader, ..v1::Goodbye::default() };
        down(downstream_item::Item::Goodbye(goodbye))
    };
    assert!(goodbye(262).is_ok());
    assert_eq!(goodbye(263), out_of_range("leader", 263));
}

#[test]
fn queued_message_is_complete() {
    let with = |queued: Option<v1::Queued>| {
        let deliver = v1::SessionDeliver { session: 1, queued, ..v1::SessionDeliver::default() };
        down(downstream_item::Item::SessionDeliver(deliver)).map(|_| ())
    };
    assert_eq!(with(Some(wire_queued())), Ok(()));
    assert_eq!(with(None), Err(ProtocolError::Missing("queued")));
    let empty = v1::Queued { message: None, ..wire_queued() };
    assert_eq!(with(Some(empty)), Err(ProtocolError::Missing("message")));
    let unknown = v1::Queued { qos: 3, ..wire_queued() };
    assert_eq!(with(Some(unknown)), out_of_range("qos", 3));
    let id = v1::Queued { subscription_ids: vec![1, 0], ..wire_queued() };
    assert_eq!(with(Some(id)), Err(ProtocolError::Missing("subscription_id")));
    let record = v1::Queued { record: 65_536, ..wire_queued() };
    assert_eq!(with(Some(record)), out_of_range("packet_id", 65_536));
}

#[test]
fn retained_message_belongs_to_a_subscription_that_was_granted() {
    let with = |subscription, reasons| {
        let queued = Some(wire_queued());
        let retained = vec![v1::Retained { subscription, queued }];
        let subscribed =
            v1::Subscribed { session: 1, reasons, retained, ..v1::Subscribed::default() };
        down(downstream_item::Item::Subscribed(subscribed)).map(|_| ())
    };
    assert_eq!(with(1, vec![0x97, 1]), Ok(()));
    assert_eq!(with(0, vec![0x97, 1]), out_of_range("subscription", 0));
    assert_eq!(with(2, vec![0x97, 1]), out_of_range("subscription", 2));
    assert_eq!(with(0, vec![3]), out_of_range("reason", 3));
}

#[test]
fn page_says_where_it_ends() {
    let page = v1::Page { session: 1, ..v1::Page::default() };
    let missing = ProtocolError::Missing("the end of a page");
    assert_eq!(down(downstream_item::Item::Page(page)), Err(missing));
}

/// A newer ha-server may have more reasons; the connection ends all the same.
#[test]
fn eviction_for_an_unknown_reason_is_one() {
    let wire = v1::Evict { connection: 1, session: 1, session_epoch: 2, why: 99 };
    let Ok(Downstream::Tell { tell, .. }) = down(downstream_item::Item::Evict(wire)) else {
        panic!("it was refused")
    };
    assert_eq!(tell, Tell::Evict { session: key(), why: Eviction::TakenOver });
}
