//! The configuration that follows from `broker.conf`.

mod leaving;
mod limits;
mod schema;
mod shares;
mod trust;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use broker_auth::{AuthConfig, CertificateUser};
use broker_listen::{ClientCertificates, Network, TlsFiles};
use ha_member::Strategies;
use ha_shell::layers::Settings;
use ha_shell::problem::ConfigError;
use ha_shell::schema::{Endpoint, Value};
use ha_shell::workers;
use ha_types::BrokerName;

pub use self::leaving::LeavingConfig;
pub use self::limits::ConnectionLimits;
use self::schema::AUTHENTICATION;
pub use self::schema::{CONFIG, DISTRIBUTOR, SCHEMA};

/// The checked configuration.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// The MQTT engine.
    pub host: HostKind,
    /// Where MQTT clients connect: at least plain TCP.
    pub listeners: Vec<ListenerConfig>,
    /// Path of the WebSocket listeners.
    pub websocket_path: String,
    /// Load balancers that send the PROXY protocol.
    pub proxies: Vec<Network>,
    /// Certificates, if a listener needs them.
    pub tls: Option<TlsFiles>,
    /// Who may come in, and what they may do.
    pub authentication: AuthConfig,
    /// Where /livez, /readyz and /metrics are.
    pub http: SocketAddr,
    /// What it says of itself, and how it lets its clients go.
    pub leaving: LeavingConfig,
    /// Name in the cluster.
    pub name: BrokerName,
    /// Where a broker that works alone keeps what it acknowledges.
    pub data_dir: PathBuf,
    /// What an acknowledgement means while it works alone.
    pub durability: Durability,
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
    /// Threads that serve clients.
    pub worker_threads: usize,
    /// Deliveries that wait for a session, of any listener.
    pub queue_messages_max: usize,
    /// Bytes of these.
    pub queue_bytes_max: usize,
    /// Messages that wait for sessions of one filter, alone.
    pub filter_messages_max: usize,
    /// Bytes of all messages that wait for sessions, alone.
    pub store_bytes_max: usize,
    /// How members of share groups are chosen, alone.
    pub strategies: Strategies,
    /// How often `$SYS` is published; zero: never.
    pub sys_interval: Duration,
    /// Whether what clients do is logged.
    pub access_log: bool,
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

/// What the acknowledgements of a broker that works alone mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It is on disk.
    Fsync,
    /// The system has it: it survives the process, not the machine.
    Memory,
    /// Nothing survives, and nothing is written.
    None,
}

/// Which MQTT engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostKind {
    /// Our own.
    Session,
    /// An embedded rumqttd.
    Rumqttd,
}

/// One port for clients.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// What is spoken there.
    pub transport: Transport,
    /// Its key in `broker.conf`.
    pub key: &'static str,
    /// Where.
    pub address: SocketAddr,
    /// Of its clients.
    pub limits: ConnectionLimits,
}

/// What is under MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Nothing but TCP.
    Tcp,
    /// TLS.
    Tls,
    /// WebSocket.
    WebSocket,
    /// WebSocket over TLS.
    SecureWebSocket,
}

impl BrokerConfig {
    /// Takes the settings of [`SCHEMA`] and checks what concerns several of them.
    ///
    /// # Errors
    /// A sentence with the place of the setting that does not fit.
    pub fn new(settings: &Settings) -> Result<Self, ConfigError> {
        let bind: IpAddr = settings.address(CONFIG, "BIND");
        let ha_servers = ha_servers(settings);
        let config = Self {
            host: match settings.one_of(CONFIG, "HOST") {
                "rumqttd" => HostKind::Rumqttd,
                _ => HostKind::Session,
            },
            listeners: listeners(settings, bind),
            websocket_path: settings.text(CONFIG, "WS_PATH").to_owned(),
            proxies: proxies(settings)?,
            tls: trust::tls(settings)?,
            authentication: trust::authentication(settings),
            http: SocketAddr::new(bind, settings.port(CONFIG, "HTTP_PORT")),
            leaving: LeavingConfig::new(settings)?,
            name: name(settings)?,
            data_dir: settings.path(CONFIG, "DATA_DIR").to_owned(),
            durability: match settings.one_of(CONFIG, "DURABILITY") {
                "MEMORY" => Durability::Memory,
                "NONE" => Durability::None,
                _ => Durability::Fsync,
            },
            worker_threads: worker_threads(settings, ha_servers.is_empty()),
            ha_servers,
            packet_bytes_max: settings.bytes(CONFIG, "MAX_PACKET"),
            connections_max: settings.integer(CONFIG, "CONNECTIONS_MAX"),
            sessions_max: settings.integer(CONFIG, "SESSIONS_MAX"),
            subscriptions_max: settings.integer(schema::LIMITS, "SUBSCRIPTIONS_MAX"),
            queue_messages_max: settings.integer(schema::LIMITS, "QUEUE_MESSAGES_MAX"),
            queue_bytes_max: settings.bytes(schema::LIMITS, "QUEUE_BYTES_MAX"),
            filter_messages_max: settings.integer(CONFIG, "FILTER_MESSAGES_MAX"),
            store_bytes_max: settings.bytes(CONFIG, "STORE_BYTES_MAX"),
            strategies: shares::strategies(settings)?,
            sys_interval: settings.duration(CONFIG, "SYS_INTERVAL"),
            access_log: settings.flag(CONFIG, "ACCESS_LOG"),
            attach_hold: settings.duration(CONFIG, "ATTACH_HOLD"),
            outbox_max: settings.integer(CONFIG, "OUTBOX_MAX"),
            outbox_bytes_max: settings.bytes(CONFIG, "OUTBOX_BYTES"),
            filters_max: settings.integer(CONFIG, "FILTERS_MAX"),
            retained_max: settings.integer(CONFIG, "RETAINED_MAX"),
            retained_bytes_max: settings.bytes(CONFIG, "RETAINED_BYTES_MAX"),
        };
        config.check_ports(settings)?;
        config.check_certificate_user(settings)?;
        Ok(config)
    }

    /// Where plain MQTT is.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.listeners[0].address
    }

    fn check_ports(&self, settings: &Settings) -> Result<(), ConfigError> {
        let ports = self.listeners.iter().map(|listener| (listener.key, listener.address.port()));
        let mut known: Vec<(&str, u16)> = Vec::new();
        let agent = self.leaving.agent_port.map(|port| ("AGENT_PORT", port));
        for (key, port) in ports.chain([("HTTP_PORT", self.http.port())]).chain(agent) {
            if let Some((other, _)) = known.iter().find(|(_, known)| *known == port) {
                return Err(settings.error_at(CONFIG, key, format!("{other} is the same")));
            }
            known.push((key, port));
        }
        if !self.websocket_path.starts_with('/') {
            return Err(settings.error_at(CONFIG, "WS_PATH", "expected a path that begins with /"));
        }
        Ok(())
    }

    /// A certificate that nobody is asked for names nobody.
    fn check_certificate_user(&self, settings: &Settings) -> Result<(), ConfigError> {
        let names = self.authentication.certificate_user != CertificateUser::None;
        let asks = self.tls.as_ref().is_some_and(|tls| tls.clients != ClientCertificates::None);
        if names && !asks {
            let message = "needs CLIENT_CERTIFICATE = optional or required in [TLS]";
            return Err(settings.error_at(AUTHENTICATION, "CERTIFICATE_USER", message));
        }
        Ok(())
    }
}

fn listeners(settings: &Settings, bind: IpAddr) -> Vec<ListenerConfig> {
    let ports = [
        (Transport::Tcp, "PORT_NO", "LIMITS_TCP"),
        (Transport::Tls, "TLS_PORT_NO", "LIMITS_TLS"),
        (Transport::WebSocket, "WS_PORT_NO", "LIMITS_WS"),
        (Transport::SecureWebSocket, "WSS_PORT_NO", "LIMITS_WSS"),
    ];
    let listener = |(transport, key, limits)| {
        let port = settings.if_set(CONFIG, key)?.port();
        let address = SocketAddr::new(bind, port);
        let limits = ConnectionLimits::new(settings, limits);
        Some(ListenerConfig { transport, key, address, limits })
    };
    ports.into_iter().filter_map(listener).collect()
}

fn proxies(settings: &Settings) -> Result<Vec<Network>, ConfigError> {
    let texts = settings.text(CONFIG, "PROXY_PROTOCOL_FROM").split(',').map(str::trim);
    let network = |text: &str| {
        text.parse().map_err(|error| settings.error_at(CONFIG, "PROXY_PROTOCOL_FROM", error))
    };
    texts.filter(|text| !text.is_empty()).map(network).collect()
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

fn worker_threads(settings: &Settings, is_alone: bool) -> usize {
    let by_itself = match is_alone {
        true => workers::for_all_processors,
        false => workers::for_all_but_one_processor,
    };
    settings.if_set(CONFIG, "WORKER_THREADS").map_or_else(by_itself, Value::integer)
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

    pub(super) fn configured(text: &str) -> Result<BrokerConfig, String> {
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
        assert_eq!(config.listen().port(), 1883);
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
    fn listener_has_the_limits_of_its_own_section_or_the_general_ones() {
        let text = "[CONFIG]\nWS_PORT_NO = 9001\n[LIMITS]\nINFLIGHT_MAX = 7\n\
                    PUBLISH_RATE_MAX = 100\n[LIMITS_WS]\nPUBLISH_RATE_MAX = 5\n";
        let config = configured(text).unwrap();
        let limits = |at: usize| config.listeners[at].limits.clone();
        assert_eq!((limits(0).inflight_max, limits(0).publish_rate_max), (7, 100));
        assert_eq!((limits(1).inflight_max, limits(1).publish_rate_max), (7, 5));
    }

    #[test]
    fn tls_port_needs_certificate_and_key() {
        let error = configured("[CONFIG]\nTLS_PORT_NO = 8883\n").unwrap_err();
        assert!(error.contains("CERT_FILE"), "{error}");
        let text = "[CONFIG]\nTLS_PORT_NO = 8883\n[TLS]\nCERT_FILE = c.pem\nKEY_FILE = k.pem\n";
        assert!(configured(text).unwrap().tls.is_some());
    }

    #[test]
    fn two_ports_cannot_be_the_same() {
        let error = configured("[CONFIG]\nWS_PORT_NO = 1883\n").unwrap_err();
        assert!(error.starts_with("x.conf:2: WS_PORT_NO = 1883: "), "{error}");
    }

    #[test]
    fn certificates_name_users_only_when_they_are_asked_for() {
        let text = "[CONFIG]\n[AUTHENTICATION]\nCERTIFICATE_USER = subject\n";
        let error = configured(text).unwrap_err();
        assert!(error.starts_with("x.conf:3: CERTIFICATE_USER = subject: "), "{error}");
    }

    #[test]
    fn name_follows_from_host_and_port_or_is_checked() {
        let name = configured("[CONFIG]\nPORT_NO = 1999\n").unwrap().name;
        assert!(name.as_str().ends_with("-1999"), "{name}");
        let error = configured("[CONFIG]\nNAME = a b\n").unwrap_err();
        assert!(error.starts_with("x.conf:2: NAME = a b: "), "{error}");
    }
}
