//! What the client receives: from the router, and retained messages.

use broker_core::host::Delivery;
use bytes::BytesMut;
use ha_types::Qos;

use super::Connection;
use crate::codec::encode::{self, AckKind, Outgoing};
use crate::codec::properties::check_opaque;
use crate::front::outflow::{Output, Source};
use crate::front::subscriptions::Granted;
use crate::router::envelope::{self, Forwarded};
use crate::router::link::RouterGone;

impl Connection {
    /// Takes a message of the router.
    pub(crate) fn take_forward(
        &mut self,
        message: Forwarded,
        out: &mut BytesMut,
    ) -> Result<(), RouterGone> {
        let source =
            Source::Router { packet_id: message.router_packet_id, qos: message.router_qos };
        match self.wanted(&message) {
            Some(granted) => self.outflow.deliver(source, outgoing(message, granted)),
            None => self.outflow.skip(source),
        }
        self.write_outputs(out)
    }

    /// Takes a PUBREL of the router.
    pub(crate) fn take_router_pubrel(
        &mut self,
        packet_id: u16,
        out: &mut BytesMut,
    ) -> Result<(), RouterGone> {
        self.outflow.router_pubrel(packet_id);
        self.write_outputs(out)
    }

    /// The options under which the client gets a message; `None`: it does not.
    fn wanted(&self, message: &Forwarded) -> Option<Granted> {
        let granted = match message.subscription {
            Some(number) => self.subscriptions.granted(number)?,
            // For a moment after a session resumed the router does not say which.
            None => Granted {
                qos: message.router_qos,
                no_local: false,
                retain_as_published: false,
                id: None,
            },
        };
        let is_own = message.publisher == self.session;
        (!granted.no_local || !is_own).then_some(granted)
    }

    pub(super) fn write_outputs(&mut self, out: &mut BytesMut) -> Result<(), RouterGone> {
        let mut to_router = Vec::new();
        loop {
            let outputs = self.outflow.take_outputs();
            if outputs.is_empty() {
                return self.link.push(to_router);
            }
            for output in outputs {
                match output {
                    Output::Publish(message, packet_id) => self.write(&message, packet_id, out),
                    Output::Pubrel(id, reason) => {
                        encode::ack(out, &self.peer, (AckKind::Pubrel, id), (reason, None));
                    }
                    Output::RouterPuback(id) => to_router.push(envelope::puback(id)),
                    Output::RouterPubrec(id) => to_router.push(envelope::pubrec(id)),
                    Output::RouterPubcomp(id) => to_router.push(envelope::pubcomp(id)),
                }
            }
        }
    }

    fn write(&mut self, message: &Outgoing, packet_id: u16, out: &mut BytesMut) {
        if encode::publish(out, &self.peer, message, packet_id).is_ok() {
            return self.shared.counters.count_delivery();
        }
        self.shared.counters.count_dropped();
        if message.qos != Qos::AtMostOnce {
            self.outflow.unsendable(packet_id);
        }
    }

    pub(super) fn deliver_retained(&mut self, granted: Granted, delivery: &Delivery) {
        let message = &*delivery.message;
        if check_opaque(&message.properties).is_err() {
            return self.shared.counters.count_dropped();
        }
        let outgoing = Outgoing {
            topic: message.topic.as_bytes().clone(),
            payload: message.payload.clone(),
            properties: message.properties.clone(),
            expires_in_s: delivery.expires_in_s,
            subscription_id: granted.id,
            qos: message.qos.min(granted.qos),
            retain: true,
        };
        self.outflow.deliver(Source::Retained, outgoing);
    }
}

fn outgoing(message: Forwarded, granted: Granted) -> Outgoing {
    Outgoing {
        topic: message.topic,
        payload: message.payload,
        properties: message.properties,
        expires_in_s: message.expires_in_s,
        subscription_id: granted.id,
        qos: message.qos.min(message.router_qos),
        retain: message.retain && granted.retain_as_published,
    }
}
