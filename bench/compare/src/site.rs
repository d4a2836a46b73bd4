//! Where a peer runs: a folder of its own, ports of its own, processes that do not outlive this one.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What a peer may have of this machine. All that it opens listens on 127.0.0.1.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// Where this project's programs are.
    pub(crate) programs: PathBuf,
    /// Its own, and empty.
    pub(crate) folder: PathBuf,
    /// Of [`Site::PORTS`] ports.
    pub(crate) first_port: u16,
}

impl Site {
    /// Ports that a peer may use.
    pub(crate) const PORTS: u16 = 50;

    /// The same with a new folder in this one's. An error: it is there already.
    pub(crate) fn within(&self, name: &str) -> io::Result<Self> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&self.folder)?;
        fs::create_dir(&folder).map_err(|error| named(&folder.to_string_lossy(), error))?;
        Ok(Self { folder, ..self.clone() })
    }

    /// `at` is below [`Site::PORTS`].
    pub(crate) fn port(&self, at: u16) -> u16 {
        assert!(at < Self::PORTS, "a peer has {} ports", Self::PORTS);
        self.first_port + at
    }

    pub(crate) fn address(&self, at: u16) -> String {
        format!("127.0.0.1:{}", self.port(at))
    }

    /// One of this project's programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Makes a folder in its own.
    pub(crate) fn folder(&self, name: &str) -> io::Result<PathBuf> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Writes a file into its folder.
    pub(crate) fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let file = self.folder.join(name);
        fs::write(&file, text)?;
        Ok(file)
    }

    /// Starts a server that logs into its folder, and that dies with this program however that ends.
    pub(crate) fn spawn(&self, name: &str, server: &Command) -> io::Result<Server> {
        let log = self.folder.join(format!("{name}.log"));
        let output = File::create(&log)?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        command.arg(server.get_program()).args(server.get_args());
        for (key, value) in server.get_envs() {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().map_err(|error| named("setpriv", error))?;
        Ok(Server { name: name.into(), child, log })
    }
}

/// An error that says which program it is about.
pub(crate) fn named(program: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{program}: {error}"))
}

/// What a program prints, on either stream.
pub(crate) fn said(program: &str, arguments: &[&str]) -> io::Result<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| named(program, error))?;
    let both = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&both).into_owned())
}

/// A process of a peer; it is killed when this goes.
#[derive(Debug)]
pub(crate) struct Server {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Why it does not run, if it does not.
    pub(crate) fn check(&mut self) -> io::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(io::Error::other(format!(
                "{} ended with {status}; it said: {}",
                self.name,
                last_line(&self.log)
            ))),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be dead by now.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn last_line(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing").into()
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn site(folder: &Path) -> Site {
        Site { programs: "/bin".into(), folder: folder.into(), first_port: 20_000 }
    }

    #[test]
    fn server_that_ends_is_found_out_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo first; echo \"$WORD\" >&2; exit 3"]).env("WORD", "no disk");
        let mut server = site(folder.path()).spawn("node", &command).unwrap();
        let error = loop {
            match server.check() {
                Ok(()) => thread::sleep(Duration::from_millis(5)),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.starts_with("node ended with exit status: 3; it said: no disk"), "{error}");
    }

    #[test]
    fn server_is_gone_when_it_goes_out_of_scope() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sleep");
        command.arg("1000");
        let server = site(folder.path()).spawn("sleeper", &command).unwrap();
        let pid = server.pid();
        drop(server);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
