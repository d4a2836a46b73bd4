//! Whose turn it is: packets, deadlines, restarts, pauses. One step handles one event.

use std::collections::VecDeque;

use broker_core::host::HostCommand;
use ha_core::StreamId;

use crate::broker::Broker;
use crate::network::{BrokerId, Delays, Network, Packet, Told, Wire};
use crate::random::Random;
use crate::server::{Disk, Server};

/// A process that may be gone for a while, or stand still.
#[derive(Debug)]
pub struct Process<T> {
    /// `None`: it is gone.
    pub running: Option<T>,
    /// When it starts again, or goes on; what arrives meanwhile waits, or is lost.
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
        self.running.is_some() && self.back_at <= now && self.waiting.is_empty()
    }

    /// Takes a packet, or keeps it until the process goes on.
    fn take(&mut self, now: u64, packet: (Wire, Packet)) -> Option<(Wire, Packet)> {
        if self.running.is_some() && !self.is_awake(now) {
            self.waiting.push_back(packet);
            return None;
        }
        Some(packet)
    }

    /// When it must be woken.
    fn wakes_at(&self, deadline: impl Fn(&T) -> Option<u64>) -> Option<u64> {
        match &self.running {
            None => Some(self.back_at),
            Some(_) if !self.waiting.is_empty() => Some(self.back_at),
            Some(running) => deadline(running).map(|at| at.max(self.back_at)),
        }
    }
}

/// What a broker has for its clients.
#[derive(Debug)]
pub struct Command {
    /// Which broker.
    pub broker: BrokerId,
    /// What.
    pub what: HostCommand,
}

/// One ha-server, some brokers, and the network between them.
#[derive(Debug)]
pub struct Cluster {
    /// Milliseconds since the start.
    pub now: u64,
    /// The one ha-server.
    pub server: Process<Server>,
    /// In the order of their ids.
    pub brokers: Vec<Process<Broker>>,
    network: Network,
    queue_bytes: usize,
    /// While ha-server is gone.
    disk: Disk,
    last_wire: Wire,
}

impl Cluster {
    /// Everything starts at once.
    #[must_use]
    pub fn new(brokers: usize, queue_bytes: usize, delays: Delays, random: Random) -> Self {
        Self {
            now: 0,
            server: Process::new(Server::start(0, queue_bytes, 0, Disk::default())),
            brokers: (0..brokers).map(|id| Process::new(Broker::start(0, id))).collect(),
            network: Network::new(delays, random),
            queue_bytes,
            disk: Disk::default(),
            last_wire: 0,
        }
    }

    /// How long packets take from now on.
    pub fn set_delays(&mut self, delays: Delays) {
        self.network.delays = delays;
    }

    /// When something happens next.
    #[must_use]
    pub fn next_event(&self) -> u64 {
        let brokers = self.brokers.iter().filter_map(|broker| broker.wakes_at(Broker::deadline));
        let server = self.server.wakes_at(Server::deadline);
        let next = brokers.chain(server).chain(self.network.next_arrival()).min();
        next.expect("a broker always has a deadline").max(self.now)
    }

    /// Advances to the next event, or to `until` if that is earlier, and handles one event.
    pub fn step(&mut self, until: u64) {
        self.now = self.next_event().min(until);
        self.wake_server();
        (0..self.brokers.len()).for_each(|id| self.wake_broker(id));
        if let Some((wire, packet)) = self.network.receive(self.now) {
            self.arrive(wire, packet);
        }
    }

    fn wake_server(&mut self) {
        let now = self.now;
        if self.server.back_at > now {
            return;
        }
        if self.server.running.is_none() {
            let disk = std::mem::take(&mut self.disk);
            let run = Server::start(now, self.queue_bytes, self.last_wire + 1, disk);
            self.server.running = Some(run);
        }
        for (wire, packet) in std::mem::take(&mut self.server.waiting) {
            self.arrive(wire, packet);
        }
        let server = self.server.running.as_mut().expect("it is running");
        if server.deadline().is_some_and(|at| at <= now) {
            server.step(now, ha_core::Input::Tick, &mut self.network);
        }
    }

    fn wake_broker(&mut self, id: BrokerId) {
        let now = self.now;
        let process = &mut self.brokers[id];
        if process.back_at > now {
            return;
        }
        process.running.get_or_insert_with(|| Broker::start(now, id));
        for (wire, packet) in std::mem::take(&mut process.waiting) {
            self.arrive(wire, packet);
        }
        let broker = self.brokers[id].running.as_mut().expect("it is running");
        if broker.deadline().is_some_and(|at| at <= now) {
            broker.step(now, broker_core::Input::Tick, &mut self.network);
        }
    }

    fn arrive(&mut self, wire: Wire, packet: Packet) {
        if packet.is_for_server() {
            self.arrive_at_server(wire, packet);
        } else {
            self.arrive_at_broker(wire, packet);
        }
    }

    fn arrive_at_server(&mut self, wire: Wire, packet: Packet) {
        let Some((wire, packet)) = self.server.take(self.now, (wire, packet)) else { return };
        self.last_wire = self.last_wire.max(wire);
        match &mut self.server.running {
            Some(server) if wire >= server.first_wire => {
                server.receive(self.now, wire, packet, &mut self.network);
            }
            // Of a run that is gone: a new stream is refused, the rest went with the run.
            Some(_) | None => {
                if matches!(packet, Packet::Opened) {
                    let refused = Packet::BrokenForBroker("connection refused");
                    self.network.send(self.now, wire, refused);
                }
            }
        }
    }

    fn arrive_at_broker(&mut self, wire: Wire, packet: Packet) {
        let (now, id) = (self.now, self.network.broker_of(wire));
        let Some((wire, packet)) = self.brokers[id].take(now, (wire, packet)) else { return };
        if let Packet::Down(_, bytes) = packet
            && let Some(server) = &mut self.server.running
        {
            // A broker that reads lets ha-server write.
            let written = ha_core::Input::Written(StreamId(wire), bytes);
            server.step(now, written, &mut self.network);
        }
        if let Some(broker) = &mut self.brokers[id].running {
            broker.receive(now, wire, packet, &mut self.network);
        }
    }

    /// A client of an awake broker acts.
    pub fn act(&mut self, id: BrokerId, input: broker_core::Input) {
        let broker = self.brokers[id].running.as_mut().expect("clients act on brokers that run");
        broker.step(self.now, input, &mut self.network);
    }

    /// What brokers have for their clients.
    pub fn commands(&mut self) -> Vec<Command> {
        let running = self.brokers.iter_mut().enumerate();
        let running = running.filter_map(|(id, process)| Some((id, process.running.as_mut()?)));
        let commands = running.flat_map(|(id, b)| b.commands.drain(..).map(move |c| (id, c)));
        commands.map(|(broker, what)| Command { broker, what }).collect()
    }

    /// Breaks the streams of a broker.
    pub fn break_streams(&mut self, id: BrokerId) {
        let Some(broker) = &self.brokers[id].running else { return };
        for wire in broker.wires() {
            self.network.break_wire(self.now, wire, Told::Both);
        }
    }

    /// Kills ha-server; a new run starts after a while.
    pub fn restart_server(&mut self, after_ms: u64) {
        for wire in self.brokers.iter().filter_map(|b| b.running.as_ref()).flat_map(Broker::wires) {
            self.network.break_wire(self.now, wire, Told::Broker);
            self.last_wire = self.last_wire.max(wire);
        }
        if let Some(server) = self.server.running.take() {
            self.disk = server.disk;
        }
        self.server = Process { running: None, back_at: self.now + after_ms, waiting: [].into() };
    }

    /// Kills a broker; a new run starts after a while.
    pub fn restart_broker(&mut self, id: BrokerId, after_ms: u64) {
        let wires = self.brokers[id].running.iter().flat_map(Broker::wires);
        for wire in wires {
            self.network.break_wire(self.now, wire, Told::Server);
        }
        self.brokers[id] =
            Process { running: None, back_at: self.now + after_ms, waiting: [].into() };
    }

    /// Lets a broker stand still for a while.
    pub fn pause_broker(&mut self, id: BrokerId, for_ms: u64) {
        let back_at = self.now + for_ms;
        self.brokers[id].back_at = self.brokers[id].back_at.max(back_at);
    }

    /// Lets ha-server stand still for a while.
    pub fn pause_server(&mut self, for_ms: u64) {
        self.server.back_at = self.server.back_at.max(self.now + for_ms);
    }
}
