//! Three nodes, some brokers, their clients, and the network between them. One step handles one event.

use std::collections::{BTreeMap, VecDeque};

use ha_types::session::ConnectionId;

use super::broker::Broker;
use super::device::Device;
use super::node::{Around, Node, Store};
use super::raft::{NodeId, Raft};
use crate::network::{BrokerId, Delays, Network, Packet, Told, Wire};
use crate::random::Random;

/// Milliseconds within which an old leader that can be told hears of the new one.
const RESIGN_MS_MAX: u64 = 40;

/// A process that may be gone for a while, or stand still.
#[derive(Debug)]
pub struct Process<T> {
    /// `None`: it is gone.
    pub running: Option<T>,
    /// When it starts again, or goes on.
    back_at: u64,
    waiting: VecDeque<(Wire, Packet)>,
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
    network: Network,
    stores: Vec<Store>,
    /// Nodes that the others cannot reach; brokers can.
    cut_until: Vec<u64>,
    resigns_at: Vec<Option<u64>>,
    node_of: BTreeMap<Wire, NodeId>,
    runs: Vec<usize>,
    next_connection: u64,
    /// Clocks of the nodes are wrong by so much, in milliseconds.
    clock_error: Vec<u64>,
}

impl World {
    /// Everything starts at once.
    #[must_use]
    pub fn new(nodes: usize, brokers: usize, delays: Delays, mut random: Random) -> Self {
        let mut seed = || Random::new(random.between(0, u64::MAX - 1));
        let (network, raft) = (Network::new(delays, seed()), Raft::new(seed()));
        let clock_error = (0..nodes).map(|_| random.between(0, 300_000)).collect();
        let node = |id| Process::new(Node::start(id, Store::default()));
        Self {
            now: 0,
            raft,
            nodes: (0..nodes).map(node).collect(),
            brokers: (0..brokers).map(|id| Process::new(Broker::start(0, id, nodes))).collect(),
            clients: Vec::new(),
            network,
            stores: vec![Store::default(); nodes],
            cut_until: vec![0; nodes],
            resigns_at: vec![None; nodes],
            node_of: BTreeMap::new(),
            runs: vec![0; brokers],
            next_connection: 1,
            clock_error,
            random,
        }
    }

    /// How long packets take from now on.
    pub fn set_delays(&mut self, delays: Delays) {
        self.network.delays = delays;
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
        let wall = self.now + self.clock_error[id];
        self.resigns_at[id] = None;
        let node = self.nodes[id].running.as_mut().expect("it was elected");
        node.resign(self.now, &mut self.network);
        node.apply(self.now, &self.raft, &mut self.random);
        node.lead(self.now, term, wall);
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
            let process = &mut self.brokers[id];
            if process.back_at > now {
                continue;
            }
            let broker = process.running.get_or_insert_with(|| Broker::start(now, id, nodes));
            for (wire, packet) in std::mem::take(&mut process.waiting) {
                broker.receive(now, wire, packet, &mut self.network);
            }
            if broker.deadline(now).is_some_and(|at| at <= now) {
                broker.tick(now, &mut self.network);
            }
            self.note_dialled(id);
        }
    }

    fn note_dialled(&mut self, id: BrokerId) {
        if let Some(broker) = &mut self.brokers[id].running {
            self.node_of.extend(broker.dialled.drain(..));
        }
    }

    fn arrive(&mut self, wire: Wire, packet: Packet) {
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

    /// A client of an awake broker acts.
    pub fn act<T>(&mut self, id: BrokerId, act: impl FnOnce(&mut Broker) -> T) -> Option<T> {
        if !self.brokers[id].is_awake(self.now) {
            return None;
        }
        let broker = self.brokers[id].running.as_mut()?;
        let done = act(broker);
        broker.run(self.now, &mut self.network);
        self.note_dialled(id);
        Some(done)
    }

    /// A number for a connection.
    pub fn next_connection(&mut self) -> ConnectionId {
        self.next_connection += 1;
        ConnectionId(self.next_connection)
    }

    /// Which run of a broker it is.
    #[must_use]
    pub fn run_of(&self, id: BrokerId) -> usize {
        self.runs[id]
    }

    /// Breaks the streams of a broker.
    pub fn break_streams(&mut self, id: BrokerId) {
        let Some(broker) = &self.brokers[id].running else { return };
        for wire in broker.wires() {
            self.network.break_wire(self.now, wire, Told::Both);
        }
    }

    /// Kills a node, with what it had not saved; it starts again after a while.
    pub fn kill_node(&mut self, id: NodeId, after_ms: u64) {
        let Some(node) = self.nodes[id].running.take() else { return };
        self.stores[id] = node.store();
        let wires =
            self.brokers.iter().filter_map(|of| of.running.as_ref()).flat_map(Broker::wires);
        for wire in wires.filter(|wire| self.node_of[wire] == id) {
            self.network.break_wire(self.now, wire, Told::Broker);
        }
        self.resigns_at[id] = None;
        self.nodes[id] =
            Process { running: None, back_at: self.now + after_ms, waiting: VecDeque::new() };
    }

    /// Kills a broker with its clients' connections; a new run starts after a while.
    pub fn kill_broker(&mut self, id: BrokerId, after_ms: u64) {
        let Some(broker) = self.brokers[id].running.take() else { return };
        for wire in broker.wires() {
            self.network.break_wire(self.now, wire, Told::Server);
        }
        self.runs[id] += 1;
        self.brokers[id] =
            Process { running: None, back_at: self.now + after_ms, waiting: VecDeque::new() };
    }

    /// Lets a broker stand still for a while.
    pub fn pause_broker(&mut self, id: BrokerId, for_ms: u64) {
        self.brokers[id].back_at = self.brokers[id].back_at.max(self.now + for_ms);
    }

    /// Lets a node stand still for a while.
    pub fn pause_node(&mut self, id: NodeId, for_ms: u64) {
        self.nodes[id].back_at = self.nodes[id].back_at.max(self.now + for_ms);
    }

    /// The other nodes do not reach it for a while; brokers do.
    pub fn cut_node(&mut self, id: NodeId, for_ms: u64) {
        self.cut_until[id] = self.cut_until[id].max(self.now + for_ms);
    }
}
