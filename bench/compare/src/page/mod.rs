//! Tables and plots of what was measured, in Markdown and SVG.
//!
//! The page is somebody's: only what is between two marks is written anew.

use std::fs;
use std::io;
use std::path::Path;

use crate::peers::{self, Peer};
use crate::results::Results;

mod goals;
mod plots;
mod tables;

const BEGIN: &str = "<!-- compare: begin -->";
const END: &str = "<!-- compare: end -->";

/// Writes the plots, and the part of the page that shows them.
pub(crate) fn write(results: &Results, page: &Path, plots: &Path) -> io::Result<()> {
    let beside = page.parent().unwrap_or(Path::new(""));
    let folder = plots.strip_prefix(beside).map_err(|_| {
        let (plots, beside) = (plots.display(), beside.display());
        io::Error::other(format!("the plots would be in {plots}, which is not below {beside}"))
    })?;
    let peers: Vec<_> = taking_part(results);
    fs::create_dir_all(plots)?;
    let images = plots::draw(results, &peers, plots)?;
    let part = part(results, &peers, &images, &folder.to_string_lossy());
    let text = fs::read_to_string(page)?;
    fs::write(page, replaced(&text, &part)?)
}

/// A plot, and what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Image {
    file: String,
    alt: String,
}

fn taking_part(results: &Results) -> Vec<Box<dyn Peer>> {
    let mut peers = peers::all();
    peers.retain(|peer| results.versions.contains_key(peer.name()));
    peers
}

fn is_ours(peer: &dyn Peer) -> bool {
    peer.name().starts_with("ours")
}

fn part(results: &Results, peers: &[Box<dyn Peer>], images: &[Image], folder: &str) -> String {
    let mut text = tables::machine(results);
    let shown = |prefix: &str| -> String {
        let of = images.iter().filter(|image| image.file.starts_with(prefix));
        of.map(|image| format!("![{}]({folder}/{})\n", image.alt, image.file)).collect()
    };
    let sections = [
        ("What they are", tables::peers(results, peers)),
        ("Throughput", tables::throughput(results, peers) + "\n" + &shown("throughput")),
        ("Latency", tables::latency(results, peers)),
        ("When a process is killed", tables::kills(results, peers)),
        ("Memory", tables::memory(results, peers)),
        ("Cost as it grows", tables::growth(results, peers) + "\n" + &shown("growth")),
        ("What this project wants of itself", goals::table(results)),
        ("Where another is ahead", tables::ahead(results, peers)),
        ("What could not be measured", tables::failures(results, peers)),
    ];
    for (title, body) in sections {
        if !body.trim().is_empty() {
            text.push_str(&format!("\n### {title}\n\n{}\n", body.trim_end()));
        }
    }
    text
}

/// An error: the marks are not there.
fn replaced(page: &str, part: &str) -> io::Result<String> {
    let missing = |mark| io::Error::other(format!("the page has no line {mark:?}"));
    let (before, rest) = page.split_once(BEGIN).ok_or_else(|| missing(BEGIN))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| missing(END))?;
    Ok(format!("{before}{BEGIN}\n\n{part}\n{END}{after}"))
}

/// With so many decimals; large ones with commas.
fn shown(number: f64, decimals: usize) -> String {
    match number {
        _ if number.is_infinite() => "never".into(),
        _ if number >= 1_000.0 => grouped(number),
        _ => format!("{number:.decimals$}"),
    }
}

fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_around_the_marks_stays() {
        let page = format!("above\n{BEGIN}\nold\n{END}\nbelow\n");
        let new = replaced(&page, "new").unwrap();
        assert_eq!(new, format!("above\n{BEGIN}\n\nnew\n{END}\nbelow\n"));
        assert_eq!(replaced(&new, "new").unwrap(), new);
        assert!(replaced("nothing", "new").unwrap_err().to_string().contains("begin"));
    }

    #[test]
    fn thousands_are_set_apart() {
        let shown = [0.4, 999.0, 1_000.0, 1_234_567.2, f64::INFINITY].map(|value| shown(value, 1));
        assert_eq!(shown, ["0.4", "999.0", "1,000", "1,234,567", "never"]);
    }

    /// A run of two peers and two loads, of which one failed.
    pub(super) fn sample() -> Results {
        let run = |peer: &str, load: &str, figures: &str| {
            format!(
                "{{\"is\":\"run\",\"round\":1,\"peer\":\"{peer}\",\"load\":\"{load}\",\
                 \"figures\":{figures}}}\n"
            )
        };
        let peer = |peer: &str| {
            format!("{{\"is\":\"peer\",\"peer\":\"{peer}\",\"version\":\"{peer} 1.2\"}}\n")
        };
        let fast = r#"{"delivered":900000,"cpu":1.5,"lost":0,"duplicates":0,"reordered":0}"#;
        let slow = r#"{"delivered":300000,"cpu":3,"lost":2,"duplicates":0,"reordered":0}"#;
        let failed = "{\"is\":\"failed\",\"round\":1,\"peer\":\"nats\",\"load\":\"pairs-2\",\
                      \"why\":\"SUBSCRIBE was answered with 0x01\"}\n";
        let text = [
            peer("ours-1-2"),
            peer("nats"),
            run("ours-1-2", "pairs-0", fast),
            run("nats", "pairs-0", slow),
            run("ours-1-2", "paced-0", r#"{"p50":0.5,"p99":1.5}"#),
            run("nats", "paced-0", r#"{"p50":0.25,"p99":3}"#),
            failed.to_owned(),
        ];
        Results::parse(&text.concat()).unwrap()
    }

    #[test]
    fn page_says_who_is_ahead_and_what_failed() {
        let results = sample();
        let text = part(&results, &taking_part(&results), &[], "plots");
        for line in [
            "| this project, 1 ha-server, 2 brokers | 900,000 (1.50) |",
            "| NATS, 3 nodes, JetStream R3 | 300,000 (3.00), 2 missing |",
            "- 2,000 msg/s, QoS 0, p50, ms: NATS, 3 nodes, JetStream R3 has 0.25; 1 ha-server, 2 brokers 0.50",
            "- NATS, 3 nodes, JetStream R3, 4 pairs, QoS 2: SUBSCRIBE was answered with 0x01",
        ] {
            assert!(text.contains(line), "{line}\nin\n{text}");
        }
    }
}
