//! One run of one broker, on the network.

use std::collections::BTreeMap;

use broker_core::codec::Connect;
use broker_core::{
    Close, Config, HeldBy, Input, LinkState, Mode, Output, Plugin, StreamId, Target,
};
use ha_core::HeartbeatAnswer;
use ha_types::session::ConnectionId;
use ha_types::{BrokerName, Incarnation, Millis};

use super::clock::Pace;
use super::host::Host;
use super::raft::NodeId;
use crate::network::{BrokerId, Network, Packet, Wire};
use crate::server::CLUSTER_TIME;

/// See the module.
#[derive(Debug)]
pub struct Broker {
    /// The real core of its plugin.
    pub core: Plugin,
    /// Its engines.
    pub host: Host,
    id: BrokerId,
    pace: Pace,
    wires: BTreeMap<Wire, StreamId>,
    /// Where it dials first, as if a load balancer were in between; `None`: as configured.
    pub led_to: Option<NodeId>,
    /// Streams that it has dialled since the last look, and where to.
    pub dialled: Vec<(Wire, NodeId)>,
}

impl Broker {
    /// Starts at `now`, so that a later run has a higher incarnation.
    #[must_use]
    pub fn start(now: u64, id: BrokerId, nodes: usize, pace: Pace) -> Self {
        let core = Plugin::new(Config {
            mode: Mode::Clustered((0..nodes).map(|node| node.to_string()).collect()),
            sessions: HeldBy::Cluster,
            name: BrokerName::parse(&format!("broker-{id}")).expect("is a name"),
            incarnation: Incarnation(now + 1),
            software: "broker sim".into(),
            cluster_time_at_zero: CLUSTER_TIME,
            seed: now + u64::try_from(id).expect("fits"),
            backoff_ms: (20, 500),
            // One serves clients without a leader at once.
            connect_hold_ms: if id == 0 { 0 } else { 2_000 },
            serves_isolated: true,
            outbox_max: 1_000,
            outbox_bytes_max: 1_000_000,
            filters_max: 1_000,
            retained_max: 1_000,
            retained_bytes_max: 1_000_000,
        });
        let (wires, dialled) = (BTreeMap::new(), Vec::new());
        Self { core, host: Host::new(), id, pace, wires, led_to: None, dialled }
    }

    /// Whether it is part of the cluster.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.core.link_state() == LinkState::Attached
    }

    /// When it wants to be stepped.
    #[must_use]
    pub fn deadline(&self, now: u64) -> Option<u64> {
        let core = self.core.deadline().map(|at| at.0);
        let due = core.into_iter().chain(self.host.deadline(self.pace.read(now))).min();
        due.map(|at| self.pace.when(at))
    }

    /// # Panics
    /// Something in its core is not as it must be.
    pub fn check_invariants(&self) {
        self.core.check_invariants();
    }

    /// The streams that it has not left.
    pub fn wires(&self) -> impl Iterator<Item = Wire> {
        self.wires.keys().copied()
    }

    /// A packet arrived. One of a stream that was left is ignored, as a shell would do.
    pub fn receive(&mut self, now: u64, wire: Wire, packet: Packet, network: &mut Network) {
        let Some(&stream) = self.wires.get(&wire) else { return };
        let input = match packet {
            Packet::Down(item, _) => Input::Received(stream, vec![item]),
            Packet::BrokenForBroker(why) => Input::Broken(stream, why.into()),
            Packet::HeartbeatDown(sequence, HeartbeatAnswer::Kept, applied) => {
                Input::HeartbeatKept(stream, sequence, applied)
            }
            Packet::HeartbeatDown(_, HeartbeatAnswer::Fenced, _) => Input::HeartbeatFenced(stream),
            Packet::Opened
            | Packet::Up(_)
            | Packet::HalfClosed
            | Packet::BrokenForServer
            | Packet::HeartbeatUp(..) => unreachable!("for ha-server"),
        };
        self.step(now, input, network);
    }

    /// What is due.
    pub fn tick(&mut self, now: u64, network: &mut Network) {
        self.host.tick();
        self.step(now, Input::Tick, network);
    }

    /// A client opens a socket, with its CONNECT.
    pub fn dial(&mut self, now: u64, id: ConnectionId, connect: &Connect) {
        self.host.dial(self.pace.read(now), id, connect);
    }

    /// Clients have acted.
    pub fn run(&mut self, now: u64, network: &mut Network) {
        let time = self.pace.read(now);
        self.host.run(time);
        while let Some(input) = self.host.to_plugin.pop_front() {
            self.step_core(now, input, network);
            self.host.run(time);
        }
        self.host.sweep();
    }

    fn step(&mut self, now: u64, input: Input, network: &mut Network) {
        self.step_core(now, input, network);
        self.run(now, network);
    }

    fn step_core(&mut self, now: u64, input: Input, network: &mut Network) {
        let (mut out, time) = (Vec::new(), self.pace.read(now));
        self.core.step(Millis(time), input, &mut out);
        self.core.check_invariants();
        for output in out {
            match output {
                Output::Dial(stream, target) => {
                    let node = match target {
                        Target::Configured(address) => self.led_to.unwrap_or(address.0),
                        Target::Leader(name) => name.parse().expect("nodes say numbers"),
                    };
                    let wire = network.open(now, self.id);
                    self.wires.insert(wire, stream);
                    self.dialled.push((wire, node));
                }
                Output::Send(stream, item) => {
                    network.send(now, self.wire(stream), Packet::Up(item));
                }
                Output::Heartbeat(stream, epoch, sequence) => {
                    let heartbeat = Packet::HeartbeatUp(epoch, sequence);
                    network.send(now, self.wire(stream), heartbeat);
                }
                Output::Close(stream, how) => {
                    let packet = match how {
                        Close::Goodbye => Packet::HalfClosed,
                        Close::Drop => Packet::BrokenForServer,
                    };
                    let wire = self.wire(stream);
                    network.send(now, wire, packet);
                    self.wires.remove(&wire);
                }
                Output::Host(command) => self.host.take(time, command),
                Output::Note(_) | Output::Drain(_) | Output::Undrain => (),
            }
        }
    }

    fn wire(&self, stream: StreamId) -> Wire {
        let mut wires = self.wires.iter();
        *wires.find(|(_, of)| **of == stream).expect("the plugin uses streams that it dialled").0
    }
}
