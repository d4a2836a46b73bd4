//! Wills: once, when they are due.

use ha_core::cluster::{Command, Fired};
use ha_types::Qos::AtLeastOnce;
use ha_types::session::{CloseCause, Lifetime, Open, Start};

use crate::common::{Bench, at, durable, ephemeral, payload, will};

fn payloads(fired: &[Fired]) -> Vec<String> {
    fired.iter().map(|fired| payload(&fired.message)).collect()
}

#[test]
fn will_is_published_at_the_end_that_is_not_polite() {
    for (cause, expected) in [(CloseCause::Disconnect, &[][..]), (CloseCause::Failure, &["gone"])] {
        for open in [durable("a"), ephemeral("a")] {
            let mut bench = Bench::new();
            let watcher = bench.open(durable("watcher")).session;
            bench.subscribe(watcher, at("will", AtLeastOnce));
            let session = bench.open(Open { will: will("gone", 0), ..open }).session;
            assert_eq!(payloads(&bench.close(session, cause)), expected);
            assert_eq!(bench.queued(watcher), expected);
            assert!(bench.pass(1_000_000).is_empty());
        }
    }
}

#[test]
fn delayed_will_waits_for_its_client() {
    for (away_ms, expected) in [(4_999, &[][..]), (5_000, &["gone"])] {
        let mut bench = Bench::new();
        let session = bench.open(Open { will: will("gone", 5), ..durable("a") }).session;
        assert!(bench.close(session, CloseCause::Failure).is_empty());
        bench.restart();
        assert_eq!(payloads(&bench.pass(away_ms)), expected);
        bench.open(durable("a"));
        assert!(bench.pass(10_000).is_empty());
    }
}

#[test]
fn delayed_will_that_was_due_is_published_by_an_open_that_comes_first() {
    let mut bench = Bench::new();
    let session = bench.open(Open { will: will("gone", 5), ..durable("a") }).session;
    bench.close(session, CloseCause::Failure);
    bench.now += 5_000;
    let (broker, open) = (bench.broker, durable("a"));
    let applied = bench.batch(vec![Command::Open { asked: bench.asked_by(broker), open }]);
    assert_eq!(payloads(&applied.fired), ["gone"]);
}

#[test]
fn end_of_the_session_publishes_a_will_that_waits() {
    let open = Open { will: will("gone", 60), lifetime: Lifetime::Seconds(5), ..durable("a") };
    let mut bench = Bench::new();
    let session = bench.open(open.clone()).session;
    bench.close(session, CloseCause::Failure);
    assert_eq!(payloads(&bench.pass(5_000)), ["gone"]);
    let session = bench.open(open).session;
    bench.close(session, CloseCause::Failure);
    let (broker, open) = (bench.broker, Open { start: Start::Clean, ..durable("a") });
    let applied = bench.batch(vec![Command::Open { asked: bench.asked_by(broker), open }]);
    assert_eq!(payloads(&applied.fired), ["gone"]);
}

#[test]
fn takeover_publishes_a_will_without_delay_and_drops_one_with_delay() {
    for (delay_s, expected) in [(0, &["gone"][..]), (5, &[])] {
        let mut bench = Bench::new();
        bench.open(Open { will: will("gone", delay_s), ..durable("a") });
        let (broker, open) = (bench.broker, durable("a"));
        let applied = bench.batch(vec![Command::Open { asked: bench.asked_by(broker), open }]);
        assert_eq!(payloads(&applied.fired), expected, "{delay_s}");
        assert!(bench.pass(100_000).is_empty());
    }
}

#[test]
fn wills_of_a_lost_broker_are_published_so_many_at_a_time() {
    let mut bench = Bench::new();
    let lost = bench.join("b", 1);
    for n in 0..5 {
        let open = Open { will: will(&n.to_string(), 0), ..durable(&n.to_string()) };
        bench.open_at(lost, open);
    }
    bench.one(Command::Leave { broker: lost });
    let first = bench.batch(vec![Command::Expire { at_most: 2 }]).fired;
    let rest = bench.batch(vec![Command::Expire { at_most: 100 }]).fired;
    assert_eq!((first.len(), rest.len()), (2, 3));
}

#[test]
fn will_expires_after_it_was_published() {
    let mut bench = Bench::new();
    let watcher = bench.open(durable("watcher")).session;
    bench.subscribe(watcher, at("will", AtLeastOnce));
    let will =
        will("gone", 5).map(|of| ha_types::session::NewWill { expires_in_s: Some(10), ..of });
    let session = bench.open(Open { will, ..durable("a") }).session;
    bench.close(session, CloseCause::Failure);
    bench.pass(5_000);
    bench.pass(9_999);
    assert_eq!(bench.queued(watcher), ["gone"]);
    bench.pass(1);
    assert!(bench.queued(watcher).is_empty());
}
