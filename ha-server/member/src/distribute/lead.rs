//! The [`Distributor`] of one leadership, with its clock and the streams that it knows.

use std::collections::BTreeSet;

use ha_core::cluster::ClusterState;
use ha_core::{
    BrokerLoss, BrokerView, Config, Distributor, DrainOrder, DrainRefusal, Input, Kick, Kicked,
    Output, StreamId,
};
use ha_types::link::Duty;
use ha_types::{BrokerEpoch, ClusterMillis, Millis};
use tokio::time::{Duration, Instant};

use super::handle::Beat;
use crate::incarnation::unix_time_ms;

/// Exists while this node leads in one term.
pub(super) struct Lead {
    distributor: Distributor,
    /// Its [`Millis`] zero.
    start: Instant,
    /// Streams that the distributor knows. What still comes from older ones is not for it.
    streams: BTreeSet<StreamId>,
}

impl Lead {
    pub(super) fn new(config: Config, state: &ClusterState) -> Self {
        let config = Config { wall_time: ClusterMillis(unix_time_ms()), ..config };
        let distributor = Distributor::new(config, state);
        Self { distributor, start: Instant::now(), streams: BTreeSet::new() }
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.start.elapsed().as_millis()).expect("fits for 500 My"))
    }

    pub(super) fn step(&mut self, state: &ClusterState, input: Input, out: &mut Vec<Output>) {
        let is_known = match &input {
            Input::Opened(stream, _) => self.streams.insert(*stream),
            Input::Broken(stream) => self.streams.remove(stream),
            Input::Received(stream, _)
            | Input::Malformed(stream, _)
            | Input::Written(stream, _) => self.streams.contains(stream),
            Input::Applied(_) | Input::Confirmed(_) | Input::Tick | Input::ShutDown => true,
        };
        if is_known {
            self.distributor.step(self.now(), state, input, out);
        }
    }

    pub(super) fn heartbeat(
        &mut self,
        state: &ClusterState,
        (epoch, duty): (BrokerEpoch, Duty),
        out: &mut Vec<Output>,
    ) -> Beat {
        self.distributor.note_duty(epoch, duty);
        let answer = self.distributor.heartbeat(self.now(), state, epoch, out);
        Beat { answer, cluster_time: self.distributor.cluster_time(), applied: state.applied() }
    }

    pub(super) fn kick(
        &mut self,
        state: &ClusterState,
        kick: (&str, Kick),
        out: &mut Vec<Output>,
    ) -> Kicked {
        self.distributor.kick(self.now(), state, kick, out)
    }

    pub(super) fn order(
        &mut self,
        name: &str,
        order: DrainOrder,
        out: &mut Vec<Output>,
    ) -> Result<(), DrainRefusal> {
        self.distributor.order(name, order, out)
    }

    /// When it must be stepped if nothing happens before.
    pub(super) fn deadline(&self, state: &ClusterState) -> Option<Instant> {
        let deadline = self.distributor.deadline(state);
        // One that is further away than a clock can say never comes.
        deadline.and_then(|at| self.start.checked_add(Duration::from_millis(at.0)))
    }

    /// As of the last step: what its proposals are stamped with.
    pub(super) fn cluster_time(&self) -> ClusterMillis {
        self.distributor.cluster_time()
    }

    pub(super) fn losses(&self) -> impl Iterator<Item = &BrokerLoss> {
        self.distributor.losses()
    }

    pub(super) fn losses_total(&self) -> u64 {
        self.distributor.losses_total()
    }

    pub(super) fn brokers(&self) -> Vec<BrokerView> {
        self.distributor.brokers(self.now())
    }
}
