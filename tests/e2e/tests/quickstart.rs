//! scripts/quickstart.sh when something goes wrong, and without curl. That it works is seen in
//! readme.rs, which also builds; here it gets programs that are built.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    net::TcpListener,
    process::{Command, ExitStatus},
};

use e2e::{
    Port, Process, TemporaryFolder, binary, get, repository, run, wait, without_our_environment,
};

const PORTS: [&str; 8] = [
    "HA_PORT",
    "HA_HTTP_PORT",
    "BROKER_1_PORT",
    "BROKER_1_HTTP_PORT",
    "BROKER_2_PORT",
    "BROKER_2_HTTP_PORT",
    "BROKER_1_AGENT_PORT",
    "BROKER_2_AGENT_PORT",
];

struct Quickstart {
    process: Process,
    ports: Vec<Port>,
    folder: TemporaryFolder,
}

impl Quickstart {
    fn start(variables: &[(&str, &str)]) -> Self {
        let folder = TemporaryFolder::new();
        let ports: Vec<_> = PORTS.iter().map(|_| Port::free()).collect();
        let mut command = without_our_environment(Command::new("env"));
        // A shell cannot trap what was ignored when it began, as SIGINT is behind "&" in a script.
        command.args(["--default-signal=INT", "sh"]);
        command.arg(repository().join("scripts/quickstart.sh")).current_dir(folder.path());
        command.env("QUICKSTART_BIN", binary("ha-server").parent().unwrap());
        command.env("QUICKSTART_DATA", folder.path().join("data"));
        command.envs(PORTS.iter().zip(&ports).map(|(name, port)| (name, port.to_string())));
        command.envs(variables.iter().copied());
        let log = folder.path().join("quickstart.log");
        Self { process: Process::start("quickstart.sh", &mut command, &log), ports, folder }
    }

    fn wait_log(&mut self, text: &str) {
        wait::until(text, wait::LONG, || {
            let log = self.process.log();
            assert!(self.process.ended().is_none() || log.contains(text), "{log}");
            log.contains(text).then_some(())
        });
    }

    fn assert_all_stopped(&self) {
        for port in &self.ports {
            assert!(TcpListener::bind(("127.0.0.1", port.number())).is_ok(), "{port} is in use");
        }
    }

    fn wait_end(&mut self) -> ExitStatus {
        let status = self.process.wait();
        self.assert_all_stopped();
        status
    }

    /// The process id of one of its programs, found by what only its command line has.
    fn pid_of(&self, mark: &str) -> u32 {
        let place = self.folder.path().join("data").display().to_string();
        let listed = run(Command::new("sh").arg("-c").arg(
            "for entry in /proc/[0-9]*; do \
             tr '\\0' ' ' <\"$entry/cmdline\" 2>/dev/null | sed \"s|^|${entry#/proc/} |\"; echo; done",
        ));
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let line = listed.lines().find(|line| line.contains(mark) && line.contains(&place));
        line.and_then(|line| line.split(' ').next()?.parse().ok())
            .unwrap_or_else(|| panic!("{listed}"))
    }
}

#[test]
fn quickstart_stops_everything_on_sigterm() {
    let mut quickstart = Quickstart::start(&[]);
    quickstart.wait_log("Press Ctrl-C");
    for http in [1, 3, 5] {
        assert_eq!(get(quickstart.ports[http].number(), "/readyz").unwrap().0, 200);
    }
    quickstart.process.signal("TERM");
    assert_eq!(quickstart.wait_end().code(), Some(0));
}

#[test]
fn quickstart_needs_neither_curl_nor_wget() {
    let mut quickstart = Quickstart::start(&[("QUICKSTART_PROBE", "status")]);
    quickstart.wait_log("Press Ctrl-C");
    quickstart.process.signal("INT");
    assert_eq!(quickstart.wait_end().code(), Some(0));
}

#[test]
fn quickstart_says_which_program_died_and_starts_it_again() {
    let mut quickstart = Quickstart::start(&[("QUICKSTART_SECONDS_MIN", "0")]);
    quickstart.wait_log("Press Ctrl-C");
    for (mark, name, http) in
        [("CONFIG.NAME=broker-2", "broker-2", 5), ("HA_SERVER.HA_port", "ha-server", 1)]
    {
        let pid = quickstart.pid_of(mark);
        assert!(run(Command::new("sh").arg("-c").arg(format!("kill -9 {pid}"))).status.success());
        quickstart.wait_log(&format!("{name} has ended (exit code 137). Starting it again."));
        let port = quickstart.ports[http].number();
        wait::until("it is ready", wait::LONG, || {
            get(port, "/readyz").is_ok_and(|(status, _)| status == 200).then_some(())
        });
    }
    quickstart.process.signal("TERM");
    assert_eq!(quickstart.wait_end().code(), Some(0));
}

#[test]
fn quickstart_shows_why_a_program_did_not_start() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut quickstart = Quickstart::start(&[("BROKER_1_PORT", &port.to_string())]);
    assert_eq!(quickstart.wait_end().code(), Some(1));
    let log = quickstart.process.log();
    assert!(log.contains("broker-1 has ended by itself (exit code 1)"), "{log}");
    assert!(log.contains(&format!("127.0.0.1:{port} is in use")), "{log}");
}

/// A script that only waits stands in for ha-server.
#[test]
fn quickstart_gives_up_after_its_time() {
    let folder = repository().join("tests/e2e/stand-ins").display().to_string();
    let variables = [("QUICKSTART_SECONDS", "1"), ("QUICKSTART_BIN", folder.as_str())];
    let mut quickstart = Quickstart::start(&variables);
    assert_eq!(quickstart.wait_end().code(), Some(1));
    let log = quickstart.process.log();
    assert!(log.contains("ha-server was not ready within 1 seconds."), "{log}");
    assert!(log.contains("a program that is never ready"), "{log}");
}
