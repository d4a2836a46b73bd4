//! What clients of this broker publish: kept, numbered, sent, or dropped with a count.

use std::sync::Arc;

use ha_types::link::Upstream;
use ha_types::{BrokerEpoch, ClusterMillis, Message, Publisher, Qos};

use crate::downstream::note_full;
use crate::host::HostPublish;
use crate::plugin::{Event, Mode, Output, Plugin};

impl Plugin {
    /// Sends from the outbox what the window allows.
    pub(crate) fn pump(&mut self, out: &mut Vec<Output>) {
        let Some(attached) = self.link.attached() else { return };
        let (stream, window) = (attached.stream, attached.window);
        while let Some(entry) = self.outbox.next_to_send(window) {
            let publish = Upstream::Publish { number: entry.number, message: entry.message };
            out.push(Output::Send(stream, publish));
        }
    }

    pub(crate) fn publish(&mut self, publish: HostPublish, out: &mut Vec<Output>) {
        let message = self.message(publish);
        if message.retain {
            let kept = match self.config.mode {
                Mode::Alone => self.copy.publish_alone(&message),
                Mode::Clustered(_) => self.copy.publish(&message),
            };
            note_full(kept.is_err(), out);
        }
        if self.config.mode == Mode::Alone {
            return;
        }
        let waits = message.qos > Qos::AtMostOnce || message.retain;
        match self.link.stream().filter(|_| self.link.attached().is_some()) {
            Some(stream) if !waits => {
                out.push(Output::Send(stream, Upstream::Publish { number: None, message }));
            }
            // The shell brings publishes only while the outbox has room.
            Some(_) => {
                self.outbox.push(message);
                self.pump(out);
            }
            None if waits && self.outbox.has_room_for(&message) => self.outbox.push(message),
            None => self.drop_publish(&message, out),
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
        let expires = |seconds: u32| ClusterMillis(now.0 + u64::from(seconds) * 1_000);
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
