//! The configuration that follows from `broker.conf`.

mod limits;
mod schema;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use broker_auth::{AuthConfig, CertificateUser};
use ha_shell::layers::Settings;
use ha_shell::problem::ConfigError;
use ha_shell::schema::Endpoint;
use ha_types::BrokerName;

pub use self::limits::ConnectionLimits;
use self::schema::AUTHENTICATION;
pub use self::schema::{CONFIG, DISTRIBUTOR, SCHEMA};

/// The checked configuration.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// The MQTT engine.
    pub host: HostKind,
    /// Where MQTT clients connect.
    pub listen: SocketAddr,
    /// Who may come in, and what they may do.
    pub authentication: AuthConfig,
    /// Of each client.
    pub limits: ConnectionLimits,
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
    /// Sessions, of clients that are connected or away.
    pub sessions_max: usize,
    /// Subscriptions of one session.
    pub subscriptions_max: usize,
    /// How often `$SYS` is published; zero: never.
    pub sys_interval: Duration,
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

/// Which MQTT engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostKind {
    /// Our own.
    Session,
    /// An embedded rumqttd.
    Rumqttd,
}

impl BrokerConfig {
    /// Takes the settings of [`SCHEMA`] and checks what concerns several of them.
    ///
    /// # Errors
    /// A sentence with the place of the setting that does not fit.
    pub fn new(settings: &Settings) -> Result<Self, ConfigError> {
        let bind: IpAddr = settings.address(CONFIG, "BIND");
        let config = Self {
            host: match settings.one_of(CONFIG, "HOST") {
                "rumqttd" => HostKind::Rumqttd,
                _ => HostKind::Session,
            },
            listen: SocketAddr::new(bind, settings.port(CONFIG, "PORT_NO")),
            authentication: authentication(settings),
            limits: ConnectionLimits::new(settings),
            http: SocketAddr::new(bind, settings.port(CONFIG, "HTTP_PORT")),
            name: name(settings)?,
            ha_servers: ha_servers(settings),
            packet_bytes_max: settings.bytes(CONFIG, "MAX_PACKET"),
            connections_max: settings.integer(CONFIG, "CONNECTIONS_MAX"),
            sessions_max: settings.integer(CONFIG, "SESSIONS_MAX"),
            subscriptions_max: settings.integer(schema::LIMITS, "SUBSCRIPTIONS_MAX"),
            sys_interval: settings.duration(CONFIG, "SYS_INTERVAL"),
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

fn authentication(settings: &Settings) -> AuthConfig {
    let path = |key| settings.if_set(AUTHENTICATION, key).map(|value| value.path().to_owned());
    AuthConfig {
        allow_anonymous: settings.flag(AUTHENTICATION, "ALLOW_ANONYMOUS"),
        password_file: path("PASSWORD_FILE"),
        acl_file: path("ACL_FILE"),
        certificate_user: CertificateUser::None,
        hash_threads: settings.integer(AUTHENTICATION, "HASH_THREADS"),
        hash_queue_max: settings.integer(AUTHENTICATION, "HASH_QUEUE_MAX"),
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
    fn two_ports_cannot_be_the_same() {
        let error = configured("[CONFIG]\nHTTP_PORT = 1883\n").unwrap_err();
        assert!(error.starts_with("x.conf:2: HTTP_PORT = 1883: "), "{error}");
    }

    #[test]
    fn name_follows_from_host_and_port_or_is_checked() {
        let name = configured("[CONFIG]\nPORT_NO = 1999\n").unwrap().name;
        assert!(name.as_str().ends_with("-1999"), "{name}");
        let error = configured("[CONFIG]\nNAME = a b\n").unwrap_err();
        assert!(error.starts_with("x.conf:2: NAME = a b: "), "{error}");
    }
}
