//! What members of different versions may use.

use ha_core::cluster::{
    Batch, ClusterState, Command, FeatureLevel, LoadError, Strategies, Strategy,
};
use ha_types::ClusterMillis;

use crate::common::Bench;

fn apply(state: &mut ClusterState, index: u64, command: Command) {
    let batch = Batch { time: ClusterMillis(index), commands: vec![command] };
    state.apply(index, &batch.encode());
    state.check_invariants();
}

fn by_topic() -> Strategies {
    Strategies { otherwise: Strategy::ByTopic, ..Strategies::default() }
}

#[test]
fn group_begins_with_what_the_first_version_understood() {
    let mut state = ClusterState::new();
    assert_eq!(state.feature_level(), FeatureLevel(0));
    apply(&mut state, 1, Command::Share(by_topic()));
    assert_eq!(*state.strategies(), Strategies::default());
    apply(&mut state, 2, Command::Raise(FeatureLevel::STRATEGIES));
    apply(&mut state, 3, Command::Share(by_topic()));
    assert_eq!(*state.strategies(), by_topic());
}

#[test]
fn level_never_goes_back_and_outlives_a_restart() {
    let mut bench = Bench::new();
    bench.one(Command::Raise(FeatureLevel(0)));
    assert_eq!(bench.state.feature_level(), FeatureLevel::NEWEST);
    bench.restart();
    assert_eq!(bench.state.feature_level(), FeatureLevel::NEWEST);
}

#[test]
fn state_of_a_newer_version_is_not_taken_for_damage() {
    let mut bench = Bench::new();
    let level = FeatureLevel(FeatureLevel::NEWEST.0 + 1);
    bench.one(Command::Raise(level));
    let error = ClusterState::load(&bench.store).unwrap_err();
    assert_eq!(error, LoadError::Newer { level });
    // Nor is one whose parts have become others since.
    for value in bench.store.values_mut() {
        value.push(0xff);
    }
    assert_eq!(ClusterState::load(&bench.store).unwrap_err(), LoadError::Newer { level });
}
