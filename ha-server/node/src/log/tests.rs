use std::fs;
use std::sync::mpsc;

use bytes::Bytes;
use tempfile::TempDir;

use super::*;

const FILE_BYTES: usize = 1 << 20;

fn at(index: u64) -> Position {
    Position { term: 1, index }
}

fn command(index: u64) -> (Position, Payload) {
    (at(index), Payload::Command(Bytes::from(format!("command {index}"))))
}

/// Appends and waits until it is on disk.
fn append(log: &Log, entries: impl Iterator<Item = u64>) {
    let (done, flushed) = mpsc::channel();
    let done = Box::new(move |result| done.send(result).unwrap());
    log.append(entries.map(command), done).unwrap();
    flushed.recv().unwrap().unwrap();
}

fn open(dir: &TempDir) -> Result<Log, LogError> {
    Log::open(dir.path(), Durability::Fsync, FILE_BYTES)
}

fn log_with(entries: Range<u64>) -> TempDir {
    let dir = TempDir::new().unwrap();
    append(&open(&dir).unwrap(), entries);
    dir
}

fn only_file(dir: &TempDir) -> PathBuf {
    let [only] = &files(dir)[..] else { panic!("more than one file") };
    only.clone()
}

fn damage_of(dir: &TempDir) -> (PathBuf, u64) {
    match open(dir).err().unwrap() {
        LogError::Damaged { file, offset, .. } => (file, offset),
        error @ LogError::Io { .. } => panic!("{error}"),
    }
}

/// Where the record of command `index` begins: 20 bytes before its payload's header of nine.
fn record_of(bytes: &[u8], index: u64) -> usize {
    let text = format!("command {index}");
    let text = text.as_bytes();
    bytes.windows(text.len()).position(|window| window == text).unwrap() - 29
}

#[test]
fn everything_that_was_flushed_is_there_after_reopening() {
    let dir = log_with(0..10);
    let log = open(&dir).unwrap();
    assert_eq!(log.state().last, Some(at(9)));
    let entries = log.read(0..10, usize::MAX).unwrap();
    assert_eq!(entries, (0..10).map(command).collect::<Vec<_>>());
}

#[test]
fn many_appends_that_wait_are_told_once_each_and_in_order() {
    let dir = TempDir::new().unwrap();
    let log = open(&dir).unwrap();
    let (told, all) = mpsc::channel();
    for index in 0..500 {
        let told = told.clone();
        let done =
            Box::new(move |result: io::Result<()>| told.send((index, result.is_ok())).unwrap());
        log.append([command(index)].into_iter(), done).unwrap();
    }
    drop(told);
    assert_eq!(all.iter().collect::<Vec<_>>(), (0..500).map(|i| (i, true)).collect::<Vec<_>>());
}

#[test]
fn write_that_power_loss_cut_short_is_cut_and_the_rest_kept() {
    let dir = log_with(0..10);
    let file = only_file(&dir);
    let bytes = fs::read(&file).unwrap();
    let last = record_of(&bytes, 9);
    for keep in last + 1..bytes.len() {
        fs::write(&file, &bytes[..keep]).unwrap();
        assert_eq!(open(&dir).unwrap().state().last, Some(at(8)), "kept {keep} bytes");
    }
}

#[test]
fn file_that_grew_before_its_bytes_came_is_cut() {
    let dir = log_with(0..10);
    let file = only_file(&dir);
    let mut bytes = fs::read(&file).unwrap();
    let last = record_of(&bytes, 9);
    bytes[last + 8..].fill(0);
    fs::write(&file, &bytes).unwrap();
    let log = open(&dir).unwrap();
    assert_eq!(log.state().last, Some(at(8)));
    append(&log, 9..12);
    drop(log);
    assert_eq!(open(&dir).unwrap().state().last, Some(at(11)));
}

#[test]
fn each_flipped_byte_of_an_acknowledged_record_stops_with_file_and_offset() {
    let dir = log_with(0..10);
    let file = only_file(&dir);
    let bytes = fs::read(&file).unwrap();
    let (fifth, sixth) = (record_of(&bytes, 5), record_of(&bytes, 6));
    for flipped in fifth..sixth {
        let mut damaged = bytes.clone();
        damaged[flipped] ^= 0x40;
        fs::write(&file, &damaged).unwrap();
        assert_eq!(damage_of(&dir), (file.clone(), fifth as u64), "byte {flipped}");
    }
}

#[test]
fn flipped_byte_in_the_last_record_is_damage_and_not_a_torn_write() {
    let dir = log_with(0..10);
    let file = only_file(&dir);
    let bytes = fs::read(&file).unwrap();
    let last = record_of(&bytes, 9);
    for flipped in last..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[flipped] ^= 0x01;
        fs::write(&file, &damaged).unwrap();
        assert_eq!(damage_of(&dir), (file.clone(), last as u64), "byte {flipped}");
    }
}

#[test]
fn purged_entries_stay_away_and_the_rest_stays() {
    let dir = log_with(0..10);
    let log = open(&dir).unwrap();
    log.purge(at(4)).unwrap();
    drop(log);
    let log = open(&dir).unwrap();
    assert_eq!((log.state().purged, log.state().last), (Some(at(4)), Some(at(9))));
    assert_eq!(log.read(0..10, usize::MAX).unwrap(), (5..10).map(command).collect::<Vec<_>>());
}

#[test]
fn vote_survives_also_without_syncs() {
    let dir = TempDir::new().unwrap();
    let vote = Vote { term: 7, node: 2, committed: true };
    let log = Log::open(dir.path(), Durability::Memory, FILE_BYTES).unwrap();
    let (done, flushed) = mpsc::channel();
    log.save_vote(vote, Box::new(move |result| done.send(result).unwrap())).unwrap();
    flushed.recv().unwrap().unwrap();
    drop(log);
    assert_eq!(open(&dir).unwrap().state().vote, Some(vote));
}

#[test]
fn read_is_bounded_in_bytes_and_gives_at_least_one() {
    let dir = log_with(0..10);
    let log = open(&dir).unwrap();
    assert_eq!(log.read(3..10, 1).unwrap(), [command(3)]);
    assert_eq!(log.read(3..10, 2 * "command 3".len()).unwrap().len(), 2);
}

fn in_small_files(dir: &TempDir) -> Result<Log, LogError> {
    Log::open(dir.path(), Durability::Fsync, 300)
}

fn files(dir: &TempDir) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|end| end == "wal")).collect();
    files.sort();
    files
}

fn log_in_many_files() -> (TempDir, Vec<PathBuf>) {
    let dir = TempDir::new().unwrap();
    append(&in_small_files(&dir).unwrap(), 0..40);
    let files = files(&dir);
    assert!(files.len() > 4, "{files:?}");
    (dir, files)
}

#[test]
fn log_in_many_files_reads_as_one_and_loses_those_that_are_purged() {
    let (dir, before) = log_in_many_files();
    let log = in_small_files(&dir).unwrap();
    assert_eq!(log.read(0..40, usize::MAX).unwrap(), (0..40).map(command).collect::<Vec<_>>());
    log.purge(at(30)).unwrap();
    drop(log);
    assert!(files(&dir).len() < before.len());
    let log = in_small_files(&dir).unwrap();
    assert_eq!(log.read(0..40, usize::MAX).unwrap(), (31..40).map(command).collect::<Vec<_>>());
}

#[test]
fn file_that_ends_early_and_is_not_the_last_is_damage() {
    let (dir, files) = log_in_many_files();
    let bytes = fs::read(&files[2]).unwrap();
    fs::write(&files[2], &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(damage_of(&dir).0, files[2]);
}

#[test]
fn file_that_is_missing_is_damage() {
    for missing in [0, 2] {
        let (dir, files) = log_in_many_files();
        fs::remove_file(&files[missing]).unwrap();
        let found = damage_of(&dir).0;
        assert!(found == files[missing + 1] || found == dir.path(), "{}", found.display());
    }
}

#[test]
fn file_that_was_begun_and_not_written_is_removed() {
    for content in [&[][..], &[0; 100], &[0, 0, 0]] {
        let (dir, files) = log_in_many_files();
        let last = files.last().unwrap();
        let end = start_of(last) + fs::read(last).unwrap().len() as u64;
        fs::write(dir.path().join(name_from(end)), content).unwrap();
        let log = in_small_files(&dir).unwrap();
        assert_eq!(log.state().last, Some(at(39)));
    }
}

fn start_of(file: &Path) -> u64 {
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    chunked_wal::Config::parse_chunk_file_name(&name).unwrap()
}

fn name_from(start: u64) -> String {
    chunked_wal::Config::chunk_file_name(raft_log::ChunkId(start))
}
