//! Reads the files of a log before they are opened: cuts what power loss left of a last write, and
//! refuses a file that is damaged elsewhere.
//!
//! The log library would cut at any record that seems to be incomplete. Here damage is a torn write
//! only at the end of the last file, and only when nothing intact follows: then no record that was
//! ever synced can be behind it. Everything else might have been acknowledged, so it is an error
//! that names file and byte.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use raft_log::codeq::Decode;
use raft_log::{RaftLogAction, RaftLogRecord, WALRecord, chunked_wal};

use crate::log::{LogError, Marks, WalTypes};

type Record = RaftLogRecord<WalTypes>;

/// Kinds of records are numbered 0 to 5, in four bytes.
const KIND_MAX: u32 = 5;

/// One file of the log, read.
struct Chunk {
    path: PathBuf,
    /// Where it begins, counted over all files.
    start: u64,
    bytes: Vec<u8>,
}

/// The intact records of a file.
struct Intact {
    /// Bytes of intact records.
    upto: usize,
    /// Why it ends before the end of the file.
    damage: Option<io::Error>,
}

/// Checks all files in `dir`. Cuts a torn end, with a warning.
///
/// Returns how the bytes of the log are spread over its entries.
pub(super) fn check(dir: &Path) -> Result<Marks, LogError> {
    let mut paths = chunk_paths(dir)?;
    let mut marks = Marks::default();
    drop_unwritten(dir, &mut paths)?;
    let mut expected = None;
    for (at, (start, path)) in paths.iter().enumerate() {
        let chunk = Chunk { path: path.clone(), start: *start, bytes: read(path)? };
        if expected.is_some_and(|expected| expected != chunk.start) {
            return Err(chunk.damaged(0, "the file before it is missing or too short"));
        }
        let intact = chunk.read_records(&mut marks);
        if let Some(damage) = intact.damage {
            if at + 1 < paths.len() || !chunk.is_torn(intact.upto, &damage) {
                return Err(chunk.damaged(intact.upto, &damage.to_string()));
            }
            chunk.cut(intact.upto)?;
        }
        expected = Some(chunk.start + intact.upto as u64);
    }
    Ok(marks)
}

fn chunk_paths(dir: &Path) -> Result<Vec<(u64, PathBuf)>, LogError> {
    let io = |source| LogError::Io { path: dir.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name();
        if let Ok(start) = chunked_wal::Config::parse_chunk_file_name(&name.to_string_lossy()) {
            paths.push((start, entry.path()));
        }
    }
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<Vec<u8>, LogError> {
    fs::read(path).map_err(|source| LogError::Io { path: path.to_owned(), source })
}

/// Removes files at the end that were begun but have no first record yet: a file is begun only
/// after the one before it is synced, so they hold nothing.
fn drop_unwritten(dir: &Path, paths: &mut Vec<(u64, PathBuf)>) -> Result<(), LogError> {
    while let Some((start, path)) = paths.last() {
        let chunk = Chunk { path: path.clone(), start: *start, bytes: read(path)? };
        let intact = chunk.read_records(&mut Marks::default());
        let empty = intact.upto == 0
            && intact.damage.as_ref().is_none_or(|damage| chunk.is_torn(0, damage));
        if !empty {
            return Ok(());
        }
        tracing::warn!(file = %path.display(), "removed a log file that was begun and not written");
        let io = |source| LogError::Io { path: path.clone(), source };
        fs::remove_file(path).map_err(io)?;
        fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)?;
        paths.pop();
    }
    Ok(())
}

impl Chunk {
    fn read_records(&self, marks: &mut Marks) -> Intact {
        let mut upto = 0;
        while upto < self.bytes.len() {
            let mut rest = &self.bytes[upto..];
            let before = rest.len();
            match Record::decode(&mut rest) {
                Ok(record) => {
                    let size = before - rest.len();
                    note(marks, &record, size as u64);
                    upto += size;
                }
                Err(damage) => return Intact { upto, damage: Some(damage) },
            }
        }
        Intact { upto, damage: None }
    }

    /// Whether the damage at byte `at` can only be a write that never finished.
    fn is_torn(&self, at: usize, damage: &io::Error) -> bool {
        let unfinished = damage.kind() == io::ErrorKind::UnexpectedEof;
        // The file may have grown before its bytes were written. No record ends with zeros: the
        // last four bytes are a checksum.
        let zeros = self.bytes.ends_with(&[0; 4]);
        (unfinished || zeros) && !self.has_record_after(at)
    }

    fn has_record_after(&self, at: usize) -> bool {
        (at + 1..self.bytes.len()).any(|from| {
            let rest = &self.bytes[from..];
            let kind = rest.first_chunk().map(|kind| u32::from_be_bytes(*kind));
            kind.is_some_and(|kind| kind <= KIND_MAX) && Record::decode(rest).is_ok()
        })
    }

    fn cut(&self, at: usize) -> Result<(), LogError> {
        tracing::warn!(
            file = %self.path.display(),
            offset = at,
            bytes = self.bytes.len() - at,
            "cut the last write of the log, which was never finished"
        );
        let cut = || -> io::Result<()> {
            let file = OpenOptions::new().write(true).open(&self.path)?;
            file.set_len(at as u64)?;
            file.sync_all()
        };
        cut().map_err(|source| LogError::Io { path: self.path.clone(), source })
    }

    fn damaged(&self, offset: usize, reason: &str) -> LogError {
        let (file, offset) = (self.path.clone(), offset as u64);
        LogError::Damaged { file, offset, reason: reason.to_owned() }
    }
}

fn note(marks: &mut Marks, record: &Record, bytes: u64) {
    match record {
        WALRecord::Action(RaftLogAction::Append(at, _)) => marks.appended(at.index, bytes),
        WALRecord::Action(RaftLogAction::TruncateAfter(at)) => {
            marks.truncated_after(at.map(|at| at.index));
        }
        WALRecord::Action(RaftLogAction::PurgeUpto(at)) => marks.purged_upto(at.index),
        _ => (),
    }
}
