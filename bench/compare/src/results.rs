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
    /// Where and when: the beginning of a run. All runs of a file are of one machine and build.
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
    /// The file system of the data.
    pub(crate) disk: String,
    pub(crate) seconds: u64,
}

impl Machine {
    /// Whether measurements of both may stand side by side.
    fn is_like(&self, other: &Self) -> bool {
        *self == Self { date: self.date.clone(), ..other.clone() }
    }
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
    pub(crate) machine: Option<Machine>,
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
            let wrong = |error: String| io::Error::other(format!("line {}: {error}", at + 1));
            let record = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
            results.take(record).map_err(wrong)?;
        }
        Ok(results)
    }

    /// Whether what is measured now may be added.
    pub(crate) fn accept(&mut self, machine: Machine) -> Result<(), String> {
        match &self.machine {
            Some(before) if !before.is_like(&machine) => Err(format!(
                "this is another machine, build or time of measuring than {before:?}; begin a new file"
            )),
            _ => {
                self.machine = Some(machine);
                Ok(())
            }
        }
    }

    fn take(&mut self, record: Record) -> Result<(), String> {
        match record {
            Record::Machine(machine) => return self.accept(machine),
            Record::Peer { peer, version } => {
                self.missing.remove(&peer);
                self.versions.insert(peer, version);
            }
            Record::Missing { peer, why } => {
                self.versions.remove(&peer);
                self.missing.insert(peer, why);
            }
            Record::Run { peer, load, figures, .. } => {
                self.cells.entry((peer, load)).or_default().runs.push(figures);
            }
            Record::Failed { peer, load, why, .. } => {
                self.cells.entry((peer, load)).or_default().failures.push(why);
            }
        }
        Ok(())
    }

    pub(crate) fn cell(&self, peer: &str, load: &str) -> Option<&Cell> {
        self.cells.get(&(peer.to_owned(), load.to_owned()))
    }

    /// The median of a figure.
    pub(crate) fn median(&self, peer: &str, load: &str, figure: &str) -> Option<f64> {
        self.cell(peer, load)?.median(figure)
    }

    /// The least and the most rounds of any measurement.
    pub(crate) fn rounds(&self) -> (usize, usize) {
        let rounds = || self.cells.values().map(|cell| cell.runs.len() + cell.failures.len());
        (rounds().min().unwrap_or_default(), rounds().max().unwrap_or_default())
    }
}

impl Cell {
    /// In order, what never happened last; rounds in which it was not measured have none.
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
            // Of two, one of which never happened, this is never, too.
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
        let figures = Figures([("delivered".to_owned(), Some(value))].into());
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
        assert_eq!(results.rounds(), (1, 3));
    }

    #[test]
    fn median_of_an_even_number_is_between_the_two_in_the_middle() {
        let mut results = Results::default();
        [4.0, 1.0, 3.0, 2.0].into_iter().for_each(|value| results.take(run(1, value)).unwrap());
        assert_eq!(results.median("nats", "pairs-0", "delivered"), Some(2.5));
    }

    #[test]
    fn median_of_rounds_most_of_which_never_ended_is_never() {
        let mut results = Results::default();
        [1.0, f64::INFINITY, f64::INFINITY]
            .into_iter()
            .for_each(|value| results.take(run(1, value)).unwrap());
        assert_eq!(results.median("nats", "pairs-0", "delivered"), Some(f64::INFINITY));
    }

    #[test]
    fn measurements_of_two_builds_do_not_go_into_one_file() {
        let machine = |date: &str, commit: &str| Machine {
            date: date.into(),
            commit: commit.into(),
            ..Machine::default()
        };
        let mut results = Results::default();
        results.accept(machine("2026-01-01", "a")).unwrap();
        results.accept(machine("2026-01-02", "a")).unwrap();
        let error = results.accept(machine("2026-01-02", "b")).unwrap_err();
        assert!(error.starts_with("this is another machine, build"), "{error}");
    }

    #[test]
    fn line_that_is_no_record_is_named() {
        let error = Results::parse("{\"is\":\"machine\"}\n").unwrap_err().to_string();
        assert!(error.starts_with("line 1: missing field"), "{error}");
    }
}
