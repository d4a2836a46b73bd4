//! What `/metrics` shows of the node.

use ha_node::Status;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Default)]
pub(super) struct Raft {
    term: Gauge,
    leader: Gauge,
    is_leader: Gauge,
    applied: Gauge,
    voters: Gauge,
    fault: Gauge,
}

impl Raft {
    pub(super) fn register(&self, registry: &mut Registry) {
        let r = self.clone();
        registry.register("term", "Term of the node", r.term);
        registry.register("leader", "Number of the server that leads; 0: none is known", r.leader);
        registry.register("is_leader", "1 while this server leads", r.is_leader);
        registry.register("applied_index", "Last entry of the log that is applied", r.applied);
        registry.register("voters", "Members with a vote", r.voters);
        registry.register("fault", "1 when the node has stopped by itself", r.fault);
    }

    pub(super) fn refresh(&self, status: &Status) {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.term.set(number(status.term));
        self.leader.set(number(status.leader.map_or(0, |leader| leader.0)));
        self.is_leader.set(status.is_leader.into());
        self.applied.set(number(status.applied.unwrap_or_default()));
        self.voters.set(number(status.voters.len() as u64));
        self.fault.set(status.fault.is_some().into());
    }
}
