//! Share groups: one member gets each message [MQTT-4.8.2-4], [MQTT-4.8.2-5].

use broker_core::holder::HolderConfig;
use ha_types::Qos;
use ha_types::session::{CloseCause, Lifetime, Open, Progress, RecordStage, Refused};

use crate::common::{
    Bench, Link, Outputs, at, durable, ephemeral, id, lasting_s, qos_0, qos_1, qos_2, received,
    text, to,
};

/// Members of `$share/g/t`, granted QoS 2.
fn group<const N: usize>(opens: [Open; N]) -> (Bench, [Link; N]) {
    group_with(HolderConfig::default(), opens)
}

fn group_with<const N: usize>(config: HolderConfig, opens: [Open; N]) -> (Bench, [Link; N]) {
    let mut bench = Bench::with(config);
    let links = opens.map(|open| {
        let link = bench.connect(open);
        let outputs = bench.subscribe(link, &[at("$share/g/t", Qos::ExactlyOnce)]);
        assert!(outputs.routes().is_empty(), "a group's messages have no routes");
        link
    });
    (bench, links)
}

/// How many of the outputs' deliveries went to each.
fn shares<const N: usize>(outputs: &Outputs, links: [Link; N]) -> [usize; N] {
    links.map(|link| outputs.delivered(link).len())
}

fn publish_many(bench: &mut Bench, count: usize) -> Outputs {
    let all = (0..count).flat_map(|n| bench.message(qos_1("t", &n.to_string())).0);
    Outputs(all.collect())
}

#[test]
fn connected_members_take_turns_durable_or_not() {
    let (mut bench, links) = group([durable("a"), ephemeral("b"), ephemeral("c")]);
    assert_eq!(shares(&publish_many(&mut bench, 9), links), [3, 3, 3]);
    let outputs = bench.message(qos_0("t", "x"));
    assert_eq!(shares(&outputs, links).iter().sum::<usize>(), 1, "QoS 0 as well");
}

#[test]
fn groups_of_different_names_and_plain_subscriptions_get_each_their_own() {
    let (mut bench, [a]) = group([durable("a")]);
    let b = bench.connect(ephemeral("b"));
    bench.subscribe(b, &[to("$share/h/t")]);
    bench.subscribe(a, &[to("t")]);
    let outputs = bench.message(qos_1("t", "x"));
    assert_eq!(shares(&outputs, [a, b]), [2, 1]);
}

#[test]
fn member_without_room_is_passed_over() {
    let (mut bench, [a, b]) = group([durable("a"), durable("b")]);
    let first = publish_many(&mut bench, 64);
    assert_eq!(shares(&first, [a, b]), [32, 32]);
    let offsets: Vec<_> = first.delivered(b).iter().map(|queued| queued.offset).collect();
    bench.acknowledge(b, &offsets);
    assert_eq!(shares(&publish_many(&mut bench, 10), [a, b]), [0, 10]);
}

#[test]
fn member_that_is_away_gets_nothing_while_another_is_connected() {
    let (mut bench, [a, b]) = group([durable("a"), ephemeral("b")]);
    bench.lose(a);
    assert_eq!(shares(&publish_many(&mut bench, 5), [a, b]), [0, 5]);
}

#[test]
fn members_that_are_away_keep_the_messages_of_the_group() {
    let (mut bench, [a, b]) = group([durable("a"), ephemeral("b")]);
    bench.lose(a);
    bench.lose(b);
    bench.message(qos_0("t", "lost: nobody is connected"));
    bench.message(qos_1("t", "1"));
    bench.message(qos_2("t", "2"));
    let (a, _, outputs) = bench.connect_fully(durable("a"));
    assert_eq!(outputs.payloads(a), ["1", "2"]);
}

#[test]
fn member_with_a_full_queue_is_passed_over() {
    let config = HolderConfig { queue_messages_max: 2, ..HolderConfig::default() };
    let (mut bench, [a, b]) = group_with(config, [durable("a"), durable("b")]);
    bench.lose(a);
    bench.lose(b);
    publish_many(&mut bench, 2);
    let b = bench.connect(durable("b"));
    bench.unsubscribe(b, &["$share/g/t"]);
    bench.subscribe(b, &[to("$share/g/t")]);
    bench.lose(b);
    publish_many(&mut bench, 2);
    assert_eq!((bench.queued(), bench.holder.counts().dropped), (4, 0));
    publish_many(&mut bench, 1);
    assert_eq!((bench.queued(), bench.holder.counts().dropped), (4, 1));
}

/// [MQTT-4.8.2-5]: of QoS 1 it may go on, of QoS 2 it must not. The engine of an ephemeral session
/// says that it began, that of a durable one is taken to have sent what it was given.
#[test]
fn what_a_member_did_not_acknowledge_goes_to_another_unless_qos_2_began() {
    for (open, says_so, expected) in [
        (durable("a"), false, &["1"][..]),
        (ephemeral("a"), true, &["1"]),
        (ephemeral("a"), false, &["1", "2"]),
    ] {
        let (mut bench, [a]) = group([open]);
        let mut progress = Progress::default();
        for message in [qos_0("t", "0"), qos_1("t", "1"), qos_2("t", "2")] {
            let outputs = bench.message(message);
            let given = outputs.delivered(a);
            assert_eq!(given.len(), 1);
            let begins = says_so && given[0].qos == Qos::ExactlyOnce;
            progress.acknowledged.extend(begins.then_some(given[0].offset));
        }
        let b = bench.connect(ephemeral("b"));
        bench.subscribe(b, &[to("$share/g/t")]);
        let end = Some(Lifetime::Connection);
        let outputs = bench.close_with(a, CloseCause::Failure, progress, end);
        assert_eq!(outputs.payloads(b), expected);
        assert_eq!(bench.queued(), expected.len());
    }
}

#[test]
fn what_was_not_handed_out_goes_to_another_at_any_qos() {
    let (mut bench, [a]) = group([durable("a")]);
    bench.lose(a);
    bench.message(qos_2("t", "2"));
    let b = bench.connect(ephemeral("b"));
    bench.subscribe(b, &[at("$share/g/t", Qos::ExactlyOnce)]);
    let (_, outputs) = bench.open(ephemeral("a"));
    assert_eq!(outputs.payloads(b), ["2"], "the clean start ended the other session");
}

#[test]
fn what_was_left_to_a_member_that_went_away_goes_to_one_that_is_connected() {
    let (mut bench, [a, b]) = group([durable("a"), ephemeral("b")]);
    let outputs = publish_many(&mut bench, 4);
    assert_eq!(outputs.payloads(a), ["0", "2"]);
    let outputs = bench.lose(a);
    assert_eq!(outputs.payloads(b), ["0", "2"]);
    let (a, opened, outputs) = bench.connect_fully(durable("a"));
    assert!(opened.records.is_empty() && outputs.payloads(a).is_empty());
}

#[test]
fn qos_2_exchange_of_a_member_that_is_away_stays_with_it() {
    let (mut bench, [a, b]) = group([durable("a"), ephemeral("b")]);
    let outputs = bench.message(qos_2("t", "2"));
    let [at_a, 0] = shares(&outputs, [a, b]) else { panic!("{outputs:?}") };
    assert_eq!(at_a, 1);
    assert!(bench.lose(a).payloads(b).is_empty());
    let opened = bench.connect_fully(durable("a")).1;
    assert!(matches!(&opened.records[..], [record] if record.packet_id == id(1)));
}

/// [MQTT-4.4.0-1]: sent again under the packet identifier that the client knows.
#[test]
fn member_that_was_alone_finds_its_messages_as_it_left_them() {
    let (mut bench, [a]) = group([durable("a")]);
    let before = publish_many(&mut bench, 3);
    bench.lose(a);
    let opened = bench.connect_fully(durable("a")).1;
    let again: Vec<_> = opened
        .records
        .iter()
        .map(|record| match &record.stage {
            RecordStage::Sent(queued) => (queued.offset, text(&queued.message)),
            RecordStage::Received => panic!("{record:?}"),
        })
        .collect();
    let expected: Vec<_> =
        before.delivered(a).iter().map(|queued| (queued.offset, text(&queued.message))).collect();
    assert_eq!(again, expected);
}

#[test]
fn takeover_of_a_member_duplicates_nothing() {
    let (mut bench, [a, b]) = group([durable("a"), ephemeral("b")]);
    let outputs = publish_many(&mut bench, 2);
    assert_eq!(shares(&outputs, [a, b]), [1, 1]);
    let (new, _) = bench.open(durable("a"));
    let outputs = bench.close(a, CloseCause::Handover);
    assert!(outputs.payloads(b).is_empty());
    assert_eq!(outputs.opened(new).unwrap().records.len(), 1);
}

#[test]
fn refused_message_of_a_group_is_done() {
    let (mut bench, [a, b]) = group([durable("a"), ephemeral("b")]);
    let offset = bench.message(qos_1("t", "1")).delivered(a)[0].offset;
    let refused = vec![Refused::Offset(offset)];
    let outputs = bench.progress(a, Progress { refused, ..Progress::default() });
    assert!(outputs.payloads(b).is_empty());
    assert_eq!(bench.queued(), 0);
}

#[test]
fn last_member_takes_the_group_with_it() {
    let (mut bench, [a, b]) = group([lasting_s("a", 1), ephemeral("b")]);
    publish_many(&mut bench, 4);
    bench.message(qos_2("t", "x"));
    bench.lose(b);
    bench.progress(a, received(&[id(1)]));
    bench.lose(a);
    bench.at(1_000);
    assert!(bench.holder.is_empty());
    assert!(!bench.holder.wants(Qos::AtMostOnce));
}
