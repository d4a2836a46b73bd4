//! What ha-server sends to an attached broker.

use std::sync::Arc;

use ha_types::link::{Downstream, Origin, PublishOutcome};
use ha_types::session::{PacketId, RefuseReason, SessionKey};
use ha_types::{
    BrokerEpoch, ClusterMillis, Message, PublishNumber, Publisher, Qos, RetainedVersion, SessionId,
    TopicName,
};

use crate::host::{Delivery, HostCommand};
use crate::link::Link;
use crate::outbox::Entry;
use crate::plugin::{Event, Output, Plugin};

impl Plugin {
    pub(crate) fn take(&mut self, item: Downstream, out: &mut Vec<Output>) {
        match item {
            Downstream::Welcome(_) => self.detach("a second Welcome".into(), out),
            Downstream::PublishResult { number, outcome, retained } => {
                self.answered(number, outcome, retained, out);
            }
            // Until the copy is complete, an older retained message may still come in a transfer,
            // that nobody would show to this subscriber.
            Downstream::InterestTaken { ticket } if !self.copy.is_complete => {
                self.interest.wait_for_retained(ticket);
            }
            Downstream::InterestTaken { ticket } => {
                if let Some(retained) = self.interest.stop_waiting(ticket) {
                    self.subscribed(ticket, &retained, out);
                }
            }
            Downstream::Tell { connection, tell } => self.told(connection, tell, out),
            Downstream::Asked { upto } => self.asked(upto, out),
            Downstream::Deliver { origin, known_as, message, retained } => {
                self.deliver((origin, &known_as), message, retained, out);
            }
            Downstream::RetainedUpdate(change) => {
                let message = change.message.as_deref();
                self.take_retained(&change.topic, change.version, message, out);
            }
            Downstream::RetainedBegin => self.copy.begin(),
            Downstream::RetainedSynced { version } => {
                if self.copy.synced(version) {
                    out.push(Output::Note(Event::RetainedLoaded(self.copy.store.len())));
                    for (ticket, retained) in self.interest.stop_waiting_for_retained() {
                        self.subscribed(ticket, &retained, out);
                    }
                }
            }
            Downstream::Drain { per_second } => out.push(Output::Drain(per_second)),
            Downstream::Undrain => out.push(Output::Undrain),
            Downstream::Goodbye(goodbye) => self.goodbye(goodbye, out),
        }
    }

    pub(crate) fn answered(
        &mut self,
        number: PublishNumber,
        outcome: PublishOutcome,
        retained: RetainedVersion,
        out: &mut Vec<Output>,
    ) {
        let Some(entry) = self.outbox.answered(number) else {
            return self.detach(format!("a result for publish {number}, which is not due"), out);
        };
        self.note_full(outcome == PublishOutcome::RetainedFull, out);
        if let Some(exchange) = entry.exchange {
            self.answer_session(exchange, &entry, outcome, out);
            return self.pump(out);
        }
        if retained > RetainedVersion(0) {
            let message = &entry.message;
            let taken = self.copy.take(&message.topic, retained, Some(message));
            self.note_full(taken.is_err(), out);
        }
        self.copy.provisional.answered(&entry.message.topic, number);
        self.pump(out);
    }

    /// At QoS 2 this broker's subscribers have it by now; only from an ha-server of an earlier version they get it with
    /// the answer. A repeat they were given.
    fn answer_session(
        &mut self,
        exchange: (SessionKey, PacketId),
        entry: &Entry,
        outcome: PublishOutcome,
        out: &mut Vec<Output>,
    ) {
        let message = &entry.message;
        let answer = match outcome {
            PublishOutcome::Accepted | PublishOutcome::RetainedFull => {
                if message.qos == Qos::ExactlyOnce && !entry.is_given {
                    let session = self.relay.known_as(exchange.0).id;
                    self.give_host(&own(session, message), out);
                }
                Ok(())
            }
            PublishOutcome::Repeat => Ok(()),
            PublishOutcome::QuotaExceeded => Err(RefuseReason::QuotaExceeded),
            PublishOutcome::Fenced => return self.fenced(exchange.0, out),
        };
        self.published(exchange, answer, out);
    }

    /// An ordered change that is not the result of a publish of ours.
    fn take_retained(
        &mut self,
        topic: &TopicName,
        version: RetainedVersion,
        message: Option<&Message>,
        out: &mut Vec<Output>,
    ) {
        let taken = self.copy.take(topic, version, message);
        self.note_full(taken.is_err(), out);
        self.copy.provisional.ordered(topic);
    }

    /// Says once per attachment that a message could not be retained: there may be many.
    pub(crate) fn note_full(&mut self, is_full: bool, out: &mut Vec<Output>) {
        if is_full && !self.retained_full_was_said {
            self.retained_full_was_said = true;
            out.push(Output::Note(Event::RetainedFull));
        }
    }

    pub(crate) fn deliver(
        &mut self,
        (origin, known_as): (Option<Origin>, &[Origin]),
        message: Arc<Message>,
        retained: RetainedVersion,
        out: &mut Vec<Output>,
    ) {
        if retained > RetainedVersion(0) {
            self.take_retained(&message.topic, retained, Some(&message), out);
        }
        if let (Some(_), Link::Attached(attached)) = (origin, &mut self.link) {
            attached.received += 1;
        }
        let Some(origin) = origin else { return self.give_host(&message, out) };
        if !self.is_first(origin, known_as) {
            return;
        }
        if self.is_own(origin) {
            let exchange = self.outbox.exchange(origin.number);
            let known_as = exchange.map(|(session, _)| self.relay.known_as(session).id);
            let session = known_as.unwrap_or(message.publisher.session);
            return self.give_host(&own(session, &message), out);
        }
        self.give_host(&message, out);
    }

    /// Whether a message did not come before, under any of its origins.
    fn is_first(&mut self, origin: Origin, known_as: &[Origin]) -> bool {
        let mut is_first = match self.is_own(origin) {
            true => self.outbox.gives(origin.number),
            false => self.origins.is_new(origin),
        };
        for &other in known_as {
            is_first &= match self.is_own(other) {
                // Also when it came before: what is accepted later must not come then.
                true => self.outbox.gives(other.number),
                false => !self.origins.has(other),
            };
        }
        is_first
    }

    /// Whether this broker published it, in this life.
    fn is_own(&self, origin: Origin) -> bool {
        Some(origin.broker) == self.epoch
    }

    fn give_host(&mut self, message: &Arc<Message>, out: &mut Vec<Output>) {
        if let Some(delivery) = delivery(message, self.cluster_time()) {
            out.push(Output::Host(HostCommand::Deliver(delivery)));
        }
    }
}

/// As a client of this broker published it, whose engine knows its session by this id: here such a message has no
/// epoch.
fn own(session: SessionId, message: &Message) -> Arc<Message> {
    let publisher = Publisher { session, epoch: BrokerEpoch(0) };
    Arc::new(Message { publisher, ..message.clone() })
}

/// The message with the rest of its life; `None`: it is over.
pub(crate) fn delivery(message: &Arc<Message>, now: ClusterMillis) -> Option<Delivery> {
    if message.is_expired(now) {
        return None;
    }
    let left = |at: ClusterMillis| u32::try_from((at.0 - now.0).div_ceil(1_000));
    let expires_in_s = message.expires_at.map(|at| left(at).unwrap_or(u32::MAX));
    Some(Delivery { message: Arc::clone(message), expires_in_s })
}
