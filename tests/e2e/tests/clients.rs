//! Clients written by others: paho-mqtt, aiomqtt, MQTT.js and mosquitto's tools, each with the
//! scenarios of `tests/e2e/clients`. `scripts/clients.sh` gets them.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use e2e::{Program, TemporaryFolder, repository, run, run_within};

/// How long all scenarios of a script may take on a slow machine.
const SCENARIOS_MAX: Duration = Duration::from_secs(180);

fn broker(folder: &TemporaryFolder) -> Program {
    let mut broker = Program::broker("broker", folder.path());
    broker.start_ready();
    broker
}

fn installed(path: &str) -> PathBuf {
    let path = repository().join("target/clients").join(path);
    assert!(path.exists(), "{} is missing: run sh scripts/clients.sh", path.display());
    path
}

fn scenarios(name: &str) -> PathBuf {
    repository().join("tests/e2e/clients").join(name)
}

/// Runs all scenarios of a script; the last line says that all hold.
fn assert_all_hold(command: &mut Command) {
    let output = run_within(SCENARIOS_MAX, command);
    let (out, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.ends_with("all hold\n"), "{command:?}:\n{out}{errors}");
}

#[test]
fn paho_of_each_version_finds_what_it_expects() {
    let folder = TemporaryFolder::new();
    let broker = broker(&folder);
    for version in ["31", "311", "5"] {
        let mut python = Command::new(installed("python/bin/python"));
        python.arg(scenarios("paho_scenarios.py")).args([&broker.port.to_string(), version]);
        assert_all_hold(&mut python);
    }
}

#[test]
fn aiomqtt_finds_what_it_expects() {
    let folder = TemporaryFolder::new();
    let broker = broker(&folder);
    let mut python = Command::new(installed("python/bin/python"));
    python.arg(scenarios("aiomqtt_scenarios.py")).arg(broker.port.to_string());
    assert_all_hold(&mut python);
}

#[test]
fn mqtt_js_of_each_version_finds_what_it_expects() {
    let folder = TemporaryFolder::new();
    let broker = broker(&folder);
    for version in ["3", "4", "5"] {
        let mut node = Command::new(installed("node"));
        node.env("MQTTJS", installed("javascript")).arg(scenarios("mqttjs_scenarios.js"));
        node.arg(format!("mqtt://127.0.0.1:{}", broker.port)).arg(version);
        assert_all_hold(&mut node);
    }
}

#[test]
fn mosquitto_rr_gets_its_answer() {
    let folder = TemporaryFolder::new();
    let broker = broker(&folder);
    let port = broker.port.to_string();
    // Answers each request with its own text: subscribes, and publishes where the request says.
    let mut answering = Command::new("sh");
    let script = format!(
        "mosquitto_sub -p {port} -V 5 -t question -q 1 -C 1 -F '%R %p' | while read topic text; do \
         mosquitto_pub -p {port} -V 5 -t \"$topic\" -q 1 -m \"$text!\"; done"
    );
    let mut answering = answering.args(["-c", &script]).stdout(Stdio::null()).spawn().expect("sh");
    e2e::wait::until("an answer", e2e::wait::LONG, || {
        let mut asking = Command::new("mosquitto_rr");
        asking.args(["-p", &port, "-V", "5", "-t", "question", "-e", "answer", "-q", "1"]);
        let output = run(asking.args(["-m", "why", "-W", "2"]));
        (output.stdout == b"why!\n").then_some(())
    });
    let _ = answering.wait();
}
