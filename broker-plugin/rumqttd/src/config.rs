//! Limits of the host. Every one has a default and a documented behaviour when it is reached.

use std::time::Duration;

use ha_types::limits::{PACKET_BYTES_DEFAULT, PACKET_BYTES_MAX};
use rumqttd::RouterConfig;

/// Links of our own: deliveries and wills, each opened anew before the old one is gone, probe,
/// watch, two barriers; and one for a link that is closing while its successor opens.
const INTERNAL_LINKS: usize = 16;

/// Smallest `packet_bytes_max`: below, hardly any CONNECT fits.
const PACKET_BYTES_MIN: usize = 128;

/// Limits of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostConfig {
    /// Connected clients. More are refused: 0x89, in 3.1.1 code 3.
    ///
    /// rumqttd reserves about 250 KB for each connection.
    pub connections_max: usize,
    /// Sessions that outlive their connection. More are refused: 0x97, in 3.1.1 code 3.
    pub sessions_max: usize,
    /// Bytes of one packet from a client. Larger ones end the connection: 0x95.
    pub packet_bytes_max: usize,
    /// How long a connection may take to send its CONNECT. Then it is closed.
    pub connect_timeout: Duration,
    /// How long credentials may take to be judged. Then the client is refused: 0x89, before 5.0
    /// code 3.
    pub admit_timeout: Duration,
    /// How long a client may take nothing of what is written to it. Then it is closed.
    pub write_timeout: Duration,
    /// QoS 2 publishes that a client may have in flight. More end the connection: 0x93.
    pub receive_maximum: u16,
    /// Topic aliases of one connection.
    pub topic_aliases_max: u16,
    /// Subscriptions of one session. More are refused: 0x97, in 3.1.1 0x80.
    pub subscriptions_max: usize,
    /// Distinct topic filters since the start: rumqttd never forgets one, and keeps a log for each.
    /// A SUBSCRIBE with another one is refused: 0x97, in 3.1.1 0x80.
    pub filters_max: usize,
    /// Bytes of topics and payloads in one segment of a filter's log; at least 1,024.
    ///
    /// The log of a filter holds at most `segments_max` of these. A subscriber that is further
    /// behind loses the oldest segment without notice. With the defaults, 7 MiB are safe: 10,000
    /// messages of 700 bytes.
    pub segment_bytes_max: usize,
    /// Segments in the log of a filter; at least 2.
    pub segments_max: usize,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            sessions_max: 10_000,
            packet_bytes_max: PACKET_BYTES_DEFAULT,
            connect_timeout: Duration::from_secs(10),
            admit_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            receive_maximum: 100,
            topic_aliases_max: 32,
            subscriptions_max: 1_000,
            filters_max: 10_000,
            segment_bytes_max: 1 << 20,
            segments_max: 8,
        }
    }
}

/// A limit that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: expected {expected}")]
pub struct InvalidConfig {
    name: &'static str,
    expected: &'static str,
}

impl HostConfig {
    /// Checks the limits that have limits.
    pub(crate) fn check(&self) -> Result<(), InvalidConfig> {
        let valid_sizes = PACKET_BYTES_MIN..=PACKET_BYTES_MAX;
        let rules = [
            (self.connections_max > 0, "connections_max", "at least 1"),
            (valid_sizes.contains(&self.packet_bytes_max), "packet_bytes_max", "128 to 16 MiB"),
            (self.receive_maximum > 0, "receive_maximum", "at least 1"),
            (self.segment_bytes_max >= 1_024, "segment_bytes_max", "at least 1,024"),
            (self.segments_max >= 2, "segments_max", "at least 2"),
        ];
        match rules.iter().find(|(holds, ..)| !holds) {
            None => Ok(()),
            Some(&(_, name, expected)) => Err(InvalidConfig { name, expected }),
        }
    }

    pub(crate) fn router(&self) -> RouterConfig {
        RouterConfig {
            max_connections: self.connections_max.saturating_add(INTERNAL_LINKS),
            // What a link takes at once before it must be woken; rumqttd's own channel has 200.
            max_outgoing_packet_count: 200,
            max_segment_size: self.segment_bytes_max,
            max_segment_count: self.segments_max,
            ..RouterConfig::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_limits_are_valid() {
        assert_eq!(HostConfig::default().check(), Ok(()));
    }

    #[test]
    fn limits_that_would_panic_rumqttd_are_refused() {
        let small = HostConfig { segment_bytes_max: 1_023, ..HostConfig::default() };
        assert_eq!(
            small.check().unwrap_err().to_string(),
            "segment_bytes_max: expected at least 1,024"
        );
        assert!(HostConfig { segments_max: 1, ..HostConfig::default() }.check().is_err());
        assert!(HostConfig { packet_bytes_max: 127, ..HostConfig::default() }.check().is_err());
    }
}
