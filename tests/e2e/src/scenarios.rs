//! Libraries written by others, run with the scenarios of `tests/e2e/clients`. `scripts/clients.sh`
//! gets them into `target/clients`.
//!
//! `SCRIPT PORT VERSION TRANSPORT BROKER`, with the certificate to trust in the variable CA, runs all
//! scenarios of a library and ends at the first assertion that fails.

use std::{path::PathBuf, process::Command, thread, time::Duration};

use crate::{Cluster, Port, Program, TemporaryFolder, certificates, repository, run_within};

/// How long all scenarios of a script may take on a slow machine.
const SCENARIOS_MAX: Duration = Duration::from_secs(180);

const VERSIONS: [&str; 3] = ["31", "311", "5"];

/// A client library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// paho-mqtt for Python.
    Paho,
    /// aiomqtt for Python.
    Aiomqtt,
    /// MQTT.js.
    MqttJs,
}

/// How a library reaches a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Plain TCP.
    Tcp,
    /// TLS.
    Tls,
    /// WebSocket at `/mqtt`.
    WebSocket,
    /// WebSocket at `/mqtt` over TLS.
    SecureWebSocket,
}

/// Runs the scenarios of a library with each version of MQTT, all at once, each at a broker of its
/// own that works alone. Panics with what the script printed when one does not hold.
pub fn all_hold(library: Library, transport: Transport) {
    with_each_version(|version| {
        let (folder, port) = (TemporaryFolder::new(), Port::free());
        certificates(&folder);
        let _broker = broker(transport, &port, &folder);
        let mut script = script(library);
        script.env("CA", folder.path().join("ca.pem"));
        assert_all_hold(script.args([&port.to_string(), version, name(transport)]));
    });
}

/// The same over TCP at one of two brokers of a cluster.
pub fn all_hold_in_a_cluster(library: Library) {
    with_each_version(|version| {
        let cluster = Cluster::start(2);
        let port = cluster.port(0).to_string();
        assert_all_hold(script(library).args([&port, version, "tcp"]));
    });
}

fn with_each_version(check: impl Fn(&str) + Sync) {
    let check = &check;
    thread::scope(|scope| {
        for version in VERSIONS {
            scope.spawn(move || check(version));
        }
    });
}

/// The last line of a script says so.
fn assert_all_hold(script: &mut Command) {
    let output = run_within(SCENARIOS_MAX, script);
    let (out, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.ends_with("all hold\n"), "{script:?}:\n{out}{errors}");
}

fn broker(transport: Transport, port: &Port, folder: &TemporaryFolder) -> Program {
    let mut broker = Program::broker("broker", folder.path());
    let key = match transport {
        Transport::Tcp => "CONFIG.PORT_NO",
        Transport::Tls => "CONFIG.TLS_PORT_NO",
        Transport::WebSocket => "CONFIG.WS_PORT_NO",
        Transport::SecureWebSocket => "CONFIG.WSS_PORT_NO",
    };
    broker.set(key, &port.to_string());
    broker.set("TLS.CERT_FILE", &folder.path().join("server.pem").display().to_string());
    broker.set("TLS.KEY_FILE", &folder.path().join("server.key").display().to_string());
    broker.start_ready();
    broker
}

/// As scripts have it in their arguments.
fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
        Transport::WebSocket => "ws",
        Transport::SecureWebSocket => "wss",
    }
}

fn script(library: Library) -> Command {
    let (program, name) = match library {
        Library::Paho => ("python/bin/python", "paho_scenarios.py"),
        Library::Aiomqtt => ("python/bin/python", "aiomqtt_scenarios.py"),
        Library::MqttJs => ("node", "mqttjs_scenarios.js"),
    };
    let mut script = Command::new(installed(program));
    script.arg(repository().join("tests/e2e/clients").join(name));
    // A test leaves nothing beside the sources.
    script.env("PYTHONDONTWRITEBYTECODE", "1");
    script.env("MQTTJS", installed("javascript"));
    script
}

fn installed(path: &str) -> PathBuf {
    let path = repository().join("target/clients").join(path);
    assert!(path.exists(), "{} is missing: run sh scripts/clients.sh", path.display());
    path
}
