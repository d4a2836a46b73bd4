//! What programs understand of commands and records, and how much of it a group uses (P15).
//!
//! Members of a group may be of different versions while it is upgraded. A command that only newer ones
//! understand would be left out by the others, and their states would differ from then on. So what came
//! after the first version has a level, a group uses it from the [`Command::Raise`](super::Command::Raise)
//! on that has this level, and the leader proposes that when all members understand it. A level never
//! goes back: a program that does not understand the level of a state does not load it.

/// In the order in which features came. Each includes those before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeatureLevel(pub u32);

impl FeatureLevel {
    /// Strategies of share groups: [`Command::Share`](super::Command::Share).
    pub const STRATEGIES: Self = Self(1);

    /// Ending a session whose client is away: [`Command::Forget`](super::Command::Forget).
    pub const FORGET: Self = Self(2);

    /// Wills are owed until brokers have them: [`Command::WillsReceived`](super::Command::WillsReceived).
    pub const OWED_WILLS: Self = Self(3);

    /// When clients were connected last: [`opened_after`](super::ClusterState::opened_after).
    pub const CLAIMS: Self = Self(4);

    /// All that this program understands.
    pub const NEWEST: Self = Self::CLAIMS;
}

impl std::fmt::Display for FeatureLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
