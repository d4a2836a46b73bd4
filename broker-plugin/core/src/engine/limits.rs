//! What one connection may ask for. Every limit has a behaviour when it is reached.

use crate::codec::Text;

/// Limits of one connection, the same for all of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a packet from the client; announced. A larger one ends the connection: 0x95.
    pub packet_bytes_max: u32,
    /// How long a connection may take to its CONNECT, milliseconds. Then it is closed.
    pub connect_timeout_ms: u64,
    /// QoS 1 and 2 publishes of the client that are not answered, at least 1; announced. More end
    /// the connection of a 5.0 client (0x93); an older client is not read from meanwhile.
    pub receive_maximum: u16,
    /// QoS 1 and 2 deliveries in flight, at least 1, if the client does not want fewer. The others
    /// wait.
    pub inflight_max: u16,
    /// QoS 1 and 2 deliveries that wait at this connection. An ephemeral session that needs more is
    /// disconnected (0x97); a durable one is paged.
    pub queue_messages_max: usize,
    /// Bytes of these, and of what waits to be written. QoS 0 deliveries beyond are dropped.
    pub queue_bytes_max: usize,
    /// Topic aliases of the client; announced. A higher one ends the connection: 0x94.
    pub topic_alias_maximum: u16,
    /// Topic aliases towards the client, if it does not want fewer.
    pub topic_alias_out_max: u16,
    /// Levels of a topic name or filter. More are refused: 0x90 and 0x8F.
    pub topic_levels_max: usize,
    /// Bytes of a topic name or filter. More are refused: 0x90 and 0x8F.
    pub topic_bytes_max: usize,
    /// SUBSCRIBE and UNSUBSCRIBE packets that wait for their answer. Then the client is not read from.
    pub subscribing_max: usize,
    /// Messages per second, 0: any. A client that publishes faster is read from more slowly.
    pub publish_rate_max: u32,
    /// Longest keep alive, seconds, 0: any. A client that asks for a longer one, or for none, gets
    /// this one.
    pub keep_alive_max_s: u16,
    /// Longest Session Expiry Interval, seconds; `u32::MAX`: any.
    pub session_expiry_max_s: u32,
    /// Highest QoS of a PUBLISH and of a subscription is always 2; whether `$share` is served is said
    /// in CONNACK.
    pub shared_subscriptions: SharedSubscriptions,
    /// Response Information for clients that ask for it (5.0 §3.2.2.3.15).
    pub response_information: Option<Text>,
    /// Where clients are sent that are refused or disconnected because the broker is leaving.
    pub server_reference: Option<Text>,
    /// They are to stay there: 0x9D instead of 0x9C.
    pub server_moved: bool,
}

/// Whether `$share` is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SharedSubscriptions {
    /// One member gets each message.
    #[default]
    Served,
    /// A SUBSCRIBE is refused: 0x9E.
    Refused,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet_bytes_max: 1 << 20,
            connect_timeout_ms: 10_000,
            receive_maximum: 1_024,
            inflight_max: 1_024,
            queue_messages_max: 10_000,
            queue_bytes_max: 8 << 20,
            topic_alias_maximum: 64,
            topic_alias_out_max: 64,
            topic_levels_max: ha_types::limits::TOPIC_LEVELS_MAX,
            topic_bytes_max: ha_types::limits::TOPIC_BYTES_MAX,
            subscribing_max: 64,
            publish_rate_max: 0,
            keep_alive_max_s: 0,
            session_expiry_max_s: u32::MAX,
            shared_subscriptions: SharedSubscriptions::Served,
            response_information: None,
            server_reference: None,
            server_moved: false,
        }
    }
}
