//! Files whose bytes are not what was written.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What happens to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// One bit is another.
    Flip,
    /// The file ends early.
    Truncate,
    /// All is zero to the end.
    Zero,
    /// [`HOLE_BYTES`] are zero, and those behind them are not.
    Hole,
}

/// Less than a small record.
pub const HOLE_BYTES: usize = 31;

impl Damage {
    /// Damages a file from byte `at` on. A bit beyond its end is not flipped.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn strike(self, file: &Path, at: usize) -> io::Result<()> {
        let mut bytes = fs::read(file)?;
        let hole_end = (at + HOLE_BYTES).min(bytes.len());
        let at = at.min(bytes.len());
        match self {
            Self::Flip => bytes[at..].iter_mut().take(1).for_each(|byte| *byte ^= 1),
            Self::Truncate => bytes.truncate(at),
            Self::Zero => bytes[at..].fill(0),
            Self::Hole => bytes[at..hole_end].fill(0),
        }
        fs::write(file, bytes)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flip => "a bit flipped",
            Self::Truncate => "truncated",
            Self::Zero => "zeroed to its end",
            Self::Hole => "some bytes zeroed",
        })
    }
}

/// The files of a Raft log in `dir`, the oldest first.
///
/// # Errors
/// The folder cannot be read.
pub fn segments(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(dir)?.map(|entry| Ok(entry?.path()));
    let mut paths: Vec<_> = paths.collect::<io::Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "wal"));
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_damage_changes_what_it_says_and_nothing_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("1.wal");
        let before: Vec<_> = (1..=50).collect();
        let damaged = |damage: Damage| {
            fs::write(&file, &before).unwrap();
            damage.strike(&file, 10).unwrap();
            let bytes = fs::read(&file).unwrap();
            assert_eq!(bytes[..10], before[..10], "{damage}");
            bytes[10..].to_vec()
        };
        assert_eq!(damaged(Damage::Flip), [&[10], &before[11..]].concat());
        assert_eq!(damaged(Damage::Truncate), []);
        assert_eq!(damaged(Damage::Zero), [0; 40]);
        assert_eq!(damaged(Damage::Hole), [&[0; HOLE_BYTES], &before[41..]].concat());
    }

    #[test]
    fn segments_are_the_files_of_the_log_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["r-2.wal", "r-1.wal", "LOCK"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let names = segments(folder.path()).unwrap();
        assert_eq!(names, ["r-1.wal", "r-2.wal"].map(|name| folder.path().join(name)));
    }
}
