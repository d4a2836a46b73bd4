//! Brokers: which lives of them may say something, and what they have said.

use std::collections::{BTreeMap, BTreeSet};

use ha_types::session::RefuseReason;
use ha_types::{AskNumber, BrokerEpoch, BrokerName, Incarnation, PublishNumber};

use super::ClusterState;
use super::command::Asked;
use super::outcome::Outcome;
use super::record::Key;

/// Publishes that were not taken and are remembered: more than a broker may have unanswered.
const REFUSED_MAX: usize = 65_536;

/// Asks that are remembered while an earlier one is not done. An OPEN waits for a tenth of a second.
const ASKED_ABOVE_MAX: usize = 65_536;

/// One life of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broker {
    pub(super) name: BrokerName,
    pub(super) incarnation: Incarnation,
    /// Not: its sessions are being freed.
    pub(super) is_alive: bool,
    pub(super) numbers: Numbers,
    pub(super) asked: AskedUpto,
}

/// What became of the numbered publishes of one run of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    /// The first life of this run: what its publishes are known by in all others.
    pub(super) origin: BrokerEpoch,
    /// The highest number that was applied.
    pub(super) published: PublishNumber,
    /// The last ones of these that nobody got, so that a repeat gets the same answer.
    pub(super) refused: BTreeMap<PublishNumber, Refusal>,
}

/// Why nobody got a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A limit was reached.
    QuotaExceeded,
    /// Its session had another owner.
    Fenced,
    /// Its exchange had begun before.
    Repeat,
}

/// Whether a publish is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbered {
    New,
    Taken,
    Refused(Refusal),
}

/// Asks that were done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AskedUpto {
    /// All up to here.
    pub(super) upto: AskNumber,
    /// And these.
    pub(super) above: BTreeSet<AskNumber>,
}

/// Whether an ask is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    First,
    Again,
}

impl AskedUpto {
    /// When too many are remembered, what is missing below the first of them counts as done: an OPEN
    /// that waited for so long is then refused.
    fn take(&mut self, number: AskNumber) -> Asking {
        if number <= self.upto || !self.above.insert(number) {
            return Asking::Again;
        }
        if self.above.len() > ASKED_ABOVE_MAX {
            self.upto = self.above.pop_first().unwrap_or(self.upto);
        }
        while let Some(next) = self.upto.0.checked_add(1).map(AskNumber)
            && self.above.remove(&next)
        {
            self.upto = next;
        }
        Asking::First
    }
}

impl Numbers {
    /// Of a run that has published nothing yet.
    pub(super) fn new(origin: BrokerEpoch) -> Self {
        Self { origin, published: PublishNumber(0), refused: BTreeMap::new() }
    }

    pub(super) fn take(&mut self, number: PublishNumber) -> Numbered {
        if let Some(refusal) = self.refused.get(&number) {
            return Numbered::Refused(*refusal);
        }
        if number <= self.published {
            return Numbered::Taken;
        }
        self.published = number;
        Numbered::New
    }

    pub(super) fn refuse(&mut self, number: PublishNumber, why: Refusal) {
        self.refused.insert(number, why);
        self.keep_refused(REFUSED_MAX);
    }

    /// The last so many of those that nobody got.
    pub(super) fn keep_refused(&mut self, at_most: usize) {
        while self.refused.len() > at_most {
            self.refused.pop_first();
        }
    }
}

impl ClusterState {
    /// A repeat is answered again. A newer run of the same name ends the older; a run that was lost goes
    /// on in a new life.
    pub(super) fn join(&mut self, name: BrokerName, incarnation: Incarnation) -> Outcome {
        let known =
            self.brokers.iter_mut().find(|(_, broker)| broker.name == name && broker.is_alive);
        if let Some((epoch, broker)) = known {
            if broker.incarnation == incarnation {
                return Outcome::Joined(*epoch);
            }
            if broker.incarnation > incarnation {
                return Outcome::Refused(RefuseReason::NotAuthorized);
            }
            broker.is_alive = false;
            self.changed.insert(Key::Broker(*epoch));
        }
        let epoch = BrokerEpoch(self.next_epoch);
        self.next_epoch += 1;
        let numbers = self.recall(&name, incarnation).unwrap_or_else(|| Numbers::new(epoch));
        let asked = AskedUpto::default();
        let broker = Broker { name, incarnation, is_alive: true, numbers, asked };
        self.brokers.insert(epoch, broker);
        self.changed.insert(Key::Broker(epoch));
        Outcome::Joined(epoch)
    }

    pub(super) fn leave(&mut self, broker: BrokerEpoch) -> Outcome {
        let Some(known) = self.brokers.get_mut(&broker) else { return Outcome::Fenced };
        if std::mem::replace(&mut known.is_alive, false) {
            self.remember(broker);
        }
        Outcome::Done
    }

    pub(super) fn is_alive(&self, broker: BrokerEpoch) -> bool {
        self.brokers.get(&broker).is_some_and(|broker| broker.is_alive)
    }

    /// Remembers an ask. `None`: its broker is lost, and changes nothing.
    pub(super) fn ask(&mut self, asked: Asked) -> Option<Asking> {
        let broker = self.brokers.get_mut(&asked.broker).filter(|broker| broker.is_alive)?;
        self.changed.insert(Key::Broker(asked.broker));
        Some(broker.asked.take(asked.number))
    }

    pub(super) fn pass(&mut self, asked: Asked) -> Outcome {
        if self.ask(asked).is_some() { Outcome::Done } else { Outcome::Fenced }
    }

    /// Brokers that are not lost, by their epochs.
    pub fn alive(&self) -> impl Iterator<Item = (BrokerEpoch, &BrokerName, Incarnation)> {
        let alive = self.brokers.iter().filter(|(_, broker)| broker.is_alive);
        alive.map(|(epoch, broker)| (*epoch, &broker.name, broker.incarnation))
    }

    /// How operators know a broker; `None`: it is not known.
    #[must_use]
    pub fn name_of(&self, broker: BrokerEpoch) -> Option<&BrokerName> {
        Some(&self.brokers.get(&broker)?.name)
    }

    /// The first life of this broker's run: its publishes are known by that and their numbers, which go
    /// on in all lives of the run. `None`: the broker is not known.
    #[must_use]
    pub fn origin(&self, broker: BrokerEpoch) -> Option<BrokerEpoch> {
        Some(self.brokers.get(&broker)?.numbers.origin)
    }

    /// Why nobody got this publish, if that is so.
    #[must_use]
    pub fn refusal(&self, broker: BrokerEpoch, number: PublishNumber) -> Option<Refusal> {
        self.brokers.get(&broker)?.numbers.refused.get(&number).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(upto: &mut AskedUpto, numbers: &[u64]) -> Vec<Asking> {
        numbers.iter().map(|&number| upto.take(AskNumber(number))).collect()
    }

    #[test]
    fn asks_are_done_once_in_whatever_order_they_come() {
        use Asking::{Again, First};
        let mut upto = AskedUpto::default();
        assert_eq!(
            taken(&mut upto, &[2, 3, 2, 1, 3, 1]),
            [First, First, Again, First, Again, Again]
        );
        assert_eq!((upto.upto, upto.above.len()), (AskNumber(3), 0));
        assert_eq!(taken(&mut upto, &[u64::MAX, u64::MAX]), [First, Again]);
    }

    #[test]
    fn of_refused_publishes_the_last_are_kept() {
        let mut numbers = Numbers::new(BrokerEpoch(1));
        for number in (1..=3).map(PublishNumber) {
            assert_eq!(numbers.take(number), Numbered::New);
            numbers.refuse(number, Refusal::QuotaExceeded);
        }
        numbers.keep_refused(1);
        let again = [2, 3].map(|number| numbers.take(PublishNumber(number)));
        assert_eq!(again, [Numbered::Taken, Numbered::Refused(Refusal::QuotaExceeded)]);
    }

    #[test]
    fn one_that_is_missing_while_too_many_are_remembered_counts_as_done() {
        let mut upto = AskedUpto::default();
        let above = 2..2 + ASKED_ABOVE_MAX as u64;
        above.for_each(|number| assert_eq!(upto.take(AskNumber(number)), Asking::First));
        assert_eq!(upto.upto, AskNumber(0));
        let next = AskNumber(2 + ASKED_ABOVE_MAX as u64);
        assert_eq!(upto.take(next), Asking::First);
        assert_eq!((upto.upto, upto.above.len()), (next, 0));
        assert_eq!(upto.take(AskNumber(1)), Asking::Again);
    }
}
