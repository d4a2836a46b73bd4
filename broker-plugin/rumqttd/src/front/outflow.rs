//! What a client receives: packet ids, its Receive Maximum, and acknowledgements in the order that
//! the router insists on. Pure; one per connection.
//!
//! The router delivers at the QoS of the subscription and closes a link whose acknowledgements are
//! unknown or out of order. So this keeps the router's view and the client's apart: a message goes
//! out at the lower QoS of message and subscription, a client may acknowledge in any order, and
//! the router hears of it in its own. Retained messages are the host's: their packet ids begin
//! above the router's 1 to 100.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

use broker_core::codec::{Flow, PacketId, Publish, Reason, SubscriptionId, Topic};
use bytes::Bytes;
use ha_types::{Qos, TopicName};

/// First packet id of retained messages.
const OWN_ID_FIRST: u16 = 1_001;

/// Where a message comes from, and so who hears of its acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The router waits at the QoS of the subscription. QoS 0: it does not wait.
    Router(Flow),
    /// A retained message that the host sends.
    Retained,
}

/// A message to one subscriber. It gets its packet identifier when it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) topic: TopicName,
    pub(crate) payload: Bytes,
    /// Wire encoding without length: what the publisher sent.
    pub(crate) properties: Bytes,
    pub(crate) expires_in_s: Option<u32>,
    pub(crate) subscription_id: Option<SubscriptionId>,
    /// The lower one of message and subscription.
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
}

impl Outgoing {
    fn publish(self, flow: Flow) -> Publish {
        Publish {
            flow,
            dup: false,
            retain: self.retain,
            topic: Topic::Name(self.topic),
            expires_in_s: self.expires_in_s,
            subscription_ids: self.subscription_id.into_iter().collect(),
            properties: self.properties,
            payload: self.payload,
        }
    }
}

/// What the connection must do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Write a PUBLISH.
    Publish(Publish),
    /// Write a PUBREL.
    Pubrel(PacketId, Reason),
    /// Give the router a PUBACK.
    RouterPuback(PacketId),
    /// Give the router a PUBREC.
    RouterPubrec(PacketId),
    /// Give the router a PUBCOMP.
    RouterPubcomp(PacketId),
}

/// How far an exchange with the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// In `waiting`, not sent.
    Unsent,
    /// QoS 1: PUBACK is missing.
    Puback,
    /// QoS 2: PUBREC is missing.
    Pubrec,
    /// QoS 2: PUBCOMP is missing.
    Pubcomp,
    /// Nothing is missing.
    Done,
}

impl Stage {
    /// Whether the client holds a place of its Receive Maximum.
    fn is_on_wire(self) -> bool {
        matches!(self, Self::Puback | Self::Pubrec | Self::Pubcomp)
    }
}

/// A message that the router waits for.
#[derive(Clone, Copy, Debug)]
struct Flight {
    id: PacketId,
    router_qos: Qos,
    stage: Stage,
}

/// The delivering side of one connection.
#[derive(Debug)]
pub(crate) struct Outflow {
    receive_maximum: usize,
    /// Exchanges that the client has not finished.
    on_wire: usize,
    /// QoS 1 and 2 beyond Receive Maximum: at most the router's 100, and retained messages.
    waiting: VecDeque<(Source, Outgoing)>,
    /// Not acknowledged to the router, in its order.
    flights: VecDeque<Flight>,
    /// PUBREC given to the router, PUBCOMP not yet, in its order.
    releases: VecDeque<Flight>,
    /// Exchanges of retained messages.
    own: BTreeMap<PacketId, Stage>,
    own_id_next: u16,
    /// PUBRELs of the router that answer our PUBRECs and say nothing new.
    pubrels_expected: usize,
    outputs: Vec<Output>,
}

impl Outflow {
    pub(crate) fn new(receive_maximum: u16) -> Self {
        Self {
            receive_maximum: usize::from(receive_maximum.max(1)),
            on_wire: 0,
            waiting: VecDeque::new(),
            flights: VecDeque::new(),
            releases: VecDeque::new(),
            own: BTreeMap::new(),
            own_id_next: OWN_ID_FIRST,
            pubrels_expected: 0,
            outputs: Vec::new(),
        }
    }

    /// What has become due since the last call.
    pub(crate) fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// Sends a message as soon as Receive Maximum allows; at QoS 0 at once.
    pub(crate) fn deliver(&mut self, source: Source, message: Outgoing) {
        let stage = if message.qos == Qos::AtMostOnce { Stage::Done } else { Stage::Unsent };
        self.register(source, stage);
        if stage == Stage::Done {
            self.outputs.push(Output::Publish(message.publish(Flow::AtMostOnce)));
        } else {
            self.waiting.push_back((source, message));
        }
        self.advance();
    }

    /// Acknowledges to the router a message that the client does not get.
    pub(crate) fn skip(&mut self, source: Source) {
        self.register(source, Stage::Done);
        self.advance();
    }

    /// The client did not take the message of this packet id, because it was too large to write.
    pub(crate) fn unsendable(&mut self, id: PacketId) {
        self.settle(id, |stage| stage.is_on_wire(), Stage::Done);
        self.advance();
    }

    /// A PUBACK of the client. An unknown one is ignored.
    pub(crate) fn puback(&mut self, id: PacketId) {
        self.settle(id, |stage| stage == Stage::Puback, Stage::Done);
        self.advance();
    }

    /// A PUBREC of the client.
    pub(crate) fn pubrec(&mut self, id: PacketId, reason: Reason) {
        let next = if reason.is_failure() { Stage::Done } else { Stage::Pubcomp };
        let known = self.settle(id, |stage| stage == Stage::Pubrec, next)
            || self.stage_of(id) == Some(Stage::Pubcomp);
        match (known, reason.is_failure()) {
            (_, true) => (),
            (true, false) => self.outputs.push(Output::Pubrel(id, Reason::SUCCESS)),
            (false, false) => self.outputs.push(Output::Pubrel(id, Reason::PACKET_ID_NOT_FOUND)),
        }
        self.advance();
    }

    /// A PUBCOMP of the client. An unknown one is ignored.
    pub(crate) fn pubcomp(&mut self, id: PacketId) {
        self.settle(id, |stage| stage == Stage::Pubcomp, Stage::Done);
        self.advance();
    }

    /// A PUBREL of the router: an answer to our PUBREC, or, first thing on a resumed session, the
    /// rest of an exchange that the client must finish.
    pub(crate) fn router_pubrel(&mut self, id: PacketId) {
        if self.pubrels_expected > 0 {
            self.pubrels_expected -= 1;
            return;
        }
        self.on_wire += 1;
        self.releases.push_back(Flight { id, router_qos: Qos::ExactlyOnce, stage: Stage::Pubcomp });
        self.outputs.push(Output::Pubrel(id, Reason::SUCCESS));
    }

    fn register(&mut self, source: Source, stage: Stage) {
        if let Source::Router(flow) = source
            && let Some(id) = flow.packet_id()
        {
            self.flights.push_back(Flight { id, router_qos: flow.qos(), stage });
        }
    }

    fn stages(&mut self) -> impl Iterator<Item = (PacketId, &mut Stage)> {
        // Releases first: the router may use an id again while its PUBCOMP is missing.
        let router = self.releases.iter_mut().chain(self.flights.iter_mut());
        let own = self.own.iter_mut().map(|(&id, stage)| (id, stage));
        router.map(|flight| (flight.id, &mut flight.stage)).chain(own)
    }

    fn stage_of(&mut self, id: PacketId) -> Option<Stage> {
        self.stages().find(|(of, _)| *of == id).map(|(_, stage)| *stage)
    }

    /// Moves the exchange `id`, when it is in the `expected` stage, to `next`.
    fn settle(&mut self, id: PacketId, expected: impl Fn(Stage) -> bool, next: Stage) -> bool {
        let found = self.stages().find(|(of, stage)| *of == id && expected(**stage));
        let Some((_, stage)) = found else { return false };
        *stage = next;
        if next == Stage::Done {
            self.on_wire -= 1;
        }
        true
    }

    fn advance(&mut self) {
        self.own.retain(|_, stage| *stage != Stage::Done);
        self.tell_router();
        while self.on_wire < self.receive_maximum
            && let Some((source, message)) = self.waiting.pop_front()
        {
            self.send(source, message);
        }
    }

    /// Gives the router what it can take in its order.
    fn tell_router(&mut self) {
        while let Some(&flight) = self.flights.front()
            && matches!(flight.stage, Stage::Pubcomp | Stage::Done)
        {
            self.flights.pop_front();
            if flight.router_qos == Qos::AtLeastOnce {
                self.outputs.push(Output::RouterPuback(flight.id));
            } else {
                self.outputs.push(Output::RouterPubrec(flight.id));
                self.pubrels_expected += 1;
                self.releases.push_back(flight);
            }
        }
        while self.releases.front().is_some_and(|release| release.stage == Stage::Done)
            && let Some(release) = self.releases.pop_front()
        {
            self.outputs.push(Output::RouterPubcomp(release.id));
        }
    }

    fn send(&mut self, source: Source, message: Outgoing) {
        let stage = match message.qos {
            Qos::ExactlyOnce => Stage::Pubrec,
            _ => Stage::Puback,
        };
        let id = match source {
            Source::Router(flow) => {
                let sent = self
                    .flights
                    .iter_mut()
                    .find(|of| Some(of.id) == flow.packet_id() && of.stage == Stage::Unsent);
                let sent = sent.expect("a waiting message of the router is in flight");
                sent.stage = stage;
                sent.id
            }
            Source::Retained => self.own_id(stage),
        };
        self.on_wire += 1;
        let flow = match stage {
            Stage::Pubrec => Flow::ExactlyOnce(id),
            _ => Flow::AtLeastOnce(id),
        };
        self.outputs.push(Output::Publish(message.publish(flow)));
    }

    /// A free packet id: Receive Maximum exchanges never fill the 64,535 ids.
    fn own_id(&mut self, stage: Stage) -> PacketId {
        loop {
            let id = PacketId::new(self.own_id_next).expect("own ids begin above zero");
            self.own_id_next = self.own_id_next.checked_add(1).unwrap_or(OWN_ID_FIRST);
            if let Entry::Vacant(free) = self.own.entry(id) {
                free.insert(stage);
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests;
