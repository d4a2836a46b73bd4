//! A child process with a log, which does not outlive the test.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::Duration,
};

use crate::wait;

/// Bytes of a log that a failing test prints.
const SHOWN_BYTES_MAX: u64 = 16 * 1024;

/// Runs a command to its end, which must come soon. It reads nothing.
pub fn run(command: &mut Command) -> Output {
    run_within(wait::LONG, command)
}

/// The same of one that may take longer.
pub fn run_within(limit: Duration, command: &mut Command) -> Output {
    let named = format!("{command:?}");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap_or_else(|error| panic!("{named}: {error}"));
    let pid = child.id();
    let (ended, end) = std::sync::mpsc::channel();
    thread::spawn(move || ended.send(child.wait_with_output()));
    match end.recv_timeout(limit) {
        Ok(output) => output.unwrap(),
        Err(_) => {
            signal(pid, "KILL");
            panic!("{named} did not end within {limit:?}");
        }
    }
}

/// Through the shell, because not every system has `kill` as a program.
fn signal(pid: u32, signal: &str) {
    let sent = Command::new("sh").arg("-c").arg(format!("kill -s {signal} {pid}")).status();
    assert!(sent.unwrap().success(), "kill -s {signal} {pid}");
}

/// A running program. Dropping it kills it; while a test fails that prints its log.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it. What it prints is appended to `log`.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        let errors = file.try_clone().unwrap();
        let child = command.stdin(Stdio::null()).stdout(file).stderr(errors).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { name: name.to_owned(), child, log: log.to_owned() }
    }

    /// What it has printed so far, also in its earlier lives.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// Its number in the operating system.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        wait::until(&what, wait::LONG, || self.ended())
    }

    /// Sends TERM, INT, STOP or CONT.
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// As an operator stops it: SIGTERM, then wait.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// As a power cut stops it.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn end_of_log(&self) -> std::io::Result<String> {
        let mut file = File::open(&self.log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(SHOWN_BYTES_MAX)))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        Ok(String::from_utf8_lossy(&end).into_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            let end = self.end_of_log().unwrap_or_else(|error| error.to_string());
            eprintln!("---- log of {} ----\n{end}", self.name);
        }
    }
}
