//! ha-server: its real core, and what its shell does.

use ha_core::cluster::{Batch, ClusterState};
use ha_core::{Config, Distributor, FanOut, Input, Output, StreamId};
use ha_types::link::Downstream;
use ha_types::{ClusterMillis, Millis, ServerIncarnation};

use crate::network::{Network, Packet, Wire};

/// Cluster time at zero, for everybody.
pub const CLUSTER_TIME: ClusterMillis = ClusterMillis(1_700_000_000_000);

/// How long a silent broker is believed alive.
pub const LEASE_MS: u64 = 1_000;

/// One run of ha-server, on a log that commits at once.
#[derive(Debug)]
pub struct Server {
    /// The real core.
    pub core: Distributor,
    /// Number of the run; streams with lower numbers are of earlier ones.
    pub first_wire: Wire,
    /// What outlives the run.
    pub disk: Disk,
    since: u64,
}

/// What all runs of ha-server have.
#[derive(Debug, Default)]
pub struct Disk {
    /// The replicated state.
    pub state: ClusterState,
    applied: u64,
}

impl Server {
    /// Starts at `now`.
    #[must_use]
    pub fn start(now: u64, queue_bytes: usize, first_wire: Wire, disk: Disk) -> Self {
        let config = Config {
            server: ServerIncarnation(CLUSTER_TIME.0 + now),
            software: "ha-server sim".into(),
            wall_time: ClusterMillis(CLUSTER_TIME.0 + now),
            lease_ms: LEASE_MS,
            heartbeat_ms: 250,
            fan_out: FanOut::Interest,
            brokers_max: 5,
            filters_max: 100,
            queue_bytes,
            stall_ms: 2_000,
            publish_window: 8,
        };
        let core = Distributor::new(config, &disk.state);
        Self { core, first_wire, disk, since: now }
    }

    /// When its core wants to be stepped.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.core.deadline(&self.disk.state).map(|at| self.since + at.0)
    }

    /// A packet arrived.
    pub fn receive(&mut self, now: u64, wire: Wire, packet: Packet, network: &mut Network) {
        let stream = StreamId(wire);
        let input = match packet {
            Packet::Opened => Input::Opened(stream, format!("wire {wire}")),
            Packet::Up(item) => Input::Received(stream, vec![item]),
            Packet::HalfClosed => Input::Broken(stream),
            Packet::BrokenForServer => Input::Broken(stream),
            Packet::HeartbeatUp(epoch, sequence) => {
                let (mut out, at) = (Vec::new(), Millis(now - self.since));
                let answer = self.core.heartbeat(at, &self.disk.state, epoch, &mut out);
                self.act(now, out, network);
                return network.send(
                    now,
                    wire,
                    Packet::HeartbeatDown(sequence, answer, self.disk.state.applied()),
                );
            }
            Packet::Down(..) | Packet::BrokenForBroker(_) | Packet::HeartbeatDown(..) => {
                unreachable!("for brokers")
            }
        };
        self.step(now, input, network);
    }

    /// Steps the core and does what it says.
    pub fn step(&mut self, now: u64, input: Input, network: &mut Network) {
        let mut out = Vec::new();
        self.core.step(Millis(now - self.since), &self.disk.state, input, &mut out);
        self.act(now, out, network);
    }

    fn act(&mut self, now: u64, out: Vec<Output>, network: &mut Network) {
        self.core.check_invariants();
        let (mut commands, mut proofs) = (Vec::new(), Vec::new());
        for output in out {
            match output {
                Output::Send(StreamId(wire), item, bytes) => {
                    assert!(!is_protocol_error(&item), "{item:?}");
                    network.send(now, wire, Packet::Down(item, bytes));
                }
                Output::End(StreamId(wire)) => {
                    network.send(now, wire, Packet::BrokenForBroker("ended"));
                }
                Output::Propose(command) => commands.push(command),
                Output::Confirm(number) => proofs.push(number),
                Output::Note(_) => (),
            }
        }
        if !commands.is_empty() {
            let batch = Batch { time: self.core.cluster_time(), commands };
            self.disk.applied += 1;
            let applied = self.disk.state.apply(self.disk.applied, &batch.encode());
            self.step(now, Input::Applied(applied), network);
        }
        for number in proofs {
            self.step(now, Input::Confirmed(number), network);
        }
    }
}

/// Whether it ends a stream for a fault of the broker. Our own brokers never break the protocol. A Hello may be late: when ha-server stood still.
#[must_use]
pub fn is_protocol_error(item: &Downstream) -> bool {
    use ha_types::link::GoodbyeReason::{ProtocolError, UnsupportedVersion};
    match item {
        Downstream::Goodbye(goodbye) => match goodbye.reason {
            ProtocolError => !goodbye.detail.starts_with("no Hello"),
            reason => reason == UnsupportedVersion,
        },
        _ => false,
    }
}
