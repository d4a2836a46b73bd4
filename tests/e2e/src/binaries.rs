//! Where the programs under test are. Builds them when they are missing or older than their sources.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::SystemTime,
};

const NAMES: [&str; 4] = ["ha-server", "ha-broker", "ha-bench", "ha-compare"];

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("tests/e2e is two levels down")
}

/// The program of this name, built with the same profile as the running test.
pub fn binary(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(up_to_date).join(name)
}

/// A command that sees nothing of a configuration that the environment of the test may hold.
pub fn without_our_environment(mut command: Command) -> Command {
    let ours = env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MQTT_HA_"));
    for (name, _) in ours {
        command.env_remove(name);
    }
    command
}

/// `target/debug` of `target/debug/deps/this-test`.
fn up_to_date() -> PathBuf {
    let test = env::current_exe().unwrap();
    let folder = test.ancestors().nth(2).expect("a test runs in target/PROFILE/deps").to_owned();
    if !NAMES.iter().all(|name| is_up_to_date(&folder, name).unwrap_or(false)) {
        build(&folder);
    }
    folder
}

/// `cargo test` builds the programs of other packages only if these have integration tests.
fn build(folder: &Path) {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        None | Some("debug") => "dev",
        Some(other) => other,
    };
    let built = Command::new(cargo)
        .current_dir(repository())
        .args(["build", "--locked", "--bins"])
        .args(["-p", "ha-server", "-p", "broker-plugin", "-p", "bench-load"])
        .args(["-p", "bench-compare"])
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
