//! Rolls files back to what was synced, from the records of `forgetful.c`.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What a write or truncation has overwritten.
struct Record<'a> {
    offset: u64,
    size_before: u64,
    bytes: &'a [u8],
}

fn take<'a>(from: &mut &'a [u8]) -> Option<Record<'a>> {
    let mut rest = *from;
    let mut number = || {
        let (number, after) = rest.split_first_chunk()?;
        rest = after;
        Some(u64::from_ne_bytes(*number))
    };
    let (offset, size_before, length) = (number()?, number()?, number()?);
    // A record that is not whole was cut by the kill; its write was never made.
    let (bytes, rest) = rest.split_at_checked(usize::try_from(length).unwrap())?;
    *from = rest;
    Some(Record { offset, size_before, bytes })
}

fn by_inode(dir: &Path, found: &mut BTreeMap<u64, PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            by_inode(&entry.path(), found);
        } else {
            found.insert(entry.metadata().unwrap().ino(), entry.path());
        }
    }
}

/// Takes back everything below `dir` that `undo` has records of, and removes these.
pub(crate) fn roll_back(dir: &Path, undo: &Path) {
    let mut files = BTreeMap::new();
    by_inode(dir, &mut files);
    for entry in fs::read_dir(undo).unwrap() {
        let entry = entry.unwrap();
        let inode = entry.file_name().into_string().unwrap().parse().unwrap();
        // The file may be removed by now.
        if let Some(path) = files.get(&inode) {
            roll_back_file(path, &fs::read(entry.path()).unwrap());
        }
        fs::remove_file(entry.path()).unwrap();
    }
}

fn roll_back_file(path: &Path, mut undo: &[u8]) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let records: Vec<_> = std::iter::from_fn(|| take(&mut undo)).collect();
    for record in records.iter().rev() {
        file.write_all_at(record.bytes, record.offset).unwrap();
        file.set_len(record.size_before).unwrap();
    }
}
