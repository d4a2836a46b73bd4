//! What operators ask of the leader.

use ha_core::cluster::{Batch, FeatureLevel};
use ha_core::{DrainOrder, DrainRefusal, HeartbeatAnswer, Kick, Kicked, StreamId};
use ha_types::ClusterMillis;
use ha_types::link::Duty;

use super::{Cluster, Log};

impl Cluster {
    pub(crate) fn kick(&mut self, client_id: &str, what: Kick) -> Kicked {
        let mut out = Vec::new();
        let kicked = self.core.kick(self.now, &self.state, (client_id, what), &mut out);
        self.record(out);
        if self.log == Log::Prompt {
            self.settle();
        }
        kicked
    }

    /// All members understand this.
    pub(crate) fn raise(&mut self, level: FeatureLevel) {
        let commands = vec![ha_core::cluster::Command::Raise(level)];
        self.index += 1;
        self.state.apply(self.index, &Batch { time: ClusterMillis(0), commands }.encode());
    }

    /// As a heartbeat of this broker says it.
    pub(crate) fn say_duty(&mut self, stream: StreamId, duty: Duty) {
        let epoch = self.welcome(stream).epoch;
        self.core.note_duty(epoch, duty);
        assert_eq!(self.heartbeat(epoch), HeartbeatAnswer::Kept);
    }

    pub(crate) fn order(&mut self, name: &str, order: DrainOrder) -> Result<(), DrainRefusal> {
        let mut out = Vec::new();
        let told = self.core.order(name, order, &mut out);
        self.record(out);
        told
    }
}
