//! What clients of this broker publish: kept, numbered, sent, or dropped with a count.

use std::sync::Arc;

use ha_types::link::Upstream;
use ha_types::{BrokerEpoch, ClusterMillis, Message, Publisher, Qos};

use crate::host::HostPublish;
use crate::plugin::{Event, Mode, Output, Plugin};
use crate::provisional::Fate;

impl Plugin {
    /// Sends from the outbox what the window allows.
    pub(crate) fn pump(&mut self, out: &mut Vec<Output>) {
        let Some(attached) = self.link.attached() else { return };
        let (stream, window) = (attached.stream, attached.window);
        while let Some(entry) = self.outbox.next_to_send(window) {
            let publish = Upstream::Publish { number: entry.number, exchange: None, message: entry.message };
            out.push(Output::Send(stream, publish));
        }
    }

    pub(crate) fn publish(&mut self, publish: HostPublish, out: &mut Vec<Output>) {
        let message = self.message(publish);
        let kept = match self.config.mode {
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
                let number = self.outbox.push(own);
                self.pump(out);
                Fate::OnItsWay(number)
            }
            None if waits && self.outbox.has_room_for(message) => {
                Fate::OnItsWay(self.outbox.push(own))
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
