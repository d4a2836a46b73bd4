//! A client's side of its MQTT session: what it must remember between connections, what it answers,
//! and what of it is recorded.
//!
//! Pure: packets in, [`Action`]s out, to be done in their order. It keeps a client's duties exactly,
//! so that whatever the judge finds is the broker's. The session is forgotten when the broker says
//! that it has none; what was not acknowledged then is given up.

use std::collections::{BTreeMap, BTreeSet};

use broker_core::codec::{
    Ack, Connect, Flow, FromClient, FromServer, PacketId, Publish, Reason, RetainHandling, Suback,
    Text, Topic,
};
use bytes::Bytes;
use ha_types::{Qos, TopicFilter};
use history::{Present, Retain, RetainedWanted, Start, Step, What};

use crate::message::{Message, stamp};
use crate::plan::{Plan, Wanted};

mod outgoing;
#[cfg(test)]
mod tests;

use outgoing::Outgoing;

/// The longest silence that a client announces.
const KEEP_ALIVE_S: u16 = 60;

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Put it into the history.
    Record(What<String>),
    /// Send it.
    Send(FromClient),
    /// Between a delivery and its acknowledgement.
    Pause,
}

/// What no broker may send, whatever has failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each says what came")]
pub enum Oddity {
    #[error("{0:?} answers nothing that was sent")]
    Unasked(Box<FromServer>),
    #[error("a message that nobody published: {0:?}")]
    Foreign(Box<Publish>),
    #[error("SUBACK has {found} reasons for {asked} filters")]
    Suback { asked: usize, found: usize },
}

/// What a client knows of its session.
#[derive(Debug)]
pub struct Session {
    plan: Plan,
    connection: u32,
    outgoing: Outgoing,
    /// Deliveries at QoS 2 between PUBREC and PUBREL.
    incoming: BTreeSet<PacketId>,
    subscribing: BTreeMap<PacketId, Vec<TopicFilter>>,
    granted: BTreeMap<TopicFilter, Qos>,
}

impl Session {
    /// Before the first connection.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            connection: 0,
            outgoing: Outgoing::default(),
            incoming: BTreeSet::new(),
            subscribing: BTreeMap::new(),
            granted: BTreeMap::new(),
        }
    }

    /// Who it is.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The number of the connection, counted from 1.
    #[must_use]
    pub fn connection(&self) -> u32 {
        self.connection
    }

    /// Whether everything wanted is subscribed to.
    #[must_use]
    pub fn is_subscribed(&self) -> bool {
        self.plan.subscriptions.iter().all(|wanted| self.granted.contains_key(&wanted.filter))
    }

    /// Publishes at QoS 1 and 2 whose exchange is not complete.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.outgoing.len()
    }

    /// Whether one more may be published.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.outgoing.has_room()
    }

    /// Begins a connection: the CONNECT, and what is recorded before it is sent.
    pub fn connecting(&mut self) -> (Connect, What<String>) {
        self.connection += 1;
        let is_durable = self.plan.is_durable();
        let id = Text::parse(Bytes::from(self.plan.id.clone())).expect("ours are valid");
        let mut connect = Connect::new(self.plan.version, id);
        connect.clean_start = !is_durable;
        connect.session_expiry_s = self.plan.expires_s;
        connect.keep_alive_s = KEEP_ALIVE_S;
        connect.receive_maximum = self.plan.habits.receive_maximum.of(self.connection);
        let start = if is_durable { Start::Resume } else { Start::Clean };
        (connect, What::Connecting { start, expires_s: self.plan.expires_s })
    }

    /// The connection is accepted. A session that goes on sends what was not answered; a new one
    /// subscribes.
    pub fn connected(&mut self, session: Present) -> Vec<Action> {
        if session == Present::New {
            self.outgoing = Outgoing::default();
            self.incoming.clear();
            self.granted.clear();
        }
        let mut actions = vec![Action::Record(What::Connected { session })];
        actions.extend(self.outgoing.again(&self.plan.id));
        actions.extend(self.subscribe_missing());
        actions
    }

    /// The connection is gone: nothing that it waited for will come, but what the session keeps.
    pub fn closed(&mut self) {
        self.subscribing.clear();
    }

    /// Publishes, when there is [room](Self::has_room).
    pub fn publish(&mut self, message: Message) -> Vec<Action> {
        let busy: BTreeSet<_> = self.subscribing.keys().copied().collect();
        self.outgoing.publish(&self.plan.id, message, &busy)
    }

    /// Subscribes to what was not granted, unless an answer is awaited.
    pub fn subscribe_missing(&mut self) -> Vec<Action> {
        let granted = &self.granted;
        let is_missing = |wanted: &&Wanted| !granted.contains_key(&wanted.filter);
        let missing = self.plan.subscriptions.iter().filter(is_missing).cloned().collect();
        self.subscribe(missing)
    }

    /// Subscribes to everything once more, unless an answer is awaited.
    pub fn subscribe_again(&mut self) -> Vec<Action> {
        self.subscribe(self.plan.subscriptions.clone())
    }

    fn subscribe(&mut self, wanted: Vec<Wanted>) -> Vec<Action> {
        if wanted.is_empty() || !self.subscribing.is_empty() {
            return Vec::new();
        }
        let id = self.outgoing.free_id(&BTreeSet::new());
        let filters: Vec<_> = wanted.iter().map(|wanted| wanted.filter.clone()).collect();
        self.subscribing.insert(id, filters);
        let mut actions: Vec<_> = wanted.iter().map(subscribing).map(Action::Record).collect();
        actions.push(Action::Send(outgoing::subscribe(id, wanted)));
        actions
    }

    /// Takes a packet, but no CONNACK.
    ///
    /// # Errors
    /// [`Oddity`]: no broker may send this.
    pub fn received(&mut self, packet: FromServer) -> Result<Vec<Action>, Oddity> {
        match packet {
            FromServer::Publish(publish) => self.delivered(publish),
            FromServer::Pubrel(ack) => Ok(self.released(ack.packet_id)),
            FromServer::Puback(ref ack) => {
                self.outgoing.puback(ack).ok_or_else(|| unasked(&packet))
            }
            FromServer::Pubrec(ref ack) => {
                self.outgoing.pubrec(ack).ok_or_else(|| unasked(&packet))
            }
            FromServer::Pubcomp(ref ack) => {
                self.outgoing.pubcomp(ack).ok_or_else(|| unasked(&packet))
            }
            FromServer::Suback(suback) => self.subscribed(suback),
            FromServer::Pingresp => Ok(Vec::new()),
            // The shell takes these, or nobody asked for them.
            FromServer::Connack(_)
            | FromServer::Disconnect(_)
            | FromServer::Unsuback(_)
            | FromServer::Auth(_) => Err(unasked(&packet)),
        }
    }

    fn subscribed(&mut self, suback: Suback) -> Result<Vec<Action>, Oddity> {
        let Some(filters) = self.subscribing.remove(&suback.packet_id) else {
            return Err(unasked(&FromServer::Suback(suback)));
        };
        let (asked, found) = (filters.len(), suback.reasons.len());
        if asked != found {
            return Err(Oddity::Suback { asked, found });
        }
        let answers = filters.into_iter().zip(suback.reasons);
        let record = |(filter, reason): (TopicFilter, Reason)| {
            let granted = Qos::from_level(u32::from(reason.0));
            let what = What::Subscribed { filter: filter.as_str().to_owned(), granted };
            if let Some(granted) = granted {
                self.granted.insert(filter, granted);
            }
            Action::Record(what)
        };
        Ok(answers.map(record).collect())
    }

    fn delivered(&mut self, publish: Publish) -> Result<Vec<Action>, Oddity> {
        let mut actions = Vec::new();
        // What removes a retained message says nothing about itself.
        if !publish.payload.is_empty() {
            let what =
                delivery(&publish).ok_or_else(|| Oddity::Foreign(Box::new(publish.clone())))?;
            actions.push(Action::Record(what));
        }
        let (id, step, answer): (_, _, fn(Ack) -> FromClient) = match publish.flow {
            Flow::AtMostOnce => return Ok(actions),
            Flow::AtLeastOnce(id) => (id, Step::Puback, FromClient::Puback),
            Flow::ExactlyOnce(id) => {
                self.incoming.insert(id);
                (id, Step::Pubrec, FromClient::Pubrec)
            }
        };
        actions.push(Action::Pause);
        actions.push(Action::Record(What::DeliveryAcknowledged { packet_id: id.get(), step }));
        actions.push(Action::Send(answer(Ack::new(id, Reason::SUCCESS))));
        Ok(actions)
    }

    /// Also an unknown identifier is answered, so that the exchange ends
    /// [MQTT-4.3.3-11], 5.0 §3.7.2.1.
    fn released(&mut self, id: PacketId) -> Vec<Action> {
        let known = self.incoming.remove(&id);
        let reason = if known { Reason::SUCCESS } else { Reason::PACKET_ID_NOT_FOUND };
        let what = What::DeliveryAcknowledged { packet_id: id.get(), step: Step::Pubcomp };
        vec![Action::Record(what), Action::Send(FromClient::Pubcomp(Ack::new(id, reason)))]
    }
}

fn unasked(packet: &FromServer) -> Oddity {
    Oddity::Unasked(Box::new(packet.clone()))
}

fn subscribing(wanted: &Wanted) -> What<String> {
    What::Subscribing {
        filter: wanted.filter.as_str().to_owned(),
        qos: wanted.options.qos,
        retained: match wanted.options.retain_handling {
            RetainHandling::AtSubscribe => RetainedWanted::Always,
            RetainHandling::IfNew => RetainedWanted::IfNew,
            RetainHandling::Never => RetainedWanted::Never,
        },
        no_local: wanted.options.no_local,
        as_published: wanted.options.retain_as_published,
    }
}

/// `None`: it is none of ours.
fn delivery(publish: &Publish) -> Option<What<String>> {
    // No client of ours allows aliases.
    let Topic::Name(topic) = &publish.topic else { return None };
    let (publisher, number) = stamp(&publish.payload)?;
    Some(What::Delivered {
        publisher: publisher.to_owned(),
        number,
        topic: topic.as_str().to_owned(),
        qos: publish.flow.qos(),
        dup: publish.dup,
        retain: publish.retain,
        packet_id: publish.flow.packet_id().map_or(0, PacketId::get),
    })
}

fn publishing(message: &Message, dup: bool) -> What<String> {
    What::Publishing {
        number: message.number,
        topic: message.topic.as_str().to_owned(),
        qos: message.qos,
        retain: message.retain,
        dup,
        expires_s: message.expires_s,
    }
}

fn packet(publisher: &str, message: &Message, flow: Flow, dup: bool) -> FromClient {
    FromClient::Publish(Publish {
        flow,
        dup,
        retain: message.retain != Retain::No,
        topic: Topic::Name(message.topic.clone()),
        expires_in_s: message.expires_s,
        subscription_ids: Vec::new(),
        properties: Bytes::new(),
        payload: message.payload(publisher),
    })
}

/// Only QoS 1 and 2 are sent again.
fn flow(qos: Qos, id: PacketId) -> Flow {
    match qos {
        Qos::AtMostOnce => Flow::AtMostOnce,
        Qos::AtLeastOnce => Flow::AtLeastOnce(id),
        Qos::ExactlyOnce => Flow::ExactlyOnce(id),
    }
}

/// The queue records and sends in the order of these.
fn both(what: What<String>, packet: FromClient) -> [Action; 2] {
    [Action::Record(what), Action::Send(packet)]
}

/// That an acknowledgement came; refusals are not recorded.
fn acknowledged(message: &Message, step: Step) -> Action {
    Action::Record(What::Acknowledged { number: message.number, step })
}
