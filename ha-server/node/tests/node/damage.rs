//! What disks do to files.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of a record before the key of a command: kind, position, the payload's header, and the
/// length of the key.
const BEFORE_KEY: usize = 31;

/// What happens to a log.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Damage {
    /// One bit of a record flips.
    Flip,
    /// The file ends before a record.
    Truncate,
    /// All is zero from a record on.
    Zero,
    /// A record is zero, and those behind it are not.
    ZeroOne,
}

pub(crate) fn log_file(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir.join("log")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|end| end == "wal")).collect();
    files.sort();
    files.pop().unwrap()
}

/// Damages the last file of a log at the command that sets `key`; `None`: at its first byte.
pub(crate) fn damage_log(dir: &Path, damage: Damage, key: Option<&str>) {
    let file = log_file(dir);
    let mut bytes = fs::read(&file).unwrap();
    let found = |key: &str| {
        let found = bytes.windows(key.len()).position(|window| window == key.as_bytes());
        found.unwrap() - BEFORE_KEY
    };
    let at = key.map_or(0, found);
    match damage {
        Damage::Flip => bytes[at + 9] ^= 1,
        Damage::Truncate => bytes.truncate(at),
        Damage::Zero => bytes[at..].fill(0),
        Damage::ZeroOne => bytes[at..at + BEFORE_KEY].fill(0),
    }
    fs::write(&file, bytes).unwrap();
}

/// All files below a folder.
pub(crate) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let (mut files, mut dirs) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let found = if entry.file_type().unwrap().is_dir() { &mut dirs } else { &mut files };
            found.push(entry.path());
        }
    }
    files.sort();
    files
}
