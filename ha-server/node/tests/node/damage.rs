//! Where a log is damaged.

use std::fs;
use std::path::{Path, PathBuf};

use faulty_disk::{Damage, damage};

/// Bytes of a record before the key of a command: kind, position, the payload's header, and the
/// length of the key.
const BEFORE_KEY: usize = 31;

pub(crate) fn log_file(dir: &Path) -> PathBuf {
    damage::segments(&dir.join("log")).unwrap().pop().unwrap()
}

/// Damages the last file of a log at the command that sets `key`; `None`: at its first byte.
pub(crate) fn damage_log(dir: &Path, damage: Damage, key: Option<&str>) {
    let file = log_file(dir);
    let bytes = fs::read(&file).unwrap();
    let found = |key: &str| {
        let found = bytes.windows(key.len()).position(|window| window == key.as_bytes());
        found.unwrap() - BEFORE_KEY
    };
    let record = key.map_or(0, found);
    // In the middle of what says where the record lies.
    let at = if damage == Damage::Flip { record + 9 } else { record };
    damage.strike(&file, at).unwrap();
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
