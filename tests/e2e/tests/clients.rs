//! Clients written by others: paho-mqtt, aiomqtt and MQTT.js with the scenarios of
//! `tests/e2e/clients`, and mosquitto's tools.
//!
//! Absent: aiomqtt over TLS. It waits for its socket while messages wait in its TLS library.

use std::process::{Command, Stdio};

use e2e::{
    Library::{Aiomqtt, MqttJs, Paho},
    Program, TemporaryFolder,
    Transport::{SecureWebSocket, Tcp, Tls, WebSocket},
    all_hold, all_hold_in_a_cluster, run,
    wait::{self, LONG},
};

#[test]
fn paho_finds_what_it_expects_in_a_cluster() {
    all_hold_in_a_cluster(Paho);
}

#[test]
fn paho_finds_what_it_expects_over_tcp() {
    all_hold(Paho, Tcp);
}

#[test]
fn paho_finds_what_it_expects_over_tls() {
    all_hold(Paho, Tls);
}

#[test]
fn paho_finds_what_it_expects_over_websocket() {
    all_hold(Paho, WebSocket);
}

#[test]
fn paho_finds_what_it_expects_over_secure_websocket() {
    all_hold(Paho, SecureWebSocket);
}

#[test]
fn aiomqtt_finds_what_it_expects_in_a_cluster() {
    all_hold_in_a_cluster(Aiomqtt);
}

#[test]
fn aiomqtt_finds_what_it_expects_over_tcp() {
    all_hold(Aiomqtt, Tcp);
}

#[test]
fn aiomqtt_finds_what_it_expects_over_websocket() {
    all_hold(Aiomqtt, WebSocket);
}

#[test]
fn mqtt_js_finds_what_it_expects_in_a_cluster() {
    all_hold_in_a_cluster(MqttJs);
}

#[test]
fn mqtt_js_finds_what_it_expects_over_tcp() {
    all_hold(MqttJs, Tcp);
}

#[test]
fn mqtt_js_finds_what_it_expects_over_tls() {
    all_hold(MqttJs, Tls);
}

#[test]
fn mqtt_js_finds_what_it_expects_over_websocket() {
    all_hold(MqttJs, WebSocket);
}

#[test]
fn mqtt_js_finds_what_it_expects_over_secure_websocket() {
    all_hold(MqttJs, SecureWebSocket);
}

#[test]
fn mosquitto_rr_gets_its_answer() {
    let folder = TemporaryFolder::new();
    let mut broker = Program::broker("broker", folder.path());
    broker.start_ready();
    let port = broker.port.to_string();
    // Answers each request with its own text: subscribes, and publishes where the request says.
    let mut answering = Command::new("sh");
    let script = format!(
        "mosquitto_sub -p {port} -V 5 -t question -q 1 -C 1 -F '%R %p' | while read topic text; do \
         mosquitto_pub -p {port} -V 5 -t \"$topic\" -q 1 -m \"$text!\"; done"
    );
    let mut answering = answering.args(["-c", &script]).stdout(Stdio::null()).spawn().expect("sh");
    wait::until("an answer", LONG, || {
        let mut asking = Command::new("mosquitto_rr");
        asking.args(["-p", &port, "-V", "5", "-t", "question", "-e", "answer", "-q", "1"]);
        let output = run(asking.args(["-m", "why", "-W", "2"]));
        (output.stdout == b"why!\n").then_some(())
    });
    let _ = answering.wait();
}
