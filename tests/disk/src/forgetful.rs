//! Files that remember what no sync has covered yet.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::undo;

const SOURCE: &str = include_str!("forgetful.c");

/// The compiled library.
#[derive(Clone, Debug)]
pub struct Shim {
    library: PathBuf,
}

impl Shim {
    /// Compiles it with `cc` into `folder`, which exists.
    ///
    /// # Errors
    /// There is no C compiler, it fails, or this is not Linux.
    pub fn compile(folder: &Path) -> io::Result<Self> {
        if !cfg!(target_os = "linux") {
            return Err(io::Error::other("only Linux has disks that forget"));
        }
        let library = fs::canonicalize(folder)?.join("forgetful.so");
        let mut compiler = Command::new("cc")
            .args(["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-x", "c", "-", "-o"])
            .arg(&library)
            .arg("-ldl")
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|error| io::Error::other(format!("cc: {error}")))?;
        let written = compiler.stdin.take().expect("piped").write_all(SOURCE.as_bytes());
        let status = compiler.wait()?;
        if !status.success() {
            return Err(io::Error::other(format!("cc: {status}")));
        }
        written.map(|()| Self { library })
    }

    /// A disk for the files below `files`; what can be undone is kept in `undo`. Makes both folders.
    ///
    /// # Errors
    /// A folder cannot be made.
    pub fn disk(&self, files: &Path, undo: &Path) -> io::Result<ForgetfulDisk> {
        let made = |path: &Path| fs::create_dir_all(path).and_then(|()| fs::canonicalize(path));
        let library = self.library.clone();
        Ok(ForgetfulDisk { library, files: made(files)?, undo: made(undo)? })
    }
}

/// A folder whose files forget what was not synced.
#[derive(Clone, Debug)]
pub struct ForgetfulDisk {
    library: PathBuf,
    /// As the kernel names it: without symbolic links.
    files: PathBuf,
    undo: PathBuf,
}

impl ForgetfulDisk {
    /// What a process must have in its environment to write to this disk.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, &Path); 3] {
        [
            ("LD_PRELOAD", &self.library),
            ("FORGETFUL_DIR", &self.files),
            ("FORGETFUL_UNDO", &self.undo),
        ]
    }

    /// Takes back what was not synced. No process writes to the disk any more: whoever was killed was
    /// waited for.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn lose_power(&self) -> io::Result<()> {
        undo::roll_back(&self.files, &self.undo)
    }
}
