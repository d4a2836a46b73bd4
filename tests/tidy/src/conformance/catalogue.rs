//! The statements of each specification.

use std::fmt;

use crate::read;

/// A specification with numbered statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Specification {
    /// MQTT 3.1.1.
    V311,
    /// MQTT 5.0.
    V5,
}

impl Specification {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V311, Self::V5];

    /// As comments write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V311 => "3.1.1",
            Self::V5 => "5.0",
        }
    }
}

/// A statement's number, such as `MQTT-3.1.2-24`: section and number within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StatementId {
    /// Of three levels.
    pub section: [u16; 3],
    /// From 1.
    pub number: u16,
}

impl StatementId {
    /// Also of the one that 3.1.1 writes with a hyphen too many, `MQTT-3-8.3-4`. `None`: it has
    /// another form.
    pub fn parse(text: &str) -> Option<Self> {
        let (section, number) = text.strip_prefix("MQTT-")?.rsplit_once('-')?;
        let levels: Option<Vec<u16>> =
            section.split(['.', '-']).map(|level| level.parse().ok()).collect();
        Some(Self { section: levels?.try_into().ok()?, number: number.parse().ok()? })
    }
}

impl fmt::Display for StatementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [chapter, section, part] = self.section;
        write!(f, "MQTT-{chapter}.{section}.{part}-{}", self.number)
    }
}

/// Whom a statement obliges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Us.
    Server,
    /// Clients alone.
    Client,
    /// Nobody here, with the reason.
    Nobody(String),
}

/// One line of a catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its number.
    pub id: StatementId,
    /// Whom it obliges.
    pub duty: Duty,
    /// What it asks, in our words.
    pub text: String,
}

/// The lines of a catalogue, in its order.
///
/// # Panics
/// On a line of another form.
pub fn catalogue(specification: Specification) -> Vec<Statement> {
    let path = format!("docs/conformance/mqtt-{}.txt", specification.name());
    let text = read(&path);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| statement(line).unwrap_or_else(|| panic!("{path}: {line}"))).collect()
}

fn statement(line: &str) -> Option<Statement> {
    let cells: Vec<_> = line.split(" | ").collect();
    let (id, duty, text) = match cells[..] {
        [id, "server", text] => (id, Duty::Server, text),
        [id, "client", text] => (id, Duty::Client, text),
        [id, "other", text, reason] => (id, Duty::Nobody(reason.to_owned()), text),
        _ => return None,
    };
    Some(Statement { id: StatementId::parse(id)?, duty, text: text.to_owned() })
}
