//! The keys of `[HA_SERVER]`.

use ha_shell::schema::{Key, Kind};
use ha_types::limits::BROKERS_MAX;

const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

pub(super) const KEYS: &[Key] = &[
    Key::new("HA_port", Kind::Port, "TCP port for brokers (gRPC)")
        .default("2000")
        .json_default("8082")
        .aliases(&["PORT"]),
    Key::new("BIND", Kind::Address, "address to listen on").default("0.0.0.0"),
    Key::new("HTTP_PORT", Kind::Port, "TCP port of /livez, /readyz and /metrics").default("2001"),
    Key::new("DATA_DIR", Kind::Path, "folder for what must survive a restart")
        .default("data/ha-server"),
    Key::new("CLUSTER", Kind::Text, "name of the cluster; servers of another one are refused")
        .default("mqtt-ha"),
    Key::new(
        "NODE_ID",
        Kind::Integer { min: 1, max: u32::MAX as u64 },
        "number of this server in its group; never given to another",
    )
    .default("1"),
    Key::new("MEMBERS", Kind::Text, "first servers of the group, ID@HOST:PORT with commas"),
    Key::new(
        "JOIN",
        Kind::Flag,
        "wait until `ha-server member add` takes this server into a group",
    )
    .default("NO"),
    Key::new(
        "LEADER_PRIORITY",
        Kind::Integer { min: 0, max: 100 },
        "a server with a higher one takes over the lead",
    )
    .default("0"),
    Key::new(
        "FAILOVER",
        Kind::OneOf(&["NORMAL", "FAST", "WAN"]),
        "how soon a silent leader is replaced; the same on all servers",
    )
    .default("NORMAL"),
    Key::new(
        "DURABILITY",
        Kind::OneOf(&["FSYNC", "MEMORY"]),
        "what an acknowledgement means: written to the disk, or handed to the system",
    )
    .default("FSYNC"),
    Key::new(
        "WORKER_THREADS",
        Kind::Integer { min: 1, max: 1_024 },
        "threads that serve brokers; default: one fewer than processors, at least one",
    ),
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
        "SHARE_STRATEGY",
        Kind::OneOf(ha_member::strategies::NAMES),
        "how the members of a share group share its messages",
    )
    .default("ROUND_ROBIN"),
    Key::new(
        "SHARE_STRATEGIES",
        Kind::Text,
        "the same for some share names, NAME=STRATEGY with commas",
    ),
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
    Key::new(
        "SESSIONS_MAX",
        Kind::Integer { min: 1, max: 1_000_000_000 },
        "sessions of the cluster; one more is refused",
    )
    .default("1000000"),
    Key::new(
        "SUBSCRIPTIONS_MAX",
        Kind::Integer { min: 1, max: 1_000_000 },
        "subscriptions of one session; further ones are refused",
    )
    .default("10000"),
    Key::new(
        "SESSION_MESSAGES_MAX",
        Kind::Integer { min: 1, max: 100_000_000 },
        "messages that wait for one session; the oldest give way",
    )
    .default("100000"),
    Key::new(
        "SESSION_BYTES_MAX",
        Kind::Bytes { min: MIB, max: TIB },
        "bytes that wait for one session; the oldest messages give way",
    )
    .default("64M"),
    Key::new(
        "FILTER_MESSAGES_MAX",
        Kind::Integer { min: 1, max: 1_000_000_000 },
        "messages that wait for sessions of one topic filter; one more is refused",
    )
    .default("1000000"),
    Key::new(
        "STORE_BYTES_MAX",
        Kind::Bytes { min: MIB, max: TIB },
        "bytes of all messages that wait for sessions; one more is refused",
    )
    .default("1G"),
];
