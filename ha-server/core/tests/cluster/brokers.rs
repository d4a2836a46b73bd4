//! Lives of brokers.

use ha_core::cluster::{Command, Outcome, Refused, Repeat};
use ha_types::Qos::AtLeastOnce;
use ha_types::session::{CloseCause, Progress, RefuseReason};
use ha_types::{BrokerName, Incarnation, PublishNumber};

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
    let full = ha_core::cluster::StateLimits { filter_messages_max: 1, ..Default::default() };
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
