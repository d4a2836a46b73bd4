//! startserver.sh, startbroker.sh and stopserver.sh, called from another folder.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    ffi::OsStr,
    fs,
    process::{Command, Output},
};

use e2e::{
    Port, Process, TemporaryFolder, binary, get, repository, run, wait, without_our_environment,
};

/// A script with ports and data of its own, called in `folder`.
struct Scripts {
    folder: TemporaryFolder,
    ports: [Port; 4],
}

impl Scripts {
    fn new() -> Self {
        Self { folder: TemporaryFolder::new(), ports: [(); 4].map(|()| Port::free()) }
    }

    fn command(&self, script: &str) -> Command {
        let [server, server_http, broker, broker_http] = &self.ports;
        let mut command = without_our_environment(Command::new("sh"));
        command
            .arg(repository().join("scripts").join(script))
            .current_dir(self.folder.path())
            .env("HA_SERVER_BIN", binary("ha-server"))
            .env("HA_BROKER_BIN", binary("ha-broker"));
        // Each program refuses the variables of the other one, as it refuses any unknown key.
        if script == "startserver.sh" {
            command
                .env("MQTT_HA_HA_SERVER__HA_PORT", server.to_string())
                .env("MQTT_HA_HA_SERVER__HTTP_PORT", server_http.to_string())
                .env("MQTT_HA_HA_SERVER__DATA_DIR", self.folder.path());
        } else {
            command
                .env("MQTT_HA_CONFIG__PORT_NO", broker.to_string())
                .env("MQTT_HA_CONFIG__HTTP_PORT", broker_http.to_string())
                .env("MQTT_HA_CONFIG__DATA_DIR", self.folder.path().join("broker"));
        }
        command
    }

    fn run<S: AsRef<OsStr>>(&self, script: &str, arguments: &[S]) -> Output {
        run(self.command(script).args(arguments))
    }

    fn wait_ready(&self, port: &Port) {
        wait::until("the program is ready", wait::LONG, || {
            get(port.number(), "/readyz").is_ok_and(|(status, _)| status == 200).then_some(())
        });
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn as_daemons_both_programs_start_once_and_stop_by_their_pid_files() {
    let scripts = Scripts::new();
    for (script, port) in [("startserver.sh", 1), ("startbroker.sh", 3)] {
        let daemon = ["--daemon", "--pid-file", "x.pid", "--log-file", "x.log"];
        let output = scripts.run(script, &daemon);
        assert!(output.status.success(), "{output:?}");
        scripts.wait_ready(&scripts.ports[port]);
        let pid = fs::read_to_string(scripts.folder.path().join("x.pid")).unwrap();
        assert!(stdout(&output).contains(&format!("runs as process {}", pid.trim())), "{output:?}");

        let again = scripts.run(script, &daemon);
        assert_eq!(again.status.code(), Some(1));
        assert!(stderr(&again).contains("is running already"), "{again:?}");

        let stopped = scripts.run("stopserver.sh", &["x.pid"]);
        assert!(stdout(&stopped).contains("has stopped"), "{stopped:?}");
        assert!(get(scripts.ports[port].number(), "/livez").is_err());
        assert!(!scripts.folder.path().join("x.pid").exists());
        let log = fs::read_to_string(scripts.folder.path().join("x.log")).unwrap();
        assert!(log.contains("SIGTERM"), "{log}");
    }
    let nothing = scripts.run("stopserver.sh", &["x.pid"]);
    assert!(nothing.status.success() && stdout(&nothing).contains("is not running"), "{nothing:?}");
}

#[test]
fn a_daemon_that_cannot_start_shows_the_end_of_its_log() {
    let scripts = Scripts::new();
    let daemon = ["--daemon", "--pid-file", "x.pid", "--log-file", "x.log"];
    let output =
        scripts.run("startserver.sh", &[&daemon[..], &["--set", "HA_SERVER.LAESE=1s"]].concat());
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(stderr(&output).contains("did you mean LEASE?"), "{output:?}");
    assert!(!scripts.folder.path().join("x.pid").exists());
}

#[test]
fn in_the_foreground_a_script_is_its_program() {
    let scripts = Scripts::new();
    let log = scripts.folder.path().join("log");
    let mut server = Process::start("startserver.sh", &mut scripts.command("startserver.sh"), &log);
    scripts.wait_ready(&scripts.ports[1]);
    server.signal("INT");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn further_arguments_are_passed_on_and_files_are_meant_from_where_the_script_was_called() {
    let scripts = Scripts::new();
    scripts.folder.write("mine.conf", "[CONFIG]\n\nPORTNO = 1\n");
    for arguments in [&["--config", "mine.conf"][..], &["--config=mine.conf"], &["-c", "mine.conf"]]
    {
        let output = scripts.run("startbroker.sh", arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("mine.conf:3: unknown key PORTNO"), "{output:?}");
    }
    let checked = scripts.run("startbroker.sh", &["check-config", "mine.conf"]);
    assert!(stderr(&checked).starts_with("mine.conf:3: "), "{checked:?}");
    let version = scripts.run("startserver.sh", &["--version"]);
    assert!(stdout(&version).starts_with("ha-server "), "{version:?}");
}

#[test]
fn without_its_program_a_script_says_what_to_do() {
    let scripts = Scripts::new();
    let output = run(scripts.command("startserver.sh").env("HA_SERVER_BIN", "/no/such/program"));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "HA_SERVER_BIN = /no/such/program: there is no such program.\n");

    // A copy, because this repository may have been built with the release profile.
    fs::create_dir(scripts.folder.path().join("scripts")).unwrap();
    for name in ["startserver.sh", "program.sh"] {
        let copy = scripts.folder.path().join("scripts").join(name);
        fs::copy(repository().join("scripts").join(name), copy).unwrap();
    }
    let mut command = Command::new("sh");
    command.arg("scripts/startserver.sh").current_dir(scripts.folder.path());
    let output = run(command.env_remove("CARGO_TARGET_DIR").env("PATH", "/usr/bin:/bin"));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("build it with 'cargo build --release'"), "{output:?}");
}
