//! ha-server: its real core, and what its shell does.

use ha_core::{Config, Distributor, FanOut, Input, Output, StreamId};
use ha_types::link::Downstream;
use ha_types::{ClusterMillis, Millis, ServerIncarnation};

use crate::network::{Network, Packet, Wire};

/// Cluster time at zero, for everybody.
pub const CLUSTER_TIME: ClusterMillis = ClusterMillis(1_700_000_000_000);

/// How long a silent broker is believed alive.
pub const LEASE_MS: u64 = 1_000;

/// One run of ha-server.
#[derive(Debug)]
pub struct Server {
    /// The real core.
    pub core: Distributor,
    /// Number of the run; streams with lower numbers are of earlier ones.
    pub first_wire: Wire,
}

impl Server {
    /// Starts at `now`, so that a later run has a higher incarnation.
    #[must_use]
    pub fn start(now: u64, queue_bytes: usize, first_wire: Wire) -> Self {
        let core = Distributor::new(Config {
            server: ServerIncarnation(CLUSTER_TIME.0 + now),
            software: "ha-server sim".into(),
            cluster_time_at_zero: CLUSTER_TIME,
            lease_ms: LEASE_MS,
            heartbeat_ms: 250,
            fan_out: FanOut::Interest,
            brokers_max: 5,
            filters_max: 100,
            queue_bytes,
            stall_ms: 2_000,
            publish_window: 8,
            retained_max: 1_000,
            retained_bytes_max: 1_000_000,
        });
        Self { core, first_wire }
    }

    /// When its core wants to be stepped.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.core.deadline().map(|at| at.0)
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
                let mut out = Vec::new();
                let answer = self.core.heartbeat(Millis(now), epoch, &mut out);
                self.act(now, out, network);
                return network.send(now, wire, Packet::HeartbeatDown(sequence, answer));
            }
            Packet::Down(..)
            | Packet::BrokenForBroker(_)
            | Packet::HeartbeatDown(..) => unreachable!("for brokers"),
        };
        self.step(now, input, network);
    }

    /// Steps the core and does what it says.
    pub fn step(&mut self, now: u64, input: Input, network: &mut Network) {
        let mut out = Vec::new();
        self.core.step(Millis(now), input, &mut out);
        self.act(now, out, network);
    }

    fn act(&mut self, now: u64, out: Vec<Output>, network: &mut Network) {
        self.core.check_invariants();
        for output in out {
            match output {
                Output::Send(StreamId(wire), item, bytes) => {
                    assert!(!is_protocol_error(&item), "{item:?}");
                    network.send(now, wire, Packet::Down(item, bytes));
                }
                Output::End(StreamId(wire)) => {
                    network.send(now, wire, Packet::BrokenForBroker("ended"));
                }
                Output::Note(_) => (),
            }
        }
    }
}

/// Our own brokers never break the protocol. A Hello may be late: when ha-server stood still.
fn is_protocol_error(item: &Downstream) -> bool {
    use ha_types::link::GoodbyeReason::{ProtocolError, UnsupportedVersion};
    match item {
        Downstream::Goodbye(goodbye) => match goodbye.reason {
            ProtocolError => !goodbye.detail.starts_with("no Hello"),
            reason => reason == UnsupportedVersion,
        },
        _ => false,
    }
}
