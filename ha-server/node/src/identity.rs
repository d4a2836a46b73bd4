//! To whom a data directory belongs.

use std::fs::{self, File};
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

/// Makes the directory ours when it is new.
///
/// # Errors
/// [`StartError::Foreign`] when it belongs to another cluster, group or node, or to a later format.
pub(crate) fn claim(config: &Config) -> Result<(), StartError> {
    let dir = &config.directory;
    let io = |source| StartError::Io { path: dir.clone(), source };
    fs::create_dir_all(dir).map_err(io)?;
    let expected = expected(config);
    match fs::read_to_string(dir.join(FILE)) {
        Ok(found) if found == expected => Ok(()),
        Ok(found) => Err(StartError::Foreign { path: dir.clone(), found, expected }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            refuse_unclaimed(dir)?;
            write(dir, &expected).map_err(io)
        }
        Err(error) => Err(io(error)),
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
