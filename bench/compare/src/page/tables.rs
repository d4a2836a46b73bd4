//! The tables.

use std::fmt::Write as _;

use super::{grouped, is_ours, shown};
use crate::loads::{self, Axis, Kind, Load, Victim};
use crate::peers::Peer;
use crate::results::{Cell, Results};

type Peers = [Box<dyn Peer>];

pub(super) fn machine(results: &Results) -> String {
    let Some(machine) = &results.machine else { return String::new() };
    let (least, most) = results.rounds();
    let rounds = match (least, most) {
        (1, 1) => "One round".into(),
        (least, most) if least == most => format!("Medians of {most} rounds"),
        (least, most) => format!("Medians of {least} to {most} rounds"),
    };
    format!(
        "{}, {} processors ({}), Linux {}, loopback, data on {}; this project at {}. {rounds}, in rotation, \
         every system freshly started in each; loads are measured for {} seconds. The load generator \
         shares the processors.\n",
        machine.date,
        machine.processors,
        machine.processor,
        machine.kernel,
        machine.disk,
        machine.commit,
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
        let cpu = cell.median("cpu").map(|cpu| format!(" ({})", shown(cpu, 2)));
        format!("{}{}{}", of(cell, "delivered", 0), cpu.unwrap_or_default(), amiss(cell))
    });
    noted(
        "Deliveries a second, and in brackets the CPU-seconds that all processes of the system take for a \
         million of them. Publishers are at one node and subscribers at another, where there is one. \
         \"Missing\" had not come five seconds after the last was sent; counts are of all rounds together.",
        table,
    )
}

pub(super) fn latency(results: &Results, peers: &Peers) -> String {
    let loads = carried(results, peers, |kind| kind == Kind::Latency);
    let table = by_load(results, peers, &loads, |cell| {
        format!("{} / {}{}", of(cell, "p50", 2), of(cell, "p99", 2), amiss(cell))
    });
    noted(
        "2,000 messages a second of four publishers together, from when a message was due to its delivery, \
         at another node where there is one: p50 / p99 in milliseconds.",
        table,
    )
}

fn of(cell: &Cell, figure: &str, decimals: usize) -> String {
    cell.median(figure).map_or("–".into(), |value| shown(value, decimals))
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
            if cell.runs.is_empty() {
                continue;
            }
            let found = match cell.sum("moved") {
                0.0 => "nobody moved".into(),
                moved => format!("{:.0} of {moved:.0}", cell.sum("present")),
            };
            let moves = load.kind == Kind::Kill(Victim::Broker);
            rows.push(vec![
                load.title.clone(),
                peer.title().into(),
                cell.runs.len().to_string(),
                if moves { of(cell, "first-most", 0) } else { "–".into() },
                of(cell, "gap", 0),
                found,
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
         killed, and they try another every 50 ms; or the leader of what is replicated is killed, where nobody \
         of them is. Times are medians; counts are of all rounds together. \"Lost\" was acknowledged to its publisher, and \
         counts once for each session that never got it.",
        table(&heads, rows),
    )
}

pub(super) fn memory(results: &Results, peers: &Peers) -> String {
    let is_measured = |peer: &dyn Peer| {
        ["idle", "pairs-1", "durable-1"]
            .iter()
            .any(|load| results.cell(peer.name(), load).is_some())
    };
    let rows: Vec<_> = peers
        .iter()
        .filter(|peer| is_measured(peer.as_ref()))
        .map(|peer| {
            let median = |load, figure| results.median(peer.name(), load, figure);
            let cell = |value: Option<f64>, decimals| {
                value.map_or("–".into(), |value| shown(value, decimals))
            };
            vec![
                peer.title().into(),
                cell(median("idle", "memory").map(|bytes| bytes / 1_024.0), 1),
                cell(median("idle", "made"), 0),
                cell(median("pairs-1", "memory"), 0),
                cell(median("durable-1", "memory"), 0),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let heads = [
        "",
        "an idle connection, KiB",
        "CONNECTs a second",
        "while carrying 4 pairs, QoS 1, MiB",
        "the same, kept sessions, MiB",
    ];
    noted(
        "Resident memory of all processes of the system together; of idle connections 20 seconds after they were \
         made.",
        table(&heads, rows),
    )
}

pub(super) fn growth(results: &Results, peers: &Peers) -> String {
    let mut text = String::new();
    for axis in Axis::ALL {
        let loads = carried(results, peers, |kind| kind.grows_along(axis));
        let is_measured = |peer: &dyn Peer| {
            loads.iter().any(|load| results.cell(peer.name(), &load.name).is_some())
        };
        let mut rows = Vec::new();
        for peer in peers.iter().filter(|peer| is_measured(peer.as_ref())) {
            for load in &loads {
                let cell = results.cell(peer.name(), &load.name);
                let of = |figure, decimals| match cell {
                    Some(cell) if cell.runs.is_empty() => "failed".into(),
                    Some(cell) => of(cell, figure, decimals),
                    None => "–".into(),
                };
                rows.push(vec![
                    peer.title().into(),
                    load.title.clone(),
                    of("delivered", 0) + &cell.map(amiss).unwrap_or_default(),
                    of("cpu", 2),
                    of("memory", 0),
                ]);
            }
        }
        if !rows.is_empty() {
            let heads = ["", axis.name(), "deliveries/s", "CPU-s per million", "memory, MiB"];
            text = text + &table(&heads, rows) + "\n";
        }
    }
    noted(
        "Subscribers: a fan-out at QoS 0, one message at a time, so that a delivery is a packet written however many they \
         are. Topics: four pairs at QoS 0 whose messages take turns on so many topics each. Sessions: a fan-out at \
         QoS 1 to connected subscribers whose sessions are kept, one message at a time: a delivery is a packet \
         written and an acknowledgement read.",
        text,
    )
}

/// Figures in which another has the better median than one of this project that does the same: alone beside those
/// who are alone, clusters beside clusters.
pub(super) fn ahead(results: &Results, peers: &Peers) -> String {
    let mut text = String::new();
    for load in carried(results, peers, |kind| !kind.is_of_a_curve()) {
        for of in figures_of(load.kind) {
            for other in peers.iter().filter(|peer| !is_ours(peer.as_ref())) {
                text += &ahead_of(results, peers, &load, of, other.as_ref()).unwrap_or_default();
            }
        }
    }
    if text.is_empty() { "Nowhere in this run.\n".into() } else { text }
}

/// `None`: it is ahead of nobody.
fn ahead_of(
    results: &Results,
    peers: &Peers,
    load: &Load,
    of: &Of,
    other: &dyn Peer,
) -> Option<String> {
    let value = results.median(other.name(), &load.name, of.figure)?;
    let is_alone = |peer: &dyn Peer| peer.name().ends_with("-alone");
    let behind: Vec<_> = peers
        .iter()
        .filter(|ours| is_ours(ours.as_ref()) && is_alone(ours.as_ref()) == is_alone(other))
        .filter_map(|ours| {
            let name = ours.title().trim_start_matches("this project, ");
            if results.cell(ours.name(), &load.name)?.runs.is_empty() {
                return Some(format!("{name} failed"));
            }
            let behind = results.median(ours.name(), &load.name, of.figure)?;
            of.is_better(value, behind).then(|| format!("{name} {}", of.shown(behind)))
        })
        .collect();
    let pace = if load.kind == Kind::Latency { "2,000 msg/s, " } else { "" };
    let (title, name, value) = (&load.title, other.title(), of.shown(value));
    let line =
        || format!("- {pace}{title}, {}: {name} has {value}; {}\n", of.words, behind.join(", "));
    (!behind.is_empty()).then(line)
}

/// A figure that is compared.
struct Of {
    figure: &'static str,
    words: &'static str,
    better: Better,
    /// What it is divided by for the words.
    unit: f64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Better {
    More,
    Less,
}

impl Of {
    fn is_better(&self, a: f64, b: f64) -> bool {
        if self.better == Better::More { a > b } else { a < b }
    }

    fn shown(&self, value: f64) -> String {
        shown(value / self.unit, 2)
    }
}

fn figures_of(kind: Kind) -> &'static [Of] {
    const fn of(figure: &'static str, words: &'static str, better: Better, unit: f64) -> Of {
        Of { figure, words, better, unit }
    }
    const THROUGHPUT: &[Of] = &[
        of("delivered", "deliveries a second", Better::More, 1.0),
        of("cpu", "CPU-seconds for a million", Better::Less, 1.0),
    ];
    const LATENCY: &[Of] =
        &[of("p50", "p50, ms", Better::Less, 1.0), of("p99", "p99, ms", Better::Less, 1.0)];
    const IDLE: &[Of] = &[
        of("memory", "KiB each", Better::Less, 1_024.0),
        of("made", "CONNECTs a second", Better::More, 1.0),
    ];
    const KILL: &[Of] = &[
        of("gap", "longest gap, ms", Better::Less, 1.0),
        of("lost", "messages lost in a round", Better::Less, 1.0),
    ];
    match kind {
        Kind::Throughput => THROUGHPUT,
        Kind::Latency => LATENCY,
        Kind::Idle => IDLE,
        Kind::Kill(_) => KILL,
        Kind::Growth(..) => &[],
    }
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
                || ["–", "failed", "never"].contains(&&*row[at])
        };
        text.push_str(if at > 0 && rows.iter().all(is_number) { "---:|" } else { "---|" });
    }
    text.push('\n');
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}
