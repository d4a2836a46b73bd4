//! In what a node takes part.

/// In what a node takes part. Each start begins anew; then it only
/// comes closer to everything, except that who wants to found may find that it is too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// In everything.
    Member,
    /// In nothing: it has nothing, and asks whether its group has begun.
    Founding,
    /// In nothing: it lost records, and asks what it may have promised.
    Asking,
    /// It follows a leader, but does not vote and is not made leader.
    CatchingUp,
}

impl Standing {
    /// Whether it lost records and has not got them back.
    pub(crate) fn is_recovering(self) -> bool {
        match self {
            Self::Member | Self::Founding => false,
            Self::Asking | Self::CatchingUp => true,
        }
    }

    pub(crate) fn follows(self) -> bool {
        matches!(self, Self::Member | Self::CatchingUp)
    }
}
