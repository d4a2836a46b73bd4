//! A node of ha-server: the real state and the real leader, on a log that cannot be lost.

use std::collections::{BTreeMap, VecDeque};

use ha_core::cluster::{Applied, Batch, ClusterState, Command};
use ha_core::{Config, Distributor, FanOut, Input, Output, StreamId};
use ha_types::link::{Downstream, Goodbye, GoodbyeReason};
use ha_types::{ClusterMillis, Millis, ServerIncarnation};

use super::clock::{Clock, Pace};
use super::raft::{NodeId, Raft};
use crate::network::{Network, Packet, Wire};
use crate::random::Random;
use crate::server::{CLUSTER_TIME, LEASE_MS, is_protocol_error};

/// Longest time from apply to when the leader sees the outcome, in milliseconds.
const OUTCOME_MS_MAX: u64 = 4;

/// Longest time that a proof of leadership takes.
const CONFIRM_MS_MAX: u64 = 6;

/// Entries from one save of the store to the next, and check of everything.
const SAVES: usize = 37;

/// One run of one node.
#[derive(Debug)]
pub struct Node {
    id: NodeId,
    /// The replicated state as far as it is applied here.
    pub state: ClusterState,
    applied: usize,
    store: Store,
    /// The save before the last.
    store_before: Store,
    leading: Option<Leading>,
}

/// What survives a crash beside the log.
#[derive(Clone, Debug, Default)]
pub struct Store {
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    applied: usize,
}

/// While it leads, or believes so.
#[derive(Debug)]
struct Leading {
    term: u64,
    since: u64,
    pace: Pace,
    core: Distributor,
    wires: Vec<Wire>,
    /// Entries that were proposed by this leadership are those after so many.
    begins_at: usize,
    outcomes: VecDeque<(u64, Applied)>,
    proofs: VecDeque<(u64, u64)>,
    commands: Vec<Command>,
}

impl Leading {
    /// Its own time.
    fn time(&self, now: u64) -> Millis {
        Millis(self.pace.read(now - self.since))
    }

    /// When that is this.
    fn when(&self, at: Millis) -> u64 {
        self.since + self.pace.when(at.0)
    }
}

impl Node {
    /// Starts from what survived.
    #[must_use]
    pub fn start(id: NodeId, store: Store) -> Self {
        let state = ClusterState::load(&store.records).expect("the store has what was written");
        let store_before = store.clone();
        Self { id, state, applied: store.applied, store, store_before, leading: None }
    }

    /// What survives when it is killed now: the last save is whole, or was not synced or torn, and
    /// then nothing of it is there.
    #[must_use]
    pub fn store(&self, random: &mut Random) -> Store {
        let is_synced = random.once_in(2);
        if is_synced { self.store.clone() } else { self.store_before.clone() }
    }

    /// Whether it believes that it leads in this term.
    #[must_use]
    pub fn leads_in(&self) -> Option<u64> {
        self.leading.as_ref().map(|leading| leading.term)
    }

    /// When it wants to be stepped.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        let leading = self.leading.as_ref()?;
        let core = leading.core.deadline(&self.state).map(|at| leading.when(at));
        let outcome = leading.outcomes.front().map(|(at, _)| *at);
        let proof = leading.proofs.front().map(|(at, _)| *at);
        core.into_iter().chain(outcome).chain(proof).min()
    }

    /// Applies what is committed, and tells its leader part of what came of its own.
    pub fn apply(&mut self, now: u64, raft: &Raft, random: &mut Random) {
        for entry in raft.after(self.applied) {
            let is_foreign = raft.is_foreign(self.applied);
            self.applied += 1;
            let index = u64::try_from(self.applied).expect("fits");
            let applied = self.state.apply(index, entry);
            let due = now + random.between(0, OUTCOME_MS_MAX);
            if let Some(leading) = &mut self.leading
                && leading.term == raft.term
                && !is_foreign
                && self.applied > leading.begins_at
            {
                let last = leading.outcomes.back().map_or(0, |(at, _)| *at);
                leading.outcomes.push_back((due.max(last), applied));
            }
            if self.applied.is_multiple_of(SAVES) {
                self.save();
            }
        }
    }

    /// The store follows, and everything else is computed from it.
    fn save(&mut self) {
        self.state.check_invariants();
        self.store_before.clone_from(&self.store);
        for (key, value) in self.state.take_changes() {
            match value {
                Some(value) => self.store.records.insert(key, value.to_vec()),
                None => self.store.records.remove(&key),
            };
        }
        self.store.applied = self.applied;
    }

    /// It was elected, and has applied everything.
    pub fn lead(&mut self, now: u64, term: u64, clock: Clock) {
        let config = Config {
            server: ServerIncarnation(term),
            software: "ha-server sim".into(),
            wall_time: ClusterMillis(CLUSTER_TIME.0 + now + clock.ahead_ms),
            lease_ms: LEASE_MS,
            heartbeat_ms: 250,
            fan_out: FanOut::Interest,
            brokers_max: 5,
            filters_max: 1_000,
            queue_bytes: 100_000,
            stall_ms: 3_000,
            publish_window: 16,
        };
        let core = Distributor::new(config, &self.state);
        self.leading = Some(Leading {
            term,
            since: now,
            pace: clock.pace,
            core,
            wires: Vec::new(),
            begins_at: self.applied,
            outcomes: VecDeque::new(),
            proofs: VecDeque::new(),
            commands: Vec::new(),
        });
    }

    /// It has learnt that it does not lead.
    pub fn resign(&mut self, now: u64, network: &mut Network) {
        let Some(leading) = self.leading.take() else { return };
        for wire in leading.wires {
            refuse(now, wire, None, network);
        }
    }

    /// A packet arrived. `leader` is who leads, as far as this node knows.
    pub fn receive(
        &mut self,
        now: u64,
        (wire, packet): (Wire, Packet),
        leader: Option<NodeId>,
        around: &mut Around<'_>,
    ) {
        let stream = StreamId(wire);
        let Some(leading) = &mut self.leading else {
            match packet {
                Packet::Opened => refuse(now, wire, leader, around.network),
                Packet::HeartbeatUp(..) => {
                    around.network.send(now, wire, Packet::BrokenForBroker("does not lead"));
                }
                _ => (),
            }
            return;
        };
        let input = match packet {
            Packet::Opened => {
                leading.wires.push(wire);
                Input::Opened(stream, format!("wire {wire}"))
            }
            Packet::Up(item) => Input::Received(stream, vec![item]),
            Packet::HalfClosed | Packet::BrokenForServer => Input::Broken(stream),
            Packet::HeartbeatUp(epoch, sequence) => {
                let (mut out, at) = (Vec::new(), leading.time(now));
                let answer = leading.core.heartbeat(at, &self.state, epoch, &mut out);
                self.act(now, out, around);
                let packet = Packet::HeartbeatDown(sequence, answer, self.state.applied());
                return around.network.send(now, wire, packet);
            }
            Packet::Down(..) | Packet::BrokenForBroker(_) | Packet::HeartbeatDown(..) => {
                unreachable!("for brokers")
            }
        };
        self.step(now, input, around);
    }

    /// What it sent was written.
    pub fn written(&mut self, now: u64, wire: Wire, bytes: usize, around: &mut Around<'_>) {
        if self.leading.as_ref().is_some_and(|leading| leading.wires.contains(&wire)) {
            self.step(now, Input::Written(StreamId(wire), bytes), around);
        }
    }

    /// Everything that is due.
    pub fn tick(&mut self, now: u64, around: &mut Around<'_>) {
        while let Some(leading) = &mut self.leading {
            let input =
                if let Some((_, applied)) = leading.outcomes.pop_front_if(|(at, _)| *at <= now) {
                    Input::Applied(applied)
                } else if let Some((_, proof)) = leading.proofs.pop_front_if(|(at, _)| *at <= now) {
                    Input::Confirmed(proof)
                } else {
                    let due = leading.core.deadline(&self.state);
                    if due.is_none_or(|at| leading.when(at) > now) {
                        return;
                    }
                    Input::Tick
                };
            self.step(now, input, around);
            if self.deadline().is_none_or(|at| at > now) {
                return;
            }
        }
    }

    fn step(&mut self, now: u64, input: Input, around: &mut Around<'_>) {
        let Some(leading) = &mut self.leading else { return };
        let mut out = Vec::new();
        let at = leading.time(now);
        leading.core.step(at, &self.state, input, &mut out);
        self.act(now, out, around);
    }

    fn act(&mut self, now: u64, out: Vec<Output>, around: &mut Around<'_>) {
        let Some(leading) = &mut self.leading else { return };
        leading.core.check_invariants();
        for output in out {
            match output {
                Output::Send(StreamId(wire), item, bytes) => {
                    assert!(!is_protocol_error(&item), "{item:?}");
                    around.network.send(now, wire, Packet::Down(item, bytes));
                }
                Output::End(StreamId(wire)) => {
                    leading.wires.retain(|known| *known != wire);
                    around.network.send(now, wire, Packet::BrokenForBroker("ended"));
                }
                Output::Propose(command) => leading.commands.push(command),
                // A leader that was replaced finds no majority.
                Output::Confirm(proof) if leading.term == around.raft.term => {
                    let due = now + around.random.between(1, CONFIRM_MS_MAX);
                    leading.proofs.push_back((due, proof));
                }
                Output::Confirm(_) | Output::Note(_) => (),
            }
        }
        let commands = std::mem::take(&mut leading.commands);
        if !commands.is_empty() {
            let batch = Batch { time: leading.core.cluster_time(), commands };
            around.raft.propose(now, leading.term, batch.encode());
        }
    }

    /// # Panics
    /// Something in its state or its leader is not as it must be.
    pub fn check_invariants(&self) {
        self.state.check_invariants();
        if let Some(leading) = &self.leading {
            leading.core.check_invariants();
        }
    }

    /// Which node it is.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }
}

/// What a node acts on.
#[derive(Debug)]
pub struct Around<'a> {
    /// To brokers.
    pub network: &'a mut Network,
    /// To the other nodes.
    pub raft: &'a mut Raft,
    /// Chance.
    pub random: &'a mut Random,
}

fn refuse(now: u64, wire: Wire, leader: Option<NodeId>, network: &mut Network) {
    let goodbye = Goodbye {
        reason: GoodbyeReason::NotLeader,
        detail: "another node leads".into(),
        leader: leader.map(|id| id.to_string()),
    };
    network.send(now, wire, Packet::Down(Downstream::Goodbye(goodbye), 0));
    network.send(now, wire, Packet::BrokenForBroker("ended"));
}
