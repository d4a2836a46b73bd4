//! The tables.

use std::fmt::Write as _;

use super::grouped;
use crate::loads::{self, Axis, Kind, Load, Victim};
use crate::peers::Peer;
use crate::results::{Cell, Results};

type Peers = [Box<dyn Peer>];

pub(super) fn machine(results: &Results) -> String {
    let machine = &results.machine;
    format!(
        "{}, {} processors ({}), Linux {}, loopback; this project at {}. Medians of {} rounds of {} seconds \
         each, in rotation, every system freshly started in each round; the load generator shares the \
         processors.\n",
        machine.date,
        machine.processors,
        machine.processor,
        machine.kernel,
        machine.commit,
        results.rounds(),
        machine.seconds
    )
}

pub(super) fn peers(results: &Results, peers: &Peers) -> String {
    let rows = peers.iter().map(|peer| {
        let version = results.versions[peer.name()].clone();
        vec![peer.title().into(), version, peer.set_up().into(), peer.puback().into()]
    });
    let mut text =
        table(&["", "version", "set up", "a PUBACK of QoS 1 says"], rows.collect::<Vec<_>>());
    for (peer, why) in &results.missing {
        let _ = writeln!(text, "\n{peer} did not take part: {why}.");
    }
    text
}

/// Loads of a kind that somebody carried.
fn carried(results: &Results, peers: &Peers, is: impl Fn(Kind) -> bool) -> Vec<Load> {
    let mut all = loads::all();
    let is_carried = |load: &Load| {
        let cells = peers.iter().filter_map(|peer| results.cell(peer.name(), &load.name));
        cells.into_iter().any(|cell| !cell.runs.is_empty())
    };
    all.retain(|load| is(load.kind) && is_carried(load));
    all
}

/// A row for each peer and a column for each load.
fn by_load(
    results: &Results,
    peers: &Peers,
    loads: &[Load],
    shown: impl Fn(&Cell) -> String,
) -> String {
    if loads.is_empty() {
        return String::new();
    }
    let heads = loads.iter().map(|load| load.title.as_str());
    let heads: Vec<_> = std::iter::once("").chain(heads).collect();
    let rows = peers.iter().map(|peer| {
        let cells = loads.iter().map(|load| match results.cell(peer.name(), &load.name) {
            Some(cell) if !cell.runs.is_empty() => shown(cell),
            Some(_) => "failed".into(),
            None => "–".into(),
        });
        std::iter::once(peer.title().to_owned()).chain(cells).collect()
    });
    table(&heads, rows.collect())
}

pub(super) fn throughput(results: &Results, peers: &Peers) -> String {
    let loads = carried(results, peers, |kind| kind == Kind::Throughput);
    let table = by_load(results, peers, &loads, |cell| {
        let delivered = grouped(cell.median("delivered").unwrap_or_default());
        let cpu = cell.median("cpu").map(|cpu| format!(" ({cpu:.2})")).unwrap_or_default();
        format!("{delivered}{cpu}{}", amiss(cell))
    });
    noted(
        "Deliveries a second, and in brackets the CPU-seconds that all processes of the system take for a \
         million of them. Publishers are at one node and subscribers at another, where there is one. \
         \"Missing\" had not come five seconds after the last was sent, in all rounds together.",
        table,
    )
}

pub(super) fn latency(results: &Results, peers: &Peers) -> String {
    let loads = carried(results, peers, |kind| kind == Kind::Latency);
    let table = by_load(results, peers, &loads, |cell| {
        let of = |figure| cell.median(figure).unwrap_or_default();
        format!("{:.2} / {:.2}{}", of("p50"), of("p99"), amiss(cell))
    });
    noted(
        "2,000 messages a second of four publishers together, from when a message was due to its delivery \
         at another node: p50 / p99 in milliseconds.",
        table,
    )
}

/// What should not be, over all rounds.
fn amiss(cell: &Cell) -> String {
    let mut text = String::new();
    for (figure, word) in
        [("lost", "missing"), ("duplicates", "twice"), ("reordered", "out of order")]
    {
        let count = cell.sum(figure);
        if count > 0.0 {
            let _ = write!(text, ", {} {word}", grouped(count));
        }
    }
    text
}

pub(super) fn kills(results: &Results, peers: &Peers) -> String {
    let mut rows = Vec::new();
    for load in carried(results, peers, |kind| matches!(kind, Kind::Kill(_))) {
        for peer in peers {
            let Some(cell) = results.cell(peer.name(), &load.name) else { continue };
            let of = |figure| cell.median(figure).map(|ms| format!("{ms:.0}"));
            let is_moved = load.kind == Kind::Kill(Victim::Broker);
            let first = if is_moved { of("first-most") } else { Some("–".into()) };
            let present = format!("{:.0} of {:.0}", cell.sum("present"), cell.sum("moved"));
            rows.push(vec![
                load.title.clone(),
                peer.title().into(),
                cell.runs.len().to_string(),
                first.unwrap_or_else(|| "never".into()),
                of("gap").unwrap_or_else(|| "never ended".into()),
                if is_moved { present } else { "–".into() },
                grouped(cell.sum("lost")),
                grouped(cell.sum("again")),
                grouped(cell.sum("reordered")),
            ]);
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let heads = [
        "killed (-9)",
        "",
        "rounds",
        "first message again, slowest, ms",
        "longest gap, ms",
        "sessions found",
        "lost",
        "again",
        "out of order",
    ];
    noted(
        "Ten sessions that are kept get 500 messages a second of QoS 1 from another node. Their node is \
         killed, and they try another every 50 ms; or the leader of what is replicated is killed, and they stay. \
         Times are medians; counts are of all rounds together. \"Lost\" was acknowledged to its publisher, and \
         counts once for each session that never got it.",
        table(&heads, rows),
    )
}

pub(super) fn memory(results: &Results, peers: &Peers) -> String {
    let mebibytes = |peer: &dyn Peer, load| {
        let memory = results.median(peer.name(), load, "memory");
        memory.map_or("–".into(), |memory| format!("{memory:.0}"))
    };
    let rows = peers.iter().map(|peer| {
        let peer = peer.as_ref();
        let idle = results.median(peer.name(), "idle", "memory");
        let made = results.median(peer.name(), "idle", "made");
        vec![
            peer.title().into(),
            idle.map_or("–".into(), |bytes| format!("{:.1}", bytes / 1_024.0)),
            made.map_or("–".into(), grouped),
            mebibytes(peer, "pairs-1"),
            mebibytes(peer, "durable-1"),
        ]
    });
    let heads = [
        "",
        "an idle connection, KiB",
        "CONNECTs a second",
        "after 4 pairs, QoS 1, MiB",
        "after kept sessions, MiB",
    ];
    noted("Resident memory of all processes of the system together.", table(&heads, rows.collect()))
}

pub(super) fn growth(results: &Results, peers: &Peers) -> String {
    let mut text = String::new();
    for axis in Axis::ALL {
        let loads =
            carried(results, peers, |kind| matches!(kind, Kind::Growth(of, _) if of == axis));
        let is_measured = |peer: &dyn Peer| {
            loads.iter().any(|load| results.cell(peer.name(), &load.name).is_some())
        };
        let mut rows = Vec::new();
        for peer in peers.iter().filter(|peer| is_measured(peer.as_ref())) {
            for load in &loads {
                let of = |figure| results.median(peer.name(), &load.name, figure);
                let shown = |figure| of(figure).map_or("–".into(), |value| format!("{value:.2}"));
                rows.push(vec![
                    peer.title().into(),
                    load.title.clone(),
                    of("delivered").map_or("–".into(), grouped),
                    shown("cpu"),
                    of("memory").map_or("–".into(), |memory| format!("{memory:.0}")),
                ]);
            }
        }
        if !rows.is_empty() {
            let heads = ["", axis.name(), "deliveries/s", "CPU-s per million", "memory, MiB"];
            text = text + &table(&heads, rows) + "\n";
        }
    }
    text
}

/// Loads in which another has the better median than the best of this project that does the same: alone
/// beside those who are alone, clusters beside clusters.
pub(super) fn ahead(results: &Results, peers: &Peers) -> String {
    let mut text = String::new();
    let loads = carried(results, peers, |kind| !matches!(kind, Kind::Growth(..)));
    for load in &loads {
        for (figure, is_more_better) in figures_of(load.kind) {
            for is_alone in [true, false] {
                let of = |peer: &dyn Peer| peer.name().ends_with("-alone") == is_alone;
                let values: Vec<_> = peers
                    .iter()
                    .filter(|peer| of(peer.as_ref()))
                    .filter_map(|peer| {
                        Some((peer, results.median(peer.name(), &load.name, figure)?))
                    })
                    .collect();
                let is_better = |a: f64, b: f64| if *is_more_better { a > b } else { a < b };
                let ours = values.iter().filter(|(peer, _)| peer.name().starts_with("ours"));
                let ours = ours.map(|(_, value)| *value);
                let best = ours.reduce(|a, b| if is_better(a, b) { a } else { b });
                for (peer, value) in values {
                    if let Some(best) = best
                        && is_better(value, best)
                        && !peer.name().starts_with("ours")
                    {
                        let (value, best) = (number(value), number(best));
                        let (load, peer) = (&load.title, peer.title());
                        let _ = writeln!(
                            text,
                            "- {load}, {figure}: {peer} {value}, this project {best}"
                        );
                    }
                }
            }
        }
    }
    text
}

/// And whether more of it is better.
fn figures_of(kind: Kind) -> &'static [(&'static str, bool)] {
    match kind {
        Kind::Throughput => &[("delivered", true), ("cpu", false)],
        Kind::Latency => &[("p50", false), ("p99", false)],
        Kind::Idle => &[("memory", false), ("made", true)],
        Kind::Kill(_) => &[("first-most", false), ("gap", false)],
        Kind::Growth(..) => &[],
    }
}

fn number(value: f64) -> String {
    if value < 1_000.0 { format!("{value:.2}") } else { grouped(value) }
}

pub(super) fn failures(results: &Results, peers: &Peers) -> String {
    let mut text = String::new();
    for peer in peers {
        for load in loads::all() {
            let Some(cell) = results.cell(peer.name(), &load.name) else { continue };
            let mut why: Vec<_> = cell.failures.iter().map(String::as_str).collect();
            why.dedup();
            for why in why {
                let _ = writeln!(text, "- {}, {}: {why}", peer.title(), load.title);
            }
        }
    }
    text
}

fn noted(note: &str, table: String) -> String {
    if table.is_empty() { table } else { format!("{note}\n\n{table}") }
}

/// The first column is to the left, the rest to the right when it is numbers.
fn table(heads: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut text = format!("| {} |\n|", heads.join(" | "));
    for at in 0..heads.len() {
        let is_number = |row: &Vec<String>| {
            row[at].starts_with(|c: char| c.is_ascii_digit())
                || ["–", "failed"].contains(&&*row[at])
        };
        text.push_str(if at > 0 && rows.iter().all(is_number) { "---:|" } else { "---|" });
    }
    text.push('\n');
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}
