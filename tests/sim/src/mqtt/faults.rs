//! What happens to the processes of a world, and to what is between them.

use std::collections::VecDeque;

use super::broker::Broker;
use super::raft::NodeId;
use super::world::{Process, World};
use crate::network::{BrokerId, Delays, Told, Way};

impl World {
    /// How long packets take from now on.
    pub fn set_delays(&mut self, delays: Delays) {
        self.network.delays = delays;
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
        self.stores[id] = node.store(&mut self.random);
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

    /// A node that is gone is back, and one that was cut off is reached.
    pub fn heal_node(&mut self, id: NodeId) {
        self.nodes[id].back_at = self.now;
        self.cut_until[id] = self.now;
    }

    /// What goes one way between a broker and all nodes arrives later; the other way is open.
    pub fn hold(&mut self, id: BrokerId, way: Way, for_ms: u64) {
        self.network.hold(id, way, self.now + for_ms);
    }

    /// What was held goes on.
    pub fn release(&mut self, id: BrokerId, way: Way) {
        self.network.release(self.now, id, way);
    }
}
