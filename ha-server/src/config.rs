//! What `HAServer.conf` may say, and the configuration that follows from it.

mod group;
mod keys;
mod shares;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ha_core::FanOut;
use ha_core::cluster::{StateLimits, Strategies};
use ha_shell::problem::ConfigError;
use ha_shell::schema::{Section, Value};
use ha_shell::workers;

pub use group::{Begin, GroupConfig, MEMBERS_MAX};

pub(crate) use group::member;

use keys::KEYS;

/// Name of the only section.
pub const SECTION: &str = "HA_SERVER";

/// Everything that `HAServer.conf` may contain.
pub const SCHEMA: &[Section] = &[Section::new(SECTION, KEYS).required()];

/// The checked configuration.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where brokers connect.
    pub listen: SocketAddr,
    /// Where /livez, /readyz and /metrics are.
    pub http: SocketAddr,
    /// For what must survive a restart.
    pub data_dir: PathBuf,
    /// Threads that serve brokers.
    pub worker_threads: usize,
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
    /// The group of servers that this one belongs to.
    pub group: GroupConfig,
    /// Limits of the replicated state: those of the leader count.
    pub limits: StateLimits,
    /// How members of share groups are chosen: as the leader says.
    pub strategies: Strategies,
    /// What the operator should know, although it is no mistake.
    pub warnings: Vec<String>,
}

impl ServerConfig {
    /// Takes the settings of [`SCHEMA`] and checks what concerns several of them.
    ///
    /// # Errors
    /// A sentence with the place of the setting that does not fit.
    pub fn new(settings: &ha_shell::layers::Settings) -> Result<Self, ConfigError> {
        let bind: IpAddr = settings.address(SECTION, "BIND");
        let group = GroupConfig::new(settings)?;
        let config = Self {
            listen: SocketAddr::new(bind, settings.port(SECTION, "HA_port")),
            http: SocketAddr::new(bind, settings.port(SECTION, "HTTP_PORT")),
            data_dir: settings.path(SECTION, "DATA_DIR").to_owned(),
            worker_threads: settings
                .if_set(SECTION, "WORKER_THREADS")
                .map_or_else(workers::for_all_but_one_processor, Value::integer),
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
            warnings: group.warnings(),
            group,
            limits: limits(settings),
            strategies: shares::strategies(settings)?,
        };
        config.leases(settings)?;
        if config.listen.port() == config.http.port() {
            return Err(settings.error_at(SECTION, "HTTP_PORT", "HA_port is the same"));
        }
        Ok(config)
    }

    /// No lost heartbeat and no pause of a leader may end the leases of brokers that are well: a leader
    /// that stood still for longer than a lease must have been replaced.
    fn leases(&self, settings: &ha_shell::layers::Settings) -> Result<(), ConfigError> {
        let lease = self.lease_ms;
        if self.heartbeat_ms * 2 > lease {
            let message = format!("expected at most half of LEASE ({lease} ms): one may be lost");
            return Err(settings.error_at(SECTION, "HEARTBEAT", message));
        }
        let still = self.group.failover.stands_still_max().as_millis();
        if u128::from(lease) <= still {
            let failover = settings.one_of(SECTION, "FAILOVER");
            let message = format!(
                "expected more than {still} ms with FAILOVER = {failover}: a leader may stand still for so \
                 long before it is replaced, and would take all brokers for lost"
            );
            return Err(settings.error_at(SECTION, "LEASE", message));
        }
        Ok(())
    }
}

fn limits(settings: &ha_shell::layers::Settings) -> StateLimits {
    StateLimits {
        sessions_max: settings.integer(SECTION, "SESSIONS_MAX"),
        subscriptions_max: settings.integer(SECTION, "SUBSCRIPTIONS_MAX"),
        queue_messages_max: settings.integer(SECTION, "SESSION_MESSAGES_MAX"),
        queue_bytes_max: settings.bytes(SECTION, "SESSION_BYTES_MAX"),
        filter_messages_max: settings.integer(SECTION, "FILTER_MESSAGES_MAX"),
        store_bytes_max: settings.bytes(SECTION, "STORE_BYTES_MAX"),
        retained_max: settings.integer(SECTION, "RETAINED_MAX"),
        retained_bytes_max: settings.bytes(SECTION, "RETAINED_BYTES_MAX"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::ffi::OsString;

    use ha_shell::layers::{ConfigFile, Sources, load};

    use super::*;

    pub(crate) fn configured(name: &str, text: &str) -> Result<ServerConfig, String> {
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
    fn lease_outlasts_the_longest_election() {
        let text =
            |failover, lease| format!("[HA_SERVER]\nFAILOVER = {failover}\nLEASE = {lease}\n");
        for (failover, lease) in [("NORMAL", "500ms"), ("FAST", "500ms"), ("WAN", "3301ms")] {
            assert!(configured("x.conf", &text(failover, lease)).is_ok(), "{failover} {lease}");
        }
        let error = configured("x.conf", &text("WAN", "3300ms")).unwrap_err();
        assert!(error.starts_with("x.conf:3: LEASE = 3300ms"), "{error}");
        let unset = configured("x.conf", "[HA_SERVER]\nFAILOVER = WAN\n").unwrap_err();
        assert!(unset.contains("expected more than 3300 ms with FAILOVER = WAN"), "{unset}");
    }

    #[test]
    fn both_ports_the_same_is_refused_at_the_second() {
        let error = configured("x.conf", "[HA_SERVER]\nHA_port=2001\n").unwrap_err();
        assert!(error.contains("HA_port is the same"), "{error}");
    }
}
