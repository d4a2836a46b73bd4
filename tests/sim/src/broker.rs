//! A broker: the real core of its plugin, and what its shell does.

use std::collections::{BTreeMap, VecDeque};

use broker_core::host::HostCommand;
use broker_core::{Close, Config, HeldBy, Input, LinkState, Mode, Output, Plugin, StreamId};
use ha_core::HeartbeatAnswer;
use ha_types::{BrokerName, Incarnation, Millis};

use crate::network::{BrokerId, Network, Packet, Wire};
use crate::server::CLUSTER_TIME;

/// One run of one broker.
#[derive(Debug)]
pub struct Broker {
    /// The real core.
    pub core: Plugin,
    id: BrokerId,
    /// The streams that it has not left, and their numbers at the plugin.
    wires: BTreeMap<Wire, StreamId>,
    /// For its clients, not yet given to them.
    pub commands: VecDeque<HostCommand>,
}

impl Broker {
    /// Starts at `now`, so that a later run has a higher incarnation.
    #[must_use]
    pub fn start(now: u64, id: BrokerId) -> Self {
        let core = Plugin::new(Config {
            mode: Mode::Clustered(vec!["ha-server".into()]),
            sessions: HeldBy::Host,
            name: BrokerName::parse(&format!("broker-{id}")).expect("is a name"),
            incarnation: Incarnation(now + 1),
            software: "broker sim".into(),
            cluster_time_at_zero: CLUSTER_TIME,
            seed: now + u64::try_from(id).expect("fits"),
            backoff_ms: (50, 500),
            connect_hold_ms: 2_000,
            serves_isolated: true,
            outbox_max: 12,
            outbox_bytes_max: 10_000,
            filters_max: 100,
            retained_max: 1_000,
            retained_bytes_max: 1_000_000,
        });
        Self { core, id, wires: BTreeMap::new(), commands: VecDeque::new() }
    }

    /// Whether it is part of the cluster.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.core.link_state() == LinkState::Attached
    }

    /// When its core wants to be stepped.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.core.deadline().map(|at| at.0)
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

    /// Steps the core and does what it says.
    pub fn step(&mut self, now: u64, input: Input, network: &mut Network) {
        let mut out = Vec::new();
        self.core.step(Millis(now), input, &mut out);
        self.core.check_invariants();
        for output in out {
            match output {
                Output::Dial(stream, _) => {
                    self.wires.insert(network.open(now, self.id), stream);
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
                Output::Host(command) => self.commands.push_back(command),
                Output::Note(_) | Output::Drain(_) | Output::Undrain => (),
            }
        }
    }

    fn wire(&self, stream: StreamId) -> Wire {
        let mut wires = self.wires.iter();
        *wires.find(|(_, of)| **of == stream).expect("the plugin uses streams that it dialled").0
    }
}
