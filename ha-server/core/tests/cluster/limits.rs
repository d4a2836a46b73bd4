//! What happens when something is full.

use ha_core::cluster::{Command, Outcome, Refused, StateLimits};
use ha_types::Message;
use ha_types::Qos::AtLeastOnce;
use ha_types::session::{CloseCause, RefuseReason};

use crate::common::{Bench, at, durable, message, offset};

fn with(limits: StateLimits) -> Bench {
    let mut bench = Bench::new();
    bench.one(Command::Configure(limits));
    bench
}

#[test]
fn session_that_is_too_many_is_refused() {
    let mut bench = with(StateLimits { sessions_max: 1, ..StateLimits::default() });
    bench.open(durable("a"));
    let (broker, open) = (bench.broker, durable("b"));
    let outcome = bench.one(Command::Open { asked: bench.asked_by(broker), open });
    assert_eq!(outcome, Outcome::Refused(RefuseReason::QuotaExceeded));
    assert!(bench.open(durable("a")).is_present);
}

#[test]
fn subscription_that_is_too_many_is_refused_and_the_others_are_taken() {
    let mut bench = with(StateLimits { subscriptions_max: 1, ..StateLimits::default() });
    let session = bench.open(durable("a")).session;
    let subscriptions = vec![at("a", AtLeastOnce), at("b", AtLeastOnce), at("a", AtLeastOnce)];
    let Outcome::Subscribed(granted) = bench.one(bench.subscribe_command(session, subscriptions))
    else {
        panic!("not fenced");
    };
    let granted: Vec<_> = granted.into_iter().map(|of| of.map(|of| of.qos)).collect();
    assert_eq!(granted, [Ok(AtLeastOnce), Err(RefuseReason::QuotaExceeded), Ok(AtLeastOnce)]);
}

#[test]
fn full_queue_loses_its_oldest_messages_when_somebody_looks() {
    let limits = [
        StateLimits { queue_messages_max: 3, ..StateLimits::default() },
        StateLimits { queue_bytes_max: 6, ..StateLimits::default() },
    ];
    for limits in limits {
        for look in ["sweep", "open", "progress"] {
            let mut bench = with(limits);
            let session = bench.open(durable("a")).session;
            bench.subscribe(session, at("t", AtLeastOnce));
            for n in 1..=5 {
                bench.publish(message("t", &n.to_string(), AtLeastOnce));
            }
            assert_eq!(bench.queued(session).len(), 5, "a publish costs the same for all");
            let session = match look {
                "sweep" => {
                    bench.one(Command::Sweep { at_most: 10 });
                    session
                }
                "open" => bench.open(durable("a")).session,
                _ => {
                    bench.puback(session, &[offset(99)]);
                    session
                }
            };
            assert_eq!(bench.queued(session), ["3", "4", "5"], "{look}");
            let counts = bench.state.counts();
            assert_eq!((counts.dropped, counts.messages), (2, 3));
        }
    }
}

#[test]
fn sweep_goes_round_all_sessions_so_many_at_a_time() {
    let mut bench = with(StateLimits { queue_messages_max: 1, ..StateLimits::default() });
    let sessions: Vec<_> = (0..3).map(|n| bench.open(durable(&n.to_string())).session).collect();
    for &session in &sessions {
        bench.subscribe(session, at("t", AtLeastOnce));
    }
    bench.publish(message("t", "1", AtLeastOnce));
    bench.publish(message("t", "2", AtLeastOnce));
    let left =
        |bench: &Bench| sessions.iter().map(|&of| bench.queued(of).len()).collect::<Vec<_>>();
    bench.one(Command::Sweep { at_most: 2 });
    assert_eq!(left(&bench), [1, 1, 2]);
    bench.one(Command::Sweep { at_most: 2 });
    assert_eq!(left(&bench), [1, 1, 1]);
    bench.publish(message("t", "3", AtLeastOnce));
    bench.one(Command::Sweep { at_most: 1 });
    assert_eq!(left(&bench), [1, 2, 2], "from the beginning again");
}

#[test]
fn full_filter_and_full_store_refuse_the_publish() {
    for limits in [
        StateLimits { filter_messages_max: 1, ..StateLimits::default() },
        StateLimits { store_bytes_max: 3, ..StateLimits::default() },
    ] {
        let mut bench = with(limits);
        let session = bench.open(durable("a")).session;
        bench.subscribe(session, at("t", AtLeastOnce));
        bench.publish(message("t", "1", AtLeastOnce));
        let refused = bench.try_publish(message("t", "2", AtLeastOnce));
        assert_eq!(refused, Err(Refused::QuotaExceeded));
        assert_eq!(bench.publish(message("other", "3", AtLeastOnce)).number, None);
        bench.puback(session, &[offset(1)]);
        bench.publish(message("t", "4", AtLeastOnce));
        assert_eq!(bench.queued(session), ["4"]);
    }
}

#[test]
fn nothing_is_left_of_a_session_that_has_ended() {
    let mut bench = Bench::new();
    // But for when its client was connected last.
    let count = |bench: &Bench| bench.state.parts().filter(|(key, _)| key[0] != 14).count();
    let before = count(&bench);
    let session = bench.open(durable("a")).session;
    bench.subscribe(session, at("t/#", AtLeastOnce));
    bench.subscribe(session, at("u", AtLeastOnce));
    bench.publish(message("t/1", "x", AtLeastOnce));
    bench.publish(message("u", "x", AtLeastOnce));
    bench.unsubscribe(session, "u");
    bench.close(session, CloseCause::Failure);
    let open = ha_types::session::Open {
        start: ha_types::session::Start::Clean,
        ..crate::common::ephemeral("a")
    };
    let session = bench.open(open).session;
    bench.close(session, CloseCause::Failure);
    assert_eq!(count(&bench), before);
}

#[test]
fn retained_message_that_has_expired_is_removed_when_a_sweep_has_seen_all_sessions() {
    let mut bench = Bench::new();
    bench.open(durable("a"));
    let expires_at = Some(ha_types::ClusterMillis(bench.now + 10));
    bench.publish(Message { retain: true, expires_at, ..message("gone", "m", AtLeastOnce) });
    bench.publish(Message { retain: true, ..message("kept", "m", AtLeastOnce) });
    bench.now += 10;
    bench.one(Command::Sweep { at_most: 1 });
    assert_eq!(bench.state.retained().len(), 2);
    bench.one(Command::Sweep { at_most: 1 });
    assert_eq!(bench.state.retained().len(), 1);
    bench.reloaded();
}
