//! What a node that recovers leaves on disk: a marker, and the damaged files beside it.
//!
//! The marker is written before anything is moved and removed last, so that a crash at any moment
//! finds a node that still recovers. What was damaged is kept once: the next damage replaces it, but
//! what is gathered while the node recovers is only a copy and is thrown away.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ha_proto::raft::Recovering;
use prost::Message;

const FILE: &str = "recovering";
/// Where the damaged log and store lie when all is done, and until then.
const KEPT: &str = "damaged";
const MOVING: &str = "damaged.new";
/// What belongs to the records of a node.
const RECORDS: [&str; 2] = ["log", "store"];

/// The marker of one directory.
#[derive(Clone, Debug)]
pub(crate) struct Marker {
    dir: PathBuf,
}

impl Marker {
    pub(crate) fn in_directory(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Whether this node recovers, and what it noted. A marker that cannot be read is one all the
    /// same.
    pub(crate) fn read(&self) -> io::Result<Option<Recovering>> {
        match fs::read(self.dir.join(FILE)) {
            Ok(bytes) => Ok(Some(decode(&bytes).unwrap_or_default())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes and syncs.
    pub(crate) fn write(&self, noted: &Recovering) -> io::Result<()> {
        let new = self.dir.join("recovering.new");
        let bytes = noted.encode_to_vec();
        let mut file = File::create(&new)?;
        file.write_all(&crc32fast::hash(&bytes).to_be_bytes())?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&new, self.dir.join(FILE))?;
        sync(&self.dir)
    }

    /// Removes the marker; synced.
    pub(crate) fn remove(&self) -> io::Result<()> {
        fs::remove_file(self.dir.join(FILE))?;
        sync(&self.dir)
    }

    /// Moves log and store to the folder `damaged`, in place of what was there.
    pub(crate) fn set_aside(&self) -> io::Result<()> {
        let moving = self.dir.join(MOVING);
        fs::create_dir_all(&moving)?;
        for name in RECORDS {
            if !moving.join(name).exists() {
                present(fs::rename(self.dir.join(name), moving.join(name)))?;
            }
        }
        sync(&moving)?;
        let kept = self.dir.join(KEPT);
        present(fs::remove_dir_all(&kept))?;
        fs::rename(&moving, &kept)?;
        sync(&self.dir)
    }

    /// Ends a move that a crash cut short, before anything is opened.
    pub(crate) fn finish_set_aside(&self) -> io::Result<()> {
        if self.dir.join(MOVING).exists() { self.set_aside() } else { Ok(()) }
    }

    /// Throws away what was gathered so far.
    pub(crate) fn discard(&self) -> io::Result<()> {
        for name in RECORDS {
            present(fs::remove_dir_all(self.dir.join(name)))?;
        }
        sync(&self.dir)
    }
}

fn decode(bytes: &[u8]) -> Option<Recovering> {
    let (check, rest) = bytes.split_first_chunk()?;
    let intact = crc32fast::hash(rest) == u32::from_be_bytes(*check);
    Recovering::decode(rest).ok().filter(|_| intact)
}

/// What is not there need not be moved or removed.
fn present(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn directory(content: &str) -> (TempDir, Marker) {
        let dir = TempDir::new().unwrap();
        let marker = Marker::in_directory(dir.path());
        put(&dir, content);
        (dir, marker)
    }

    fn put(dir: &TempDir, content: &str) {
        for name in RECORDS {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("file"), content).unwrap();
        }
    }

    fn kept(dir: &TempDir, name: &str) -> String {
        fs::read_to_string(dir.path().join(KEPT).join(name).join("file")).unwrap()
    }

    #[test]
    fn marker_says_what_was_noted_until_it_is_removed() {
        let (_dir, marker) = directory("");
        assert_eq!(marker.read().unwrap(), None);
        let noted = Recovering { reason: "a flipped bit".to_owned(), membership: None };
        marker.write(&noted).unwrap();
        assert_eq!(marker.read().unwrap(), Some(noted));
        marker.remove().unwrap();
        assert_eq!(marker.read().unwrap(), None);
    }

    #[test]
    fn marker_that_cannot_be_read_is_a_marker() {
        let (dir, marker) = directory("");
        for bytes in [&b""[..], b"abc", b"\0\0\0\0garbage"] {
            fs::write(dir.path().join(FILE), bytes).unwrap();
            assert_eq!(marker.read().unwrap(), Some(Recovering::default()));
        }
    }

    #[test]
    fn newest_damage_is_kept_and_no_other() {
        let (dir, marker) = directory("first");
        marker.set_aside().unwrap();
        assert!(RECORDS.iter().all(|name| kept(&dir, name) == "first"));
        put(&dir, "second");
        marker.set_aside().unwrap();
        assert!(RECORDS.iter().all(|name| kept(&dir, name) == "second"));
        assert!(RECORDS.iter().all(|name| !dir.path().join(name).exists()));
        assert!(!dir.path().join(MOVING).exists());
    }

    #[test]
    fn move_that_was_cut_short_anywhere_is_finished() {
        for moved in 0..=RECORDS.len() {
            let (dir, marker) = directory("damaged");
            fs::create_dir(dir.path().join(MOVING)).unwrap();
            for name in &RECORDS[..moved] {
                fs::rename(dir.path().join(name), dir.path().join(MOVING).join(name)).unwrap();
            }
            marker.finish_set_aside().unwrap();
            assert!(RECORDS.iter().all(|name| kept(&dir, name) == "damaged"), "{moved} moved");
        }
    }
}
