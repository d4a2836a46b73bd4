//! Lives of brokers.

use ha_core::cluster::{Command, Outcome, Refused, Repeat, StateLimits};
use ha_types::Qos::AtLeastOnce;
use ha_types::session::{CloseCause, Progress, RefuseReason};
use ha_types::{BrokerEpoch, BrokerName, Incarnation, PublishNumber};

use crate::common::{Bench, at, durable, ephemeral, message};

#[test]
fn broker_that_joins_again_is_the_same_and_a_restarted_one_is_not() {
    let mut bench = Bench::new();
    let first = bench.join("b", 5);
    assert_eq!(bench.join("b", 5), first, "the answer was lost");
    let second = bench.join("b", 6);
    assert!(second > first);
    let name = BrokerName::parse("b").unwrap();
    let older = bench.one(Command::Join { name, incarnation: Incarnation(5) });
    assert_eq!(older, Outcome::Refused(RefuseReason::NotAuthorized));
}

#[test]
fn sessions_of_a_lost_broker_are_freed_little_by_little() {
    let mut bench = Bench::new();
    let lost = bench.join("b", 1);
    let sessions: Vec<_> =
        (0..5).map(|n| bench.open_at(lost, durable(&n.to_string())).session).collect();
    bench.open_at(lost, ephemeral("ephemeral"));
    assert_eq!(bench.one(Command::Leave { broker: lost }), Outcome::Done);
    let session = sessions[4];
    let progress = Progress::default();
    assert_eq!(bench.progress(session, progress), Outcome::Fenced, "at once");
    bench.one(Command::Expire { at_most: 3 });
    assert_eq!(bench.state.sessions_of(lost).count(), 3);
    assert_eq!(bench.state.deadline(), Some(bench.state.now()), "there is more");
    bench.one(Command::Expire { at_most: 100 });
    assert_eq!(bench.state.sessions_of(lost).count(), 0);
    assert_eq!(bench.state.counts().sessions, 5, "the ephemeral one has ended");
    assert_eq!(
        (bench.state.deadline(), bench.one(Command::Leave { broker: lost })),
        (None, Outcome::Fenced)
    );
}

#[test]
fn session_of_a_lost_broker_is_anybodys_before_it_is_freed() {
    let mut bench = Bench::new();
    let lost = bench.join("b", 1);
    bench.open_at(lost, durable("a"));
    bench.one(Command::Leave { broker: lost });
    let opened = bench.open(durable("a"));
    assert!(opened.is_present && opened.fenced.is_none(), "nobody is left to be told");
    bench.one(Command::Expire { at_most: 100 });
    bench.close(opened.session, CloseCause::Disconnect);
}

#[test]
fn lost_broker_opens_and_publishes_nothing() {
    let mut bench = Bench::new();
    bench.one(Command::Leave { broker: bench.broker });
    let (broker, open) = (bench.broker, durable("a"));
    assert_eq!(bench.one(Command::Open { asked: bench.asked_by(broker), open }), Outcome::Fenced);
    assert_eq!(bench.try_publish(message("t", "x", AtLeastOnce)), Err(Refused::Fenced));
}

#[test]
fn publish_that_comes_again_is_answered_as_before_and_not_done_again() {
    let mut bench = Bench::new();
    let session = bench.open(durable("a")).session;
    bench.subscribe(session, at("t", AtLeastOnce));
    let full = StateLimits { filter_messages_max: 1, ..Default::default() };
    bench.one(Command::Configure(full));
    let publish = |bench: &mut Bench, number| {
        bench.publish_as(PublishNumber(number), message("t", "x", AtLeastOnce))
    };
    assert_eq!(publish(&mut bench, 1).unwrap().repeat, Repeat::No);
    assert_eq!(publish(&mut bench, 2), Err(Refused::QuotaExceeded));
    bench.restart();
    bench.one(Command::Configure(Default::default()));
    assert_eq!(publish(&mut bench, 1).unwrap().repeat, Repeat::OfNumber);
    assert_eq!(publish(&mut bench, 2), Err(Refused::QuotaExceeded), "though there is room now");
    assert_eq!(bench.queued(session).len(), 1);
}

/// Ends the life of the bench's broker, and forgets what it had.
fn lose(bench: &mut Bench) -> BrokerEpoch {
    let lost = bench.broker;
    assert_eq!(bench.one(Command::Leave { broker: lost }), Outcome::Done);
    bench.one(Command::Expire { at_most: 100 });
    lost
}

fn publish(bench: &mut Bench, number: u64) -> Result<Repeat, Refused> {
    let stored = bench.publish_as(PublishNumber(number), message("t", "x", AtLeastOnce));
    stored.map(|stored| stored.repeat)
}

fn join_command(name: &str) -> Command {
    Command::Join { name: BrokerName::parse(name).unwrap(), incarnation: Incarnation(1) }
}

#[test]
fn run_that_was_lost_goes_on_and_what_it_publishes_again_is_not_done_again() {
    let mut bench = Bench::new();
    let other = bench.join("b", 1);
    let session = bench.open_at(other, durable("a")).session;
    bench.subscribe(session, at("t", AtLeastOnce));
    assert_eq!(publish(&mut bench, 1), Ok(Repeat::No));
    bench.one(Command::Configure(StateLimits { filter_messages_max: 1, ..Default::default() }));
    assert_eq!(publish(&mut bench, 2), Err(Refused::QuotaExceeded));
    let first = lose(&mut bench);
    bench.one(Command::Configure(StateLimits::default()));
    for _ in 0..2 {
        bench.restart();
        bench.broker = bench.join("a", 1);
        assert!(bench.broker > first);
        assert_eq!(bench.state.origin(bench.broker), Some(first));
        assert_eq!(publish(&mut bench, 1), Ok(Repeat::OfNumber));
        assert_eq!(publish(&mut bench, 2), Err(Refused::QuotaExceeded), "though there is room");
        lose(&mut bench);
    }
    bench.broker = bench.join("a", 1);
    assert_eq!(publish(&mut bench, 3), Ok(Repeat::No));
    assert_eq!(bench.queued(session).len(), 2);
}

#[test]
fn life_ends_once_and_takes_nothing_from_the_next() {
    let mut bench = Bench::new();
    bench.open(durable("a"));
    let first = bench.broker;
    bench.one(Command::Leave { broker: first });
    bench.broker = bench.join("a", 1);
    assert_eq!(publish(&mut bench, 1), Ok(Repeat::No));
    bench.one(Command::Leave { broker: first });
    lose(&mut bench);
    bench.broker = bench.join("a", 1);
    assert_eq!(publish(&mut bench, 1), Ok(Repeat::OfNumber));
}

#[test]
fn restarted_broker_begins_its_numbers_anew() {
    let mut bench = Bench::new();
    assert_eq!(publish(&mut bench, 1), Ok(Repeat::No));
    lose(&mut bench);
    bench.broker = bench.join("a", 2);
    assert_eq!(bench.state.origin(bench.broker), Some(bench.broker));
    assert_eq!(publish(&mut bench, 1), Ok(Repeat::No));
}

#[test]
fn of_more_than_1024_lost_runs_the_one_that_was_lost_first_is_forgotten() {
    let mut bench = Bench::new();
    let lives = (2..2 + 1_024).flat_map(|epoch| {
        let leave = Command::Leave { broker: BrokerEpoch(epoch) };
        [join_command(&format!("b{epoch}")), leave]
    });
    bench.batch(lives.collect());
    bench.pass(1);
    let first = lose(&mut bench);
    bench.restart();
    let remembered = |bench: &mut Bench, name: &str, epoch| {
        let again = bench.join(name, 1);
        bench.state.origin(again) == Some(epoch)
    };
    assert!(remembered(&mut bench, "a", first), "lost last, though it is the oldest");
    assert!(!remembered(&mut bench, "b2", BrokerEpoch(2)));
    assert!(remembered(&mut bench, "b3", BrokerEpoch(3)));
}
