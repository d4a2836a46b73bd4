//! In which order publishes and asks go up: what was sent on an earlier stream first, in the order of
//! its first sending; then what must not wait behind messages; then everything else as it came.

/// When something goes up, among all that waits for it. The lowest is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    /// Sent before, as so many-th of all.
    Again(u64),
    /// Acknowledgements, and CONNECTs of clients of which nothing else waits.
    Urgent,
    /// Not sent yet; came as so many-th.
    Waits(u64),
}

/// Gives out turns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns {
    came: u64,
    sent: u64,
}

impl Turns {
    /// Something came that waits for its turn.
    pub(crate) fn waits(&mut self) -> Turn {
        self.came += 1;
        Turn::Waits(self.came)
    }

    /// Something is sent: its turn if it has to be sent again.
    pub(crate) fn sends(&mut self, turn: Turn) -> Turn {
        if let Turn::Again(_) = turn {
            return turn;
        }
        self.sent += 1;
        Turn::Again(self.sent)
    }
}
