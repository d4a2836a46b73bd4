//! Everything that `broker.conf` may contain, with its defaults.

use ha_shell::schema::{Key, Kind, Section};
use ha_types::limits::{PACKET_BYTES_DEFAULT, PACKET_BYTES_MAX, TOPIC_BYTES_MAX, TOPIC_LEVELS_MAX};

/// The section about the broker itself.
pub const CONFIG: &str = "CONFIG";
/// The section about certificates.
pub(super) const TLS: &str = "TLS";
/// The section about who may come in.
pub(super) const AUTHENTICATION: &str = "AUTHENTICATION";
/// The section about what a client may ask for.
pub(super) const LIMITS: &str = "LIMITS";
/// The section about the cluster.
pub const DISTRIBUTOR: &str = "DISTRIBUTOR";

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

/// Everything that `broker.conf` may contain.
pub const SCHEMA: &[Section] = &[
    Section::new(CONFIG, CONFIG_KEYS).required(),
    Section::new(DISTRIBUTOR, DISTRIBUTOR_KEYS).aliases(&["HASERVER"]),
    Section::new(AUTHENTICATION, AUTHENTICATION_KEYS),
    Section::new(TLS, TLS_KEYS),
    Section::new(LIMITS, LIMITS_KEYS),
    Section::new("LIMITS_TCP", &LISTENER_LIMITS).special_of(LIMITS),
    Section::new("LIMITS_TLS", &LISTENER_LIMITS).special_of(LIMITS),
    Section::new("LIMITS_WS", &LISTENER_LIMITS).special_of(LIMITS),
    Section::new("LIMITS_WSS", &LISTENER_LIMITS).special_of(LIMITS),
];

const _: () = assert!(PACKET_BYTES_DEFAULT == 1 << 20, "the default below says 1M");
const _: () = assert!(TOPIC_LEVELS_MAX == 128 && TOPIC_BYTES_MAX == 65_535, "as the defaults say");

const CONFIG_KEYS: &[Key] = &[
    Key::new("PORT_NO", Kind::Port, "TCP port for MQTT clients").default("1883"),
    Key::new("TLS_PORT_NO", Kind::Port, "TCP port for MQTT over TLS; unset: none"),
    Key::new("WS_PORT_NO", Kind::Port, "TCP port for MQTT over WebSocket; unset: none"),
    Key::new("WSS_PORT_NO", Kind::Port, "TCP port for MQTT over secure WebSocket; unset: none"),
    Key::new("WS_PATH", Kind::Text, "path of both WebSocket ports").default("/mqtt"),
    Key::new("BIND", Kind::Address, "address to listen on").default("0.0.0.0"),
    Key::new(
        "PROXY_PROTOCOL_FROM",
        Kind::Text,
        "load balancers that must send the PROXY protocol: addresses and networks with commas",
    )
    .default(""),
    Key::new("HTTP_PORT", Kind::Port, "TCP port of /livez, /readyz and /metrics").default("8080"),
    Key::new("AGENT_PORT", Kind::Port, "TCP port of the agent-check of HAProxy; unset: none"),
    Key::new("NAME", Kind::Text, "name in the cluster; default: host name and PORT_NO"),
    Key::new("DATA_DIR", Kind::Path, "folder for what must survive a restart of a broker alone")
        .default("data/ha-broker"),
    Key::new(
        "DURABILITY",
        Kind::OneOf(&["FSYNC", "MEMORY", "NONE"]),
        "what an acknowledgement of a broker alone means: on the disk, handed to the system, nothing",
    )
    .default("FSYNC"),
    Key::new(
        "WORKER_THREADS",
        Kind::Integer { min: 1, max: 1_024 },
        "threads that serve clients; default: as many as processors, with ha-server one fewer",
    ),
    Key::new(
        "DISK_FREE_MIN",
        Kind::Bytes { min: 0, max: TIB },
        "free bytes below which a broker that writes is not ready; 0: any",
    )
    .default("64M"),
    Key::new(
        "MEMORY_MAX",
        Kind::Bytes { min: MIB, max: TIB },
        "resident bytes above which it is not ready; default: nine tenths of what there is",
    ),
    Key::new(
        "DRAIN_GRACE",
        Kind::Millis { min: 0, max: 600_000 },
        "how long a broker that leaves still takes clients, so that load balancers hear of it",
    )
    .default("2s"),
    Key::new(
        "DRAIN_RATE",
        Kind::Integer { min: 1, max: 1_000_000 },
        "clients that are sent away in a second",
    )
    .default("1000"),
    Key::new(
        "DRAIN_MAX",
        Kind::Millis { min: 0, max: 3_600_000 },
        "how long leaving may take; who is left then is closed",
    )
    .default("30s"),
    Key::new("SERVER_REFERENCE", Kind::Text, "where clients of MQTT 5 shall go that are sent away"),
    Key::new("SERVER_MOVED", Kind::Flag, "YES: they shall stay there").default("NO"),
    Key::new("HOST", Kind::OneOf(&["session", "rumqttd"]), "MQTT engine").default("session"),
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
        "sessions, of clients that are connected or away",
    )
    .default("100000"),
    Key::new(
        "FILTER_MESSAGES_MAX",
        Kind::Integer { min: 1, max: 1_000_000_000 },
        "alone: messages that wait for sessions of one topic filter; one more is refused",
    )
    .default("1000000"),
    Key::new(
        "STORE_BYTES_MAX",
        Kind::Bytes { min: MIB, max: TIB },
        "alone: bytes of all messages that wait for sessions; one more is refused",
    )
    .default("1G"),
    Key::new(
        "SHARE_STRATEGY",
        Kind::OneOf(ha_member::strategies::NAMES),
        "alone: how the members of a share group share its messages",
    )
    .default("ROUND_ROBIN"),
    Key::new(
        "SHARE_STRATEGIES",
        Kind::Text,
        "alone: the same for some share names, NAME=STRATEGY with commas",
    ),
    Key::new(
        "SYS_INTERVAL",
        Kind::Millis { min: 0, max: 3_600_000 },
        "how often $SYS/broker is published; 0: never",
    )
    .default("10s"),
    Key::new("ACCESS_LOG", Kind::Flag, "YES: log what clients do")
        .default("NO"),
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
    .default("1000000"),
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
    Key::new(
        "CONNECT_HOLD",
        Kind::Millis { min: 0, max: 60_000 },
        "how long a CONNECT waits while no ha-server leads; then the broker is isolated, \
         and serves those that need no leader",
    )
    .default("2s"),
    Key::new(
        "ISOLATED",
        Kind::OneOf(&["SERVE", "CLOSE"]),
        "what an isolated broker does: serve whom it has, or close its clients",
    )
    .default("SERVE"),
];

const AUTHENTICATION_KEYS: &[Key] = &[
    Key::new("ALLOW_ANONYMOUS", Kind::Flag, "YES: clients need no user name").default("NO"),
    Key::new("PASSWORD_FILE", Kind::Path, "users and hashes, as mosquitto_passwd writes them"),
    Key::new("ACL_FILE", Kind::Path, "who may publish and receive what; unset: all may everything"),
    Key::new(
        "CERTIFICATE_USER",
        Kind::OneOf(&["none", "common_name", "subject"]),
        "what of a client's certificate is its user name",
    )
    .default("none"),
    Key::new(
        "HASH_THREADS",
        Kind::Integer { min: 1, max: 64 },
        "threads that verify passwords, apart from those that serve clients",
    )
    .default("2"),
    Key::new(
        "HASH_QUEUE_MAX",
        Kind::Integer { min: 1, max: 1_000_000 },
        "clients whose password waits to be verified; more are told that the broker is busy",
    )
    .default("1024"),
];

const TLS_KEYS: &[Key] = &[
    Key::new("CERT_FILE", Kind::Path, "certificate and its chain, PEM; read again on SIGHUP"),
    Key::new("KEY_FILE", Kind::Path, "private key, PEM; read again on SIGHUP"),
    Key::new("CA_FILE", Kind::Path, "who signs clients' certificates, PEM; read again on SIGHUP"),
    Key::new("CRL_FILE", Kind::Path, "certificates that are revoked, PEM; read again on SIGHUP"),
    Key::new(
        "CLIENT_CERTIFICATE",
        Kind::OneOf(&["none", "optional", "required"]),
        "whether clients show a certificate",
    )
    .default("none"),
];

const LIMITS_KEYS: &[Key] = &[
    CONNECTIONS,
    CONNECT_TIMEOUT,
    RECEIVE_MAXIMUM,
    INFLIGHT,
    QUEUE_MESSAGES,
    QUEUE_BYTES,
    PUBLISH_RATE,
    SUBSCRIPTIONS,
    TOPIC_ALIAS,
    TOPIC_LEVELS,
    TOPIC_BYTES,
    KEEP_ALIVE,
    SESSION_EXPIRY,
];

/// What one listener may have otherwise. Subscriptions are counted by session, which has no listener.
const LISTENER_LIMITS: [Key; 12] = [
    CONNECTIONS.unset(),
    CONNECT_TIMEOUT.unset(),
    RECEIVE_MAXIMUM.unset(),
    INFLIGHT.unset(),
    QUEUE_MESSAGES.unset(),
    QUEUE_BYTES.unset(),
    PUBLISH_RATE.unset(),
    TOPIC_ALIAS.unset(),
    TOPIC_LEVELS.unset(),
    TOPIC_BYTES.unset(),
    KEEP_ALIVE.unset(),
    SESSION_EXPIRY.unset(),
];

const CONNECTIONS: Key = Key::new(
    "LISTENER_CONNECTIONS_MAX",
    Kind::Integer { min: 1, max: 1_000_000 },
    "clients of one port at a time",
)
.default("1000000");

const CONNECT_TIMEOUT: Key = Key::new(
    "CONNECT_TIMEOUT",
    Kind::Millis { min: 100, max: 600_000 },
    "how long a connection may take to its CONNECT",
)
.default("10s");

const RECEIVE_MAXIMUM: Key = Key::new(
    "RECEIVE_MAXIMUM",
    Kind::Integer { min: 1, max: 65_535 },
    "QoS 1 and 2 publishes of a client that are not answered",
)
.default("1024");

const INFLIGHT: Key = Key::new(
    "INFLIGHT_MAX",
    Kind::Integer { min: 1, max: 65_535 },
    "QoS 1 and 2 deliveries to a client that it has not acknowledged",
)
.default("1024");

const QUEUE_MESSAGES: Key = Key::new(
    "QUEUE_MESSAGES_MAX",
    Kind::Integer { min: 1, max: 100_000_000 },
    "QoS 1 and 2 deliveries that wait for a client, connected or away",
)
.default("100000");

const QUEUE_BYTES: Key = Key::new(
    "QUEUE_BYTES_MAX",
    Kind::Bytes { min: 64 * KIB, max: TIB },
    "bytes that wait for a client, connected or away",
)
.default("16M");

const PUBLISH_RATE: Key = Key::new(
    "PUBLISH_RATE_MAX",
    Kind::Integer { min: 0, max: 10_000_000 },
    "messages per second of a client; 0: any",
)
.default("0");

const SUBSCRIPTIONS: Key = Key::new(
    "SUBSCRIPTIONS_MAX",
    Kind::Integer { min: 1, max: 10_000_000 },
    "subscriptions of one session",
)
.default("10000");

const TOPIC_ALIAS: Key = Key::new(
    "TOPIC_ALIAS_MAX",
    Kind::Integer { min: 0, max: 65_535 },
    "topic aliases of a connection, in each direction",
)
.default("64");

const TOPIC_LEVELS: Key = Key::new(
    "TOPIC_LEVELS_MAX",
    Kind::Integer { min: 1, max: TOPIC_LEVELS_MAX as u64 },
    "levels of a topic name or filter",
)
.default("128");

const TOPIC_BYTES: Key = Key::new(
    "TOPIC_BYTES_MAX",
    Kind::Integer { min: 1, max: TOPIC_BYTES_MAX as u64 },
    "bytes of a topic name or filter",
)
.default("65535");

const KEEP_ALIVE: Key = Key::new(
    "KEEP_ALIVE_MAX",
    Kind::Integer { min: 0, max: 65_535 },
    "longest keep alive of a client of 5.0, in seconds; 0: any",
)
.default("0");

const SESSION_EXPIRY: Key = Key::new(
    "SESSION_EXPIRY_MAX",
    Kind::Integer { min: 0, max: u32::MAX as u64 },
    "longest session expiry interval, in seconds; 4294967295: for ever",
)
.default("4294967295");
