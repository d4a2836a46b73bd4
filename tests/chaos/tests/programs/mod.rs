//! The programs under test, built when they are missing or older than their sources, and a folder
//! that goes with the test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use std::{env, fs};

use chaos::cluster::Binaries;

/// Those of the profile of the running test.
pub(crate) fn binaries() -> Binaries {
    let test = env::current_exe().unwrap();
    let folder = test.ancestors().nth(2).expect("a test runs in target/PROFILE/deps");
    let names = ["ha-server", "ha-broker"];
    if !names.iter().all(|name| is_up_to_date(folder, name).unwrap_or(false)) {
        build(folder);
    }
    Binaries::in_folder(folder)
}

/// `cargo test` builds the programs of other packages only if these have integration tests.
fn build(folder: &Path) {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        None | Some("debug") => "dev",
        Some(other) => other,
    };
    let built = Command::new(cargo)
        .args(["build", "--locked", "--bins", "-p", "ha-server", "-p", "broker-plugin"])
        .args(["--profile", profile])
        .status();
    assert!(built.unwrap().success(), "the programs do not build");
}

/// The file `NAME.d` beside a program lists the sources that it was made of. `None`: no such file.
fn is_up_to_date(folder: &Path, name: &str) -> Option<bool> {
    let built = modified(&folder.join(name))?;
    let listed = fs::read_to_string(folder.join(format!("{name}.d"))).ok()?;
    let (_, sources) = listed.split_once(": ")?;
    Some(sources.split_whitespace().all(|source| modified(source.as_ref()) <= Some(built)))
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|found| found.modified()).ok()
}

/// An empty folder. Dropping removes it with all that is in it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("mqtt-ha-chaos-{name}-{}", std::process::id()));
        // A test of an earlier process with our id may have been killed.
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// All logs, for a test that fails.
    pub(crate) fn logs(&self) -> String {
        let files = fs::read_dir(&self.0).unwrap().map(|file| file.unwrap().path());
        let logs = files.filter(|path| path.extension().is_some_and(|ending| ending == "log"));
        let log = |path: PathBuf| {
            format!("---- {}\n{}", path.display(), fs::read_to_string(&path).unwrap())
        };
        logs.map(log).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
