//! Rolls files back to what was synced, from the records of `forgetful.c`.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
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
    let (bytes, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *from = rest;
    Some(Record { offset, size_before, bytes })
}

#[cfg(unix)]
fn inode(found: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(found)
}

/// No process leaves records to roll back by: the library is for Linux.
#[cfg(not(unix))]
fn inode(_: &fs::Metadata) -> u64 {
    0
}

fn by_inode(dir: &Path, found: &mut BTreeMap<u64, PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            by_inode(&entry.path(), found)?;
        } else {
            found.insert(inode(&entry.metadata()?), entry.path());
        }
    }
    Ok(())
}

/// Takes back everything below `dir` that `undo` has records of, and removes these.
pub(crate) fn roll_back(dir: &Path, undo: &Path) -> io::Result<()> {
    let mut files = BTreeMap::new();
    by_inode(dir, &mut files)?;
    for entry in fs::read_dir(undo)? {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let number: u64 = number.ok_or_else(|| io::Error::other("not a file of records"))?;
        // The file may be removed by now.
        if let Some(path) = files.get(&number) {
            roll_back_file(path, &fs::read(entry.path())?)?;
        }
        fs::remove_file(entry.path())?;
    }
    Ok(())
}

fn roll_back_file(path: &Path, mut undo: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let records: Vec<_> = std::iter::from_fn(|| take(&mut undo)).collect();
    for record in records.iter().rev() {
        file.seek(SeekFrom::Start(record.offset))?;
        file.write_all(record.bytes)?;
        file.set_len(record.size_before)?;
    }
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    /// A folder of files, one of records, and both go with the value.
    fn folders() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let [files, undo] = ["files", "undo"].map(|name| folder.path().join(name));
        fs::create_dir(&files).unwrap();
        fs::create_dir(&undo).unwrap();
        (folder, files, undo)
    }

    fn record(offset: u64, size_before: u64, bytes: &[u8]) -> Vec<u8> {
        let numbers = [offset, size_before, bytes.len() as u64].map(u64::to_ne_bytes);
        [numbers.as_flattened(), bytes].concat()
    }

    fn note(undo: &Path, file: &Path, records: &[Vec<u8>]) {
        let name = inode(&fs::metadata(file).unwrap()).to_string();
        fs::write(undo.join(name), records.concat()).unwrap();
    }

    #[test]
    fn last_write_is_taken_back_first() {
        let (_folder, files, undo) = folders();
        let file = files.join("log");
        // "abcd" was synced; then "XY" over its middle, "ef" behind it, and a cut to one byte.
        fs::write(&file, "a").unwrap();
        let records = [record(1, 4, b"bc"), record(4, 4, b""), record(1, 6, b"XYdef")];
        note(&undo, &file, &records);
        roll_back(&files, &undo).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"abcd");
        assert_eq!(fs::read_dir(&undo).unwrap().count(), 0);
    }

    #[test]
    fn record_that_the_kill_cut_and_file_that_is_gone_are_passed_over() {
        let (_folder, files, undo) = folders();
        let file = files.join("log");
        fs::write(&file, "abcd").unwrap();
        let mut half = record(0, 1, b"zz");
        half.pop();
        note(&undo, &file, &[record(2, 2, b""), half]);
        fs::write(undo.join("1"), record(0, 1, b"z")).unwrap();
        roll_back(&files, &undo).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"ab");
    }
}
