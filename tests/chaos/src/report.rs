//! What came of a run.

use std::fmt;

use history::{History, Verdict};

use crate::board::Oddities;
use crate::outage::Outage;

/// Everything that was found.
#[derive(Debug)]
pub struct Report {
    /// All that was observed.
    pub history: History,
    /// Of the history.
    pub verdict: Verdict,
    /// What no broker may send.
    pub oddities: Oddities,
    /// Clients that did not come to their end in time: nothing can be said of what they miss.
    pub unfinished: Vec<String>,
    /// Processes that ended although nobody killed them.
    pub crashes: Vec<String>,
    /// What servers with damaged or forgetful disks said or did that they must not.
    pub disks: Vec<String>,
    /// As clients saw them.
    pub outages: Vec<Outage>,
    /// Connections of all clients.
    pub connections: u64,
}

impl Report {
    /// Whether every promise was kept, and enough was seen to say so.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.verdict.is_clean()
            && self.oddities.total == 0
            && self.unfinished.is_empty()
            && self.crashes.is_empty()
            && self.disks.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} connections of clients", self.connections)?;
        for outage in &self.outages {
            writeln!(f, "{outage}")?;
        }
        list(f, "ended by themselves", &self.crashes)?;
        list(f, "wrong about their disks", &self.disks)?;
        list(f, "did not come to their end in time", &self.unfinished)?;
        if self.oddities.total > 0 {
            let title = format!("{} things that no failure explains", self.oddities.total);
            list(f, &title, &self.oddities.first)?;
        }
        writeln!(f, "{}", self.verdict)?;
        f.write_str(if self.is_clean() { "ALL PROMISES KEPT" } else { "PROMISES BROKEN" })
    }
}

fn list(f: &mut fmt::Formatter<'_>, title: &str, lines: &[String]) -> fmt::Result {
    if !lines.is_empty() {
        writeln!(f, "{title}:")?;
    }
    lines.iter().try_for_each(|line| writeln!(f, "  {line}"))
}
