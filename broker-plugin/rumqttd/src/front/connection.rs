//! One connected client: what each packet and each notification leads to.
//!
//! No waiting here; [`serve`](super::serve) waits and calls.

mod delivering;
mod subscribing;

use std::collections::BTreeSet;
use std::sync::Arc;

use broker_core::access::{Access, Action, Identity};
use broker_core::codec::{
    Ack, Flow, Frame, FromClient, FromServer, PacketId, Publish, Reason, Recipient, Remarks,
};
use broker_core::host::{Delivery, HostEvent, HostPublish};
use bytes::BytesMut;
use ha_types::{Qos, SessionId, Ticket, TopicName};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::ending::End;
use super::inflow::{Inflow, InflowLimits, Intake, Unroutable};
use super::outflow::Outflow;
use super::subscriptions::{Change, Granted, Remembered, Subscriptions};
use crate::router::envelope::{self, Enveloped, Tell};
use crate::router::injector::Answer;
use crate::router::link::{RouterGone, SharedLink};
use crate::shared::Shared;

/// What a connection waits for before it takes the next packet of its client.
#[derive(Debug)]
pub(crate) enum Pause {
    /// Room in the channel to the plugin.
    Publishing(Box<Publishing>),
    /// Room in the channel of events.
    Telling(HostEvent),
    /// The plugin's answer.
    Subscribing(Subscribing),
    /// The router's SUBACK, after the plugin's answer with these retained messages.
    Confirming(Subscribing, Vec<Vec<Delivery>>),
}

/// A message on its way to the plugin, then to the router, then acknowledged.
#[derive(Debug)]
pub(crate) struct Publishing {
    pub(crate) message: HostPublish,
    flow: Flow,
}

/// A SUBSCRIBE that the plugin has been asked about.
#[derive(Debug)]
pub(crate) struct Subscribing {
    pub(crate) answer: oneshot::Receiver<Answer>,
    pub(crate) give_up_at: Instant,
    ticket: Ticket,
    packet_id: PacketId,
    reasons: Vec<Reason>,
    granted: Vec<Granted>,
    /// What the session has when the cluster agrees.
    next: Subscriptions,
    /// Whether the router's SUBACK is still to come.
    awaits_router: bool,
}

/// One connected client.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) recipient: Recipient,
    pub(crate) identity: Identity,
    /// The rules as they were at the last turn of the connection's task.
    access: Arc<dyn Access>,
    pub(crate) session: SessionId,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) remembered: Remembered,
    pub(crate) link: SharedLink,
    /// `Some`: no packet of the client is taken.
    pub(crate) pause: Option<Pause>,
    /// The router's SUBACK was faster than the plugin's answer, which is on its way here. Until it
    /// has come nothing more is taken from the router: it may be for the new subscription.
    pub(crate) router_confirmed: bool,
    /// After `pause`: the SUBSCRIBE whose event is being sent.
    pub(crate) subscribing: Option<Subscribing>,
    inflow: Inflow,
    outflow: Outflow,
}

/// What a connection begins with.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(crate) recipient: Recipient,
    pub(crate) identity: Identity,
    pub(crate) receive_maximum: u16,
    pub(crate) session: SessionId,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) received: BTreeSet<PacketId>,
    pub(crate) remembered: Remembered,
    pub(crate) link: SharedLink,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, beginning: Beginning) -> Self {
        let limits = InflowLimits {
            topic_aliases_max: shared.config.topic_aliases_max,
            receive_maximum: shared.config.receive_maximum,
        };
        Self {
            recipient: beginning.recipient,
            identity: beginning.identity,
            access: shared.admission.access(),
            shared,
            session: beginning.session,
            subscriptions: beginning.subscriptions,
            remembered: beginning.remembered,
            link: beginning.link,
            pause: None,
            router_confirmed: false,
            subscribing: None,
            inflow: Inflow::new(limits, beginning.received),
            outflow: Outflow::new(beginning.receive_maximum),
        }
    }

    /// What the session must remember: subscriptions and QoS 2 packet ids.
    pub(crate) fn into_memory(self) -> (Subscriptions, BTreeSet<PacketId>) {
        (self.subscriptions, self.inflow.into_received())
    }

    /// Tells a resumed link what the router has forgotten.
    pub(crate) fn restore(&self) -> Result<(), RouterGone> {
        self.link.push(router_packets(self.subscriptions.restore(), Tell::Nobody))
    }

    /// Sees rules that were changed meanwhile.
    pub(crate) fn refresh_access(&mut self) {
        self.access = self.shared.admission.access();
    }

    /// Takes one packet of the client.
    pub(crate) fn take_frame(&mut self, frame: Frame, out: &mut BytesMut) -> Result<(), End> {
        match FromClient::decode(self.recipient.version, frame)? {
            FromClient::Publish(publish) => self.take_publish(publish, out)?,
            FromClient::Puback(ack) => self.outflow.puback(ack.packet_id),
            FromClient::Pubrec(ack) => self.outflow.pubrec(ack.packet_id, ack.reason),
            FromClient::Pubcomp(ack) => self.outflow.pubcomp(ack.packet_id),
            FromClient::Pubrel(ack) => {
                let reason = self.inflow.release(ack.packet_id);
                self.answer(&FromServer::Pubcomp(Ack::new(ack.packet_id, reason)), out)?;
            }
            FromClient::Subscribe(subscribe) => self.take_subscribe(&subscribe)?,
            FromClient::Unsubscribe(unsubscribe) => self.take_unsubscribe(&unsubscribe, out)?,
            FromClient::Pingreq => self.answer(&FromServer::Pingresp, out)?,
            FromClient::Disconnect(disconnect) => return Err(End::Left(disconnect)),
            FromClient::Auth(_) => {
                let why = "AUTH without an authentication method in CONNECT";
                return Err(End::Refused(Reason::PROTOCOL_ERROR, why.to_owned()));
            }
        }
        self.write_outputs(out)
    }

    fn answer(&self, packet: &FromServer, out: &mut BytesMut) -> Result<(), End> {
        Ok(packet.encode(&self.recipient, out)?)
    }

    fn allows(&self, action: Action<'_>) -> bool {
        self.access.allows(&self.identity, action)
    }

    fn take_publish(&mut self, publish: Publish, out: &mut BytesMut) -> Result<(), End> {
        let (identity, access) = (&self.identity, &self.access);
        let allows = |topic: &TopicName| access.allows(identity, Action::Publish(topic.as_str()));
        let intake = self
            .inflow
            .admit(&publish, allows)
            .map_err(|violation| End::Refused(violation.reason(), violation.to_string()))?;
        match intake {
            Intake::Forward(topic) => {
                let flow = publish.flow;
                let message = self.host_publish(publish, topic);
                self.pause = Some(Pause::Publishing(Box::new(Publishing { message, flow })));
                Ok(())
            }
            Intake::Repeat => self.acknowledge(publish.flow, Reason::SUCCESS, None, out),
            Intake::Deny => {
                self.shared.counters.count_denied();
                self.acknowledge(publish.flow, Reason::NOT_AUTHORIZED, None, out)
            }
            Intake::Refuse(unroutable) => self.refuse(publish.flow, unroutable, out),
        }
    }

    fn host_publish(&self, publish: Publish, topic: TopicName) -> HostPublish {
        HostPublish {
            topic,
            payload: publish.payload,
            properties: publish.properties,
            qos: publish.flow.qos(),
            retain: publish.retain,
            expires_in_s: publish.expires_in_s,
            session: self.session,
            exchange: None,
        }
    }

    fn refuse(&self, flow: Flow, why: Unroutable, out: &mut BytesMut) -> Result<(), End> {
        let reason = Reason::TOPIC_NAME_INVALID;
        if flow.qos() == Qos::AtMostOnce || !self.recipient.version.has_properties() {
            return Err(End::Refused(reason, why.to_string()));
        }
        self.acknowledge(flow, reason, Some(why), out)
    }

    /// PUBACK or PUBREC; nothing at QoS 0. Before 5.0 they have no reason.
    fn acknowledge(
        &self,
        flow: Flow,
        reason: Reason,
        why: Option<Unroutable>,
        out: &mut BytesMut,
    ) -> Result<(), End> {
        let remarks = why.map(|why| Remarks::because(why.to_string())).unwrap_or_default();
        let ack = |packet_id| Ack { packet_id, reason, remarks };
        match flow {
            Flow::AtMostOnce => Ok(()),
            Flow::AtLeastOnce(id) => self.answer(&FromServer::Puback(ack(id)), out),
            Flow::ExactlyOnce(id) => self.answer(&FromServer::Pubrec(ack(id)), out),
        }
    }

    /// The plugin has the message: deliver it here, and acknowledge.
    pub(crate) fn published(
        &mut self,
        publishing: Publishing,
        out: &mut BytesMut,
    ) -> Result<(), End> {
        let Publishing { message, flow } = publishing;
        self.shared.counters.count_publish();
        self.link.push(vec![envelope::publish(&enveloped(message))])?;
        self.acknowledge(flow, Reason::SUCCESS, None, out)
    }
}

/// `tell` applies to the last change, which is a SUBSCRIBE when anybody is told.
fn router_packets(changes: Vec<Change>, tell: Tell) -> Vec<rumqttd::protocol::Packet> {
    let last = changes.len();
    let packets = (1..).zip(changes).map(|(at, change)| match change {
        Change::Subscribe { path, qos, number } => {
            let tell = if at == last { tell } else { Tell::Nobody };
            envelope::subscribe(path, qos, number, tell)
        }
        Change::Unsubscribe { path } => envelope::unsubscribe(path),
    });
    packets.collect()
}

fn enveloped(message: HostPublish) -> Enveloped {
    Enveloped {
        topic: message.topic,
        payload: message.payload,
        properties: message.properties,
        expires_in_s: message.expires_in_s,
        qos: message.qos,
        retain: message.retain,
        publisher: message.session,
    }
}
