//! What came of it.

use std::fmt;

use history::share::Verdict;

/// Everything that was found.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Faults of processes.
    pub faults: usize,
    /// Of what was observed.
    pub verdict: Verdict,
    /// Events that found no room.
    pub left_out: u64,
    /// What no failure explains: how often, and the first in words.
    pub oddities: (u64, Vec<String>),
}

impl Outcome {
    /// Whether every promise was kept, and something was seen of it.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let Self { verdict, left_out, oddities, .. } = self;
        verdict.is_clean() && verdict.counts.published > 0 && *left_out == 0 && oddities.0 == 0
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { faults, verdict, left_out, oddities: (total, first) } = self;
        writeln!(f, "{faults} faults")?;
        if *left_out > 0 {
            writeln!(f, "incomplete: {left_out} events found no room")?;
        }
        if *total > 0 {
            writeln!(f, "{total} things that no failure explains:")?;
            first.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        }
        writeln!(f, "{verdict}")?;
        f.write_str(if self.is_clean() {
            "SHARE GROUPS KEPT THEIR PROMISES"
        } else {
            "SHARE GROUPS BROKE THEIR PROMISES"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_in_which_nothing_was_published_proves_nothing() {
        let mut outcome = Outcome::default();
        assert!(!outcome.is_clean());
        outcome.verdict.counts.published = 1;
        assert!(outcome.is_clean());
    }

    #[test]
    fn oddity_and_a_record_with_gaps_are_not_clean_and_are_told() {
        let mut clean = Outcome::default();
        clean.verdict.counts.published = 1;
        let odd = Outcome { oddities: (1, vec!["it barks".into()]), ..clean.clone() };
        assert!(!odd.is_clean() && odd.to_string().contains("it barks"), "{odd}");
        let gaps = Outcome { left_out: 3, ..clean };
        assert!(!gaps.is_clean() && gaps.to_string().contains("3 events"), "{gaps}");
    }
}
