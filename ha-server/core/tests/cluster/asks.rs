//! Asks that come again after a broken stream or under another leader.

use ha_core::cluster::{Command, Outcome};
use ha_types::Qos::{AtLeastOnce, AtMostOnce};
use ha_types::session::{CloseCause, ConnectionId, Lifetime, Open, Progress, RefuseReason, Start};
use ha_types::{BrokerEpoch, Message};

use crate::common::{Bench, at, durable, ephemeral, message, payload, subscription, will};

fn opened(outcome: &Outcome) -> &ha_core::cluster::Opened {
    match outcome {
        Outcome::Opened(opened) => opened,
        other => panic!("{other:?}"),
    }
}

#[test]
fn open_that_comes_again_is_opened_again_with_the_same_session_present() {
    for is_present in [false, true] {
        let mut bench = Bench::new();
        if is_present {
            let session = bench.open(durable("a")).session;
            bench.close(session, CloseCause::Disconnect);
        }
        let command = Command::Open { asked: bench.asked_by(bench.broker), open: durable("a") };
        let first = bench.one(command.clone());
        bench.restart();
        let again = bench.one(command);
        assert_eq!(opened(&again), opened(&first));
        assert_eq!(opened(&again).is_present, is_present);
    }
}

#[test]
fn clean_start_that_comes_again_does_not_end_the_session_that_it_began() {
    let mut bench = Bench::new();
    let open = Open { start: Start::Clean, will: will("w", 0), ..durable("a") };
    let command = Command::Open { asked: bench.asked_by(bench.broker), open };
    let first = bench.one(command.clone());
    bench.subscribe(opened(&first).session, at("t", AtLeastOnce));
    let again = bench.one(command);
    assert_eq!(opened(&again).session, opened(&first).session, "and no will fires");
    assert_eq!(opened(&again).subscriptions.len(), 1);
}

#[test]
fn open_that_comes_again_after_a_newer_connection_is_refused_and_takes_nothing() {
    let mut bench = Bench::new();
    let command = Command::Open { asked: bench.asked_by(bench.broker), open: durable("a") };
    bench.one(command.clone());
    let newer = Open { connection: ConnectionId(2), ..durable("a") };
    let session = bench.open(newer).session;
    assert_eq!(bench.one(command), Outcome::Refused(RefuseReason::Unavailable));
    assert_eq!(bench.state.owner_of(session).unwrap().connection, ConnectionId(2));
}

#[test]
fn open_that_waited_may_come_after_later_asks_and_is_done_once() {
    let mut bench = Bench::new();
    let waiting = Command::Open { asked: bench.asked_by(bench.broker), open: durable("a") };
    let other = bench.open(durable("b")).session;
    bench.subscribe(other, at("t", AtLeastOnce));
    let first = bench.one(waiting.clone());
    assert_eq!(opened(&bench.one(waiting)).session, opened(&first).session);
}

#[test]
fn subscribe_that_comes_again_is_granted_again_and_reserves_nothing() {
    let mut bench = Bench::new();
    let session = bench.open(durable("a")).session;
    bench.publish(Message { retain: true, ..message("kept", "1", AtLeastOnce) });
    bench.publish(Message { retain: true, ..message("live", "2", AtMostOnce) });
    let subscriptions =
        vec![at("kept", AtLeastOnce), at("live", AtLeastOnce), at("$share/g/t", AtLeastOnce)];
    let command = bench.subscribe_command(session, subscriptions);
    let answers = [bench.one(command.clone()), bench.one(command)].map(|outcome| match outcome {
        Outcome::Subscribed(granted) => granted,
        other => panic!("{other:?}"),
    });
    let [first, again] = answers;
    assert_eq!(first[0].as_ref().unwrap().retained.len(), 1);
    assert!(again[0].as_ref().unwrap().retained.is_empty());
    assert_eq!(bench.queued(session), ["1"], "it is queued once");
    assert_eq!(first[1..], again[1..], "what no queue has comes again, and so does a refusal");
    assert_eq!(payload(&again[1].as_ref().unwrap().unqueued[0].message), "2");
}

#[test]
fn ephemeral_session_is_given_its_retained_messages_again() {
    let mut bench = Bench::new();
    let session = bench.open(ephemeral("a")).session;
    bench.publish(Message { retain: true, ..message("t", "1", AtLeastOnce) });
    let subscriptions = vec![at("t", AtLeastOnce)];
    let command = bench.subscribe_command(session, subscriptions);
    let first = bench.one(command.clone());
    assert_eq!(bench.one(command), first);
}

#[test]
fn unsubscribe_that_comes_again_had_it() {
    let mut bench = Bench::new();
    let session = bench.open(durable("a")).session;
    bench.subscribe(session, at("t", AtLeastOnce));
    let subscriptions = vec![subscription("t")];
    let command = Command::Unsubscribe {
        asked: bench.asked(session),
        session,
        given_upto: None,
        subscriptions,
    };
    for _ in 0..2 {
        assert_eq!(bench.one(command.clone()), Outcome::Unsubscribed(vec![true]));
    }
    assert_eq!(bench.unsubscribe(session, "t"), Outcome::Unsubscribed(vec![false]));
}

#[test]
fn close_that_comes_again_fires_no_second_will() {
    let mut bench = Bench::new();
    let open = Open { will: will("w", 0), lifetime: Lifetime::Seconds(60), ..durable("a") };
    let session = bench.open(open).session;
    let close = Command::Close {
        asked: bench.asked(session),
        session,
        cause: CloseCause::Failure,
        progress: Progress::default(),
        lifetime: None,
    };
    assert_eq!(bench.batch(vec![close.clone()]).fired.len(), 1);
    assert!(bench.batch(vec![close]).fired.is_empty());
}

#[test]
fn ask_of_another_broker_for_a_session_changes_nothing() {
    let mut bench = Bench::new();
    let other = bench.join("b", 1);
    let session = bench.open(durable("a")).session;
    let subscriptions = vec![at("t", AtLeastOnce)];
    for broker in [other, BrokerEpoch(99)] {
        let asked = bench.asked_by(broker);
        let subscriptions = subscriptions.clone();
        let outcome =
            bench.one(Command::Subscribe { asked, session, given_upto: None, subscriptions });
        assert_eq!(outcome, Outcome::Fenced);
    }
    assert_eq!(bench.state.counts().subscriptions, 0);
}

#[test]
fn message_without_a_number_is_retained_each_time() {
    let mut bench = Bench::new();
    let message = std::sync::Arc::new(Message { retain: true, ..message("t", "1", AtMostOnce) });
    let broker = bench.broker;
    let command = Command::Publish { broker, number: None, exchange: None, message };
    bench.one(command.clone());
    let version = bench.state.retained().version();
    bench.one(command);
    assert!(bench.state.retained().version() > version);
}

#[test]
fn open_that_comes_again_after_its_broker_was_lost_finds_nothing_that_it_founded_itself() {
    let mut bench = Bench::new();
    let first = bench.join("again", 5);
    let before = bench.open_at(first, durable("before")).session;
    bench.close(before, CloseCause::Disconnect);
    let connection = |connection, client| Open { connection, ..durable(client) };
    bench.open_at(first, connection(ConnectionId(7), "new"));
    bench.open_at(first, connection(ConnectionId(8), "before"));
    bench.one(Command::Leave { broker: first });
    bench.restart();
    let next = bench.join("again", 5);
    assert_ne!(first, next);
    assert!(!bench.open_at(next, connection(ConnectionId(7), "new")).is_present);
    assert!(bench.open_at(next, connection(ConnectionId(8), "before")).is_present);
    assert!(bench.open_at(next, connection(ConnectionId(9), "new")).is_present);
}
