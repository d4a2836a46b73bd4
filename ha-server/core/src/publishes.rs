//! The numbered publishes of one broker: which may come next, and which are not answered.

use std::collections::VecDeque;

use ha_types::link::PublishOutcome;
use ha_types::{PublishNumber, RetainedVersion};

use crate::broker_set::BrokerSet;

/// A publish that is not answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) number: PublishNumber,
    /// `None`: it waits for the log.
    pub(crate) answer: Option<(PublishOutcome, RetainedVersion)>,
    /// The proof of leadership that it waits for; zero: none.
    pub(crate) proof: u64,
    /// Brokers that were given it, or will be, and have not said that they received it.
    pub(crate) waits_for: BrokerSet,
}

/// See the module. Outlives the broker's streams: what comes again is what is held.
#[derive(Debug, Default)]
pub(crate) struct Publishes {
    /// The highest number in this leadership; `None`: any may come first.
    pub(crate) taken: Option<PublishNumber>,
    /// The last on the present stream; `None`: none yet.
    pub(crate) said: Option<PublishNumber>,
    /// Without gaps in their numbers, up to `taken`; at most the publish window long.
    pub(crate) held: VecDeque<Held>,
    /// Those that wait for the log.
    pub(crate) in_log: usize,
    /// Those without a number that wait for the log to be retained.
    pub(crate) unnumbered: usize,
}

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// It did not come before.
    First,
    /// It did, and is not answered.
    Again,
    /// It was answered in this leadership, and the answer was lost.
    Answered,
}

impl Publishes {
    /// Takes the next number of the stream. A stream may begin with any that was not answered, or that
    /// was; and under a new leader with any.
    ///
    /// # Errors
    /// Why this one may not come next.
    pub(crate) fn take(&mut self, number: PublishNumber, window: u32) -> Result<Came, String> {
        let previous = number.0.checked_sub(1).map(PublishNumber);
        let follows = previous.is_some()
            && match (self.said, self.held.front()) {
                (Some(last), _) => previous == Some(last),
                (None, Some(first)) => number <= first.number,
                (None, None) => self.taken.is_none_or(|taken| previous <= Some(taken)),
            };
        if !follows {
            let last = self.said.or(self.taken).unwrap_or_default();
            return Err(format!("publish number {number} does not follow {last}"));
        }
        let is_new = self.taken.is_none_or(|taken| number > taken);
        if is_new && self.held.len() >= window as usize {
            return Err(format!("more than {window} unanswered publishes"));
        }
        self.said = Some(number);
        if is_new {
            self.taken = Some(number);
            return Ok(Came::First);
        }
        let is_held = self.held.front().is_some_and(|first| number >= first.number);
        Ok(if is_held { Came::Again } else { Came::Answered })
    }

    pub(crate) fn find(&mut self, number: PublishNumber) -> Option<&mut Held> {
        let at = number.0.checked_sub(self.held.front()?.number.0)?;
        self.held.get_mut(usize::try_from(at).ok()?)
    }

    /// The next that waits for nobody, if its broker has sent it on the present stream.
    pub(crate) fn next_answer(
        &mut self,
        proven: u64,
    ) -> Option<(PublishNumber, PublishOutcome, RetainedVersion)> {
        let first = self.held.front()?;
        let (outcome, retained) = first.answer?;
        let is_ready =
            first.proof <= proven && first.waits_for.is_empty() && Some(first.number) <= self.said;
        let number = first.number;
        is_ready.then(|| self.held.pop_front())??;
        Some((number, outcome, retained))
    }
}
