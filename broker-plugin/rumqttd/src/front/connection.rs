//! One connected client: what each packet and each notification leads to.
//!
//! No waiting here; [`serve`](super::serve) waits and calls.

mod delivering;
mod subscribing;

use std::collections::BTreeSet;
use std::sync::Arc;

use broker_core::host::{Delivery, HostEvent, HostPublish};
use bytes::BytesMut;
use ha_types::{SessionId, Ticket};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::ending::End;
use super::inflow::{Admission, Inflow, InflowLimits, Unroutable, acknowledgement};
use super::outflow::Outflow;
use super::subscriptions::{Change, Granted, Remembered, Subscriptions};
use crate::codec::encode::{self, AckKind, Peer};
use crate::codec::frame::Frame;
use crate::codec::packet::{self, Packet};
use crate::codec::publish::Publish;
use crate::codec::{Reason, Version};
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
    packet_id: u16,
}

/// A SUBSCRIBE that the plugin has been asked about.
#[derive(Debug)]
pub(crate) struct Subscribing {
    pub(crate) answer: oneshot::Receiver<Answer>,
    pub(crate) give_up_at: Instant,
    ticket: Ticket,
    packet_id: u16,
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
    pub(crate) peer: Peer,
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
    pub(crate) peer: Peer,
    pub(crate) receive_maximum: u16,
    pub(crate) session: SessionId,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) received: BTreeSet<u16>,
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
            shared,
            peer: beginning.peer,
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
    pub(crate) fn into_memory(self) -> (Subscriptions, BTreeSet<u16>) {
        (self.subscriptions, self.inflow.into_received())
    }

    /// Tells a resumed link what the router has forgotten.
    pub(crate) fn restore(&self) -> Result<(), RouterGone> {
        self.link.push(router_packets(self.subscriptions.restore(), Tell::Nobody))
    }

    /// Takes one packet of the client.
    pub(crate) fn take_frame(&mut self, frame: Frame, out: &mut BytesMut) -> Result<(), End> {
        match packet::decode(self.peer.version, frame)? {
            Packet::Publish(publish) => self.take_publish(publish, out)?,
            Packet::Puback(ack) => self.outflow.puback(ack.packet_id),
            Packet::Pubrec(ack) => self.outflow.pubrec(ack.packet_id, ack.reason),
            Packet::Pubcomp(ack) => self.outflow.pubcomp(ack.packet_id),
            Packet::Pubrel(ack) => {
                let reason = self.inflow.release(ack.packet_id);
                let pubcomp = (AckKind::Pubcomp, ack.packet_id);
                encode::ack(out, &self.peer, pubcomp, (reason, None));
            }
            Packet::Subscribe(subscribe) => self.take_subscribe(&subscribe)?,
            Packet::Unsubscribe(unsubscribe) => self.take_unsubscribe(&unsubscribe, out)?,
            Packet::Pingreq => out.extend_from_slice(&encode::PINGRESP),
            Packet::Disconnect(disconnect) => return Err(End::Left(disconnect)),
        }
        Ok(self.write_outputs(out)?)
    }

    fn take_publish(&mut self, publish: Publish, out: &mut BytesMut) -> Result<(), End> {
        let admission = self
            .inflow
            .admit(&publish)
            .map_err(|violation| End::Refused(violation.reason(), violation.to_string()))?;
        match admission {
            Admission::Forward(topic) => {
                let message = HostPublish {
                    topic,
                    payload: publish.payload,
                    properties: publish.properties,
                    qos: publish.qos,
                    retain: publish.retain,
                    expires_in_s: publish.expires_in_s,
                    session: self.session,
                };
                let publishing = Publishing { message, packet_id: publish.packet_id };
                self.pause = Some(Pause::Publishing(Box::new(publishing)));
            }
            Admission::Repeat => {
                let pubrec = (AckKind::Pubrec, publish.packet_id);
                encode::ack(out, &self.peer, pubrec, (Reason::SUCCESS, None));
            }
            Admission::Refuse(unroutable) => self.refuse(&publish, unroutable, out)?,
        }
        Ok(())
    }

    fn refuse(&self, of: &Publish, why: Unroutable, out: &mut BytesMut) -> Result<(), End> {
        let (reason, why) = (Reason::TOPIC_NAME_INVALID, why.to_string());
        match acknowledgement(of.qos) {
            Some(kind) if self.peer.version == Version::V5 => {
                encode::ack(out, &self.peer, (kind, of.packet_id), (reason, Some(&why)));
                Ok(())
            }
            _ => Err(End::Refused(reason, why)),
        }
    }

    /// The plugin has the message: deliver it here, and acknowledge.
    pub(crate) fn published(
        &mut self,
        publishing: Publishing,
        out: &mut BytesMut,
    ) -> Result<(), End> {
        let Publishing { message, packet_id } = publishing;
        let qos = message.qos;
        self.shared.counters.count_publish();
        self.link.push(vec![envelope::publish(&enveloped(message))])?;
        if let Some(kind) = acknowledgement(qos) {
            encode::ack(out, &self.peer, (kind, packet_id), (Reason::SUCCESS, None));
        }
        Ok(())
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
