//! The state in parts.

use ha_core::cluster::{ClusterState, Command, LoadError};
use ha_types::Qos::{AtLeastOnce, ExactlyOnce};

use crate::common::{Bench, at, durable, message, offset, packet_id};

/// The key of what belongs to nobody in particular.
const META: [u8; 1] = [0];

#[test]
fn message_that_is_acknowledged_soon_never_reaches_the_store() {
    let mut state = Bench::new();
    let session = state.open(durable("a")).session;
    state.subscribe(session, at("t", AtLeastOnce));
    let (broker, message) = (state.broker, std::sync::Arc::new(message("t", "x", AtLeastOnce)));
    let number = ha_types::PublishNumber(1);
    let acknowledged = vec![offset(1)];
    let progress = ha_types::session::Progress { acknowledged, ..Default::default() };
    let publish = Command::Publish { broker, number: Some(number), exchange: None, message };
    let asked = state.asked(session);
    let progress = Command::Progress { asked, session, progress };
    let (_, changed) = state.batch_and_changes(vec![publish, progress]);
    let kinds: Vec<u8> = changed.iter().map(|key| key[0]).collect();
    assert!(kinds.contains(&2) && !kinds.contains(&6), "{kinds:?}");
}

/// The key of the part that is damaged.
fn corrupt<K: AsRef<[u8]>, V: AsRef<[u8]>>(parts: impl IntoIterator<Item = (K, V)>) -> Vec<u8> {
    match ClusterState::load(parts).unwrap_err() {
        LoadError::Corrupt(record) => record.key,
        error @ LoadError::Newer { .. } => panic!("{error}"),
    }
}

#[test]
fn corrupt_part_is_named() {
    let mut bench = Bench::new();
    let session = bench.open(durable("a")).session;
    bench.subscribe(session, at("t", ExactlyOnce));
    bench.publish(message("t", "x", ExactlyOnce));
    bench.publish(message("t", "y", AtLeastOnce));
    let publish = message("kept", "z", AtLeastOnce);
    bench.publish(ha_types::Message { retain: true, ..publish });
    assert!(bench.store.len() >= 7);
    for key in bench.store.keys() {
        let mut wrong = bench.store.clone();
        wrong.get_mut(key).unwrap().push(0);
        assert_eq!(corrupt(&wrong), *key, "too long");
        let mut wrong = bench.store.clone();
        // What begins with a feature level would be of a newer version.
        let at = if *key == META { 2 } else { 0 };
        wrong.get_mut(key).unwrap()[at] ^= 0x80;
        assert_eq!(corrupt(&wrong), *key, "of another version");
    }
    for key in [&[][..], &[9], &[6, 1], &[4, 0, 0, 0, 0, 0, 0, 0, 1], &[7, 0]] {
        assert_eq!(corrupt([(key, &[1_u8][..])]), key);
    }
}

#[test]
fn part_of_a_session_that_is_not_there_is_corrupt() {
    let mut bench = Bench::new();
    let session = bench.open(durable("a")).session;
    bench.subscribe(session, at("t", ExactlyOnce));
    let stored = bench.publish(message("t", "x", ExactlyOnce));
    assert_eq!(stored.began[0].packet_id, packet_id(1));
    bench.store.retain(|key, _| key[0] != 2);
    assert_eq!(corrupt(&bench.store)[0], 3);
}

#[test]
fn bytes_that_are_no_batch_change_nothing() {
    let mut bench = Bench::new();
    let before: Vec<_> = bench.state.parts().collect();
    for (at, bytes) in
        [&b""[..], b"\x02", b"\x01\x00\x01\xFF", b"\x01\x00\xFF\xFF\xFF\x7F"].iter().enumerate()
    {
        let applied = bench.state.apply(1_000 + at as u64, bytes);
        assert!(applied.outcomes.is_empty() && applied.fired.is_empty());
    }
    assert_eq!(bench.state.counts().malformed, 4);
    let after: Vec<_> = bench.state.parts().collect();
    assert_eq!(before[1..], after[1..]);
}
