//! To whom a data directory belongs.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::Path;

use crate::config::Config;
use crate::error::StartError;

const FILE: &str = "identity";
/// Grows when a later version writes what an earlier one cannot read.
const FORMAT: u32 = 1;

fn expected(config: &Config) -> String {
    let Config { cluster, group, node, .. } = config;
    format!("format = {FORMAT}\ncluster = {cluster:?}\ngroup = {group}\nnode = {node}\n")
}

/// Makes the directory ours when it is new, and until the file that is returned is closed.
///
/// # Errors
/// [`StartError::Foreign`] when it belongs to another cluster, group or node, or to a later format;
/// [`StartError::InUse`] when another process uses it.
pub(crate) fn claim(config: &Config) -> Result<File, StartError> {
    let dir = &config.directory;
    let io = |source| StartError::Io { path: dir.clone(), source };
    fs::create_dir_all(dir).map_err(io)?;
    let lock = lock(dir)?;
    let expected = expected(config);
    match fs::read_to_string(dir.join(FILE)) {
        Ok(found) if found == expected => Ok(lock),
        Ok(found) => Err(StartError::Foreign { path: dir.clone(), found, expected }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            refuse_unclaimed(dir)?;
            write(dir, &expected).map_err(io)?;
            Ok(lock)
        }
        Err(error) => Err(io(error)),
    }
}

/// Before any file is read: what another process writes would look damaged.
fn lock(dir: &Path) -> Result<File, StartError> {
    let path = dir.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|source| StartError::Io { path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::InUse { path: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(StartError::Io { path, source }),
    }
}

/// A log without an identity is not ours to overwrite.
fn refuse_unclaimed(dir: &Path) -> Result<(), StartError> {
    if dir.join("log").exists() || dir.join("store").exists() {
        let (path, found) = (dir.to_owned(), "no identity".to_owned());
        return Err(StartError::Foreign { path, found, expected: "an empty directory".to_owned() });
    }
    Ok(())
}

fn write(dir: &Path, text: &str) -> io::Result<()> {
    let new = dir.join("identity.new");
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, dir.join(FILE))?;
    File::open(dir)?.sync_all()
}
