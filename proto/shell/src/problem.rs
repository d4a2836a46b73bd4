//! Where a setting came from, and how a mistake in it is told to the operator.
//!
//! Decides the wording and the order of configuration errors. Does not print them: the program
//! writes a [`ConfigError`] to stderr and ends with [`crate::exit::Exit::Misconfigured`].

use std::{cmp::Ordering, fmt, io, sync::Arc};

/// Mistakes that one [`ConfigError`] names; more are only counted. A screen full is enough.
pub const PROBLEMS_MAX: usize = 20;

/// Characters of a value that a message repeats.
const SHOWN_CHARS_MAX: usize = 80;

/// The source that a value came from. Stronger sources are listed later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of the configuration file, counted from 1.
    File {
        /// The file as the operator named it.
        file: Arc<str>,
        /// The line, counted from 1.
        line: usize,
    },
    /// An environment variable, by its name.
    Environment(String),
    /// A `--set` argument, by the part before `=`.
    Set(String),
}

impl Origin {
    pub(crate) fn line(file: &Arc<str>, line: usize) -> Self {
        Self::File { file: Arc::clone(file), line }
    }

    /// Strength among the sources, then the line.
    fn rank(&self) -> (u8, usize) {
        match self {
            Self::Default => (0, 0),
            Self::File { line, .. } => (1, *line),
            Self::Environment(_) => (2, 0),
            Self::Set(_) => (3, 0),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(f, "default"),
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Environment(variable) => write!(f, "{variable}"),
            Self::Set(name) => write!(f, "--set {name}"),
        }
    }
}

/// One mistake: a line for the operator that begins with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    origin: Origin,
    text: String,
}

impl Problem {
    pub(crate) fn new(origin: &Origin, message: impl fmt::Display) -> Self {
        Self { origin: origin.clone(), text: format!("{origin}: {message}") }
    }

    pub(crate) fn at_line(file: &Arc<str>, line: usize, message: impl fmt::Display) -> Self {
        Self::new(&Origin::line(file, line), message)
    }

    /// A mistake in the value of a key. `key` is its name as the source spells it.
    pub(crate) fn in_value(
        origin: &Origin,
        key: &str,
        value: &str,
        message: impl fmt::Display,
    ) -> Self {
        let text = match origin {
            Origin::Default => format!("{key} = {value} (the default): {message}"),
            Origin::File { .. } => format!("{origin}: {key} = {value}: {message}"),
            Origin::Environment(_) | Origin::Set(_) => format!("{origin}={value}: {message}"),
        };
        Self { origin: origin.clone(), text }
    }

    /// A mistake of a key that nobody set and that has no default.
    pub(crate) fn unset(section: &str, key: &str, message: impl fmt::Display) -> Self {
        Self { origin: Origin::Default, text: format!("[{section}] {key} (not set): {message}") }
    }

    /// A file that the operating system does not give us.
    pub(crate) fn unreadable(file: &str, error: &io::Error) -> Self {
        let text = format!("{file}: cannot be read: {error}");
        Self { origin: Origin::File { file: file.into(), line: 1 }, text }
    }

    /// Where the mistake is.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    fn order(&self, other: &Self) -> Ordering {
        self.origin.rank().cmp(&other.origin.rank())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.text)
    }
}

/// Why the configuration cannot be used: one line per mistake, at most [`PROBLEMS_MAX`] of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.lines())]
pub struct ConfigError {
    problems: Vec<Problem>,
    omitted: usize,
}

impl ConfigError {
    /// The mistakes, by source and line; at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    fn lines(&self) -> String {
        let mut lines: Vec<String> = self.problems.iter().map(Problem::to_string).collect();
        if self.omitted > 0 {
            lines.push(format!("... and {} more errors", self.omitted));
        }
        lines.join("\n")
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem], omitted: 0 }
    }
}

/// Collects mistakes, so that an operator sees all of them at once.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    kept: Vec<Problem>,
    omitted: usize,
}

impl Problems {
    pub(crate) fn push(&mut self, problem: Problem) {
        if self.kept.len() < PROBLEMS_MAX {
            self.kept.push(problem);
        } else {
            self.omitted += 1;
        }
    }

    pub(crate) fn into_result(mut self) -> Result<(), ConfigError> {
        if self.kept.is_empty() {
            return Ok(());
        }
        self.kept.sort_by(Problem::order);
        Err(ConfigError { problems: self.kept, omitted: self.omitted })
    }
}

/// Text from outside as a message may repeat it: short, and unable to drive a terminal.
pub(crate) fn shown(text: &str) -> String {
    let mut characters = text.chars();
    let mut shown = String::new();
    for character in characters.by_ref().take(SHOWN_CHARS_MAX) {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    if characters.next().is_some() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_with(count: usize) -> ConfigError {
        let mut problems = Problems::default();
        for line in (1..=count).rev() {
            problems.push(Problem::at_line(&"x.conf".into(), line, "wrong"));
        }
        problems.into_result().unwrap_err()
    }

    #[test]
    fn no_problem_is_no_error() {
        assert_eq!(Problems::default().into_result(), Ok(()));
    }

    #[test]
    fn problems_are_told_in_the_order_of_their_lines() {
        assert_eq!(error_with(2).to_string(), "x.conf:1: wrong\nx.conf:2: wrong");
    }

    #[test]
    fn twenty_problems_are_told_and_the_rest_is_counted() {
        assert_eq!(error_with(20).to_string().lines().count(), 20);
        let error = error_with(22);
        assert_eq!(error.problems().len(), 20);
        assert_eq!(error.to_string().lines().last(), Some("... and 2 more errors"));
    }

    #[test]
    fn shown_text_is_short_and_has_no_control_characters() {
        assert_eq!(shown("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(shown(&"é".repeat(80)), "é".repeat(80));
        assert_eq!(shown(&"é".repeat(81)), "é".repeat(80) + "...");
    }
}
