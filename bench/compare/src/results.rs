//! What was measured: a file with a line of JSON for each measurement, and medians of it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::figures::Figures;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub(crate) enum Record {
    /// Where and when; the first line.
    Machine(Machine),
    /// A peer takes part.
    Peer { peer: String, version: String },
    /// A peer does not take part.
    Missing { peer: String, why: String },
    /// A load was carried.
    Run { round: u32, peer: String, load: String, figures: Figures },
    /// It was not.
    Failed { round: u32, peer: String, load: String, why: String },
}

/// What the figures belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) processors: usize,
    pub(crate) processor: String,
    pub(crate) kernel: String,
    pub(crate) commit: String,
    pub(crate) seconds: u64,
}

/// Appends lines to a file.
#[derive(Debug)]
pub(crate) struct Store(File);

impl Store {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(OpenOptions::new().create(true).append(true).open(path)?))
    }

    pub(crate) fn add(&mut self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_string(record)?;
        line.push('\n');
        self.0.write_all(line.as_bytes())
    }
}

/// Of a peer at a load, over all rounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Cell {
    pub(crate) runs: Vec<Figures>,
    pub(crate) failures: Vec<String>,
}

/// All that was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    /// Of the peers that took part.
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) missing: BTreeMap<String, String>,
    /// By peer and load.
    cells: BTreeMap<(String, String), Cell>,
}

impl Results {
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        Self::parse(&fs::read_to_string(path)?)
    }

    /// An error names the line.
    pub(crate) fn parse(text: &str) -> io::Result<Self> {
        let mut results = Self::default();
        for (at, line) in text.lines().enumerate() {
            let record = serde_json::from_str(line)
                .map_err(|error| io::Error::other(format!("line {}: {error}", at + 1)))?;
            results.take(record);
        }
        Ok(results)
    }

    fn take(&mut self, record: Record) {
        match record {
            Record::Machine(machine) => self.machine = machine,
            Record::Peer { peer, version } => {
                self.missing.remove(&peer);
                self.versions.insert(peer, version);
            }
            Record::Missing { peer, why } => {
                self.missing.insert(peer, why);
            }
            Record::Run { peer, load, figures, .. } => {
                self.cells.entry((peer, load)).or_default().runs.push(figures);
            }
            Record::Failed { peer, load, why, .. } => {
                self.cells.entry((peer, load)).or_default().failures.push(why);
            }
        }
    }

    pub(crate) fn cell(&self, peer: &str, load: &str) -> Option<&Cell> {
        self.cells.get(&(peer.to_owned(), load.to_owned()))
    }

    /// The median of a figure.
    pub(crate) fn median(&self, peer: &str, load: &str, figure: &str) -> Option<f64> {
        self.cell(peer, load)?.median(figure)
    }

    /// The most rounds of any measurement.
    pub(crate) fn rounds(&self) -> usize {
        self.cells.values().map(|cell| cell.runs.len()).max().unwrap_or_default()
    }
}

impl Cell {
    /// In order; rounds in which the figure is missing have none.
    pub(crate) fn sorted(&self, figure: &str) -> Vec<f64> {
        let mut all: Vec<_> = self.runs.iter().filter_map(|run| run.of(figure)).collect();
        all.sort_by(f64::total_cmp);
        all
    }

    pub(crate) fn median(&self, figure: &str) -> Option<f64> {
        let all = self.sorted(figure);
        let middle = all.len() / 2;
        match all.len() {
            0 => None,
            count if count % 2 == 1 => Some(all[middle]),
            _ => Some(f64::midpoint(all[middle - 1], all[middle])),
        }
    }

    /// Over all rounds.
    pub(crate) fn sum(&self, figure: &str) -> f64 {
        self.runs.iter().filter_map(|run| run.of(figure)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(round: u32, value: f64) -> Record {
        let figures = Figures([("delivered".to_owned(), value)].into());
        Record::Run { round, peer: "nats".into(), load: "pairs-0".into(), figures }
    }

    #[test]
    fn what_was_written_is_read_and_medians_are_in_the_middle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("raw");
        let mut store = Store::open(&path).unwrap();
        for (round, value) in [(1, 30.0), (2, 10.0), (3, 20.0)] {
            store.add(&run(round, value)).unwrap();
        }
        let why = "no answer".to_owned();
        let (peer, load) = ("nats".to_owned(), "pairs-2".to_owned());
        store.add(&Record::Failed { round: 1, peer, load, why }).unwrap();
        let results = Results::read(&path).unwrap();
        assert_eq!(results.median("nats", "pairs-0", "delivered"), Some(20.0));
        assert_eq!(results.median("nats", "pairs-0", "p50"), None);
        assert_eq!(results.cell("nats", "pairs-2").unwrap().failures, ["no answer"]);
        assert_eq!(results.rounds(), 3);
    }

    #[test]
    fn median_of_an_even_number_is_between_the_two_in_the_middle() {
        let mut results = Results::default();
        [4.0, 1.0, 3.0, 2.0].into_iter().for_each(|value| results.take(run(1, value)));
        assert_eq!(results.median("nats", "pairs-0", "delivered"), Some(2.5));
    }

    #[test]
    fn line_that_is_no_record_is_named() {
        let error = Results::parse("{\"is\":\"machine\"}\n").unwrap_err().to_string();
        assert!(error.starts_with("line 1: missing field"), "{error}");
    }
}
