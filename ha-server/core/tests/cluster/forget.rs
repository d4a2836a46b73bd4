//! Sessions that an operator ends.

use ha_core::cluster::{ClusterState, Command, FeatureLevel, Outcome};
use ha_types::Qos::AtLeastOnce;
use ha_types::session::{CloseCause, Open};

use crate::common::{Bench, at, durable, message, payload, will};

#[test]
fn session_whose_client_is_away_ends_with_all_that_was_kept_for_it() {
    let mut bench = Bench::new();
    let open = Open { will: will("gone", 600), ..durable("a") };
    let session = bench.open(open).session;
    bench.subscribe(session, at("t", AtLeastOnce));
    bench.close(session, CloseCause::Failure);
    bench.publish(message("t", "x", AtLeastOnce));
    let applied = bench.batch(vec![Command::Forget { session }]);
    assert_eq!(applied.outcomes, [Outcome::Done]);
    assert_eq!(payload(&applied.fired[0].message), "gone");
    assert_eq!((bench.state.counts().sessions, bench.state.counts().messages), (0, 0));
    assert!(!bench.open(durable("a")).is_present);
    bench.reloaded();
}

#[test]
fn session_that_was_opened_meanwhile_stays() {
    let mut bench = Bench::new();
    let old = bench.open(durable("a")).session;
    bench.close(old, CloseCause::Failure);
    let new = bench.open(durable("a")).session;
    for session in [old, new] {
        assert_eq!(bench.one(Command::Forget { session }), Outcome::Fenced);
    }
    bench.close(new, CloseCause::Failure);
    assert_eq!(bench.one(Command::Forget { session: old }), Outcome::Fenced);
    assert_eq!(bench.one(Command::Forget { session: new }), Outcome::Done);
    assert_eq!(bench.one(Command::Forget { session: new }), Outcome::Fenced, "it is gone");
}

#[test]
fn session_of_a_lost_broker_ends_before_that_is_looked_at() {
    let mut bench = Bench::new();
    let session = bench.open(durable("a")).session;
    bench.one(Command::Leave { broker: bench.broker });
    assert_eq!(bench.one(Command::Forget { session }), Outcome::Done);
    assert_eq!(bench.state.counts().sessions, 0);
    bench.pass(0);
    bench.reloaded();
}

/// Members that do not know the command would keep the session.
#[test]
fn nothing_ends_before_the_level_has_risen() {
    let mut state = ClusterState::new();
    let mut index = 0;
    let mut apply = |state: &mut ClusterState, command| {
        index += 1;
        let batch =
            ha_core::cluster::Batch { time: ha_types::ClusterMillis(1), commands: vec![command] };
        state.apply(index, &batch.encode());
    };
    let name = ha_types::BrokerName::parse("b").unwrap();
    let incarnation = ha_types::Incarnation(1);
    apply(&mut state, Command::Join { name, incarnation });
    let asked = |number| ha_core::cluster::Asked {
        broker: ha_types::BrokerEpoch(1),
        number: ha_types::AskNumber(number),
    };
    apply(&mut state, Command::Open { asked: asked(1), open: durable("a") });
    let (session, _) = state.session_of("a").unwrap();
    apply(&mut state, Command::Leave { broker: ha_types::BrokerEpoch(1) });
    apply(&mut state, Command::Forget { session });
    assert!(state.session_of("a").is_some());
    apply(&mut state, Command::Raise(FeatureLevel::FORGET));
    apply(&mut state, Command::Forget { session });
    assert!(state.session_of("a").is_none());
}
