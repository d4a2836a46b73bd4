//! Power loss, as a process sees it: what was not synced is gone, what was answered is not.
//!
//! A node runs in a process of its own on files that remember what a sync has not yet covered
//! (`faulty-disk`). It is killed, its files are rolled back, and it must have every command that it
//! answered. Needs a C compiler. Directory entries are not rolled back.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![expect(dead_code, reason = "the machine is shared with tests that use more of it")]

#[path = "../node/key_values.rs"]
mod key_values;
mod lone;

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use faulty_disk::{ForgetfulDisk, Shim};
use ha_node::Durability;
use tempfile::TempDir;

const ROUNDS: u64 = 8;

/// A directory for the node, and the disk that it is on.
struct Disk {
    dirs: TempDir,
    disk: ForgetfulDisk,
}

impl Disk {
    fn new() -> Self {
        let dirs = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let shim = Shim::compile(dirs.path()).unwrap();
        let disk = shim.disk(&dirs.path().join("node"), &dirs.path().join("undo")).unwrap();
        Self { dirs, disk }
    }

    fn node(&self) -> PathBuf {
        self.dirs.path().join("node")
    }

    fn run(&self, first: u64, durability: &str) -> Child {
        let program = env::current_exe().unwrap().with_file_name("../examples/lone");
        Command::new(program)
            .args([self.node().to_str().unwrap(), &first.to_string(), durability])
            .envs(self.disk.environment())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example `lone` is built by `cargo test -p ha-node`")
    }

    /// Runs a node, kills it after so many answers, and lets the disk forget. Returns what was
    /// answered.
    fn run_and_lose_power(&self, first: u64, durability: &str, answers: usize) -> Vec<u64> {
        let mut child = self.run(first, durability);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let key = |line: std::io::Result<String>| line.unwrap().parse().unwrap();
        let mut answered: Vec<u64> = lines.by_ref().take(answers).map(key).collect();
        assert_eq!(answered.len(), answers, "the node ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        answered.extend(lines.map(key));
        self.disk.lose_power().unwrap();
        answered
    }

    /// All keys that a node has after a restart.
    async fn keys(&self, durability: Durability) -> BTreeSet<u64> {
        let node = lone::start(&self.node(), durability).await;
        let keys = node.read(|machine| machine.all());
        node.shutdown().await.unwrap();
        keys.into_keys().map(|key| String::from_utf8(key).unwrap().parse().unwrap()).collect()
    }
}

/// Spread over the first few saves of the store and the time between them.
fn answers_in(round: u64) -> usize {
    let spread = (round * 7_919 + 101) % 1_009;
    usize::try_from(spread).unwrap() + 1
}

#[tokio::test]
async fn every_answered_command_survives_power_loss_at_any_moment() {
    let disk = Disk::new();
    let mut answered = BTreeSet::new();
    for round in 0..ROUNDS {
        let keys = disk.run_and_lose_power(round * 1_000_000, "fsync", answers_in(round));
        answered.extend(keys);
        let found = disk.keys(Durability::Fsync).await;
        let lost: Vec<_> = answered.difference(&found).collect();
        assert!(lost.is_empty(), "round {round}: {} lost, first {:?}", lost.len(), lost.first());
    }
}

/// Or the test above could not fail.
#[tokio::test]
async fn node_that_does_not_sync_loses_answered_commands_on_this_disk() {
    let disk = Disk::new();
    let answered = disk.run_and_lose_power(0, "memory", 500);
    let found = disk.keys(Durability::Memory).await;
    assert!(answered.iter().any(|key| !found.contains(key)), "the disk forgot nothing");
}
