//! What every peer is asked to do.

/// One measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// For the command line and the files.
    pub(crate) name: String,
    /// For tables.
    pub(crate) title: String,
    /// What `ha-bench` is told, besides places, times and processes.
    pub(crate) arguments: Vec<String>,
    pub(crate) kind: Kind,
}

/// What a measurement shows, and where its clients are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// How much is carried across two nodes, as fast as a window allows.
    Throughput,
    /// How long it takes across two nodes when nobody is busy.
    Latency,
    /// Across two nodes, of a curve: what it does to grow along `Axis` up to so many.
    Growth(Axis, u32),
    /// Connections that do nothing, to the first node.
    Idle,
    /// A process is killed (-9) while ten sessions get 500 messages a second.
    Kill(Victim),
}

/// What there is more and more of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    Subscribers,
    Topics,
    Sessions,
}

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    /// The node of the subscribers.
    Broker,
    /// The leader of what is replicated; not the node of the subscribers.
    Leader,
}

/// Of a curve.
const STEPS: [u32; 4] = [10, 100, 1_000, 10_000];

/// Connections of [`Kind::Idle`].
pub(crate) const IDLE: u32 = 10_000;

impl Kind {
    pub(crate) fn is_of_a_curve(self) -> bool {
        matches!(self, Self::Growth(..))
    }

    pub(crate) fn grows_along(self, axis: Axis) -> bool {
        matches!(self, Self::Growth(of, _) if of == axis)
    }

    /// Whether both are measured between one start of a peer and its end.
    pub(crate) fn sits_with(self, other: Self) -> bool {
        match (self, other) {
            (Self::Growth(axis, _), _) => other.grows_along(axis),
            (Self::Throughput | Self::Latency, _) => self == other,
            _ => false,
        }
    }
}

impl Axis {
    pub(crate) const ALL: [Self; 3] = [Self::Subscribers, Self::Topics, Self::Sessions];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Subscribers => "subscribers",
            Self::Topics => "topics",
            Self::Sessions => "sessions",
        }
    }

    /// One message at a time goes out to all subscribers, so that each delivery costs a packet written, and at
    /// QoS 1 one read, however many there are: with more messages on their way, few subscribers get several
    /// at once.
    fn arguments(self, count: u32) -> Vec<String> {
        let line = match self {
            Self::Subscribers => format!("fan-out --clients {count} --qos 0 --window 1"),
            Self::Topics => format!("topics --clients 4 --qos 0 --topics {count}"),
            Self::Sessions => format!("fan-out --clients {count} --qos 1 --durable --window 1"),
        };
        words(&line)
    }
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// All of them, in the order of the tables. Messages have 256 bytes, as `ha-bench` has them by default.
pub(crate) fn all() -> Vec<Load> {
    let load = |name: &str, title: &str, line: &str, kind| Load {
        name: name.into(),
        title: title.into(),
        arguments: words(line),
        kind,
    };
    let mut all = vec![
        load("pairs-0", "4 pairs, QoS 0", "pairs --clients 4 --qos 0", Kind::Throughput),
        load("pairs-1", "4 pairs, QoS 1", "pairs --clients 4 --qos 1", Kind::Throughput),
        load("pairs-2", "4 pairs, QoS 2", "pairs --clients 4 --qos 2", Kind::Throughput),
        load(
            "durable-1",
            "4 pairs, QoS 1, kept sessions",
            "pairs --clients 4 --qos 1 --durable",
            Kind::Throughput,
        ),
        load(
            "fan-out-0",
            "fan-out 1:100, QoS 0",
            "fan-out --clients 100 --qos 0",
            Kind::Throughput,
        ),
        load("fan-in-0", "fan-in 100:1, QoS 0", "fan-in --clients 100 --qos 0", Kind::Throughput),
        load("paced-0", "QoS 0", "pairs --clients 4 --qos 0 --rate 2000", Kind::Latency),
        load("paced-1", "QoS 1", "pairs --clients 4 --qos 1 --rate 2000", Kind::Latency),
        load(
            "paced-durable-1",
            "QoS 1, kept sessions",
            "pairs --clients 4 --qos 1 --durable --rate 2000",
            Kind::Latency,
        ),
        // So long that allocators have given back what only connecting took.
        load(
            "idle",
            "10,000 idle connections",
            &format!("idle --count {IDLE} --seconds 20"),
            Kind::Idle,
        ),
        load("kill-broker", "node killed", "takeover", Kind::Kill(Victim::Broker)),
        load("kill-leader", "leader killed", "takeover", Kind::Kill(Victim::Leader)),
    ];
    for axis in Axis::ALL {
        all.extend(STEPS.map(|count| Load {
            name: format!("{}-{count}", axis.name()),
            title: format!("{count} {}", axis.name()),
            arguments: axis.arguments(count),
            kind: Kind::Growth(axis, count),
        }));
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_loads_share_a_name() {
        let all = all();
        let names: BTreeSet<_> = all.iter().map(|load| &load.name).collect();
        assert_eq!(names.len(), all.len());
    }
}
