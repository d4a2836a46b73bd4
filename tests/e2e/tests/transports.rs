//! Clients over TLS, with certificates of their own, and through a load balancer that sends the PROXY
//! protocol. What libraries find over each transport is in `clients.rs`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output};
use std::time::Duration;

use e2e::{Client, Port, Program, TemporaryFolder, Version, certificates, mosquitto, run};

fn broker(folder: &TemporaryFolder, settings: &[(&str, String)]) -> Program {
    let mut broker = Program::broker("broker", folder.path());
    settings.iter().for_each(|(key, value)| broker.set(key, value));
    broker.start_ready();
    broker
}

fn path(folder: &TemporaryFolder, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

fn with_tls(folder: &TemporaryFolder, port: &Port) -> Vec<(&'static str, String)> {
    vec![
        ("CONFIG.TLS_PORT_NO", port.to_string()),
        ("TLS.CERT_FILE", path(folder, "server.pem")),
        ("TLS.KEY_FILE", path(folder, "server.key")),
    ]
}

fn publish(folder: &TemporaryFolder, port: &Port, arguments: &[&str]) -> Output {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "localhost", "-p", &port.to_string(), "--cafile", &path(folder, "ca.pem")]);
    run(command.args(["-t", "a", "-m", "over TLS", "-q", "1"]).args(arguments))
}

#[test]
fn mosquitto_publishes_over_tls_and_a_plain_client_hears_it() {
    for host in ["session", "rumqttd"] {
        let (folder, tls) = (TemporaryFolder::new(), Port::free());
        certificates(&folder);
        let mut settings = with_tls(&folder, &tls);
        settings.push(("CONFIG.HOST", host.to_owned()));
        let broker = broker(&folder, &settings);
        let mut listener = Client::connect(broker.port.number(), Version::V5, "plain");
        listener.subscribe("a", 1);
        for version in mosquitto::VERSIONS {
            let output = publish(&folder, &tls, &["-V", version]);
            assert!(output.status.success(), "{host}: {output:?}");
            let heard = listener.receive(Duration::from_secs(10)).unwrap();
            assert_eq!(heard.payload, b"over TLS");
        }
    }
}

#[test]
fn certificate_of_a_client_is_asked_for_and_names_it() {
    let (folder, tls) = (TemporaryFolder::new(), Port::free());
    certificates(&folder);
    folder.write("acl", "user meter-7\ntopic readwrite a\n");
    let mut settings = with_tls(&folder, &tls);
    settings.extend([
        ("TLS.CA_FILE", path(&folder, "ca.pem")),
        ("TLS.CLIENT_CERTIFICATE", "required".to_owned()),
        ("AUTHENTICATION.CERTIFICATE_USER", "common_name".to_owned()),
        ("AUTHENTICATION.ALLOW_ANONYMOUS", "NO".to_owned()),
        ("AUTHENTICATION.ACL_FILE", path(&folder, "acl")),
    ]);
    let _broker = broker(&folder, &settings);
    let (certificate, key) = (path(&folder, "client.pem"), path(&folder, "client.key"));
    let shown = ["--cert", &certificate, "--key", &key, "-V", "mqttv5"];
    let output = publish(&folder, &tls, &shown);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let output = publish(&folder, &tls, &[&shown[..], &["-t", "b"]].concat());
    assert!(String::from_utf8_lossy(&output.stderr).contains("Not authorized"), "{output:?}");
    assert!(!publish(&folder, &tls, &["-V", "mqttv5"]).status.success());
}

#[test]
fn trusted_load_balancer_must_send_the_proxy_protocol() {
    let folder = TemporaryFolder::new();
    let from = ("CONFIG.PROXY_PROTOCOL_FROM", "127.0.0.0/8".to_owned());
    let broker = broker(&folder, &[from]);
    let connect = |header: &[u8]| {
        let mut socket = TcpStream::connect(("127.0.0.1", broker.port.number())).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.write_all(&[header, b"\x10\x0F\0\x04MQTT\x04\x02\0\0\0\x03lbs"].concat()).unwrap();
        let mut connack = [0; 4];
        socket.read_exact(&mut connack).ok().map(|()| connack)
    };
    let header = b"PROXY TCP4 203.0.113.7 127.0.0.1 50000 1883\r\n";
    assert_eq!(connect(header), Some([0x20, 2, 0, 0]));
    assert_eq!(connect(b""), None);
}
