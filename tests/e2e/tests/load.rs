//! `ha-bench` against a broker: what it says about messages is what happened to them.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::process::Command;

use e2e::{Program, TemporaryFolder, binary, run};

/// QoS and bytes of payload: both ends of each.
const LOADS: [(&str, &str); 5] =
    [("0", "16"), ("1", "65536"), ("2", "16"), ("0", "65536"), ("2", "65536")];

/// The report: of each line the first word and the number after it.
fn load(pattern: &str, qos: &str, size: &str, broker: &Program) -> Vec<(String, f64)> {
    let address = format!("127.0.0.1:{}", broker.port);
    let mut command = Command::new(binary("ha-bench"));
    command
        .args([pattern, "--publish", &address, "--subscribe", &address])
        .args(["--qos", qos, "--size", size, "--clients", "3"])
        .args(["--rate", "300", "--warm-up", "0", "--seconds", "1"]);
    let output = run(&mut command);
    assert!(output.status.success(), "{output:?}");
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next().unwrap().to_owned(), words.next().unwrap().parse().unwrap())
    };
    String::from_utf8(output.stdout).unwrap().lines().map(line).collect()
}

fn every_message_arrives_once_at_every_qos_and_size(pattern: &str) {
    let folder = TemporaryFolder::new();
    let mut broker = Program::broker("broker", folder.path());
    broker.start_ready();
    for (qos, size) in LOADS {
        let report = load(pattern, qos, size, &broker);
        let value = |name: &str| report.iter().find(|(found, _)| found == name).unwrap().1;
        let what = format!("{pattern}, QoS {qos}, {size} bytes: {report:?}");
        assert!(value("delivered") > 0.0, "{what}");
        assert_eq!((value("lost"), value("duplicates")), (0.0, 0.0), "{what}");
    }
}

#[test]
fn pairs_get_every_message_once_at_every_qos_and_size() {
    every_message_arrives_once_at_every_qos_and_size("pairs");
}

#[test]
fn all_subscribers_of_a_publisher_get_every_message_once_at_every_qos_and_size() {
    every_message_arrives_once_at_every_qos_and_size("fan-out");
}

#[test]
fn the_subscriber_of_all_publishers_gets_every_message_once_at_every_qos_and_size() {
    every_message_arrives_once_at_every_qos_and_size("fan-in");
}

/// Nobody listens there.
#[test]
fn a_broker_that_cannot_be_reached_is_a_failure_with_a_reason() {
    let folder = TemporaryFolder::new();
    let broker = Program::broker("broker", folder.path());
    let address = format!("127.0.0.1:{}", broker.port);
    let mut command = Command::new(binary("ha-bench"));
    let output = run(command.args(["pairs", "--publish", &address, "--subscribe", &address]));
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("ha-bench: "));
}
