//! One of our programs with its ports, its folder and its configuration; it can be started again.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output},
    time::Duration,
};

use serde_json::Value;

use crate::{Port, Process, binary, get, run, wait, without_our_environment};

/// A program and what it needs to run, whether it runs or not.
#[derive(Debug)]
pub struct Program {
    /// Its name in the cluster and in messages.
    pub name: String,
    /// Where it listens for clients or brokers.
    pub port: Port,
    /// Where `/readyz` is.
    pub http: Port,
    /// Where a broker answers agent-checks.
    pub agent: Port,
    binary: &'static str,
    arguments: Vec<String>,
    log: PathBuf,
    process: Option<Process>,
}

impl Program {
    /// An ha-server with its data and log below `folder`, which is not started.
    pub fn server(folder: &Path) -> Self {
        let mut program = Self::new("ha-server", "ha-server", folder);
        program.set("HA_SERVER.BIND", "127.0.0.1");
        program.set("HA_SERVER.HA_port", &program.port.to_string());
        program.set("HA_SERVER.HTTP_PORT", &program.http.to_string());
        program.set("HA_SERVER.DATA_DIR", &folder.join("ha-server-data").display().to_string());
        program
    }

    /// The ha-servers of a group, with the node ids from 1 on, which are not started.
    pub fn group(count: usize, folder: &Path) -> Vec<Self> {
        let mut servers: Vec<_> = (1..=count)
            .map(|id| {
                let mut server = Self::server(folder);
                server.name = format!("ha-server-{id}");
                server.log = folder.join(format!("{}.log", server.name));
                let data = folder.join(format!("{}-data", server.name));
                server.set("HA_SERVER.DATA_DIR", &data.display().to_string());
                server.set("HA_SERVER.NODE_ID", &id.to_string());
                server
            })
            .collect();
        let member = |(at, of): (usize, &Self)| format!("{}@{}", at + 1, of.address());
        let members: Vec<_> = servers.iter().enumerate().map(member).collect();
        let members = members.join(",");
        servers.iter_mut().for_each(|server| server.set("HA_SERVER.MEMBERS", &members));
        servers
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What a command of ha-server says that is given this one as its server.
    pub fn tell(&self, command: &[&str]) -> Output {
        let mut ha_server = without_our_environment(Command::new(binary("ha-server")));
        run(ha_server.args(command).args(["--server", &self.address()]))
    }

    /// What it prints as JSON. Panics when it fails.
    pub fn ask(&self, command: &[&str]) -> Value {
        let output = self.tell(&[command, &["--output", "json"]].concat());
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A broker that works alone and is not started.
    pub fn broker(name: &str, folder: &Path) -> Self {
        let mut program = Self::new("ha-broker", name, folder);
        program.set("CONFIG.NAME", name);
        program.set("CONFIG.BIND", "127.0.0.1");
        program.set("CONFIG.PORT_NO", &program.port.to_string());
        program.set("CONFIG.HTTP_PORT", &program.http.to_string());
        program.set("CONFIG.AGENT_PORT", &program.agent.to_string());
        program.set("AUTHENTICATION.ALLOW_ANONYMOUS", "YES");
        // No load balancer has to hear of it first, unless a test has one.
        program.set("CONFIG.DRAIN_GRACE", "0");
        let data = folder.join(format!("{name}-data"));
        program.set("CONFIG.DATA_DIR", &data.display().to_string());
        program
    }

    /// A broker of the cluster of these ha-servers, not started.
    pub fn broker_of(servers: &[Self], name: &str, folder: &Path) -> Self {
        let mut program = Self::broker(name, folder);
        program.set("DISTRIBUTOR.DISTRIBUTION_ENABLED", "YES");
        if let [server] = servers {
            program.set("DISTRIBUTOR.DISTRIBUTION_IP", "127.0.0.1");
            program.set("DISTRIBUTOR.DISTRIBUTION_PORT", &server.port.to_string());
        } else {
            let all: Vec<_> = servers.iter().map(Self::address).collect();
            program.set("DISTRIBUTOR.DISTRIBUTION_IP", &all.join(","));
        }
        program
    }

    /// One of our programs by the name of its binary, without any argument.
    pub fn new(binary: &'static str, name: &str, folder: &Path) -> Self {
        Self {
            name: name.to_owned(),
            port: Port::free(),
            http: Port::free(),
            agent: Port::free(),
            binary,
            arguments: Vec::new(),
            log: folder.join(format!("{name}.log")),
            process: None,
        }
    }

    /// Adds `--set KEY=VALUE`.
    pub fn set(&mut self, key: &str, value: &str) {
        self.argument(&format!("--set={key}={value}"));
    }

    /// Adds an argument.
    pub fn argument(&mut self, argument: &str) {
        self.arguments.push(argument.to_owned());
    }

    /// Starts it, or starts it again on the same ports.
    pub fn start(&mut self) {
        let mut command = self.command();
        self.process = Some(Process::start(&self.name, &mut command, &self.log));
    }

    /// Starts it and waits until it is ready.
    pub fn start_ready(&mut self) {
        self.start();
        self.wait_ready();
    }

    /// The command that starts it. Its folder has no `conf`, so no sample is read by accident.
    pub fn command(&self) -> Command {
        let mut command = without_our_environment(Command::new(binary(self.binary)));
        command.current_dir(self.log.parent().expect("a log is in a folder")).args(&self.arguments);
        command
    }

    /// Waits until `/readyz` says 200; fails at once when the program has ended.
    pub fn wait_ready(&mut self) {
        let what = format!("{} is ready", self.name);
        wait::until(&what, wait::LONG, || {
            let ended = self.process().ended();
            assert_eq!(ended, None, "{} has ended by itself", self.name);
            self.is_ready().then_some(())
        });
    }

    /// Whether `/readyz` says 200.
    pub fn is_ready(&self) -> bool {
        get(self.http.number(), "/readyz").is_ok_and(|(status, _)| status == 200)
    }

    /// Status and JSON of `/readyz`.
    pub fn readyz(&self) -> (u16, Value) {
        let (status, body) = get(self.http.number(), "/readyz").unwrap();
        (status, serde_json::from_str(&body).unwrap())
    }

    /// The value of an unlabelled metric.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let (_, page) = get(self.http.number(), "/metrics").ok()?;
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        value.parse().ok()
    }

    /// What it has printed.
    pub fn log(&mut self) -> String {
        self.process().log()
    }

    /// Waits until its log has this text.
    pub fn wait_log(&mut self, text: &str, limit: Duration) {
        let what = format!("{text:?} in the log of {}", self.name);
        wait::until(&what, limit, || self.log().contains(text).then_some(()));
    }

    /// SIGTERM, then waits for the end.
    pub fn stop(&mut self) -> ExitStatus {
        self.process().stop()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process().kill();
    }

    /// Sends TERM, INT, STOP or CONT.
    pub fn signal(&mut self, name: &str) {
        self.process().signal(name);
    }

    /// The process of its last start.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the test has started it")
    }
}
