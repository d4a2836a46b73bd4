//! What waits for a session, in which order, and under which packet identifiers.

use broker_core::holder::HolderConfig;
use ha_types::Qos;
use ha_types::session::{
    Ask, CloseCause, Lifetime, Offset, Open, Page, PageEnd, Progress, RecordStage, Refused, Tell,
};

use crate::common::{
    Bench, Link, Outputs, acknowledged, at, completed, durable, expiring, id, qos_0, qos_1, qos_2,
    received, text, to,
};

/// A connected durable session that is subscribed to `t` with QoS 2.
fn subscribed(open: Open) -> (Bench, Link) {
    subscribed_with(HolderConfig::default(), open)
}

fn subscribed_with(config: HolderConfig, open: Open) -> (Bench, Link) {
    let mut bench = Bench::with(config);
    let link = bench.connect(open);
    bench.subscribe(link, &[at("t", Qos::ExactlyOnce)]);
    (bench, link)
}

fn offsets(outputs: &Outputs, link: Link) -> Vec<Offset> {
    outputs.delivered(link).iter().map(|queued| queued.offset).collect()
}

#[test]
fn message_for_a_client_that_is_away_comes_when_it_is_back() {
    let (mut bench, first) = subscribed(durable("a"));
    bench.lose(first);
    bench.message(qos_1("t", "1"));
    bench.message(qos_2("t", "2"));
    bench.message(qos_1("u", "not subscribed"));
    let (second, opened, outputs) = bench.connect_fully(durable("a"));
    assert!(opened.records.is_empty(), "nothing was sent before");
    assert_eq!(outputs.payloads(second), ["1", "2"]);
    let PageEnd::Live(upto) = opened.backlog else { panic!("{opened:?}") };
    assert!(offsets(&outputs, second).iter().all(|offset| *offset > upto));
}

#[test]
fn message_is_delivered_at_the_lower_qos_of_published_and_granted() {
    for (granted, published, delivered) in [
        (Qos::AtLeastOnce, Qos::ExactlyOnce, Some(Qos::AtLeastOnce)),
        (Qos::ExactlyOnce, Qos::AtLeastOnce, Some(Qos::AtLeastOnce)),
        (Qos::ExactlyOnce, Qos::ExactlyOnce, Some(Qos::ExactlyOnce)),
        (Qos::AtMostOnce, Qos::ExactlyOnce, None),
        (Qos::ExactlyOnce, Qos::AtMostOnce, None),
    ] {
        let mut bench = Bench::new();
        let link = bench.connect(durable("a"));
        bench.subscribe(link, &[at("t", granted)]);
        let outputs = bench.message(crate::common::message("t", "x", published));
        let qos = outputs.delivered(link).first().map(|queued| queued.qos);
        assert_eq!(qos, delivered, "{granted:?} {published:?}");
    }
}

#[test]
fn engine_is_given_twice_what_its_client_takes_and_at_least_32() {
    for (receive_maximum, given) in [(1, 32), (16, 32), (17, 34), (50, 100)] {
        let (mut bench, link) = subscribed(Open { receive_maximum, ..durable("a") });
        let all: Vec<_> =
            (0..110).flat_map(|_| offsets(&bench.message(qos_1("t", "x")), link)).collect();
        assert_eq!(all.len(), given, "receive maximum {receive_maximum}");
        assert_eq!(offsets(&bench.acknowledge(link, &all[..3]), link).len(), 3);
    }
}

#[test]
fn offsets_grow_and_give_the_packet_ids() {
    let (mut bench, link) = subscribed(durable("a"));
    let first = bench.message(qos_1("t", "1")).delivered(link)[0].clone();
    let second = bench.message(qos_2("t", "2")).delivered(link)[0].clone();
    assert!(first.offset < second.offset);
    assert_eq!((first.record, second.record), (None, Some(second.offset.packet_id())));
}

#[test]
fn message_whose_packet_id_is_in_use_blocks_those_behind_it() {
    let (mut bench, link) = subscribed(durable("a"));
    let oldest = bench.message(qos_1("t", "oldest")).delivered(link)[0].offset;
    for _ in 1..65_535 {
        let outputs = bench.message(qos_1("t", "x"));
        let [offset] = offsets(&outputs, link)[..] else { panic!("{outputs:?}") };
        bench.acknowledge(link, &[offset]);
    }
    assert!(bench.message(qos_1("t", "same id")).payloads(link).is_empty());
    assert!(bench.message(qos_1("t", "behind")).payloads(link).is_empty());
    let outputs = bench.acknowledge(link, &[oldest]);
    assert_eq!(outputs.payloads(link), ["same id", "behind"]);
    assert_eq!(outputs.delivered(link)[0].offset.packet_id(), oldest.packet_id());
}

#[test]
fn full_queue_drops_the_newest_and_counts_it() {
    let config = HolderConfig { queue_messages_max: 2, ..HolderConfig::default() };
    let (mut bench, link) = subscribed_with(config, durable("a"));
    bench.lose(link);
    for payload in ["1", "2", "3"] {
        bench.message(qos_1("t", payload));
    }
    assert_eq!((bench.queued(), bench.holder.counts().dropped), (2, 1));
    let (link, _, outputs) = bench.connect_fully(durable("a"));
    assert_eq!(outputs.payloads(link), ["1", "2"]);
    bench.acknowledge(link, &offsets(&outputs, link));
    assert_eq!(bench.message(qos_1("t", "4")).payloads(link), ["4"]);
}

#[test]
fn queue_takes_no_more_once_its_bytes_are_reached() {
    // Topic and payload: 2 bytes each.
    let config = HolderConfig { queue_bytes_max: 4, ..HolderConfig::default() };
    let (mut bench, link) = subscribed_with(config, durable("a"));
    bench.lose(link);
    for payload in ["1", "2", "3"] {
        bench.message(qos_1("t", payload));
    }
    assert_eq!((bench.queued(), bench.holder.counts().dropped), (2, 1));
}

/// Neither one copy each, nor the network buffer that it came in.
#[test]
fn sessions_that_are_away_share_one_copy_of_a_message() {
    let mut bench = Bench::new();
    for client_id in ["a", "b"] {
        let link = bench.connect(durable(client_id));
        bench.subscribe(link, &[to("t")]);
        bench.lose(link);
    }
    let message = qos_1("t", "1");
    let buffer = message.payload.as_ptr();
    bench.message(message);
    let [a, b] = ["a", "b"].map(|client_id| {
        let (link, _, outputs) = bench.connect_fully(durable(client_id));
        outputs.delivered(link)[0].message.payload.as_ptr()
    });
    assert_eq!(a, b);
    assert_ne!(a, buffer);
}

/// [MQTT-3.3.2-5]
#[test]
fn message_expires_in_the_queue_exactly_at_its_time() {
    for (back_at, expected) in [(999, vec!["1", "2"]), (1_000, vec!["2"])] {
        let (mut bench, link) = subscribed(durable("a"));
        bench.lose(link);
        bench.message(expiring(1_000, qos_1("t", "1")));
        bench.message(qos_1("t", "2"));
        bench.now = back_at;
        let (link, _, outputs) = bench.connect_fully(durable("a"));
        assert_eq!(outputs.payloads(link), expected);
        assert_eq!(bench.queued(), expected.len());
    }
}

#[test]
fn delivery_that_began_does_not_expire() {
    let (mut bench, link) = subscribed(durable("a"));
    bench.message(expiring(1_000, qos_2("t", "1")));
    bench.lose(link);
    bench.now = 5_000;
    assert_eq!(bench.connect_fully(durable("a")).1.records.len(), 1);
}

/// [MQTT-4.4.0-1]; PUBRELs go first, in the order of their PUBRECs [MQTT-4.6.0-4].
#[test]
fn what_was_not_acknowledged_comes_again_first_and_under_its_packet_id() {
    let (mut bench, link) = subscribed(durable("a"));
    for (payload, is_qos_2) in [("1", false), ("2", true), ("3", true), ("4", false)] {
        let make = if is_qos_2 { qos_2 } else { qos_1 };
        bench.message(make("t", payload));
    }
    bench.progress(link, received(&[id(2)]));
    bench.lose(link);
    bench.message(qos_1("t", "5"));
    let (link, opened, outputs) = bench.connect_fully(durable("a"));
    let shown: Vec<_> = opened
        .records
        .iter()
        .map(|record| match &record.stage {
            RecordStage::Sent(queued) => (record.packet_id.get(), text(&queued.message)),
            RecordStage::Received => (record.packet_id.get(), "PUBREL".to_owned()),
        })
        .collect();
    let expected = [(2, "PUBREL"), (1, "1"), (3, "3"), (4, "4")];
    assert_eq!(shown, expected.map(|(id, text)| (id, text.to_owned())));
    assert_eq!(outputs.payloads(link), ["5"]);
}

#[test]
fn qos_2_exchange_is_recorded_step_by_step_and_then_gone() {
    let (mut bench, link) = subscribed(durable("a"));
    let packet_id = bench.message(qos_2("t", "1")).delivered(link)[0].record.unwrap();
    let outputs = bench.progress(link, received(&[packet_id]));
    assert_eq!(outputs.recorded(link), Some((&[packet_id][..], &[][..])));
    assert_eq!(bench.queued(), 1);
    let outputs = bench.progress(link, completed(&[packet_id]));
    assert_eq!(outputs.recorded(link), Some((&[][..], &[packet_id][..])));
    assert_eq!(bench.queued(), 0);
}

#[test]
fn progress_that_comes_again_changes_nothing_and_is_answered_again() {
    let (mut bench, link) = subscribed(durable("a"));
    let packet_id = bench.message(qos_2("t", "1")).delivered(link)[0].record.unwrap();
    let offset = bench.message(qos_1("t", "2")).delivered(link)[0].offset;
    bench.message(qos_2("t", "3"));
    for _ in 0..2 {
        let outputs = bench.progress(link, completed(&[packet_id]));
        assert_eq!(outputs.recorded(link), Some((&[][..], &[packet_id][..])));
        assert_eq!(bench.acknowledge(link, &[offset]).recorded(link), None);
        assert_eq!(bench.queued(), 1);
    }
}

#[test]
fn message_of_qos_1_is_not_completed_by_a_packet_id() {
    let (mut bench, link) = subscribed(durable("a"));
    let queued = bench.message(qos_1("t", "1")).delivered(link)[0].clone();
    bench.progress(link, completed(&[queued.offset.packet_id()]));
    assert_eq!(bench.queued(), 1);
}

/// [MQTT-4.3.3-4]: a reason of 0x80 or above ends the exchange.
#[test]
fn refused_delivery_is_done() {
    let (mut bench, link) = subscribed(durable("a"));
    let offset = bench.message(qos_1("t", "1")).delivered(link)[0].offset;
    let record = bench.message(qos_2("t", "2")).delivered(link)[0].record.unwrap();
    let refused = vec![Refused::Offset(offset), Refused::Record(record)];
    bench.progress(link, Progress { refused, ..Progress::default() });
    assert_eq!(bench.queued(), 0);
}

fn page(outputs: &Outputs, link: Link) -> (Vec<String>, PageEnd) {
    let found = outputs.tells(link.connection).into_iter().find_map(|tell| match tell {
        Tell::Page { page: Page { messages, end }, .. } => {
            Some((messages.iter().map(|queued| text(&queued.message)).collect(), *end))
        }
        _ => None,
    });
    found.unwrap()
}

#[test]
fn engine_that_had_no_room_fetches_what_it_lost_in_pages() {
    let (mut bench, link) = subscribed(durable("a"));
    let all: Vec<_> = ["1", "2", "3", "4"]
        .iter()
        .flat_map(|payload| offsets(&bench.message(qos_1("t", payload)), link))
        .collect();
    let mut fetch = |after, messages_max, bytes_max| {
        let session = link.session;
        page(&bench.ask(Ask::Fetch { session, after, messages_max, bytes_max }), link)
    };
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let first = fetch(Some(all[0]), 2, 1_000);
    assert_eq!(first, (texts(&["2", "3"]), PageEnd::More(all[2])));
    assert_eq!(fetch(Some(all[2]), 2, 1_000), (texts(&["4"]), PageEnd::Live(all[3])));
    // Two bytes each: topic and payload.
    assert_eq!(fetch(None, 10, 4), (texts(&["1", "2"]), PageEnd::More(all[1])));
    let one_always = fetch(None, 10, 1);
    assert_eq!(one_always, (texts(&["1"]), PageEnd::More(all[0])));
    assert_eq!(fetch(Some(all[3]), 10, 10), (texts(&[]), PageEnd::Live(all[3])));
}

#[test]
fn qos_0_that_was_handed_out_is_not_handed_out_again() {
    let (mut bench, link) = subscribed(durable("a"));
    bench.subscribe(link, &[to("$share/group/t")]);
    assert_eq!(bench.message(qos_0("t", "x")).payloads(link), ["x"]);
    bench.lose(link);
    assert_eq!(bench.queued(), 0);
    let (link, opened, outputs) = bench.connect_fully(durable("a"));
    assert!(opened.records.is_empty() && outputs.payloads(link).is_empty());
}

/// [MQTT-3.10.4-3]
#[test]
fn what_is_queued_survives_an_unsubscribe() {
    let (mut bench, link) = subscribed(Open { receive_maximum: 1, ..durable("a") });
    let mut delivered = 0;
    for _ in 0..40 {
        delivered += bench.message(qos_2("t", "x")).delivered(link).len();
    }
    assert_eq!((delivered, bench.queued()), (32, 40));
    bench.unsubscribe(link, &["t"]);
    assert_eq!(bench.queued(), 40);
    let ids: Vec<_> = (1..=8).map(id).collect();
    assert_eq!(bench.progress(link, completed(&ids)).delivered(link).len(), 8);
    assert!(bench.message(qos_2("t", "y")).delivered(link).is_empty());
    assert_eq!(bench.queued(), 32);
}

#[test]
fn plain_end_duplicates_nothing() {
    let (mut bench, link) = subscribed(durable("a"));
    let offset = bench.message(qos_1("t", "1")).delivered(link)[0].offset;
    let cause = CloseCause::Disconnect;
    bench.close_with(link, cause, acknowledged(&[offset]), Some(Lifetime::Unlimited));
    assert_eq!(bench.queued(), 0);
    let (link, opened, outputs) = bench.connect_fully(durable("a"));
    assert!(opened.records.is_empty() && outputs.payloads(link).is_empty());
}
