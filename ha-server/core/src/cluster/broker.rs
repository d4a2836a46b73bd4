//! Brokers: which lives of them may say something.

use std::collections::BTreeSet;

use ha_types::session::RefuseReason;
use ha_types::{BrokerEpoch, BrokerName, Incarnation, PublishNumber};

use super::ClusterState;
use super::outcome::Outcome;
use super::record::Key;

/// Refused publishes that are remembered: more than a broker may have unanswered.
const REFUSED_MAX: usize = 65_536;

/// One life of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broker {
    pub(super) name: BrokerName,
    pub(super) incarnation: Incarnation,
    /// Not: its sessions are being freed.
    pub(super) is_alive: bool,
    /// The highest number that was applied.
    pub(super) published: PublishNumber,
    /// The last ones of these that were refused, so that a repeat gets the same answer.
    pub(super) refused: BTreeSet<PublishNumber>,
}

/// Whether a publish is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbered {
    New,
    Taken,
    Refused,
}

impl Broker {
    pub(super) fn number(&mut self, number: PublishNumber) -> Numbered {
        if self.refused.contains(&number) {
            return Numbered::Refused;
        }
        if number <= self.published {
            return Numbered::Taken;
        }
        self.published = number;
        Numbered::New
    }

    pub(super) fn refuse(&mut self, number: PublishNumber) {
        self.refused.insert(number);
        if self.refused.len() > REFUSED_MAX {
            self.refused.pop_first();
        }
    }
}

impl ClusterState {
    /// A repeat is answered again. A newer life of the same name ends the older.
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
        let broker = Broker {
            name,
            incarnation,
            is_alive: true,
            published: PublishNumber(0),
            refused: BTreeSet::new(),
        };
        self.brokers.insert(epoch, broker);
        self.changed.insert(Key::Broker(epoch));
        Outcome::Joined(epoch)
    }

    pub(super) fn leave(&mut self, broker: BrokerEpoch) -> Outcome {
        let Some(known) = self.brokers.get_mut(&broker) else { return Outcome::Fenced };
        known.is_alive = false;
        self.changed.insert(Key::Broker(broker));
        Outcome::Done
    }

    pub(super) fn is_alive(&self, broker: BrokerEpoch) -> bool {
        self.brokers.get(&broker).is_some_and(|broker| broker.is_alive)
    }
}
