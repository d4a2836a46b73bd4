//! Passwords and access rules, with real clients and the files of mosquitto_passwd.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::process::{Command, Output};

use e2e::{Program, TemporaryFolder, run};

/// Made by mosquitto_passwd: the password of both is "secret word".
const PASSWORDS: &str = include_str!("../../../broker-plugin/auth/tests/passwords");

const HOSTS: [&str; 2] = ["session", "rumqttd"];

fn broker(host: &str, folder: &TemporaryFolder) -> Program {
    folder.write("passwords", PASSWORDS);
    folder.write("acl", "user alice\ntopic readwrite a/#\npattern read own/%c\n");
    let mut broker = Program::broker("broker", folder.path());
    broker.set("CONFIG.HOST", host);
    broker.set("AUTHENTICATION.ALLOW_ANONYMOUS", "NO");
    let path = |name: &str| folder.path().join(name).display().to_string();
    broker.set("AUTHENTICATION.PASSWORD_FILE", &path("passwords"));
    broker.set("AUTHENTICATION.ACL_FILE", &path("acl"));
    broker.start_ready();
    broker
}

fn mosquitto(program: &str, broker: &Program, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-p", &broker.port.to_string()]).args(arguments);
    run(&mut command)
}

#[test]
fn client_comes_in_with_its_password_and_not_without() {
    for host in HOSTS {
        client_comes_in_with_its_password_and_not_without_at(host);
    }
}

fn client_comes_in_with_its_password_and_not_without_at(host: &str) {
    let folder = TemporaryFolder::new();
    let broker = broker(host, &folder);
    let publish = |arguments: &[&str]| {
        let message = ["-t", "a/b", "-m", "x", "-q", "1"];
        mosquitto("mosquitto_pub", &broker, &[&message[..], arguments].concat())
    };
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        let with = |user, password| publish(&["-V", version, "-u", user, "-P", password]);
        assert!(with("alice", "secret word").status.success(), "{version}");
        assert!(with("bob", "secret word").status.success(), "{version}");
        assert!(!with("alice", "wrong").status.success(), "{version}");
        assert!(!with("eve", "secret word").status.success(), "{version}");
        assert!(!publish(&["-V", version]).status.success(), "{version}");
    }
}

#[test]
fn rules_hold_for_publishing_subscribing_and_each_delivery() {
    for host in HOSTS {
        rules_hold_for_publishing_subscribing_and_each_delivery_at(host);
    }
}

fn rules_hold_for_publishing_subscribing_and_each_delivery_at(host: &str) {
    let folder = TemporaryFolder::new();
    let broker = broker(host, &folder);
    let as_user = |program, user, arguments: &[&str]| {
        let who = ["-u", user, "-P", "secret word", "-V", "mqttv5"];
        mosquitto(program, &broker, &[&who[..], arguments].concat())
    };
    let text = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let refused = as_user("mosquitto_pub", "bob", &["-t", "a/b", "-m", "x", "-q", "1"]);
    assert!(text(&refused).contains("Not authorized"), "{refused:?}");
    let kept = ["-r", "-q", "1", "-t", "a/kept", "-m", "kept"];
    assert!(as_user("mosquitto_pub", "alice", &kept).status.success());
    let listen = ["-t", "#", "-W", "2", "-C", "1"];
    let heard = as_user("mosquitto_sub", "alice", &listen);
    assert_eq!(String::from_utf8(heard.stdout).unwrap(), "kept\n");
    let heard = as_user("mosquitto_sub", "bob", &["-t", "a/#", "-W", "2", "-C", "1"]);
    assert_eq!(String::from_utf8(heard.stdout).unwrap(), "");
}
