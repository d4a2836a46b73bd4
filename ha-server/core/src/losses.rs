//! What became of the sessions of lost brokers, for operators: the last few losses of this leadership.
//!
//! Decides nothing. The clients of a lost broker are remembered for a minute, so that an OPEN of one of
//! them counts for its loss.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ha_types::{BrokerEpoch, BrokerName, ClusterMillis, Millis};

use crate::cluster::ClusterState;
use crate::interface::LostBy;

/// Losses that are remembered; the oldest gives way.
pub const LOSSES_MAX: usize = 16;

/// Clients that are waited for, of all losses together: some milliseconds to note, 16 bytes each. Beyond,
/// nobody looks when they are back.
const AWAITED_MAX: usize = 16_384;

/// A client that is back later has taken its time.
const AWAITED_MS: u64 = 60_000;

/// The end of one life of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerLoss {
    /// Which broker.
    pub name: BrokerName,
    /// Which life of it.
    pub epoch: BrokerEpoch,
    /// When it was noticed, in cluster time.
    pub at: ClusterMillis,
    /// Why it counts as lost.
    pub by: LostBy,
    /// Milliseconds from its last sign of life until then.
    pub silent_ms: u64,
    /// Clients that were connected to it.
    pub sessions: usize,
    /// Those of them that were connected again within a minute, anywhere.
    pub taken_up: usize,
    /// Milliseconds until the first of these was; `None`: there is none.
    pub first_ms: Option<u64>,
    /// Milliseconds until the last of these was.
    pub last_ms: Option<u64>,
}

#[derive(Debug)]
struct Noted {
    loss: BrokerLoss,
    number: u64,
    at: Millis,
    is_counted: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    noted: VecDeque<Noted>,
    /// Of which loss they are. At most [`AWAITED_MAX`].
    awaited: BTreeMap<Arc<str>, u64>,
    last: u64,
}

impl Losses {
    pub(crate) fn note(&mut self, now: Millis, loss: BrokerLoss) {
        if self.noted.len() == LOSSES_MAX {
            self.noted.pop_front();
        }
        self.last += 1;
        self.noted.push_back(Noted { loss, number: self.last, at: now, is_counted: false });
    }

    /// Looks at the sessions of those that were just lost, before these are freed.
    pub(crate) fn count(&mut self, state: &ClusterState) {
        for noted in self.noted.iter_mut().rev().take_while(|noted| !noted.is_counted) {
            noted.is_counted = true;
            for id in state.sessions_of(noted.loss.epoch) {
                noted.loss.sessions += 1;
                if self.awaited.len() < AWAITED_MAX
                    && let Some(client) = state.client_of(id)
                {
                    self.awaited.insert(Arc::clone(client), noted.number);
                }
            }
        }
    }

    /// A client has a connection.
    pub(crate) fn connected(&mut self, now: Millis, client_id: &str) {
        if self.noted.back().is_none_or(|last| now.since(last.at) > AWAITED_MS) {
            self.awaited = BTreeMap::new();
        }
        let Some(number) = self.awaited.remove(client_id) else { return };
        let noted = self.noted.iter_mut().find(|noted| noted.number == number);
        if let Some(Noted { loss, at, .. }) = noted
            && now.since(*at) <= AWAITED_MS
        {
            let after = now.since(*at);
            loss.taken_up += 1;
            loss.first_ms.get_or_insert(after);
            loss.last_ms = Some(after);
        }
    }

    /// Since the beginning.
    pub(crate) fn total(&self) -> u64 {
        self.last
    }

    /// From the oldest on.
    pub(crate) fn all(&self) -> impl Iterator<Item = &BrokerLoss> {
        self.noted.iter().map(|noted| &noted.loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(epoch: u64) -> BrokerLoss {
        BrokerLoss {
            name: BrokerName::parse("b").unwrap(),
            epoch: BrokerEpoch(epoch),
            at: ClusterMillis(0),
            by: LostBy::Lease,
            silent_ms: 1_000,
            sessions: 0,
            taken_up: 0,
            first_ms: None,
            last_ms: None,
        }
    }

    /// Noted at 100, with this client.
    fn awaiting(client_id: &str) -> Losses {
        let mut losses = Losses::default();
        losses.note(Millis(100), loss(1));
        losses.awaited.insert(client_id.into(), 1);
        losses
    }

    fn taken_up(losses: &Losses) -> (usize, Option<u64>, Option<u64>) {
        let loss = losses.all().next().unwrap();
        (loss.taken_up, loss.first_ms, loss.last_ms)
    }

    #[test]
    fn client_counts_once_when_it_is_back_and_others_do_not() {
        let mut losses = awaiting("a");
        losses.awaited.insert("b".into(), 1);
        losses.connected(Millis(150), "stranger");
        for now in [350, 400] {
            losses.connected(Millis(now), "a");
        }
        assert_eq!(taken_up(&losses), (1, Some(250), Some(250)));
        losses.connected(Millis(1_100), "b");
        assert_eq!(taken_up(&losses), (2, Some(250), Some(1_000)));
    }

    #[test]
    fn client_that_is_back_after_a_minute_has_taken_its_time() {
        for (now, count) in [(60_100, 1), (60_101, 0)] {
            let mut losses = awaiting("a");
            losses.connected(Millis(now), "a");
            assert_eq!(taken_up(&losses).0, count);
            assert!(losses.awaited.is_empty());
        }
    }

    #[test]
    fn oldest_loss_gives_way_and_its_clients_count_for_nobody() {
        let mut losses = awaiting("a");
        for epoch in 2..=17 {
            losses.note(Millis(200), loss(epoch));
        }
        losses.connected(Millis(300), "a");
        assert_eq!(losses.all().count(), LOSSES_MAX);
        assert!(losses.all().all(|loss| loss.taken_up == 0));
        assert_eq!(losses.all().next().unwrap().epoch, BrokerEpoch(2));
    }
}
