//! What clients of this broker publish: kept, numbered, sent, or dropped with a count.

use std::sync::Arc;

use ha_types::link::Upstream;
use ha_types::{BrokerEpoch, ClusterMillis, Message, Publisher, Qos};

use crate::host::HostPublish;
use crate::link::Link;
use crate::outbox::Entry;
use crate::plugin::{Event, HeldBy, Mode, Output, Plugin};
use crate::provisional::Fate;

impl Plugin {
    /// Sends publishes and asks in their turn, publishes as the window allows.
    pub(crate) fn pump(&mut self, out: &mut Vec<Output>) {
        let Some(attached) = self.link.attached() else { return };
        let (stream, window) = (attached.stream, attached.window);
        while let Some(item) = self.next_to_send(window) {
            out.push(Output::Send(stream, item));
        }
    }

    fn next_to_send(&mut self, window: usize) -> Option<Upstream> {
        match (self.outbox.turn(), self.relay.turn()) {
            (publish, Some(ask)) if publish.is_none_or(|publish| ask < publish) => {
                self.relay.next_to_send(&mut self.turns)
            }
            // Of somebody who has no session yet: the claim of it went before.
            _ if self.outbox.next_session().is_some_and(|of| self.relay.is_guest(of)) => None,
            _ => self.outbox.next_to_send(window, &mut self.turns).map(Entry::into_item),
        }
    }

    pub(crate) fn publish(&mut self, publish: HostPublish, out: &mut Vec<Output>) {
        match self.config.sessions {
            HeldBy::Host => self.publish_of_host(publish, out),
            HeldBy::Cluster => self.publish_of_session(publish, out),
        }
    }

    /// Kept until it is sent and, at QoS 1 and 2, answered. Of a session that this broker does not have
    /// any more, nothing that would be answered is taken.
    fn publish_of_session(&mut self, mut publish: HostPublish, out: &mut Vec<Output>) {
        publish.session = self.relay.adopted_id(publish.session);
        if let Some((session, _)) = &mut publish.exchange {
            *session = self.relay.adopted(*session);
        }
        let exchange = publish.exchange;
        let has_session = |(session, _)| self.relay.connection(session).is_some();
        if matches!(self.link, Link::Alone) || !exchange.is_none_or(has_session) {
            return;
        }
        let message = self.message(publish);
        if message.qos == Qos::AtMostOnce && !message.retain {
            return self.publish_once_at_most(message, out);
        }
        self.outbox.push(message, exchange, &mut self.turns);
        self.pump(out);
    }

    /// Nobody waits for it, and it is worth nothing later. It does not wait for the window, but must not
    /// pass a SUBSCRIBE of its own client.
    fn publish_once_at_most(&mut self, message: Arc<Message>, out: &mut Vec<Output>) {
        match self.link.attached().map(|attached| attached.stream) {
            None => self.drop_publish(&message, out),
            Some(_) if self.relay.asks.has_waiting() => {
                self.outbox.push(message, None, &mut self.turns);
                self.pump(out);
            }
            Some(stream) => {
                let publish = Upstream::Publish { number: None, exchange: None, message };
                out.push(Output::Send(stream, publish));
            }
        }
    }

    fn publish_of_host(&mut self, publish: HostPublish, out: &mut Vec<Output>) {
        let message = self.message(publish);
        let kept = match &self.config.mode {
            Mode::Alone if message.retain => self.copy.publish_alone(&message),
            Mode::Alone => Ok(()),
            Mode::Clustered(_) => {
                let fate = self.forward(&message, out);
                if message.retain { self.copy.provisional.put(&message, fate) } else { Ok(()) }
            }
        };
        self.note_full(kept.is_err(), out);
    }

    /// Sends a message, keeps it until it can be sent, or drops it.
    fn forward(&mut self, message: &Arc<Message>, out: &mut Vec<Output>) -> Fate {
        let own = Arc::clone(message);
        let waits = message.qos > Qos::AtMostOnce || message.retain;
        match self.link.stream().filter(|_| self.link.attached().is_some()) {
            Some(stream) if !waits => {
                let publish = Upstream::Publish { number: None, exchange: None, message: own };
                out.push(Output::Send(stream, publish));
                Fate::OnItsWay(None)
            }
            // The shell brings publishes only while the outbox has room.
            Some(_) => {
                let number = self.outbox.push(own, None, &mut self.turns);
                self.pump(out);
                Fate::OnItsWay(number)
            }
            None if waits && self.outbox.has_room_for(message) => {
                Fate::OnItsWay(self.outbox.push(own, None, &mut self.turns))
            }
            None => {
                self.drop_publish(message, out);
                Fate::Lost
            }
        }
    }

    pub(crate) fn drop_publish(&mut self, message: &Message, out: &mut Vec<Output>) {
        self.dropped += 1;
        if message.qos > Qos::AtMostOnce && !self.outbox_full_was_said {
            self.outbox_full_was_said = true;
            out.push(Output::Note(Event::OutboxFull));
        }
    }

    pub(crate) fn message(&self, publish: HostPublish) -> Arc<Message> {
        let epoch = self.link.attached().map_or(BrokerEpoch(0), |attached| attached.epoch);
        let now = self.cluster_time();
        let expires =
            |seconds: u32| ClusterMillis(now.0.saturating_add(u64::from(seconds) * 1_000));
        Arc::new(Message {
            topic: publish.topic,
            payload: publish.payload,
            properties: publish.properties,
            qos: publish.qos,
            retain: publish.retain,
            expires_at: publish.expires_in_s.map(expires),
            publisher: Publisher { session: publish.session, epoch },
        })
    }
}

impl Entry {
    /// ha-server takes it under this ownership of its session only, however long it waits here.
    fn into_item(self) -> Upstream {
        let exchange = self.exchange.filter(|_| self.number.is_some());
        Upstream::Publish { number: self.number, exchange, message: self.message }
    }
}
