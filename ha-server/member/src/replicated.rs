//! [`ClusterState`] as a node wants its machine.
//!
//! Replicated: runs on every node, under the node's lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use bytes::Bytes;
use ha_core::cluster::{self, Applied, ClusterState, FeatureLevel};
use ha_node::{Change, CorruptRecord, LoadError, Machine};
use ha_types::Qos;

use crate::place::{Place, take};

/// Longest key that a store takes. Only the key of a retained message can be longer, by one byte.
const KEY_BYTES_MAX: usize = 65_535;

/// The replicated state of the cluster.
#[derive(Debug, Default)]
pub struct Replicated {
    state: ClusterState,
    place: Place,
    concern: Arc<Concern>,
    level: Arc<Level>,
}

/// [`ClusterState::lowest_concern`], for those who must not wait for the node's lock: it changes before
/// anybody is told what the batch came to.
#[derive(Debug)]
pub struct Concern(AtomicU8);

impl Default for Concern {
    fn default() -> Self {
        Self(AtomicU8::new(Qos::ExactlyOnce as u8))
    }
}

impl Concern {
    /// Whether there is a topic at which a message of this QoS concerns others than the subscribers of its
    /// broker.
    #[must_use]
    pub fn reaches(&self, qos: Qos) -> bool {
        qos as u8 >= self.0.load(Ordering::Acquire)
    }

    fn note(&self, state: &ClusterState) {
        self.0.store(state.lowest_concern() as u8, Ordering::Release);
    }
}

/// [`ClusterState::feature_level`], for those who must not wait for the node's lock.
#[derive(Debug, Default)]
pub struct Level(AtomicU32);

impl Level {
    /// As of the last batch.
    #[must_use]
    pub fn now(&self) -> FeatureLevel {
        FeatureLevel(self.0.load(Ordering::Acquire))
    }

    fn note(&self, state: &ClusterState) {
        self.0.store(state.feature_level().0, Ordering::Release);
    }
}

/// A command was not applied: one that was proposed before it in its run never came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped;

impl Replicated {
    /// The state as of the last batch.
    #[must_use]
    pub fn state(&self) -> &ClusterState {
        &self.state
    }

    /// Follows the state.
    #[must_use]
    pub fn concern(&self) -> Arc<Concern> {
        Arc::clone(&self.concern)
    }

    /// Follows the state.
    #[must_use]
    pub fn level(&self) -> Arc<Level> {
        Arc::clone(&self.level)
    }

    fn note(&self) {
        self.concern.note(&self.state);
        self.level.note(&self.state);
    }
}

impl Machine for Replicated {
    type Outcome = Result<Applied, Skipped>;

    fn apply(&mut self, index: u64, command: Bytes) -> Self::Outcome {
        let (place, batch) = take(command);
        if let Some(place) = place
            && !self.place.admit(place)
        {
            return Err(Skipped);
        }
        let applied = self.state.apply(index, &batch);
        self.note();
        Ok(applied)
    }

    fn take_changes(&mut self) -> Vec<Change> {
        let changes = self.state.take_changes().into_iter();
        let place = (PLACE.to_vec(), Some(self.place.bytes().to_vec()));
        changes.map(|(key, value)| packed(key, value.map(Vec::from))).chain([place]).collect()
    }

    fn load(
        &mut self,
        records: &mut dyn Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<(), LoadError> {
        let mut place = None;
        let parts = records.filter(|(key, value)| {
            let is_part = key != PLACE;
            if !is_part {
                place = Some(Place::parse(value));
            }
            is_part
        });
        let state = ClusterState::load(parts.map(unpacked)).map_err(refused)?;
        let place = place.unwrap_or(Some(Place::default()));
        let place = place.ok_or_else(|| corrupt(PLACE.to_vec()))?;
        (self.state, self.place) = (state, place);
        self.note();
        Ok(())
    }
}

fn refused(error: cluster::LoadError) -> LoadError {
    match error {
        cluster::LoadError::Corrupt(record) => corrupt(record.key),
        newer @ cluster::LoadError::Newer { .. } => LoadError::Newer(newer.to_string()),
    }
}

fn corrupt(key: Vec<u8>) -> LoadError {
    CorruptRecord { key, reason: "it is damaged".to_owned() }.into()
}

/// Key of the record that holds the place of the last batch.
const PLACE: &[u8] = &[0xff];

/// First bytes of longest keys from here on are ours: the state has fewer kinds of keys.
const PACKED: u8 = 0x40;

/// A key that is a byte too long, of a retained message with the longest topic, has its last byte
/// added to its first: no UTF-8 text ends in a byte above 0xbf, so the sum fits.
fn packed(mut key: Vec<u8>, value: Option<Vec<u8>>) -> Change {
    if key.len() > KEY_BYTES_MAX {
        let last = key.pop().expect("it is long");
        key[0] = PACKED + last;
    }
    (key, value)
}

fn unpacked((mut key, value): (Vec<u8>, Vec<u8>)) -> (Vec<u8>, Vec<u8>) {
    const RETAINED: u8 = 7;
    let is_packed = key.len() == KEY_BYTES_MAX && key[0] >= PACKED;
    if is_packed {
        let last = std::mem::replace(&mut key[0], RETAINED) - PACKED;
        key.push(last);
    }
    (key, value)
}

#[cfg(test)]
mod tests {
    use ha_core::cluster::{Batch, Command, FeatureLevel};
    use ha_types::{
        BrokerEpoch, BrokerName, ClusterMillis, Incarnation, Message, PublishNumber, Publisher,
        Qos, TopicName,
    };

    use super::*;
    use crate::place::{in_run, plain};

    fn apply(machine: &mut Replicated, index: u64, command: Command) {
        let batch = Batch { time: ClusterMillis(index), commands: vec![command] };
        machine.apply(index, plain(&batch)).unwrap();
    }

    fn retained(number: u64, topic: String) -> Command {
        let message = Message {
            topic: TopicName::parse(topic.into()).unwrap(),
            payload: Bytes::from_static(b"x"),
            properties: Bytes::new(),
            qos: Qos::AtLeastOnce,
            retain: true,
            expires_at: None,
            publisher: Publisher::default(),
        };
        Command::Publish {
            broker: BrokerEpoch(1),
            number: Some(PublishNumber(number)),
            exchange: None,
            message: Arc::new(message),
        }
    }

    /// Topics of 65,534 and 65,535 bytes that end in a letter, a letter of two bytes, and one of four.
    fn longest_topics() -> Vec<String> {
        let ending = ["a", "b", "\u{7f}", "\u{7ff}", "é", "\u{10ffff}"];
        let filled = |bytes: usize, end: &str| "t".repeat(bytes - end.len()) + end;
        let both = |end: &&str| [filled(65_534, end), filled(65_535, end)];
        ending.iter().flat_map(both).collect()
    }

    #[test]
    fn retained_messages_of_the_longest_topics_fit_the_store_and_come_back() {
        let mut machine = Replicated::default();
        let name = BrokerName::parse("b").unwrap();
        apply(&mut machine, 1, Command::Join { name, incarnation: Incarnation(1) });
        for (number, topic) in (1..).zip(longest_topics()) {
            apply(&mut machine, number + 1, retained(number, topic));
        }
        let mut records = Vec::new();
        for (key, value) in machine.take_changes() {
            assert!(key.len() <= KEY_BYTES_MAX);
            records.push((key, value.unwrap()));
        }
        records.sort();
        let mut loaded = Replicated::default();
        loaded.load(&mut records.into_iter()).unwrap();
        assert!(loaded.state().parts().eq(machine.state().parts()));
        assert_eq!(loaded.state().parts().count(), 2 + longest_topics().len());
        assert_eq!(loaded.place, machine.place);
    }

    #[test]
    fn broker_that_was_lost_is_stored_and_comes_back() {
        let mut machine = Replicated::default();
        let name = BrokerName::parse("b").unwrap();
        apply(&mut machine, 1, Command::Join { name, incarnation: Incarnation(1) });
        apply(&mut machine, 2, Command::Leave { broker: BrokerEpoch(1) });
        let records = machine.take_changes().into_iter().map(|(key, value)| (key, value.unwrap()));
        let mut loaded = Replicated::default();
        loaded.load(&mut records.collect::<Vec<_>>().into_iter()).unwrap();
        assert!(loaded.state().parts().eq(machine.state().parts()));
    }

    #[test]
    fn damaged_record_is_named_and_not_loaded() {
        let session = vec![2, 0, 0, 0, 0, 0, 0, 0, 1];
        for key in [session, PLACE.to_vec()] {
            let record = (key.clone(), b"garbage".to_vec());
            let error = Replicated::default().load(&mut std::iter::once(record)).unwrap_err();
            assert_eq!(error, corrupt(key));
        }
    }

    #[test]
    fn state_of_a_newer_program_is_no_damage() {
        let mut machine = Replicated::default();
        let level = FeatureLevel(FeatureLevel::NEWEST.0 + 1);
        apply(&mut machine, 1, Command::Raise(level));
        let records = machine.take_changes().into_iter().map(|(key, value)| (key, value.unwrap()));
        let mut records = records.collect::<Vec<_>>().into_iter();
        let error = Replicated::default().load(&mut records).unwrap_err();
        assert!(matches!(error, LoadError::Newer(_)), "{error}");
    }

    #[test]
    fn command_that_is_no_batch_changes_nothing() {
        for command in [b"".as_slice(), b"garbage", b"\0garbage", b"\x01", b"\x01garbage"] {
            let mut machine = Replicated::default();
            let applied = machine.apply(1, Bytes::from_static(command));
            assert_eq!(applied, Ok(Applied::default()), "{command:?}");
            assert_eq!(machine.state().counts().malformed, 1);
        }
    }

    #[test]
    fn batch_behind_one_that_never_came_is_skipped_also_after_a_restart() {
        let empty = Batch { time: ClusterMillis(1), commands: Vec::new() };
        let at = |run, next| in_run(Place { run, next }, &empty);
        let mut machine = Replicated::default();
        let done = Ok(Applied::default());
        assert_eq!(machine.apply(1, at(7, 0)), done);
        assert_eq!(machine.apply(2, at(7, 2)), Err(Skipped));
        let records = machine.take_changes().into_iter().map(|(key, value)| (key, value.unwrap()));
        let mut machine = Replicated::default();
        machine.load(&mut records.collect::<Vec<_>>().into_iter()).unwrap();
        assert_eq!(machine.apply(3, at(7, 3)), Err(Skipped));
        assert_eq!(machine.apply(4, at(8, 1)), Err(Skipped), "a run begins with its first");
        assert_eq!(machine.apply(5, at(8, 0)), done);
        assert_eq!(machine.apply(6, at(8, 1)), done);
        assert_eq!(machine.apply(7, plain(&empty)), done, "it belongs to no run");
        assert_eq!(machine.apply(8, at(8, 2)), done);
    }
}
