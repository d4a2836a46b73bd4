use std::sync::mpsc;

use tempfile::TempDir;

use super::*;
use crate::config::Durability;
use crate::log::{Log, Payload};
use crate::machine::{Change, LoadError};

/// Keeps the last command.
#[derive(Default)]
struct Last(Option<Bytes>);

impl Machine for Last {
    type Outcome = ();

    fn apply(&mut self, _: u64, command: Bytes) {
        self.0 = Some(command);
    }

    fn take_changes(&mut self) -> Vec<Change> {
        vec![(b"last".to_vec(), self.0.as_ref().map(|command| command.to_vec()))]
    }

    fn load(&mut self, _: &mut dyn Iterator<Item = (Vec<u8>, Vec<u8>)>) -> Result<(), LoadError> {
        Ok(())
    }
}

fn at(index: u64) -> Position {
    Position { term: 1, index }
}

/// What the store says: how far it is, how far the log was on disk, and its number of records.
fn said(replica: &Replica<Last>) -> (Option<u64>, Option<u64>, usize) {
    let image = replica.image().unwrap();
    let last = last_of(&image.applied).map(|at| at.index);
    (last, image.applied.logged, image.records().count())
}

#[test]
fn mark_tells_how_far_the_log_is_and_leaves_the_records_to_the_save() {
    let dir = TempDir::new().unwrap();
    let log = Log::open(dir.path(), Durability::Fsync, 1 << 20).unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let applied = proto::Applied::default();
    let (replica, _nudged) =
        Replica::new(store, (Last::default(), &applied), log.synced(), u64::MAX);
    let entries = (0..3).map(|index| (at(index), Payload::Command(Bytes::from_static(b"x"))));
    let (done, synced) = mpsc::channel();
    log.append(entries, Box::new(move |result| done.send(result).unwrap())).unwrap();
    synced.recv().unwrap().unwrap();
    // One of three is not applied yet: it may still be truncated.
    for index in 0..2 {
        replica.state().apply(at(index), Bytes::from_static(b"x"));
    }

    replica.mark().unwrap();
    assert_eq!(said(&replica), (None, Some(1), 0));
    replica.save().unwrap();
    assert_eq!(said(&replica), (Some(1), Some(1), 1));
    replica.state().apply(at(2), Bytes::from_static(b"x"));
    replica.mark().unwrap();
    assert_eq!(said(&replica), (Some(1), Some(2), 1));
}
