//! A process of the cluster: started, killed, stopped, started again.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use faulty_disk::ForgetfulDisk;

/// A program with its configuration file and its log, whether it runs or not. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Program {
    /// In messages and in the history.
    pub(crate) name: String,
    binary: PathBuf,
    configuration: PathBuf,
    log: PathBuf,
    /// What it writes to, if that forgets.
    disk: Option<ForgetfulDisk>,
    child: Option<Child>,
    /// Killed, and not waited for.
    dying: Option<Child>,
}

impl Program {
    /// One that is not started. It runs in the folder of its log.
    #[must_use]
    pub(crate) fn new(name: &str, binary: PathBuf, configuration: PathBuf, log: PathBuf) -> Self {
        let (name, disk, child, dying) = (name.to_owned(), None, None, None);
        Self { name, binary, configuration, log, disk, child, dying }
    }

    /// It writes to a disk that forgets, whenever it dies, what was not synced.
    #[must_use]
    pub(crate) fn on(mut self, disk: ForgetfulDisk) -> Self {
        self.disk = Some(disk);
        self
    }

    /// Starts it; what it prints is appended to its log.
    ///
    /// # Errors
    /// It cannot be started, its log not be written, or its disk not forget.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        self.kill();
        self.bury()?;
        let log = File::options().create(true).append(true).open(&self.log)?;
        let folder = self.log.parent().expect("a log is in a folder");
        let mut command = Command::new(&self.binary);
        command.arg("--config").arg(&self.configuration).current_dir(folder);
        let ours =
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MQTT_HA_"));
        for (name, _) in ours {
            command.env_remove(name);
        }
        if let Some(disk) = &self.disk {
            command.envs(disk.environment());
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.child = Some(command.spawn()?);
        Ok(())
    }

    /// `kill -9`, also of a stopped one, without waiting for its end: several die at the same
    /// moment. Nothing happens when it does not run.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            drop(child.kill());
            self.dying = Some(child);
        }
    }

    /// Waits for the end of a process that was killed; its disk forgets.
    ///
    /// # Errors
    /// The disk cannot be written.
    pub(crate) fn bury(&mut self) -> io::Result<()> {
        let Some(mut child) = self.dying.take() else { return Ok(()) };
        drop(child.wait());
        self.disk.as_ref().map_or(Ok(()), ForgetfulDisk::lose_power)
    }

    /// How many lines of its log contain `text`.
    pub(crate) fn said(&self, text: &str) -> usize {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log).lines().filter(|line| line.contains(text)).count()
    }

    /// Sends STOP or CONT.
    pub(crate) fn signal(&self, signal: &str) {
        if let Some(child) = &self.child {
            // Through the shell, because not every system has `kill` as a program. It may be gone.
            let line = format!("kill -s {signal} {}", child.id());
            drop(Command::new("sh").arg("-c").arg(line).stderr(Stdio::null()).status());
        }
    }

    /// How it ended, if it has although nobody killed it.
    pub(crate) fn ended(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok().flatten()?;
        Some(format!("{} has ended by itself: {status}; see {}", self.name, self.log.display()))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        // Nobody starts it again.
        drop(self.bury());
    }
}
