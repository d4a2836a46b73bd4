//! Three nodes, some brokers, their clients, and the network between them. One step handles one event.

use std::collections::{BTreeMap, VecDeque};

use ha_types::session::ConnectionId;

use super::broker::Broker;
use super::clock::{Clock, Pace};
use super::device::Device;
use super::node::{Around, Node, Store};
use super::raft::{NodeId, Raft};
use crate::network::{BrokerId, Delays, Network, Packet, Wire};
use crate::random::Random;

/// Milliseconds within which an old leader that can be told hears of the new one.
const RESIGN_MS_MAX: u64 = 40;

/// A process that may be gone for a while, or stand still.
#[derive(Debug)]
pub struct Process<T> {
    /// `None`: it is gone.
    pub running: Option<T>,
    /// When it starts again, or goes on.
    pub(super) back_at: u64,
    pub(super) waiting: VecDeque<(Wire, Packet)>,
}

impl<T> Process<T> {
    fn new(running: T) -> Self {
        Self { running: Some(running), back_at: 0, waiting: VecDeque::new() }
    }

    /// Whether it runs and does not stand still.
    #[must_use]
    pub fn is_awake(&self, now: u64) -> bool {
        self.running.is_some() && self.back_at <= now
    }

    fn wakes_at(&self, deadline: impl Fn(&T) -> Option<u64>) -> Option<u64> {
        match &self.running {
            None => Some(self.back_at),
            Some(_) if !self.waiting.is_empty() => Some(self.back_at),
            Some(running) => deadline(running).map(|at| at.max(self.back_at)),
        }
    }
}

/// A packet that arrived, at a process that runs or would.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// When.
    pub at: u64,
    /// At or from whom.
    pub broker: BrokerId,
    /// From or at whom.
    pub node: Option<NodeId>,
    /// What.
    pub packet: Packet,
}

/// A client and where it is connected.
#[derive(Debug)]
pub struct Client {
    /// Its side.
    pub device: Device,
    /// The broker, which run of it, and the connection.
    pub link: Option<(BrokerId, usize, ConnectionId)>,
}

/// See the module.
#[derive(Debug)]
pub struct World {
    /// Milliseconds since the start.
    pub now: u64,
    /// Chance of everything that is not the network's or the log's.
    pub random: Random,
    /// What the nodes agree on.
    pub raft: Raft,
    /// In the order of their ids.
    pub nodes: Vec<Process<Node>>,
    /// In the order of their ids.
    pub brokers: Vec<Process<Broker>>,
    /// All of them.
    pub clients: Vec<Client>,
    pub(super) network: Network,
    pub(super) stores: Vec<Store>,
    /// Nodes that the others cannot reach; brokers can.
    pub(super) cut_until: Vec<u64>,
    pub(super) resigns_at: Vec<Option<u64>>,
    pub(super) node_of: BTreeMap<Wire, NodeId>,
    pub(super) runs: Vec<usize>,
    pub(super) next_connection: u64,
    /// Of the nodes' machines.
    pub clocks: Vec<Clock>,
    /// How fast the brokers' clocks run.
    paces: Vec<Pace>,
    /// What arrives, if somebody wants to know.
    pub arrivals: Option<Vec<Arrival>>,
}

impl World {
    /// Everything starts at once.
    #[must_use]
    pub fn new(clocks: Vec<Clock>, paces: Vec<Pace>, delays: Delays, mut random: Random) -> Self {
        let (nodes, brokers) = (clocks.len(), paces.len());
        let mut seed = || Random::new(random.between(0, u64::MAX - 1));
        let (network, raft) = (Network::new(delays, seed()), Raft::new(seed()));
        let broker = |(id, pace): (usize, &Pace)| Process::new(Broker::start(0, id, nodes, *pace));
        let node = |id| Process::new(Node::start(id, Store::default()));
        Self {
            now: 0,
            raft,
            nodes: (0..nodes).map(node).collect(),
            brokers: paces.iter().enumerate().map(broker).collect(),
            clients: Vec::new(),
            network,
            stores: vec![Store::default(); nodes],
            cut_until: vec![0; nodes],
            resigns_at: vec![None; nodes],
            node_of: BTreeMap::new(),
            runs: vec![0; brokers],
            next_connection: 1,
            clocks,
            paces,
            arrivals: None,
            random,
        }
    }

    fn is_operative(&self, id: NodeId) -> bool {
        self.nodes[id].is_awake(self.now) && self.cut_until[id] <= self.now
    }

    fn operative(&self) -> Vec<NodeId> {
        (0..self.nodes.len()).filter(|&id| self.is_operative(id)).collect()
    }

    fn has_majority(&self) -> bool {
        self.operative().len() * 2 > self.nodes.len()
    }

    fn can_commit(&self) -> bool {
        self.is_operative(self.raft.leader) && self.has_majority()
    }

    fn is_led(&self) -> bool {
        let leader = self.nodes[self.raft.leader].running.as_ref();
        let leads = leader.is_some_and(|node| node.leads_in() == Some(self.raft.term));
        leads && self.can_commit()
    }

    /// When something happens next.
    fn next_event(&self) -> u64 {
        let now = self.now;
        let nodes = self.nodes.iter().filter_map(|node| node.wakes_at(Node::deadline));
        let brokers = self.brokers.iter();
        let brokers = brokers.filter_map(|of| of.wakes_at(|broker| broker.deadline(now)));
        let raft = self.raft.next_event(self.can_commit());
        let healed = self.cut_until.iter().copied().filter(|&at| at > now);
        let back = self.nodes.iter().map(|node| node.back_at).filter(|&at| at > now);
        let resigns = self.resigns_at.iter().flatten().copied().filter(|&at| at > now);
        let all = nodes.chain(brokers).chain(raft).chain(healed).chain(back).chain(resigns);
        let next = all.chain(self.network.next_arrival()).min();
        next.map_or(now + 1, |at| at.max(now))
    }

    /// Until `end`.
    pub fn run_until(&mut self, end: u64) {
        while self.now < end {
            self.step(end);
        }
    }

    /// What happens next, if that is before `end`.
    pub fn step(&mut self, end: u64) {
        self.now = self.next_event().clamp(self.now, end);
        self.wake_nodes();
        self.step_raft();
        self.step_nodes();
        self.step_brokers();
        if let Some((wire, packet)) = self.network.receive(self.now) {
            self.arrive(wire, packet);
        } else if self.next_event() <= self.now {
            // What is due at this moment has been done; the clock goes on.
            self.now = (self.now + 1).min(end);
        }
    }

    fn wake_nodes(&mut self) {
        for id in 0..self.nodes.len() {
            let process = &mut self.nodes[id];
            if process.back_at <= self.now && process.running.is_none() {
                process.running = Some(Node::start(id, self.stores[id].clone()));
            }
        }
    }

    /// Commits, elections, and nodes that hear of them.
    fn step_raft(&mut self) {
        let is_led = self.is_led();
        self.raft.watch(self.now, is_led);
        if self.can_commit() {
            self.raft.commit(self.now);
        }
        if self.raft.is_due(self.now) && self.has_majority() {
            let candidates = self.operative();
            self.raft.elect(&candidates);
            self.lead();
        }
        for id in 0..self.nodes.len() {
            if self.is_operative(id) {
                self.hear(id);
            }
        }
    }

    fn lead(&mut self) {
        let (id, term) = (self.raft.leader, self.raft.term);
        let clock = self.clocks[id];
        self.resigns_at[id] = None;
        let node = self.nodes[id].running.as_mut().expect("it was elected");
        node.resign(self.now, &mut self.network);
        node.apply(self.now, &self.raft, &mut self.random);
        node.lead(self.now, term, clock);
    }

    fn hear(&mut self, id: NodeId) {
        let (now, term) = (self.now, self.raft.term);
        let node = self.nodes[id].running.as_mut().expect("it is operative");
        if node.leads_in().is_none_or(|of| of == term) {
            node.apply(now, &self.raft, &mut self.random);
            return;
        }
        // It believes that it leads: a while longer.
        let at = self.resigns_at[id].get_or_insert(now + self.random.between(0, RESIGN_MS_MAX));
        if *at <= now {
            self.resigns_at[id] = None;
            node.resign(now, &mut self.network);
            node.apply(now, &self.raft, &mut self.random);
        }
    }

    fn step_nodes(&mut self) {
        for id in 0..self.nodes.len() {
            if !self.nodes[id].is_awake(self.now) {
                continue;
            }
            for (wire, packet) in std::mem::take(&mut self.nodes[id].waiting) {
                self.arrive(wire, packet);
            }
            let node = self.nodes[id].running.as_mut().expect("it is awake");
            let (network, raft, random) = (&mut self.network, &mut self.raft, &mut self.random);
            node.tick(self.now, &mut Around { network, raft, random });
        }
    }

    fn step_brokers(&mut self) {
        for id in 0..self.brokers.len() {
            let now = self.now;
            let nodes = self.nodes.len();
            let (process, pace) = (&mut self.brokers[id], self.paces[id]);
            if process.back_at > now {
                continue;
            }
            let broker = process.running.get_or_insert_with(|| Broker::start(now, id, nodes, pace));
            for (wire, packet) in std::mem::take(&mut process.waiting) {
                broker.receive(now, wire, packet, &mut self.network);
            }
            if broker.deadline(now).is_some_and(|at| at <= now) {
                broker.tick(now, &mut self.network);
            }
            self.note_dialled(id);
        }
    }

    pub(super) fn note_dialled(&mut self, id: BrokerId) {
        if let Some(broker) = &mut self.brokers[id].running {
            self.node_of.extend(broker.dialled.drain(..));
        }
    }

    fn arrive(&mut self, wire: Wire, packet: Packet) {
        if let Some(arrivals) = &mut self.arrivals {
            let node = self.node_of.get(&wire).copied();
            let broker = self.network.broker_of(wire);
            arrivals.push(Arrival { at: self.now, broker, node, packet: packet.clone() });
        }
        if packet.is_for_server() {
            self.arrive_at_node(wire, packet);
        } else {
            self.arrive_at_broker(wire, packet);
        }
    }

    fn arrive_at_node(&mut self, wire: Wire, packet: Packet) {
        let (now, id) = (self.now, self.node_of[&wire]);
        let leader = self.raft.leader;
        let process = &mut self.nodes[id];
        if process.running.is_some() && process.back_at > now {
            process.waiting.push_back((wire, packet));
            return;
        }
        let (network, raft, random) = (&mut self.network, &mut self.raft, &mut self.random);
        match &mut process.running {
            None => {
                if matches!(packet, Packet::Opened) {
                    network.send(now, wire, Packet::BrokenForBroker("connection refused"));
                }
            }
            Some(node) => {
                let known = (leader != id).then_some(leader);
                node.receive(now, (wire, packet), known, &mut Around { network, raft, random });
            }
        }
    }

    fn arrive_at_broker(&mut self, wire: Wire, packet: Packet) {
        let (now, id) = (self.now, self.network.broker_of(wire));
        let process = &mut self.brokers[id];
        if process.running.is_some() && process.back_at > now {
            process.waiting.push_back((wire, packet));
            return;
        }
        if let (Packet::Down(_, bytes), Some(node)) = (&packet, self.node_of.get(&wire))
            && self.nodes[*node].is_awake(now)
            && let Some(node) = &mut self.nodes[*node].running
        {
            // A broker that reads lets ha-server write.
            let (network, raft, random) = (&mut self.network, &mut self.raft, &mut self.random);
            node.written(now, wire, *bytes, &mut Around { network, raft, random });
        }
        if let Some(broker) = &mut self.brokers[id].running {
            broker.receive(now, wire, packet, &mut self.network);
        }
        self.note_dialled(id);
    }
}
