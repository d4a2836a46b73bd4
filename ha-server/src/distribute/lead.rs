//! The [`Distributor`] of one leadership, stepped under the lock of the replicated state.

use std::collections::BTreeSet;

use ha_core::cluster::ClusterState;
use ha_core::{BrokerView, Config, Distributor, HeartbeatAnswer, Input, Output, StreamId};
use ha_types::{BrokerEpoch, ClusterMillis, Millis};

/// Exists while this node leads in one term.
pub(super) struct Lead {
    distributor: Distributor,
    /// Streams that the distributor knows. What still comes from older ones is not for it.
    streams: BTreeSet<StreamId>,
}

impl Lead {
    pub(super) fn new(config: Config, _state: &ClusterState) -> Self {
        Self { distributor: Distributor::new(config), streams: BTreeSet::new() }
    }

    pub(super) fn step(
        &mut self,
        now: Millis,
        _state: &ClusterState,
        input: Input,
        out: &mut Vec<Output>,
    ) {
        let is_known = match &input {
            Input::Opened(stream, _) => self.streams.insert(*stream),
            Input::Broken(stream) => self.streams.remove(stream),
            Input::Received(stream, _)
            | Input::Malformed(stream, _)
            | Input::Written(stream, _) => self.streams.contains(stream),
            Input::Tick | Input::ShutDown => true,
        };
        if is_known {
            self.distributor.step(now, input, out);
        }
    }

    pub(super) fn heartbeat(
        &mut self,
        now: Millis,
        _state: &ClusterState,
        epoch: BrokerEpoch,
        out: &mut Vec<Output>,
    ) -> (HeartbeatAnswer, ClusterMillis) {
        (self.distributor.heartbeat(now, epoch, out), self.distributor.cluster_time())
    }

    pub(super) fn deadline(&self, _state: &ClusterState) -> Option<Millis> {
        self.distributor.deadline()
    }

    pub(super) fn brokers(&self, now: Millis) -> Vec<BrokerView> {
        self.distributor.brokers(now)
    }

    /// Number and bytes of the retained messages.
    pub(super) fn retained(&self, _state: &ClusterState) -> (usize, usize) {
        (self.distributor.retained().len(), self.distributor.retained().bytes())
    }
}
