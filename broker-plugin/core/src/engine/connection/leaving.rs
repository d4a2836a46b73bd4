//! A client that has to go elsewhere, because the broker drains or cannot serve it.
//!
//! First it gets no new deliveries of QoS 1 and 2, while its acknowledgements are read: what it has
//! acknowledged is not sent again by the next broker (P3). Then nothing more is read, and what was read
//! is answered: what the client got an acknowledgement for it does not send again. Then it is told to go.

use ha_types::Millis;

use super::Moment;
use super::serving::Serving;

/// How long acknowledgements of a client are waited for. One that does not answer at once may have
/// gone, or takes its time with a message.
const QUIET_MS: u64 = 1_000;

/// How long leaving may take, milliseconds: twice what a majority of ha-servers takes to elect another
/// leader.
pub const LEAVE_MS_MAX: u64 = 2_000;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    began: Millis,
    is_deaf: bool,
}

/// What is not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unfinished {
    /// Deliveries that the client has not acknowledged.
    pub(super) deliveries: bool,
    /// Packets of the client that were not answered.
    pub(super) answers: bool,
}

impl Leaving {
    pub(super) fn new(now: Millis) -> Self {
        Self { began: now, is_deaf: false }
    }

    /// Whether the client may be read from.
    pub(super) fn reads(&self) -> bool {
        !self.is_deaf
    }

    /// When to look again if nothing happens.
    pub(super) fn deadline(&self) -> Millis {
        self.began.plus(if self.is_deaf { LEAVE_MS_MAX } else { QUIET_MS })
    }

    /// Whether the client can be told to go. A clock that jumped, because the process was stopped, ends it.
    pub(super) fn is_over(&mut self, now: Millis, unfinished: Unfinished) -> bool {
        if !unfinished.deliveries || now >= self.began.plus(QUIET_MS) {
            self.is_deaf = true;
        }
        self.is_deaf && (!unfinished.answers || now >= self.began.plus(LEAVE_MS_MAX))
    }
}

impl Serving {
    /// The client has to go elsewhere. Once is enough.
    pub(super) fn leave(&mut self, at: Moment) {
        self.leaving.get_or_insert_with(|| Leaving::new(at.now));
        self.outflow.hold_back();
    }

    /// Whether the client can be told to go.
    pub(super) fn has_left(&mut self, at: Moment) -> bool {
        let unfinished = Unfinished {
            deliveries: self.outflow.is_in_flight(),
            answers: self.inflow.is_unanswered() || self.subscribing.is_unanswered(),
        };
        self.leaving.as_mut().is_some_and(|leaving| leaving.is_over(at.now, unfinished))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Unfinished = Unfinished { deliveries: false, answers: false };

    #[test]
    fn idle_client_goes_at_once() {
        assert!(Leaving::new(Millis(0)).is_over(Millis(0), NOTHING));
    }

    #[test]
    fn acknowledgements_are_read_for_a_second() {
        let mut leaving = Leaving::new(Millis(0));
        let unfinished = Unfinished { deliveries: true, ..NOTHING };
        assert!(!leaving.is_over(Millis(999), unfinished) && leaving.reads());
        assert!(leaving.is_over(Millis(1_000), unfinished));
    }

    #[test]
    fn what_was_read_is_answered_before_the_end_and_nothing_more_is_read() {
        let mut leaving = Leaving::new(Millis(0));
        let unfinished = Unfinished { answers: true, ..NOTHING };
        assert!(!leaving.is_over(Millis(1_999), unfinished) && !leaving.reads());
        assert!(leaving.is_over(Millis(2_000), unfinished));
    }

    #[test]
    fn client_that_is_not_read_stays_so_though_a_delivery_was_sent_again() {
        let mut leaving = Leaving::new(Millis(0));
        assert!(!leaving.is_over(Millis(0), Unfinished { answers: true, ..NOTHING }));
        assert!(!leaving.is_over(Millis(1), Unfinished { deliveries: true, answers: true }));
        assert!(!leaving.reads());
    }
}
