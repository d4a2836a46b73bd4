//! What operators see of the brokers.

use ha_types::link::Duty;
use ha_types::{BrokerEpoch, BrokerName, Millis};

use crate::broker::{Broker, Link};
use crate::distributor::Distributor;
use crate::losses::BrokerLoss;

/// How a broker is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerState {
    /// Its stream is open.
    Attached,
    /// Its stream is broken, its lease runs.
    Detached,
    /// Its lease ran out, or it said goodbye.
    Lost,
}

/// One broker, as of now.
#[derive(Clone, Debug)]
pub struct BrokerView {
    /// Who.
    pub name: BrokerName,
    /// How it is connected.
    pub state: BrokerState,
    /// Its fencing token.
    pub epoch: BrokerEpoch,
    /// Where its last stream came from.
    pub address: String,
    /// Program and version.
    pub software: String,
    /// It lets its clients go, or has done so.
    pub is_draining: bool,
    /// Milliseconds since it attached or sent a heartbeat.
    pub lease_age_ms: u64,
    /// Distinct topic filters.
    pub filters: usize,
    /// Bytes that wait for it.
    pub queued_bytes: usize,
    /// Messages that it published.
    pub published: u64,
    /// Messages that were given to it.
    pub delivered: u64,
    /// Messages that were given to it and that it has not said to have received.
    pub unreceived: usize,
    /// Messages that were dropped because it was behind.
    pub dropped: u64,
}

impl Distributor {
    /// All known brokers, by name.
    #[must_use]
    pub fn brokers(&self, now: Millis) -> Vec<BrokerView> {
        let mut views: Vec<_> = self.brokers.values().map(|broker| view(broker, now)).collect();
        views.sort_by(|a, b| a.name.cmp(&b.name));
        views
    }
}

impl Distributor {
    /// The last brokers that were lost in this leadership, from the oldest on: at most
    /// [`LOSSES_MAX`](crate::LOSSES_MAX).
    pub fn losses(&self) -> impl Iterator<Item = &BrokerLoss> {
        self.losses.all()
    }

    /// Brokers that were lost in this leadership.
    #[must_use]
    pub fn losses_total(&self) -> u64 {
        self.losses.total()
    }
}

fn view(broker: &Broker, now: Millis) -> BrokerView {
    BrokerView {
        name: broker.name.clone(),
        state: match broker.link {
            Link::Attached(_) => BrokerState::Attached,
            Link::Detached => BrokerState::Detached,
            Link::Lost(_) => BrokerState::Lost,
        },
        epoch: broker.epoch,
        address: broker.address.clone(),
        software: broker.software.clone(),
        is_draining: broker.duty == Duty::Drains,
        lease_age_ms: now.since(broker.heard_at),
        filters: broker.filters.len(),
        queued_bytes: broker.queued_bytes,
        published: broker.counters.published,
        delivered: broker.counters.delivered,
        unreceived: broker.receipts.unreceived.len(),
        dropped: broker.counters.dropped,
    }
}
