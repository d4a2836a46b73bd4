//! What is replicated, and what a node asks of it.

use bytes::Bytes;

/// What is replicated: applied in log order on every node, with the same result.
///
/// Runs under a lock of the node, on its threads. Must decide by its own state and the command
/// alone: no clock, no chance, no order of a hash map.
pub trait Machine: Send + 'static {
    /// What applying a command answers to whoever proposed it on this node.
    type Outcome: Send + Sync + 'static;

    /// Applies one command. Total: never fails and never panics, whatever the bytes; what it cannot
    /// read changes nothing. `index` grows with each call, not always by one.
    fn apply(&mut self, index: u64, command: Bytes) -> Self::Outcome;

    /// What changed since the last call, by key: the value, or `None` for a removal. Together with
    /// all earlier answers it is the state as of the last applied command. Each key at most once.
    ///
    /// Holds up applying while it runs, so it should hand over what was gathered, not search.
    fn take_changes(&mut self) -> Vec<Change>;

    /// Replaces the whole state by `records`, which come in key order; afterwards nothing has
    /// changed. `records` are what [`Machine::take_changes`] once answered, here or on another node.
    ///
    /// # Errors
    /// The first record that cannot be read, or that a newer program wrote. The node stops.
    fn load(
        &mut self,
        records: &mut dyn Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<(), LoadError>;
}

/// A key and its value, or `None` when it is removed. A key has at most 65,535 bytes.
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// Why records cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Damage: records are lost.
    #[error(transparent)]
    Corrupt(#[from] CorruptRecord),
    /// No damage: they say what this program does not understand.
    #[error("{0}")]
    Newer(String),
}

/// A record of the state that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record {} cannot be read: {reason}", key.escape_ascii())]
pub struct CorruptRecord {
    /// Its key.
    pub key: Vec<u8>,
    /// What is wrong with it.
    pub reason: String,
}
