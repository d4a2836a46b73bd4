//! Collects what the rules find: all is counted, the first of each kind is kept.

use crate::event::{At, Name};
use crate::verdict::{Counts, Kind, VIOLATIONS_MAX};

/// A violation whose proof is named and not yet collected.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    pub(crate) sentence: String,
    /// Events that belong to the proof.
    pub(crate) at: Vec<At>,
    /// Messages whose publishing, and whose delivery to `client`, belong to it.
    pub(crate) messages: Vec<(Name, u32)>,
    pub(crate) client: Name,
}

/// Everything that was found: at most 20 findings of each kind.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) counts: Counts,
    pub(crate) kept: Vec<Finding>,
    pub(crate) totals: [u64; Kind::ALL.len()],
}

impl Findings {
    /// Counts a violation, and keeps it while there are few of its kind.
    pub(crate) fn report(&mut self, kind: Kind, finding: impl FnOnce() -> Finding) {
        let total = &mut self.totals[kind as usize];
        *total += 1;
        if *total <= VIOLATIONS_MAX as u64 {
            self.kept.push(finding());
        }
    }

    /// The history contradicts itself at `at`.
    pub(crate) fn misrecorded(&mut self, at: At, client: Name, why: &str) {
        self.report(Kind::Misrecorded, || Finding {
            kind: Kind::Misrecorded,
            sentence: format!("{at} cannot be: {why}"),
            at: vec![at],
            messages: Vec::new(),
            client,
        });
    }
}
