//! Wills: once, when they are due.

use ha_core::cluster::{Command, Fired, StateLimits};
use ha_types::PublishNumber;
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

fn owed(bench: &Bench) -> Vec<u64> {
    bench.state.owed_wills().map(|(number, _)| number.0).collect()
}

/// A client that has this will, and dies.
fn die(bench: &mut Bench, payload: &str) -> Fired {
    let session = bench.open(Open { will: will(payload, 0), ..ephemeral("a") }).session;
    bench.close(session, CloseCause::Failure).remove(0)
}

#[test]
fn will_is_owed_until_brokers_have_it_also_after_a_restart() {
    let mut bench = Bench::new();
    let fired = ["1", "2", "3"].map(|payload| die(&mut bench, payload));
    let numbers = fired.map(|fired| fired.number.unwrap());
    assert!(numbers.is_sorted_by(|a, b| a < b));
    bench.restart();
    assert_eq!(owed(&bench), numbers.map(|number| number.0));
    bench.one(Command::WillsReceived { upto: numbers[1] });
    bench.restart();
    assert_eq!(owed(&bench), [numbers[2].0]);
    bench.one(Command::WillsReceived { upto: numbers[2] });
    bench.restart();
    assert!(die(&mut bench, "4").number > Some(numbers[2]), "numbers do not come again");
}

#[test]
fn wills_of_one_batch_have_numbers_of_their_own() {
    let mut bench = Bench::new();
    let lost = bench.join("b", 1);
    for n in 0..3 {
        let client = n.to_string();
        bench.open_at(lost, Open { will: will(&client, 0), ..ephemeral(&client) });
    }
    bench.one(Command::Leave { broker: lost });
    let fired = bench.batch(vec![Command::Expire { at_most: 100 }]).fired;
    let numbers: Vec<_> = fired.iter().map(|fired| fired.number.unwrap().0).collect();
    assert_eq!(owed(&bench), numbers);
    assert_eq!(numbers, [0, 1, 2].map(|n| numbers[0] + n));
}

#[test]
fn will_that_has_no_room_is_published_and_not_owed() {
    let mut bench = Bench::new();
    let size = die(&mut bench, "gone").message.size();
    let limits = StateLimits { store_bytes_max: size + 1, ..StateLimits::default() };
    bench.one(Command::Configure(limits));
    let fired = die(&mut bench, "gone");
    assert_eq!((fired.number, owed(&bench).len()), (None, 1));
    bench.one(Command::WillsReceived { upto: PublishNumber(u64::MAX) });
    assert!(die(&mut bench, "gone").number.is_some());
}
