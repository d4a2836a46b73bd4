//! What a broker says of itself, and how it lets its clients go.

use broker_core::codec::Text;
use broker_core::drain::DrainConfig;
use broker_core::standing::{StandingConfig, WhenIsolated};
use bytes::Bytes;
use ha_shell::layers::Settings;
use ha_shell::problem::ConfigError;

use super::{CONFIG, DISTRIBUTOR};

/// The settings of a broker's standing and of its drain.
#[derive(Clone, Debug)]
pub struct LeavingConfig {
    /// TCP port of the agent-check; `None`: there is none.
    pub agent_port: Option<u16>,
    /// When it is ready.
    pub standing: StandingConfig,
    /// Free bytes that a broker which writes must have.
    pub disk_free_min: u64,
    /// Resident bytes that it may have; `None`: nine tenths of what there is.
    pub memory_max: Option<u64>,
    /// How it lets its clients go.
    pub drain: DrainConfig,
    /// Where they shall go.
    pub server_reference: Option<Text>,
    /// They shall stay there.
    pub server_moved: bool,
}

impl LeavingConfig {
    pub(super) fn new(settings: &Settings) -> Result<Self, ConfigError> {
        let server_reference = settings.if_set(CONFIG, "SERVER_REFERENCE").map(|value| {
            let text = Text::parse(Bytes::copy_from_slice(value.text().as_bytes()));
            text.map_err(|error| settings.error_at(CONFIG, "SERVER_REFERENCE", error))
        });
        let server_reference = server_reference.transpose()?;
        let server_moved = settings.flag(CONFIG, "SERVER_MOVED");
        if server_moved && server_reference.is_none() {
            let message = "needs SERVER_REFERENCE, which says where to";
            return Err(settings.error_at(CONFIG, "SERVER_MOVED", message));
        }
        Ok(Self {
            agent_port: settings.if_set(CONFIG, "AGENT_PORT").map(ha_shell::schema::Value::port),
            standing: standing(settings),
            disk_free_min: settings.bytes(CONFIG, "DISK_FREE_MIN"),
            memory_max: settings.if_set(CONFIG, "MEMORY_MAX").map(ha_shell::schema::Value::bytes),
            drain: DrainConfig {
                grace_ms: settings.millis(CONFIG, "DRAIN_GRACE"),
                rate: settings.integer(CONFIG, "DRAIN_RATE"),
                max_ms: settings.millis(CONFIG, "DRAIN_MAX"),
            },
            server_reference,
            server_moved,
        })
    }
}

fn standing(settings: &Settings) -> StandingConfig {
    StandingConfig {
        isolated: match settings.one_of(DISTRIBUTOR, "ISOLATED") {
            "CLOSE" => WhenIsolated::Close,
            _ => WhenIsolated::Serve,
        },
        hold_ms: settings.millis(DISTRIBUTOR, "CONNECT_HOLD"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::configured;
    use super::*;

    #[test]
    fn address_that_is_for_good_must_be_said() {
        let error = configured("[CONFIG]\nSERVER_MOVED = YES\n").unwrap_err();
        assert!(error.contains("SERVER_REFERENCE"), "{error}");
        let text = "[CONFIG]\nSERVER_MOVED = YES\nSERVER_REFERENCE = other:1883\n";
        let leaving = configured(text).unwrap().leaving;
        assert!(leaving.server_moved && leaving.server_reference.is_some());
    }

    #[test]
    fn isolated_broker_serves_unless_it_shall_close() {
        let policy = |text| configured(text).unwrap().leaving.standing.isolated;
        assert_eq!(policy("[CONFIG]\n"), WhenIsolated::Serve);
        assert_eq!(policy("[CONFIG]\n[DISTRIBUTOR]\nISOLATED = close\n"), WhenIsolated::Close);
    }

    #[test]
    fn agent_has_a_port_of_its_own() {
        let error = configured("[CONFIG]\nAGENT_PORT = 8080\n").unwrap_err();
        assert!(error.contains("AGENT_PORT"), "{error}");
    }
}
