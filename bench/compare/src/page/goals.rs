//! What this project wants of itself beside the others, and whether it holds.

use std::fmt::Write as _;

use super::shown;
use crate::results::Results;

/// A figure of this project, or what it is of another's.
struct Goal {
    what: &'static str,
    ours: &'static str,
    load: &'static str,
    figure: &'static str,
    of: Option<Of>,
    bound: Bound,
}

/// What a figure is compared with.
#[derive(Clone, Copy)]
enum Of {
    /// That of another.
    Peer(&'static str),
    /// Its own under another load.
    Load(&'static str),
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

const KIB: f64 = 1_024.0;

const fn goal(
    what: &'static str,
    (ours, load, figure): (&'static str, &'static str, &'static str),
    of: Option<Of>,
    bound: Bound,
) -> Goal {
    Goal { what, ours, load, figure, of, bound }
}

/// Of the sum of several processes, the one with this place is named behind a dot: ha-servers come first.
const GOALS: &[Goal] = &[
    goal(
        "QoS 0 pairs, 1 ha-server, of NATS's messages a second",
        ("ours-1-2", "pairs-0", "delivered"),
        Some(Of::Peer("nats")),
        Bound::AtLeast(1.0),
    ),
    goal(
        "the same, of NATS's CPU per message",
        ("ours-1-2", "pairs-0", "cpu"),
        Some(Of::Peer("nats")),
        Bound::AtMost(1.0),
    ),
    goal(
        "QoS 1 pairs, 1 ha-server, of bridged Mosquittos' messages a second",
        ("ours-1-2", "pairs-1", "delivered"),
        Some(Of::Peer("mosquitto-bridged")),
        Bound::AtLeast(4.0),
    ),
    goal(
        "QoS 1 pairs, kept sessions, 3 ha-servers, of NATS's messages a second",
        ("ours-3-2", "durable-1", "delivered"),
        Some(Of::Peer("nats")),
        Bound::AtLeast(2.0),
    ),
    goal(
        "the same, of bridged Mosquittos'",
        ("ours-3-2", "durable-1", "delivered"),
        Some(Of::Peer("mosquitto-bridged")),
        Bound::AtLeast(1.5),
    ),
    goal(
        "the same at 2,000 a second, p50, ms",
        ("ours-3-2", "paced-durable-1", "p50"),
        None,
        Bound::AtMost(5.0),
    ),
    goal(
        "the same at 2,000 a second, p99, ms",
        ("ours-3-2", "paced-durable-1", "p99"),
        None,
        Bound::AtMost(25.0),
    ),
    goal(
        "fan-out 1:100, QoS 0, of bridged Mosquittos' deliveries a second",
        ("ours-1-2", "fan-out-0", "delivered"),
        Some(Of::Peer("mosquitto-bridged")),
        Bound::AtLeast(2.5),
    ),
    goal(
        "2,000 a second, QoS 0, p50, ms",
        ("ours-1-2", "paced-0", "p50"),
        None,
        Bound::AtMost(0.4),
    ),
    goal(
        "2,000 a second, QoS 0, p99, ms",
        ("ours-1-2", "paced-0", "p99"),
        None,
        Bound::AtMost(5.0),
    ),
    goal(
        "an idle connection at its broker, bytes",
        ("ours-1-2", "idle", "memory.1"),
        None,
        Bound::AtMost(5.0 * KIB),
    ),
    goal(
        "an idle connection at the ha-server, bytes",
        ("ours-1-2", "idle", "memory.0"),
        None,
        Bound::AtMost(KIB),
    ),
    goal(
        "one of three ha-servers killed, longest gap, ms",
        ("ours-3-3", "kill-leader", "gap"),
        None,
        Bound::AtMost(1_000.0),
    ),
    goal(
        "a broker killed, first message again at the slowest client, ms",
        ("ours-3-3", "kill-broker", "first-most"),
        None,
        Bound::AtMost(500.0),
    ),
    grows(
        "CPU a delivery, 1,000 subscribers, of that with 100",
        "subscribers-1000",
        "subscribers-100",
    ),
    grows("the same, 10,000 of 1,000", "subscribers-10000", "subscribers-1000"),
    grows("CPU a message, 1,000 topics, of that with 100", "topics-1000", "topics-100"),
    grows("the same, 10,000 of 1,000", "topics-10000", "topics-1000"),
    grows("CPU a delivery, 1,000 kept sessions, of that with 100", "sessions-1000", "sessions-100"),
    grows("the same, 10,000 of 1,000", "sessions-10000", "sessions-1000"),
];

/// A step of a curve, which shall not bend upward. What it may nevertheless is what rounds differ by, and what a
/// processor's caches hold no more.
const fn grows(what: &'static str, load: &'static str, before: &'static str) -> Goal {
    goal(what, ("ours-1-2", load, "cpu"), Some(Of::Load(before)), Bound::AtMost(1.25))
}

/// What came of a goal.
enum Outcome {
    Measured(f64),
    /// This project did not carry the load.
    Failed,
}

impl Goal {
    /// `None`: it was not tried, or there is nothing to compare with.
    fn outcome(&self, results: &Results) -> Option<Outcome> {
        if results.cell(self.ours, self.load)?.runs.is_empty() {
            return Some(Outcome::Failed);
        }
        let ours = results.median(self.ours, self.load, self.figure)?;
        Some(Outcome::Measured(match self.compared() {
            None => ours,
            Some((peer, load)) => ours / results.median(peer, load, self.figure)?,
        }))
    }

    /// The peer and the load that it is compared with.
    fn compared(&self) -> Option<(&'static str, &'static str)> {
        self.of.map(|of| match of {
            Of::Peer(peer) => (peer, self.load),
            Of::Load(load) => (self.ours, load),
        })
    }
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Self::AtLeast(least) => format!("at least {least}{unit}"),
            Self::AtMost(most) => format!("at most {most}{unit}"),
        }
    }
}

/// Goals of which nothing was measured are left out.
pub(super) fn table(results: &Results) -> String {
    let mut rows = String::new();
    for goal in GOALS {
        let unit = if goal.of.is_some() { " times" } else { "" };
        let (measured, holds) = match goal.outcome(results) {
            None => continue,
            Some(Outcome::Failed) => ("failed".into(), false),
            Some(Outcome::Measured(value)) => {
                (format!("{}{unit}", shown(value, 2)), goal.bound.holds(value))
            }
        };
        let (bound, holds) = (goal.bound.text(unit), if holds { "yes" } else { "**no**" });
        let _ = writeln!(rows, "| {} | {bound} | {measured} | {holds} |", goal.what);
    }
    if rows.is_empty() {
        return rows;
    }
    format!("| | goal | measured | holds |\n|---|---|---:|---|\n{rows}")
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;

    #[test]
    fn goal_that_is_missed_is_said_to_be() {
        let text = table(&sample());
        let lines: Vec<_> = text.lines().collect();
        let what = "QoS 0 pairs, 1 ha-server, of NATS's messages a second";
        let row = format!("| {what} | at least 1 times | 3.00 times | yes |");
        assert!(lines.contains(&&*row), "{text}");
        let row = "| 2,000 a second, QoS 0, p50, ms | at most 0.4 | 0.50 | **no** |";
        assert!(lines.contains(&row), "{text}");
        assert!(!text.contains("idle"), "{text}");
    }

    #[test]
    fn every_goal_is_of_a_peer_and_a_load_that_exist() {
        let peers: Vec<_> = crate::peers::all().iter().map(|peer| peer.name()).collect();
        let loads = crate::loads::all();
        for goal in GOALS {
            let (peer, load) = goal.compared().unwrap_or((goal.ours, goal.load));
            assert!([peer, goal.ours].iter().all(|name| peers.contains(name)), "{}", goal.what);
            let is_load = |name: &&str| loads.iter().any(|load| load.name == **name);
            assert!([load, goal.load].iter().all(is_load), "{}", goal.what);
        }
    }
}
