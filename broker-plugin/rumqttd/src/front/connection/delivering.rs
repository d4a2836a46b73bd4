//! What the client receives: from the router, and retained messages.

use broker_core::access::Action;
use broker_core::codec::property::check_opaque;
use broker_core::codec::{Ack, FromServer, PacketId, Publish, Reason};
use broker_core::host::Delivery;
use bytes::BytesMut;

use super::Connection;
use crate::front::ending::End;
use crate::front::outflow::{Outgoing, Output, Source};
use crate::front::subscriptions::Granted;
use crate::router::envelope::{self, Forwarded};

impl Connection {
    /// Takes a message of the router.
    pub(crate) fn take_forward(
        &mut self,
        message: Forwarded,
        out: &mut BytesMut,
    ) -> Result<(), End> {
        let source = Source::Router(message.router_flow);
        match self.wanted(&message) {
            Some(granted) => self.outflow.deliver(source, outgoing(message, granted)),
            None => self.outflow.skip(source),
        }
        self.write_outputs(out)
    }

    /// Takes a PUBREL of the router.
    pub(crate) fn take_router_pubrel(
        &mut self,
        packet_id: PacketId,
        out: &mut BytesMut,
    ) -> Result<(), End> {
        self.outflow.router_pubrel(packet_id);
        self.write_outputs(out)
    }

    /// The options under which the client gets a message; `None`: it does not.
    fn wanted(&self, message: &Forwarded) -> Option<Granted> {
        let granted = match message.subscription {
            Some(number) => self.subscriptions.granted(number)?,
            // For a moment after a session resumed the router does not say which.
            None => Granted {
                qos: message.router_flow.qos(),
                no_local: false,
                retain_as_published: false,
                id: None,
            },
        };
        let is_own = message.publisher == self.session;
        if granted.no_local && is_own {
            return None;
        }
        self.may_receive(message.topic.as_str()).then_some(granted)
    }

    fn may_receive(&self, topic: &str) -> bool {
        let may = self.allows(Action::Receive(topic));
        if !may {
            self.shared.counters.count_denied();
        }
        may
    }

    pub(super) fn write_outputs(&mut self, out: &mut BytesMut) -> Result<(), End> {
        let mut to_router = Vec::new();
        loop {
            let outputs = self.outflow.take_outputs();
            if outputs.is_empty() {
                return Ok(self.link.push(to_router)?);
            }
            for output in outputs {
                match output {
                    Output::Publish(publish) => self.write(publish, out),
                    Output::Pubrel(id, reason) => self.write_pubrel(id, reason, out)?,
                    Output::RouterPuback(id) => to_router.push(envelope::puback(id)),
                    Output::RouterPubrec(id) => to_router.push(envelope::pubrec(id)),
                    Output::RouterPubcomp(id) => to_router.push(envelope::pubcomp(id)),
                }
            }
        }
    }

    /// What the client cannot take is dropped as if it had been sent [MQTT-3.1.2-25].
    fn write(&mut self, publish: Publish, out: &mut BytesMut) {
        let packet_id = publish.flow.packet_id();
        if self.answer(&FromServer::Publish(publish), out).is_ok() {
            return self.shared.counters.count_delivery();
        }
        self.shared.counters.count_dropped();
        if let Some(id) = packet_id {
            self.outflow.unsendable(id);
        }
    }

    fn write_pubrel(&self, id: PacketId, reason: Reason, out: &mut BytesMut) -> Result<(), End> {
        self.answer(&FromServer::Pubrel(Ack::new(id, reason)), out)
    }

    pub(super) fn deliver_retained(&mut self, granted: Granted, delivery: &Delivery) {
        let message = &*delivery.message;
        if check_opaque(&message.properties).is_err() {
            return self.shared.counters.count_dropped();
        }
        if !self.may_receive(message.topic.as_str()) {
            return;
        }
        let outgoing = Outgoing {
            topic: message.topic.clone(),
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
        qos: message.qos.min(message.router_flow.qos()),
        retain: message.retain && granted.retain_as_published,
    }
}
