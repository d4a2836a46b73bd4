//! What `broker.conf` may say, and the configuration that follows from it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ha_shell::layers::Settings;
use ha_shell::problem::ConfigError;
use ha_shell::schema::{Endpoint, Key, Kind, Required, Section};
use ha_types::BrokerName;
use ha_types::limits::{PACKET_BYTES_DEFAULT, PACKET_BYTES_MAX};

/// The section about the broker itself.
pub const CONFIG: &str = "CONFIG";
/// The section about the cluster.
pub const DISTRIBUTOR: &str = "DISTRIBUTOR";

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

/// Everything that `broker.conf` may contain.
pub const SCHEMA: &[Section] = &[
    Section { name: CONFIG, aliases: &[], required: Required::Yes, keys: CONFIG_KEYS },
    Section {
        name: DISTRIBUTOR,
        aliases: &["HASERVER"],
        required: Required::No,
        keys: DISTRIBUTOR_KEYS,
    },
];

const _: () = assert!(PACKET_BYTES_DEFAULT == 1 << 20, "the default below says 1M");

const CONFIG_KEYS: &[Key] = &[
    Key::new("PORT_NO", Kind::Port, "TCP port for MQTT clients").default("1883"),
    Key::new("BIND", Kind::Address, "address to listen on").default("0.0.0.0"),
    Key::new("HTTP_PORT", Kind::Port, "TCP port of /livez, /readyz and /metrics").default("8080"),
    Key::new("NAME", Kind::Text, "name in the cluster; default: host name and PORT_NO"),
    Key::new("DATA_DIR", Kind::Path, "folder for what must survive a restart; unused by rumqttd")
        .default("data/ha-broker"),
    Key::new("HOST", Kind::OneOf(&["session", "rumqttd"]), "MQTT engine").default("rumqttd"),
    Key::new(
        "MAX_PACKET",
        Kind::Bytes { min: KIB, max: PACKET_BYTES_MAX as u64 },
        "bytes of one MQTT packet",
    )
    .default("1M"),
    Key::new("CONNECTIONS_MAX", Kind::Integer { min: 1, max: 1_000_000 }, "clients at a time")
        .default("10000"),
    Key::new(
        "SESSIONS_MAX",
        Kind::Integer { min: 1, max: 10_000_000 },
        "sessions that outlive their connections",
    )
    .default("10000"),
    Key::new(
        "ATTACH_HOLD",
        Kind::Millis { min: 0, max: 600_000 },
        "how long a starting broker waits for ha-server before it takes clients",
    )
    .default("2s"),
    Key::new(
        "OUTBOX_MAX",
        Kind::Integer { min: 1, max: 100_000_000 },
        "QoS 1 and 2 publishes that wait for ha-server; more stay local",
    )
    .default("100000"),
    Key::new(
        "OUTBOX_BYTES",
        Kind::Bytes { min: MIB, max: TIB },
        "bytes of publishes that wait for ha-server",
    )
    .default("64M"),
    Key::new(
        "FILTERS_MAX",
        Kind::Integer { min: 1, max: 100_000_000 },
        "distinct topic filters of all sessions",
    )
    .default("10000"),
    Key::new(
        "RETAINED_MAX",
        Kind::Integer { min: 0, max: 1_000_000_000 },
        "retained messages in the broker's copy",
    )
    .default("1000000"),
    Key::new(
        "RETAINED_BYTES_MAX",
        Kind::Bytes { min: 0, max: TIB },
        "bytes of retained messages in the broker's copy",
    )
    .default("1G"),
];

const DISTRIBUTOR_KEYS: &[Key] = &[
    Key::new("DISTRIBUTION_ENABLED", Kind::Flag, "YES: be part of a cluster")
        .default("NO")
        .aliases(&["HASERVER_ENABLED"]),
    Key::new(
        "DISTRIBUTION_IP",
        Kind::AddressList,
        "where ha-server is: one address or name, or several separated by commas",
    )
    .default("127.0.0.1")
    .aliases(&["HASERVER_IP"]),
    Key::new("DISTRIBUTION_PORT", Kind::Port, "TCP port of ha-server")
        .default("2000")
        .aliases(&["HASERVER_PORT"]),
];

/// The checked configuration.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// Where MQTT clients connect.
    pub listen: SocketAddr,
    /// Where /livez, /readyz and /metrics are.
    pub http: SocketAddr,
    /// Name in the cluster.
    pub name: BrokerName,
    /// Where ha-server is, `host:port` each; empty: the broker works alone.
    pub ha_servers: Vec<String>,
    /// Bytes of one MQTT packet.
    pub packet_bytes_max: usize,
    /// Clients at a time.
    pub connections_max: usize,
    /// Sessions that outlive their connections.
    pub sessions_max: usize,
    /// How long a starting broker waits for ha-server before it takes clients.
    pub attach_hold: Duration,
    /// Publishes that wait for ha-server.
    pub outbox_max: usize,
    /// Bytes of publishes that wait for ha-server.
    pub outbox_bytes_max: usize,
    /// Topic filters of all sessions.
    pub filters_max: usize,
    /// Retained messages.
    pub retained_max: usize,
    /// Bytes of retained messages.
    pub retained_bytes_max: usize,
}

impl BrokerConfig {
    /// Takes the settings of [`SCHEMA`] and checks what concerns several of them.
    ///
    /// # Errors
    /// A sentence with the place of the setting that does not fit.
    pub fn new(settings: &Settings) -> Result<Self, ConfigError> {
        if settings.one_of(CONFIG, "HOST") != "rumqttd" {
            let message = "this version has the host rumqttd only";
            return Err(settings.error_at(CONFIG, "HOST", message));
        }
        let bind: IpAddr = settings.address(CONFIG, "BIND");
        let config = Self {
            listen: SocketAddr::new(bind, settings.port(CONFIG, "PORT_NO")),
            http: SocketAddr::new(bind, settings.port(CONFIG, "HTTP_PORT")),
            name: name(settings)?,
            ha_servers: ha_servers(settings),
            packet_bytes_max: settings.bytes(CONFIG, "MAX_PACKET"),
            connections_max: settings.integer(CONFIG, "CONNECTIONS_MAX"),
            sessions_max: settings.integer(CONFIG, "SESSIONS_MAX"),
            attach_hold: settings.duration(CONFIG, "ATTACH_HOLD"),
            outbox_max: settings.integer(CONFIG, "OUTBOX_MAX"),
            outbox_bytes_max: settings.bytes(CONFIG, "OUTBOX_BYTES"),
            filters_max: settings.integer(CONFIG, "FILTERS_MAX"),
            retained_max: settings.integer(CONFIG, "RETAINED_MAX"),
            retained_bytes_max: settings.bytes(CONFIG, "RETAINED_BYTES_MAX"),
        };
        if config.listen.port() == config.http.port() {
            return Err(settings.error_at(CONFIG, "HTTP_PORT", "PORT_NO is the same"));
        }
        Ok(config)
    }
}

fn name(settings: &Settings) -> Result<BrokerName, ConfigError> {
    if let Some(name) = settings.if_set(CONFIG, "NAME") {
        let parsed = BrokerName::parse(name.text());
        return parsed.map_err(|error| settings.error_at(CONFIG, "NAME", error));
    }
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '-' };
    let host: String = host_name().chars().take(48).map(allowed).collect();
    let name = format!("{host}-{}", settings.port(CONFIG, "PORT_NO"));
    Ok(BrokerName::parse(&name).expect("only allowed characters, at most 54"))
}

/// The machine's name, or `broker` where it cannot be found out.
fn host_name() -> String {
    let from_kernel = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = from_kernel().or_else(|| std::env::var("COMPUTERNAME").ok());
    name.map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "broker".into())
}

fn ha_servers(settings: &Settings) -> Vec<String> {
    if !settings.flag(DISTRIBUTOR, "DISTRIBUTION_ENABLED") {
        return Vec::new();
    }
    let port = settings.port(DISTRIBUTOR, "DISTRIBUTION_PORT");
    let address = |endpoint: &Endpoint| {
        let (host, port) = (&endpoint.host, endpoint.port.unwrap_or(port));
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    };
    settings.list(DISTRIBUTOR, "DISTRIBUTION_IP").iter().map(address).collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use ha_shell::layers::{ConfigFile, Sources, load};

    use super::*;

    fn configured(text: &str) -> Result<BrokerConfig, String> {
        let file = ConfigFile { name: "x.conf".into(), bytes: text.into() };
        let environment: [(OsString, OsString); 0] = [];
        let sources = Sources { file: Some(file), environment, set: Vec::new() };
        load(SCHEMA, sources)
            .and_then(|settings| BrokerConfig::new(&settings))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn broker_is_alone_unless_distribution_is_enabled() {
        let config = configured("[CONFIG]\n[DISTRIBUTOR]\nDISTRIBUTION_IP = 10.0.0.1\n").unwrap();
        assert!(config.ha_servers.is_empty());
        assert_eq!(config.listen.port(), 1883);
    }

    #[test]
    fn several_addresses_get_the_common_port_unless_they_have_their_own() {
        let text = "[CONFIG]\n[DISTRIBUTOR]\nDISTRIBUTION_ENABLED = YES\n\
                    DISTRIBUTION_IP = ha1, ha2:2100, ::1\nDISTRIBUTION_PORT = 2005\n";
        let config = configured(text).unwrap();
        assert_eq!(config.ha_servers, ["ha1:2005", "ha2:2100", "[::1]:2005"]);
    }

    #[test]
    fn older_spelling_is_accepted() {
        let text = "[CONFIG]\n[HASERVER]\nHASERVER_ENABLED=1\nHASERVER_IP=ha\nHASERVER_PORT=2009\n";
        assert_eq!(configured(text).unwrap().ha_servers, ["ha:2009"]);
    }

    #[test]
    fn session_host_is_refused_at_its_line_until_there_is_one() {
        let error = configured("[CONFIG]\nHOST = session\n").unwrap_err();
        assert!(error.starts_with("x.conf:2: HOST = session: "), "{error}");
    }

    #[test]
    fn name_follows_from_host_and_port_or_is_checked() {
        let name = configured("[CONFIG]\nPORT_NO = 1999\n").unwrap().name;
        assert!(name.as_str().ends_with("-1999"), "{name}");
        let error = configured("[CONFIG]\nNAME = a b\n").unwrap_err();
        assert!(error.starts_with("x.conf:2: NAME = a b: "), "{error}");
    }
}
