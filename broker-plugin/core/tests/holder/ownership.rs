//! One owner per client identifier, and no say for anybody else.

use broker_core::holder::HolderConfig;
use broker_core::host::HostEvent;
use ha_types::session::{
    Ask, CloseCause, ConnectionId, Lifetime, Open, Progress, RefuseReason, Start, Tell,
};

use crate::common::{Bench, Link, acknowledged, durable, ephemeral, id, qos_1, qos_2, to, will};

fn clean(client_id: &str) -> Open {
    Open { start: Start::Clean, ..durable(client_id) }
}

#[test]
fn resumed_session_is_the_same_one_under_a_higher_epoch() {
    let mut bench = Bench::new();
    let (first, opened, _) = bench.connect_fully(durable("a"));
    assert!(!opened.is_present);
    bench.subscribe(first, &[to("t")]);
    bench.lose(first);
    let (second, opened, _) = bench.connect_fully(durable("a"));
    assert!(opened.is_present);
    assert_eq!(opened.subscriptions, [to("t")]);
    assert_eq!(second.session.id, first.session.id);
    assert!(second.session.epoch > first.session.epoch);
}

/// [MQTT-3.1.2-4]
#[test]
fn clean_start_ends_the_earlier_session() {
    let mut bench = Bench::new();
    let first = bench.connect(durable("a"));
    bench.subscribe(first, &[to("t")]);
    bench.lose(first);
    let (second, opened, outputs) = bench.connect_fully(clean("a"));
    assert!(!opened.is_present && opened.subscriptions.is_empty());
    assert_ne!(second.session.id, first.session.id);
    let ended = HostEvent::SessionEnded { session: first.session.id };
    assert_eq!(outputs.plugin(), [&ended]);
    assert_eq!(bench.holder.counts().sessions, 1);
}

#[test]
fn ephemeral_session_ends_with_its_connection() {
    let mut bench = Bench::new();
    let link = bench.connect(ephemeral("a"));
    bench.subscribe(link, &[to("t")]);
    bench.lose(link);
    assert!(bench.holder.is_empty());
    let resume = Open { start: Start::Resume, ..ephemeral("a") };
    assert!(!bench.connect_fully(resume).1.is_present);
}

#[test]
fn session_that_was_resumed_for_a_last_connection_ends_with_it() {
    let mut bench = Bench::new();
    let first = bench.connect(durable("a"));
    bench.lose(first);
    let last = Open { lifetime: Lifetime::Connection, ..durable("a") };
    let (second, opened, _) = bench.connect_fully(last);
    assert!(opened.is_present);
    bench.lose(second);
    assert!(bench.holder.is_empty());
}

/// [MQTT-3.1.4-3]
#[test]
fn newer_connection_gets_the_session_when_the_older_has_closed() {
    let mut bench = Bench::new();
    let old = bench.connect(durable("a"));
    let (new, outputs) = bench.open(durable("a"));
    assert!(outputs.is_evicted(old));
    assert_eq!(outputs.opened(new), None);
    let outputs = bench.close(old, CloseCause::Handover);
    assert!(outputs.opened(new).unwrap().is_present);
    assert!(!outputs.is_fenced(old));
    assert_eq!(bench.holder.deadline(), None, "nobody waits any more");
}

#[test]
fn older_connection_that_does_not_close_within_100_ms_is_fenced() {
    let mut bench = Bench::new();
    let old = bench.connect(durable("a"));
    let (new, _) = bench.open(durable("a"));
    assert_eq!(bench.holder.deadline().unwrap().0, 100);
    assert_eq!(bench.at(99).opened(new), None);
    let outputs = bench.at(100);
    assert!(outputs.is_fenced(old));
    assert!(outputs.opened(new).unwrap().session.epoch > old.session.epoch);
}

/// One owner at a time: what a stale one says changes nothing.
#[test]
fn replaced_connection_changes_nothing() {
    let mut bench = Bench::new();
    let old = bench.connect(durable("a"));
    let offset = {
        bench.subscribe(old, &[to("t")]);
        bench.message(qos_1("t", "1")).delivered(old)[0].offset
    };
    let (new, _) = bench.open(durable("a"));
    let opened = bench.at(100).opened(new).unwrap();
    assert_eq!(opened.records.len(), 1);
    let session = old.session;
    assert!(bench.publish(old, 1, qos_2("t", "stale")).0.is_empty());
    assert!(bench.acknowledge(old, &[offset]).0.is_empty());
    assert!(bench.subscribe(old, &[to("u")]).0.is_empty());
    assert!(bench.unsubscribe(old, &["t"]).0.is_empty());
    assert!(bench.ask(Ask::Release { session, packet_id: id(1) }).0.is_empty());
    let fetch = Ask::Fetch { session, after: None, messages_max: 1, bytes_max: 1 };
    assert!(bench.ask(fetch).0.is_empty());
    assert!(bench.lose(old).0.is_empty());
    assert_eq!(bench.queued(), 1);
    let link = Link { connection: new, session: opened.session };
    assert_eq!(bench.message(qos_1("t", "2")).payloads(link), ["2"]);
}

#[test]
fn of_several_that_wait_the_newest_gets_the_session_and_the_others_are_refused() {
    let mut bench = Bench::new();
    let old = bench.connect(durable("a"));
    let (second, _) = bench.open(durable("a"));
    let (third, outputs) = bench.open(durable("a"));
    assert_eq!(outputs.refused(second), Some(RefuseReason::Unavailable));
    assert!(!outputs.is_evicted(old), "it has been told");
    let outputs = bench.close(old, CloseCause::Handover);
    assert_eq!(outputs.opened(second), None);
    assert!(outputs.opened(third).is_some());
}

#[test]
fn sixty_connects_in_a_second_end_with_one_owner() {
    let mut bench = Bench::new();
    let (mut live, mut answered) = (Vec::<Link>::new(), 0);
    for number in 1..=60 {
        bench.now += 16;
        let mut outputs = bench.at(bench.now);
        outputs.0.extend(bench.open(durable("a")).1.0);
        // Every other engine is slow and does not close in time.
        let evicted: Vec<_> = live.iter().filter(|link| outputs.is_evicted(**link)).collect();
        if let Some(link) = evicted.first().filter(|_| number % 2 == 0) {
            outputs.0.extend(bench.close(**link, CloseCause::Handover).0);
        }
        answered += count(&mut live, &outputs, number);
    }
    let last = bench.at(bench.now + 100);
    answered += count(&mut live, &last, 60);
    assert_eq!(answered, 60, "every CONNECT has its answer");
    assert_eq!(bench.holder.counts().connected, 1);
    let owner = *live.last().unwrap();
    assert_eq!(owner.connection, ConnectionId(60), "the newest");
    assert_eq!(bench.publish(owner, 1, qos_1("t", "x")).published(owner), [id(1)]);
}

/// Notes the sessions that were opened; returns how many CONNECTs were answered.
fn count(live: &mut Vec<Link>, outputs: &crate::common::Outputs, upto: u64) -> usize {
    let before = live.len();
    let all = (1..=upto).map(ConnectionId);
    let refused = all.clone().filter(|id| outputs.refused(*id).is_some()).count();
    live.extend(all.filter_map(|connection| {
        let session = outputs.opened(connection)?.session;
        Some(Link { connection, session })
    }));
    live.len() - before + refused
}

#[test]
fn session_beyond_the_limit_is_refused_and_a_known_one_is_not() {
    let mut bench = Bench::with(HolderConfig { sessions_max: 2, ..HolderConfig::default() });
    let a = bench.connect(durable("a"));
    bench.connect(ephemeral("b"));
    bench.lose(a);
    let (c, outputs) = bench.open(durable("c"));
    assert_eq!(outputs.refused(c), Some(RefuseReason::QuotaExceeded));
    let a = bench.connect(durable("a"));
    bench.lose(a);
    bench.connect(clean("a"));
    assert_eq!(bench.holder.counts().sessions, 2);
}

#[test]
fn routes_of_a_resumed_session_are_there_before_its_connack() {
    let mut bench = Bench::new();
    let first = bench.connect(durable("a"));
    bench.subscribe(first, &[to("t"), to("$share/g/t"), to("u")]);
    assert_eq!(bench.lose(first).routes(), ["-*"]);
    let (_, _, outputs) = bench.connect_fully(durable("a"));
    assert_eq!(outputs.routes(), ["+t", "+u"], "a group's messages have no routes");
    let is_opened =
        |output: &_| matches!(output, broker_core::holder::Output::Tell(_, Tell::Opened(_)));
    assert_eq!(outputs.0.iter().position(is_opened), Some(2));
}

#[test]
fn progress_of_a_close_counts_before_the_session_goes_on() {
    let mut bench = Bench::new();
    let old = bench.connect(durable("a"));
    bench.subscribe(old, &[to("t")]);
    let first = bench.message(qos_1("t", "1")).delivered(old)[0].offset;
    bench.message(qos_1("t", "2"));
    let (new, _) = bench.open(durable("a"));
    let outputs = bench.close_with(old, CloseCause::Handover, acknowledged(&[first]), None);
    assert_eq!(outputs.opened(new).unwrap().records.len(), 1, "the other one");
    assert_eq!(bench.queued(), 1);
}

#[test]
fn ephemeral_session_cannot_be_made_to_last_when_it_closes() {
    let mut bench = Bench::new();
    let link = bench.connect(Open { will: will("bye", 5), ..ephemeral("a") });
    let outputs =
        bench.close_with(link, CloseCause::Failure, Progress::default(), Some(Lifetime::Unlimited));
    assert_eq!(outputs.wills(), ["bye"]);
    assert!(bench.holder.is_empty());
}
