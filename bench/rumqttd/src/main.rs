//! rumqttd's own server on one port of 127.0.0.1, MQTT 3.1.1, to be measured beside ours.
//!
//! The limits are those of the configuration that rumqttd ships, but a payload may have a mebibyte
//! instead of 20 KiB.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};

fn main() -> ExitCode {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    let Some(port) = port else {
        eprintln!("usage: rumqttd-server PORT");
        return ExitCode::from(2);
    };
    match Broker::new(config(port)).start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rumqttd-server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn config(port: u16) -> Config {
    let server = ServerSettings {
        name: "v4".into(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        tls: None,
        next_connection_delay_ms: 1,
        connections: ConnectionSettings {
            connection_timeout_ms: 60_000,
            max_payload_size: 1 << 20,
            max_inflight_count: 100,
            auth: None,
            external_auth: None,
            dynamic_filters: true,
        },
    };
    let router = RouterConfig {
        max_connections: 10_010,
        max_outgoing_packet_count: 200,
        max_segment_size: 104_857_600,
        max_segment_count: 10,
        ..RouterConfig::default()
    };
    Config { router, v4: Some(HashMap::from([("1".into(), server)])), ..Config::default() }
}
