//! What a client published at QoS 1 and 2 and is not answered yet.

use std::collections::{BTreeSet, VecDeque};

use broker_core::codec::{
    Ack, FilterRequest, FromClient, PacketId, Reason, Subscribe, UserProperties,
};
use ha_types::{Qos, Subscription};
use history::Step;

use super::{Action, acknowledged, both, flow, packet, publishing};
use crate::message::Message;
use crate::plan::Wanted;

/// Exchanges of a client at once: below every Receive Maximum that a broker of ours announces.
const WINDOW: usize = 16;

/// Packet identifiers are 1 to this: few, so that a late answer meets the next message that has its
/// identifier.
const IDS: u16 = 40;

#[derive(Debug)]
struct Exchange {
    id: PacketId,
    message: Message,
}

/// All exchanges, each in the order in which it must be sent again [MQTT-4.6.0-1], [MQTT-4.6.0-4].
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// PUBLISH was sent.
    published: VecDeque<Exchange>,
    /// PUBREC came.
    released: VecDeque<Exchange>,
    last_id: u16,
}

impl Outgoing {
    pub(super) fn len(&self) -> usize {
        self.published.len() + self.released.len()
    }

    pub(super) fn has_room(&self) -> bool {
        self.len() < WINDOW
    }

    /// The next identifier that nothing uses. There always is one: at most 16 exchanges and one
    /// SUBSCRIBE use 40.
    pub(super) fn free_id(&mut self, busy: &BTreeSet<PacketId>) -> PacketId {
        loop {
            self.last_id = self.last_id % IDS + 1;
            let id = PacketId::new(self.last_id).expect("at least 1");
            let mut used = self.published.iter().chain(&self.released);
            if !busy.contains(&id) && !used.any(|exchange| exchange.id == id) {
                return id;
            }
        }
    }

    pub(super) fn publish(
        &mut self,
        publisher: &str,
        message: Message,
        busy: &BTreeSet<PacketId>,
    ) -> Vec<Action> {
        let id = self.free_id(busy);
        let sent = packet(publisher, &message, flow(message.qos, id), false);
        let actions = both(publishing(&message, false), sent);
        if message.qos > Qos::AtMostOnce {
            self.published.push_back(Exchange { id, message });
        }
        actions.into()
    }

    /// What is sent on a new connection of the same session [MQTT-4.4.0-1].
    pub(super) fn again(&self, publisher: &str) -> Vec<Action> {
        let release = |exchange: &Exchange| {
            Action::Send(FromClient::Pubrel(Ack::new(exchange.id, Reason::SUCCESS)))
        };
        let publish = |Exchange { id, message }: &Exchange| {
            let sent = packet(publisher, message, flow(message.qos, *id), true);
            both(publishing(message, true), sent)
        };
        let releases = self.released.iter().map(release);
        releases.chain(self.published.iter().flat_map(publish)).collect()
    }

    /// `None`: nothing waits for it.
    pub(super) fn puback(&mut self, ack: &Ack) -> Option<Vec<Action>> {
        let exchange = self.take_published(ack.packet_id, Qos::AtLeastOnce)?;
        Some(unless_refused(ack, acknowledged(&exchange.message, Step::Puback)))
    }

    pub(super) fn pubrec(&mut self, ack: &Ack) -> Option<Vec<Action>> {
        let release = Action::Send(FromClient::Pubrel(Ack::new(ack.packet_id, Reason::SUCCESS)));
        if self.released.iter().any(|exchange| exchange.id == ack.packet_id) {
            return Some(vec![release]);
        }
        let exchange = self.take_published(ack.packet_id, Qos::ExactlyOnce)?;
        if ack.reason.is_failure() {
            return Some(Vec::new());
        }
        let actions = vec![acknowledged(&exchange.message, Step::Pubrec), release];
        self.released.push_back(exchange);
        Some(actions)
    }

    /// One that does not know the identifier ends the exchange all the same.
    pub(super) fn pubcomp(&mut self, ack: &Ack) -> Option<Vec<Action>> {
        let of_it = |exchange: &Exchange| exchange.id == ack.packet_id;
        let exchange = self.released.remove(self.released.iter().position(of_it)?)?;
        Some(unless_refused(ack, acknowledged(&exchange.message, Step::Pubcomp)))
    }

    fn take_published(&mut self, id: PacketId, qos: Qos) -> Option<Exchange> {
        let of_it = |exchange: &Exchange| exchange.id == id && exchange.message.qos == qos;
        self.published.remove(self.published.iter().position(of_it)?)
    }
}

fn unless_refused(ack: &Ack, action: Action) -> Vec<Action> {
    if ack.reason.is_failure() { Vec::new() } else { vec![action] }
}

/// A SUBSCRIBE for all of these.
pub(super) fn subscribe(packet_id: PacketId, wanted: Vec<Wanted>) -> FromClient {
    let request = |wanted: Wanted| FilterRequest {
        subscription: Subscription::Plain(wanted.filter),
        options: wanted.options,
    };
    FromClient::Subscribe(Subscribe {
        packet_id,
        subscription_id: None,
        user_properties: UserProperties::default(),
        filters: wanted.into_iter().map(request).collect(),
    })
}
