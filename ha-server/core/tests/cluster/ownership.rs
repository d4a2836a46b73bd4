//! One owner for each client identifier, and nothing from a stale one.

use ha_core::cluster::{Command, Outcome};
use ha_types::Qos::AtLeastOnce;
use ha_types::session::{CloseCause, ConnectionId, Lifetime, Open, Progress, Start};

use crate::common::{Bench, at, durable, ephemeral, message, offset, packet_id, subscription};

#[test]
fn newer_connection_takes_the_session_and_the_older_changes_nothing() {
    let mut bench = Bench::new();
    let other = bench.join("b", 1);
    let older = bench.open(durable("a")).session;
    bench.subscribe(older, at("t", AtLeastOnce));
    bench.publish(message("t", "x", AtLeastOnce));
    let opened = bench.open_at(other, Open { connection: ConnectionId(9), ..durable("a") });
    let (owner, key) = opened.fenced.unwrap();
    assert_eq!((owner.broker, owner.connection, key), (bench.broker, ConnectionId(1), older));
    let before = bench.store.clone();
    let session = older;
    for stale in [
        Command::Progress {
            asked: bench.asked(session),
            session,
            progress: Progress { acknowledged: vec![offset(1)], ..Progress::default() },
        },
        Command::Subscribe {
            asked: bench.asked(session),
            session,
            given_upto: None,
            subscriptions: vec![at("other", AtLeastOnce)],
        },
        Command::Unsubscribe {
            asked: bench.asked(session),
            session,
            given_upto: None,
            subscriptions: vec![subscription("t")],
        },
        Command::Begin { session, offsets: vec![offset(1)] },
        Command::Release { asked: bench.asked(session), session, packet_id: packet_id(1) },
        Command::Close {
            asked: bench.asked(session),
            session,
            cause: CloseCause::Failure,
            progress: Progress::default(),
            lifetime: Some(Lifetime::Connection),
        },
    ] {
        assert_eq!(bench.one(stale), Outcome::Fenced);
    }
    let changed: Vec<_> =
        bench.store.iter().filter(|part| before.get(part.0) != Some(part.1)).collect();
    assert_eq!(changed.len(), 2, "the time and the place in the log, and which asks were answered");
    assert_eq!(bench.queued(opened.session), ["x"]);
}

#[test]
fn clean_start_ends_the_older_session() {
    let mut bench = Bench::new();
    let first = bench.open(durable("a")).session;
    bench.subscribe(first, at("t", AtLeastOnce));
    bench.publish(message("t", "x", AtLeastOnce));
    bench.close(first, CloseCause::Disconnect);
    let opened = bench.open(Open { start: Start::Clean, ..durable("a") });
    assert!(!opened.is_present && opened.subscriptions.is_empty());
    assert_ne!(opened.session.id, first.id);
    let counts = bench.state.counts();
    assert_eq!((counts.sessions, counts.messages), (1, 0));
}

#[test]
fn ephemeral_session_ends_with_its_connection() {
    let mut bench = Bench::new();
    let first = bench.open(ephemeral("a")).session;
    bench.subscribe(first, at("t", AtLeastOnce));
    bench.close(first, CloseCause::Disconnect);
    assert_eq!(bench.state.counts().sessions, 0);
    let second = bench.open(Open { start: Start::Resume, ..ephemeral("a") });
    assert!(!second.is_present);
    // Also when another takes its place.
    assert!(!bench.open(Open { start: Start::Resume, ..ephemeral("a") }).is_present);
    assert_eq!(bench.state.counts().sessions, 1);
}

#[test]
fn session_ends_at_its_second_and_not_before() {
    let mut bench = Bench::new();
    let open = Open { lifetime: Lifetime::Seconds(10), ..durable("a") };
    for (away_ms, is_present) in [(9_999, true), (10_000, false)] {
        let session = bench.open(open.clone()).session;
        bench.close(session, CloseCause::Failure);
        bench.pass(away_ms);
        assert_eq!(bench.open(open.clone()).is_present, is_present, "{away_ms}");
    }
}

#[test]
fn session_whose_time_has_come_does_not_go_on_before_anybody_has_ended_it() {
    let mut bench = Bench::new();
    let open = Open { lifetime: Lifetime::Seconds(10), ..durable("a") };
    let session = bench.open(open.clone()).session;
    bench.close(session, CloseCause::Failure);
    bench.now += 10_000;
    assert!(!bench.open(open).is_present);
}

#[test]
fn disconnect_may_change_how_long_a_durable_session_lasts() {
    for (open, is_kept) in [(durable("a"), true), (ephemeral("a"), false)] {
        let mut bench = Bench::new();
        let session = bench.open(open).session;
        let close = Command::Close {
            asked: bench.asked(session),
            session,
            cause: CloseCause::Disconnect,
            progress: Progress::default(),
            lifetime: Some(Lifetime::Seconds(5)),
        };
        bench.one(close);
        assert_eq!(bench.state.counts().sessions, usize::from(is_kept));
        bench.pass(5_000);
        assert_eq!(bench.state.counts().sessions, 0);
    }
}

#[test]
fn last_progress_comes_with_the_close() {
    let mut bench = Bench::new();
    let session = bench.open(durable("a")).session;
    bench.subscribe(session, at("t", AtLeastOnce));
    bench.publish(message("t", "1", AtLeastOnce));
    bench.publish(message("t", "2", AtLeastOnce));
    let progress = Progress { acknowledged: vec![offset(1)], ..Progress::default() };
    let cause = CloseCause::Handover;
    bench.one(Command::Close {
        asked: bench.asked(session),
        session,
        cause,
        progress,
        lifetime: None,
    });
    let opened = bench.open(durable("a"));
    assert_eq!(bench.queued(opened.session), ["2"]);
}

#[test]
fn state_remembers_when_a_client_was_connected_last_also_when_its_session_is_gone() {
    let mut bench = Bench::new();
    let before = bench.state.applied();
    let session = bench.open(ephemeral("a")).session;
    bench.close(session, CloseCause::Failure);
    bench.restart();
    let after = bench.state.applied();
    let opened_after = |client_id, index| bench.state.opened_after(client_id, index);
    assert!(opened_after("a", before) && !opened_after("a", after));
    assert!(!opened_after("b", before), "nor was another one");
}
