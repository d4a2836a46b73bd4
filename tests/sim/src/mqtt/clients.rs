//! What clients do to their brokers.

use broker_core::codec::FromClient;
use ha_types::session::ConnectionId;

use super::broker::Broker;
use super::world::World;
use crate::network::BrokerId;

impl World {
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

    /// Everything that came for a client; and whether its connection goes on.
    pub fn read(&mut self, who: usize) {
        let Some((broker, run, id)) = self.clients[who].link else { return };
        let is_gone = self.run_of(broker) != run || {
            let mut packets = Vec::new();
            let is_open = self.act(broker, |broker| {
                packets.extend(std::iter::from_fn(|| broker.host.read(id)));
                broker.host.is_open(id)
            });
            let device = &mut self.clients[who].device;
            packets.into_iter().for_each(|packet| device.take(packet));
            is_open == Some(false)
        };
        if is_gone {
            self.clients[who].device.closed();
            self.clients[who].link = None;
        }
    }

    /// A client without a connection opens one, if the broker is there.
    pub fn connect(&mut self, who: usize, broker: BrokerId, receive_maximum: u16) {
        if self.clients[who].link.is_some() || !self.brokers[broker].is_awake(self.now) {
            return;
        }
        let (id, now) = (self.next_connection(), self.now);
        let connect = self.clients[who].device.connect(receive_maximum);
        self.act(broker, |broker| broker.dial(now, id, &connect));
        self.clients[who].link = Some((broker, self.run_of(broker), id));
    }

    /// A client sends a packet, if it is connected.
    pub fn send(&mut self, who: usize, packet: &FromClient) {
        if let Some((broker, run, id)) = self.clients[who].link
            && self.run_of(broker) == run
        {
            self.act(broker, |broker| broker.host.send(id, packet));
        }
    }

    /// Whether a client is connected to a broker that is awake.
    #[must_use]
    pub fn is_reachable(&self, who: usize) -> bool {
        self.clients[who].link.is_some_and(|(broker, run, _)| {
            self.run_of(broker) == run && self.brokers[broker].is_awake(self.now)
        })
    }

    /// A client's network breaks; what was under way is lost.
    pub fn hang_up(&mut self, who: usize) {
        let Some((broker, run, id)) = self.clients[who].link.take() else { return };
        if self.run_of(broker) == run {
            self.act(broker, |broker| broker.host.hang_up(id));
        }
        self.clients[who].device.closed();
    }
}
