//! What `HAServer.conf` may say, and the configuration that follows from it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ha_core::FanOut;
use ha_shell::problem::ConfigError;
use ha_shell::schema::{Key, Kind, Section};
use ha_types::limits::BROKERS_MAX;

/// Name of the only section.
pub const SECTION: &str = "HA_SERVER";

const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

/// Everything that `HAServer.conf` may contain.
pub const SCHEMA: &[Section] = &[Section::new(SECTION, KEYS).required()];

const KEYS: &[Key] = &[
    Key::new("HA_port", Kind::Port, "TCP port for brokers (gRPC)")
        .default("2000")
        .json_default("8082")
        .aliases(&["PORT"]),
    Key::new("BIND", Kind::Address, "address to listen on").default("0.0.0.0"),
    Key::new("HTTP_PORT", Kind::Port, "TCP port of /livez, /readyz and /metrics").default("2001"),
    Key::new("DATA_DIR", Kind::Path, "folder for what must survive a restart")
        .default("data/ha-server"),
    Key::new("FANOUT", Kind::OneOf(&["INTEREST", "ALL"]), "brokers that get a message")
        .default("INTEREST"),
    Key::new(
        "LEASE",
        Kind::Millis { min: 500, max: 600_000 },
        "silence after which a broker is lost",
    )
    .default("1000ms"),
    Key::new(
        "HEARTBEAT",
        Kind::Millis { min: 50, max: 300_000 },
        "how often brokers send heartbeats",
    )
    .default("250ms"),
    Key::new(
        "BROKERS_MAX",
        Kind::Integer { min: 1, max: BROKERS_MAX as u64 },
        "brokers that may be attached",
    )
    .default("64"),
    Key::new(
        "FILTERS_MAX",
        Kind::Integer { min: 1, max: 100_000_000 },
        "topic filters of one broker; more end its stream",
    )
    .default("1000000"),
    Key::new(
        "QUEUE_BYTES",
        Kind::Bytes { min: MIB, max: TIB },
        "bytes that may wait for a broker before it counts as behind",
    )
    .default("64M"),
    Key::new(
        "STALL_TIMEOUT",
        Kind::Millis { min: 1_000, max: 600_000 },
        "a broker that is behind and reads nothing for so long is detached",
    )
    .default("10s"),
    Key::new(
        "PUBLISH_WINDOW",
        Kind::Integer { min: 1, max: 65_536 },
        "QoS 1 and 2 publishes of one broker that may be unanswered",
    )
    .default("1024"),
    Key::new(
        "RETAINED_MAX",
        Kind::Integer { min: 0, max: 1_000_000_000 },
        "retained messages of the cluster",
    )
    .default("1000000"),
    Key::new(
        "RETAINED_BYTES_MAX",
        Kind::Bytes { min: 0, max: TIB },
        "bytes of retained messages of the cluster",
    )
    .default("1G"),
];

/// The checked configuration.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where brokers connect.
    pub listen: SocketAddr,
    /// Where /livez, /readyz and /metrics are.
    pub http: SocketAddr,
    /// For what must survive a restart.
    pub data_dir: PathBuf,
    /// Who gets a message.
    pub fan_out: FanOut,
    /// Silence after which a broker is lost.
    pub lease_ms: u64,
    /// How often brokers send heartbeats; at most half of the lease.
    pub heartbeat_ms: u64,
    /// Brokers that may be attached.
    pub brokers_max: usize,
    /// Topic filters of one broker.
    pub filters_max: usize,
    /// Bytes that may wait for a broker before it counts as behind.
    pub queue_bytes: usize,
    /// Silence of a broker's socket, while it is behind, after which it is detached.
    pub stall_ms: u64,
    /// Numbered publishes of one broker that may be unanswered.
    pub publish_window: u32,
    /// Retained messages.
    pub retained_max: usize,
    /// Bytes of retained messages.
    pub retained_bytes_max: usize,
}

impl ServerConfig {
    /// Takes the settings of [`SCHEMA`] and checks what concerns several of them.
    ///
    /// # Errors
    /// A sentence with the place of the setting that does not fit.
    pub fn new(settings: &ha_shell::layers::Settings) -> Result<Self, ConfigError> {
        let bind: IpAddr = settings.address(SECTION, "BIND");
        let config = Self {
            listen: SocketAddr::new(bind, settings.port(SECTION, "HA_port")),
            http: SocketAddr::new(bind, settings.port(SECTION, "HTTP_PORT")),
            data_dir: settings.path(SECTION, "DATA_DIR").to_owned(),
            fan_out: match settings.one_of(SECTION, "FANOUT") {
                "ALL" => FanOut::All,
                _ => FanOut::Interest,
            },
            lease_ms: settings.millis(SECTION, "LEASE"),
            heartbeat_ms: settings.millis(SECTION, "HEARTBEAT"),
            brokers_max: settings.integer(SECTION, "BROKERS_MAX"),
            filters_max: settings.integer(SECTION, "FILTERS_MAX"),
            queue_bytes: settings.bytes(SECTION, "QUEUE_BYTES"),
            stall_ms: settings.millis(SECTION, "STALL_TIMEOUT"),
            publish_window: settings.integer(SECTION, "PUBLISH_WINDOW"),
            retained_max: settings.integer(SECTION, "RETAINED_MAX"),
            retained_bytes_max: settings.bytes(SECTION, "RETAINED_BYTES_MAX"),
        };
        if config.heartbeat_ms * 2 > config.lease_ms {
            let lease = config.lease_ms;
            let message = format!("expected at most half of LEASE ({lease} ms): one may be lost");
            return Err(settings.error_at(SECTION, "HEARTBEAT", message));
        }
        if config.listen.port() == config.http.port() {
            return Err(settings.error_at(SECTION, "HTTP_PORT", "HA_port is the same"));
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use ha_shell::layers::{ConfigFile, Sources, load};

    use super::*;

    fn configured(name: &str, text: &str) -> Result<ServerConfig, String> {
        let file = ConfigFile { name: name.into(), bytes: text.into() };
        let environment: [(OsString, OsString); 0] = [];
        let sources = Sources { file: Some(file), environment, set: Vec::new() };
        load(SCHEMA, sources)
            .and_then(|settings| ServerConfig::new(&settings))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn empty_section_gives_the_documented_ports() {
        let config = configured("x.conf", "[HA_SERVER]\n").unwrap();
        assert_eq!((config.listen.port(), config.http.port()), (2000, 2001));
    }

    #[test]
    fn older_json_form_has_its_own_default_port() {
        assert_eq!(configured("config.json", "{}").unwrap().listen.port(), 8082);
        let flat = configured("config.json", r#"{"HA_port": 2222}"#).unwrap();
        assert_eq!(flat.listen.port(), 2222);
        let nested = configured("config.json", r#"{"HA_SERVER": {"HA_port": "2223"}}"#).unwrap();
        assert_eq!(nested.listen.port(), 2223);
    }

    #[test]
    fn heartbeat_may_be_half_of_the_lease_and_no_more() {
        let text = |heartbeat| format!("[HA_SERVER]\nLEASE = 1s\nHEARTBEAT = {heartbeat}\n");
        assert!(configured("x.conf", &text("500ms")).is_ok());
        let error = configured("x.conf", &text("501ms")).unwrap_err();
        assert!(error.starts_with("x.conf:3: HEARTBEAT = 501ms"), "{error}");
    }

    #[test]
    fn both_ports_the_same_is_refused_at_the_second() {
        let error = configured("x.conf", "[HA_SERVER]\nHA_port=2001\n").unwrap_err();
        assert!(error.contains("HA_port is the same"), "{error}");
    }
}
