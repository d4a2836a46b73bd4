use ha_proto::raft::LogId;
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
