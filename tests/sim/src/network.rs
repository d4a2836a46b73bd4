//! Streams in memory: delayed by chance, in order within each direction, broken on request.
//!
//! A stream is a connection for items and one for heartbeats, each with two directions. What is
//! under way when a stream breaks is lost; each end learns of the break by itself, later.

use std::collections::BTreeMap;

use ha_core::HeartbeatAnswer;
use ha_types::BrokerEpoch;
use ha_types::link::{Downstream, Upstream};

use crate::random::Random;

/// A stream between one run of a broker and one run of ha-server. Never reused.
pub type Wire = u64;

/// Which of a cluster's brokers.
pub type BrokerId = usize;

/// Something that arrives.
#[derive(Clone, Debug)]
pub enum Packet {
    /// At ha-server: a stream was opened.
    Opened,
    /// At ha-server.
    Up(Upstream),
    /// At ha-server: the broker says goodbye.
    HalfClosed,
    /// At ha-server: the stream broke.
    BrokenForServer,
    /// At ha-server.
    HeartbeatUp(BrokerEpoch, u64),
    /// At the broker, with its weight in ha-server's queue.
    Down(Downstream, usize),
    /// At the broker: the stream broke or was ended.
    BrokenForBroker(&'static str),
    /// At the broker, with how much of the log the leader has.
    HeartbeatDown(u64, HeartbeatAnswer, u64),
}

/// A place of its own in the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    ToServer,
    ToBroker,
    HeartbeatToServer,
    HeartbeatToBroker,
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// From the broker to ha-server.
    Up,
    /// From ha-server to the broker.
    Down,
}

impl Lane {
    fn way(self) -> Way {
        match self {
            Self::ToServer | Self::HeartbeatToServer => Way::Up,
            Self::ToBroker | Self::HeartbeatToBroker => Way::Down,
        }
    }
}

impl Packet {
    fn way(&self) -> Way {
        self.lane().way()
    }

    fn lane(&self) -> Lane {
        match self {
            Self::Opened | Self::Up(_) | Self::HalfClosed | Self::BrokenForServer => Lane::ToServer,
            Self::Down(..) | Self::BrokenForBroker(_) => Lane::ToBroker,
            Self::HeartbeatUp(..) => Lane::HeartbeatToServer,
            Self::HeartbeatDown(..) => Lane::HeartbeatToBroker,
        }
    }

    /// Whether ha-server gets it; otherwise the broker does.
    #[must_use]
    pub fn is_for_server(&self) -> bool {
        self.way() == Way::Up
    }
}

/// How long packets take, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Delays {
    /// Most of them at most so long.
    pub usual_max: u64,
    /// Once in so many packets ...
    pub once_in: u64,
    /// ... at most so long.
    pub rare_max: u64,
    /// Each end of a stream that broke learns of it after so long at most.
    pub broken_max: u64,
}

/// All packets under way.
#[derive(Debug)]
pub struct Network {
    /// How long packets take from now on.
    pub delays: Delays,
    random: Random,
    /// By time of arrival, then by order of sending.
    under_way: BTreeMap<(u64, u64), (Wire, Packet)>,
    sent: u64,
    last_arrival: BTreeMap<(Wire, Lane), u64>,
    /// The broker of each stream.
    ends: BTreeMap<Wire, BrokerId>,
    /// Until when nothing arrives.
    held: BTreeMap<(BrokerId, Way), u64>,
}

impl Network {
    /// An idle network.
    #[must_use]
    pub fn new(delays: Delays, random: Random) -> Self {
        Self {
            delays,
            random,
            under_way: BTreeMap::new(),
            sent: 0,
            last_arrival: BTreeMap::new(),
            ends: BTreeMap::new(),
            held: BTreeMap::new(),
        }
    }

    /// A new stream of this broker; the first packet on it opens it.
    pub fn open(&mut self, now: u64, broker: BrokerId) -> Wire {
        let wire = Wire::try_from(self.ends.len()).expect("fits") + 1;
        self.ends.insert(wire, broker);
        self.send(now, wire, Packet::Opened);
        wire
    }

    /// Whose stream it is.
    #[must_use]
    pub fn broker_of(&self, wire: Wire) -> BrokerId {
        self.ends[&wire]
    }

    /// Puts a packet on its way, behind all others of its direction.
    pub fn send(&mut self, now: u64, wire: Wire, packet: Packet) {
        let rare = self.random.once_in(self.delays.once_in);
        let delay_max = if rare { self.delays.rare_max } else { self.delays.usual_max };
        let delay = self.random.between(1, delay_max);
        self.send_within(now + delay, wire, packet);
    }

    fn send_within(&mut self, arrival: u64, wire: Wire, packet: Packet) {
        let held = self.held.get(&(self.ends[&wire], packet.way())).copied().unwrap_or_default();
        let last = self.last_arrival.entry((wire, packet.lane())).or_default();
        *last = arrival.max(*last).max(held);
        self.sent += 1;
        self.under_way.insert((*last, self.sent), (wire, packet));
    }

    /// Loses what is under way on a stream. Each end is told after its own delay, unless it is the
    /// one that broke it.
    pub fn break_wire(&mut self, now: u64, wire: Wire, told: Told) {
        self.under_way.retain(|_, (of, _)| *of != wire);
        self.last_arrival.retain(|(of, _), _| *of != wire);
        if told != Told::Broker {
            let delay = self.random.between(1, self.delays.broken_max);
            self.send_within(now + delay, wire, Packet::BrokenForServer);
        }
        if told != Told::Server {
            let delay = self.random.between(1, self.delays.broken_max);
            self.send_within(now + delay, wire, Packet::BrokenForBroker("reset"));
        }
    }

    /// Nothing arrives in one direction before `until`: a partition that one side does not see.
    pub fn hold(&mut self, broker: BrokerId, way: Way, until: u64) {
        self.held.insert((broker, way), until);
        self.move_arrivals(broker, way, |at| at.max(until));
    }

    /// What was held arrives at once.
    pub fn release(&mut self, now: u64, broker: BrokerId, way: Way) {
        if let Some(until) = self.held.remove(&(broker, way)) {
            self.move_arrivals(broker, way, |at| if at == until { now } else { at });
        }
    }

    /// Their order stays: `to` does not put a later one before an earlier.
    fn move_arrivals(&mut self, broker: BrokerId, way: Way, to: impl Fn(u64) -> u64) {
        let ends = &self.ends;
        let is_meant = |wire: &Wire, of: Way| ends[wire] == broker && of == way;
        let moved = self.under_way.extract_if(.., |_, (wire, of)| is_meant(wire, of.way()));
        let moved: Vec<_> = moved.map(|((at, number), of)| ((to(at), number), of)).collect();
        self.under_way.extend(moved);
        for ((wire, lane), last) in &mut self.last_arrival {
            if is_meant(wire, lane.way()) {
                *last = to(*last);
            }
        }
    }

    /// When the next packet arrives.
    #[must_use]
    pub fn next_arrival(&self) -> Option<u64> {
        self.under_way.keys().next().map(|&(time, _)| time)
    }

    /// The next packet, if it has arrived.
    pub fn receive(&mut self, now: u64) -> Option<(Wire, Packet)> {
        let first = self.under_way.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }
}

/// Who learns that a stream broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The network broke it.
    Both,
    /// The broker is gone.
    Server,
    /// ha-server is gone.
    Broker,
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Delays = Delays { usual_max: 1, once_in: 1, rare_max: 1, broken_max: 1 };

    fn arrived(network: &mut Network, now: u64) -> Vec<u64> {
        let sequence = |packet| match packet {
            Packet::HeartbeatUp(_, sequence) | Packet::HeartbeatDown(sequence, ..) => sequence,
            _ => 0,
        };
        let packets = std::iter::from_fn(|| network.receive(now));
        packets.map(|(_, packet)| sequence(packet)).collect()
    }

    fn up(sequence: u64) -> Packet {
        Packet::HeartbeatUp(BrokerEpoch(1), sequence)
    }

    #[test]
    fn what_is_held_arrives_in_order_when_it_is_released_and_the_other_way_is_open() {
        let mut network = Network::new(AT_ONCE, Random::new(1));
        let wire = network.open(0, 0);
        network.send(0, wire, up(1));
        network.hold(0, Way::Up, 100);
        network.send(1, wire, up(2));
        network.send(1, wire, Packet::HeartbeatDown(7, HeartbeatAnswer::Kept, 0));
        assert_eq!(arrived(&mut network, 99), [7]);
        network.release(99, 0, Way::Up);
        network.send(99, wire, up(3));
        assert_eq!(arrived(&mut network, 100), [0, 1, 2, 3]);
    }

    #[test]
    fn what_is_held_arrives_by_itself_when_its_time_has_come() {
        let mut network = Network::new(AT_ONCE, Random::new(1));
        let wire = network.open(0, 0);
        network.hold(0, Way::Up, 100);
        network.send(1, wire, up(1));
        assert!(arrived(&mut network, 99).is_empty());
        assert_eq!(arrived(&mut network, 100), [0, 1]);
    }
}
