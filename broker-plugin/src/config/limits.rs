//! What a client of one listener may ask for.

use std::time::Duration;

use ha_shell::layers::Settings;
use ha_shell::schema::Value;

use super::schema::LIMITS;

/// Limits of the clients of one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Clients at a time.
    pub connections_max: usize,
    /// How long a connection may take to its CONNECT.
    pub connect_timeout: Duration,
    /// QoS 1 and 2 publishes that are not answered.
    pub receive_maximum: u16,
    /// QoS 1 and 2 deliveries that are not acknowledged.
    pub inflight_max: u16,
    /// QoS 1 and 2 deliveries that wait.
    pub queue_messages_max: usize,
    /// Bytes that wait.
    pub queue_bytes_max: usize,
    /// Messages per second; zero: any.
    pub publish_rate_max: u32,
    /// Topic aliases in each direction.
    pub topic_alias_max: u16,
    /// Levels of a topic.
    pub topic_levels_max: usize,
    /// Bytes of a topic.
    pub topic_bytes_max: usize,
    /// Longest keep alive; zero: any.
    pub keep_alive_max_s: u16,
    /// Longest session expiry interval; `u32::MAX`: for ever.
    pub session_expiry_max_s: u32,
}

impl ConnectionLimits {
    /// Of the listener whose own section is `section`; what it does not say, `[LIMITS]` does.
    pub(super) fn new(settings: &Settings, section: &str) -> Self {
        let value = |key: &str| -> &Value {
            settings.if_set(section, key).unwrap_or_else(|| settings.value(LIMITS, key))
        };
        Self {
            connections_max: value("LISTENER_CONNECTIONS_MAX").integer(),
            connect_timeout: value("CONNECT_TIMEOUT").duration(),
            receive_maximum: value("RECEIVE_MAXIMUM").integer(),
            inflight_max: value("INFLIGHT_MAX").integer(),
            queue_messages_max: value("QUEUE_MESSAGES_MAX").integer(),
            queue_bytes_max: value("QUEUE_BYTES_MAX").bytes(),
            publish_rate_max: value("PUBLISH_RATE_MAX").integer(),
            topic_alias_max: value("TOPIC_ALIAS_MAX").integer(),
            topic_levels_max: value("TOPIC_LEVELS_MAX").integer(),
            topic_bytes_max: value("TOPIC_BYTES_MAX").integer(),
            keep_alive_max_s: value("KEEP_ALIVE_MAX").integer(),
            session_expiry_max_s: value("SESSION_EXPIRY_MAX").integer(),
        }
    }
}
