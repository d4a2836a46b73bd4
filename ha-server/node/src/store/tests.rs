use ha_proto::raft::LogId;
use lsm_tree::AbstractTree;
use tempfile::TempDir;

use super::*;

fn applied(index: u64) -> Applied {
    Applied { last: Some(LogId { term: 1, index }), ..Applied::default() }
}

fn put(key: &str, value: &str) -> Change {
    (key.into(), Some(value.into()))
}

fn contents(store: &Store) -> (Option<u64>, Vec<(String, String)>) {
    let image = store.image().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let records = image.records().map(Result::unwrap).map(|(k, v)| (text(k), text(v))).collect();
    (image.applied.last.map(|last| last.index), records)
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect()
}

#[test]
fn saved_records_and_their_position_survive_reopening() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.save(vec![put("b", "1"), put("a", "2"), put("c", "3")], applied(7)).unwrap();
    store.save(vec![("b".into(), None)], applied(8)).unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(contents(&store), (Some(8), pairs(&[("a", "2"), ("c", "3")])));
}

#[test]
fn image_stays_as_it_was_while_the_store_goes_on_and_is_replaced() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.save(vec![put("a", "1")], applied(1)).unwrap();
    let image = store.image().unwrap();
    store.save(vec![put("a", "2")], applied(2)).unwrap();
    store.replace([Ok((b"z".to_vec(), b"9".to_vec()))].into_iter(), applied(9)).unwrap();
    let records: Vec<_> = image.records().map(Result::unwrap).collect();
    assert_eq!(records, [(b"a".to_vec(), b"1".to_vec())]);
    assert_eq!(image.applied.last.unwrap().index, 1);
    assert_eq!(contents(&store), (Some(9), pairs(&[("z", "9")])));
}

#[test]
fn replaced_records_survive_reopening_and_can_be_replaced_again() {
    let dir = TempDir::new().unwrap();
    for round in 1..4 {
        let store = Store::open(dir.path()).unwrap();
        let key = format!("key {round}");
        store.replace([Ok((key.clone().into(), vec![]))].into_iter(), applied(round)).unwrap();
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(contents(&store), (Some(round), pairs(&[(&key, "")])));
    }
}

#[test]
fn replacement_that_fails_leaves_the_old_records() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.save(vec![put("a", "1")], applied(1)).unwrap();
    let broken = || StoreError::Snapshot(std::io::Error::other("cut off"));
    let records = [Ok((b"z".to_vec(), vec![])), Err(broken())];
    store.replace(records.into_iter(), applied(9)).unwrap_err();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(contents(&store), (Some(1), pairs(&[("a", "1")])));
    store.replace([Ok((b"y".to_vec(), vec![]))].into_iter(), applied(3)).unwrap();
    assert_eq!(contents(&store), (Some(3), pairs(&[("y", "")])));
}

#[test]
fn stream_of_records_comes_back_whole_in_bounded_parts() {
    let record = |n: u32| (n.to_be_bytes().to_vec(), vec![7; 300_000]);
    let mut parts = Vec::new();
    let take = |part: Bytes| {
        parts.push(part);
        true
    };
    let digest = stream_records((0..20).map(|n| Ok(record(n))), take).unwrap();
    assert!(parts.iter().all(|part| part.len() <= image::PART_BYTES_MAX));
    let stream = parts.concat();
    assert_eq!((digest.bytes, digest.checksum()), (stream.len() as u64, crc32fast::hash(&stream)));
    let records: Vec<_> = read_records(&stream[..]).map(Result::unwrap).collect();
    assert_eq!(records, (0..20).map(record).collect::<Vec<_>>());
    assert!(read_records(&stream[..stream.len() - 1]).any(|record| record.is_err()));
}

/// In memory tables, also those of files that fjall keeps for older views.
fn table_bytes(store: &Store) -> u64 {
    let current = store.current();
    [&current.records, &store.meta]
        .map(|keyspace| keyspace.tree.get_version_history_lock().memtable_size_sum())
        .into_iter()
        .sum()
}

/// Until what was begun is on disk.
fn settle(store: &Store) {
    let is_settled = || {
        let current = store.current();
        store.db.outstanding_flushes() == 0 && current.records.sealed_memtable_count() == 0
    };
    while !is_settled() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Trims, and waits for all that follows: fjall writes a table, then looks whether to compact. Before that it
/// takes the table in memory for one that may still be read.
fn trim_and_settle(store: &Store) {
    let looks = store.db.compactions_completed();
    store.trim(Duration::ZERO).unwrap();
    settle(store);
    while store.db.compactions_completed() == looks {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn trimmed_store_holds_next_to_nothing_in_memory_and_loses_nothing() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let keys: Vec<_> = (0..5_000).map(|number| format!("key {number:05}")).collect();
    let value = "v".repeat(50);
    store.save(keys.iter().map(|key| put(key, &value)).collect(), applied(1)).unwrap();
    let full = table_bytes(&store);
    assert!(full > 300_000, "{full}");
    for _ in 0..2 {
        trim_and_settle(&store);
    }
    let trimmed = table_bytes(&store);
    assert!(trimmed < 1_000, "{trimmed}");
    let all: Vec<_> = keys.iter().map(|key| (key.clone(), value.clone())).collect();
    assert_eq!(contents(&store), (Some(1), all.clone()));
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(contents(&store), (Some(1), all));
}

#[test]
fn little_that_was_saved_is_not_trimmed() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.save(vec![put("a", "1")], applied(1)).unwrap();
    let before = table_bytes(&store);
    for _ in 0..2 {
        store.trim(Duration::ZERO).unwrap();
        settle(&store);
    }
    assert_eq!(table_bytes(&store), before);
}
