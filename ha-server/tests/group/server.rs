//! Processes, their folders and ports.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ha-server");

/// Nothing in these tests takes so long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Below the ports that the system gives to connections, so that a server gets its own again.
const FIRST_PORT: u16 = 12_000;
const PORTS: u16 = 8_000;

/// Ports of this process; others begin elsewhere.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() * 97 % u32::from(PORTS)).unwrap();
    let next = || FIRST_PORT + (start + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS) % PORTS;
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (0..PORTS).map(|_| next()).find(is_free).unwrap()
}

/// Tries again and again until there is an answer.
pub(crate) fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = attempt() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// One ha-server; it is killed when it is dropped.
pub(crate) struct Server {
    pub(crate) id: u64,
    pub(crate) port: u16,
    settings: Vec<String>,
    log: PathBuf,
    process: Option<Child>,
}

impl Server {
    /// Not started.
    pub(crate) fn new(id: u64, folder: &TempDir) -> Self {
        let (log, data) =
            (folder.path().join(format!("{id}.log")), folder.path().join(id.to_string()));
        let port = free_port();
        let mut server = Self { id, port, settings: Vec::new(), log, process: None };
        server.set("BIND", "127.0.0.1");
        server.set("HA_port", &port.to_string());
        server.set("HTTP_PORT", &free_port().to_string());
        server.set("DATA_DIR", data.to_str().unwrap());
        server.set("NODE_ID", &id.to_string());
        server.set("DURABILITY", "MEMORY");
        server
    }

    /// The last of two settings counts.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.settings.push(format!("--set=HA_SERVER.{key}={value}"));
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.current_dir(self.log.parent().unwrap()).args(&self.settings).stdin(Stdio::null());
        command
    }

    pub(crate) fn start(&mut self) {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        self.process = Some(self.command().stderr(log).spawn().unwrap());
    }

    /// Starts it where it must end by itself.
    pub(crate) fn run(&self) -> Output {
        self.command().output().unwrap()
    }

    /// `kill -9`
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// SIGTERM, then waits for the end.
    pub(crate) fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        let id = process.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
        assert!(process.wait().unwrap().success(), "{}", self.log());
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Runs a command of an operator against it.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Output {
        self.operator(arguments).output().unwrap()
    }

    /// A command of an operator that asks it, not started.
    pub(crate) fn operator(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).args(["--server", &self.address()]);
        command
    }

    /// The same where it must succeed.
    pub(crate) fn told(&self, arguments: &[&str]) -> String {
        let output = self.ask(arguments);
        assert!(output.status.success(), "{arguments:?}: {}\n{}", stderr(&output), self.log());
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same where it must be refused, with this in the sentence.
    pub(crate) fn refuses(&self, arguments: &[&str], sentence: &str) {
        let output = self.ask(arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(stderr(&output).contains(sentence), "{}", stderr(&output));
    }

    /// `member list`, if it answers.
    pub(crate) fn group(&self) -> Option<Value> {
        let output = self.ask(&["member", "list", "--output", "json"]);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Waits until it knows a leader of which this is true.
    pub(crate) fn knows_leader(&self, wanted: impl Fn(u64) -> bool) -> u64 {
        until("the leader is known", || {
            self.group()?["leader"].as_u64().filter(|&leader| wanted(leader))
        })
    }

    /// Number and role of each member, as it sees them.
    pub(crate) fn roles(&self) -> Vec<(u64, String)> {
        let group = self.group().unwrap();
        let members = group["members"].as_array().unwrap().iter();
        let role = |member: &Value| member["role"].as_str().unwrap().to_owned();
        members.map(|member| (member["id"].as_u64().unwrap(), role(member))).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Servers 1 to `count` that know each other, running. They end before their folder goes.
pub(crate) struct Group {
    pub(crate) servers: Vec<Server>,
    pub(crate) folder: TempDir,
}

impl Group {
    pub(crate) fn start(count: u64) -> Self {
        Self::start_with(count, |_| ())
    }

    /// The same with settings of their own.
    pub(crate) fn start_with(count: u64, settings: impl Fn(&mut Server)) -> Self {
        let folder = TempDir::new().unwrap();
        let mut servers: Vec<_> = (1..=count).map(|id| Server::new(id, &folder)).collect();
        let members = servers.iter().map(|server| format!("{}@{}", server.id, server.address()));
        let members = members.collect::<Vec<_>>().join(", ");
        for server in &mut servers {
            server.set("MEMBERS", &members);
            settings(server);
            server.start();
        }
        Self { servers, folder }
    }

    pub(crate) fn server(&mut self, id: u64) -> &mut Server {
        self.servers.iter_mut().find(|server| server.id == id).unwrap()
    }

    /// Waits until all agree on a leader.
    pub(crate) fn leader(&self) -> u64 {
        until("all know the same leader", || {
            let leaders = self.servers.iter().map(|server| server.group()?["leader"].as_u64());
            let leaders: Option<Vec<_>> = leaders.collect();
            leaders.filter(|all| all.iter().all(|one| *one == all[0])).map(|all| all[0])
        })
    }

    /// One that does not lead.
    pub(crate) fn follower(&self) -> u64 {
        let leader = self.leader();
        self.servers.iter().map(|server| server.id).find(|&id| id != leader).unwrap()
    }
}
