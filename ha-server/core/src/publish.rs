//! Which way a publish goes: through the log, or at once to whoever is connected.
//!
//! The *durable path* is for what somebody must keep: retained messages, QoS 2, QoS 1 that a durable
//! filter matches, and what would overtake one of these of the same broker. It is fanned out and
//! answered when it was applied. Everything else takes the *live path*: it is fanned out when it comes,
//! and answered when leadership was proved after that. Both wait for those that were given it. On both, a
//! publish under an ownership of its session that is over reaches nobody (P4).

use std::sync::Arc;

use ha_types::link::{Downstream, GoodbyeReason, Origin, PublishOutcome};
use ha_types::session::{PacketId, SessionKey};
use ha_types::{BrokerEpoch, Message, PublishNumber, Qos, RetainedVersion};

use crate::broker::StreamId;
use crate::broker_set::{BrokerSet, Slot};
use crate::cluster::{ClusterState, Command, Fired, Refusal, Refused, Repeat, Stored};
use crate::distributor::Distributor;
use crate::interface::Output;
use crate::proposals::Proposed;
use crate::publishes::{Came, Held};

/// Whose publish.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Published {
    pub(crate) broker: BrokerEpoch,
    /// The life of the broker that receivers know its number by: this one, or the first of its run for a
    /// publish that may outlive it.
    pub(crate) origin: BrokerEpoch,
    /// `None`: nobody waits for an answer.
    pub(crate) number: Option<PublishNumber>,
    /// Whether it is of a session that the state has. At QoS 2 it comes back to its broker for the subscribers there;
    /// others were given it before.
    pub(crate) is_of_session: bool,
}

/// A numbered publish: who waits for its answer, and what receivers know it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Source {
    /// In this life of its broker. What comes again in the next one is waited for anew.
    pub(crate) broker: BrokerEpoch,
    pub(crate) origin: Origin,
}

impl Published {
    fn source(self, number: PublishNumber) -> Source {
        Source { broker: self.broker, origin: Origin { broker: self.origin, number } }
    }
}

impl Distributor {
    /// A message without a number. It is fanned out at once, also when it is to be retained: that
    /// follows.
    pub(crate) fn publish(
        &mut self,
        slot: Slot,
        state: &ClusterState,
        message: Arc<Message>,
        out: &mut Vec<Output>,
    ) {
        self.fan_out_once(slot, &message, RetainedVersion(0), out);
        self.share_live(state, &message, out);
        let window = self.config.publish_window as usize;
        let broker = self.brokers.get_mut(&slot).expect("the stream's broker is known");
        broker.counters.published += 1;
        if !message.retain {
            return;
        }
        if broker.publishes.unnumbered >= window {
            broker.counters.dropped += 1;
            return;
        }
        broker.publishes.unnumbered += 1;
        let (epoch, origin) = (broker.epoch, broker.origin);
        let published = Published { broker: epoch, origin, number: None, is_of_session: false };
        self.propose_publish(published, None, message, out);
    }

    /// A message with a number, taken once.
    pub(crate) fn publish_numbered(
        &mut self,
        (slot, stream): (Slot, StreamId),
        state: &ClusterState,
        number: PublishNumber,
        (exchange, message): (Option<(SessionKey, PacketId)>, Arc<Message>),
        out: &mut Vec<Output>,
    ) {
        let broker = self.brokers.get_mut(&slot).expect("the stream's broker is known");
        match broker.publishes.take(number, self.config.publish_window) {
            Err(detail) => return self.end(stream, GoodbyeReason::ProtocolError, detail, out),
            Ok(Came::Again) => return self.release(slot, out),
            Ok(Came::Answered) => {
                return self.answer_again((slot, number), state, (exchange, message.qos), out);
            }
            Ok(Came::First) => (),
        }
        broker.counters.published += 1;
        let epoch = broker.epoch;
        // What a lost session had published and was not told of does not come in a later life.
        let origin = if exchange.is_some() { epoch } else { broker.origin };
        let (number_of, is_of_session) = (Some(number), exchange.is_some());
        let published = Published { broker: epoch, origin, number: number_of, is_of_session };
        let is_kept = message.retain
            || message.qos == Qos::ExactlyOnce
            || (message.qos == Qos::AtLeastOnce && state.is_durable(&message.topic));
        let would_overtake = message.qos > Qos::AtMostOnce && broker.publishes.in_log > 0;
        let mut held = Held { number, answer: None, proof: 0, waits_for: BrokerSet::default() };
        if is_kept || would_overtake {
            broker.publishes.in_log += 1;
            broker.publishes.held.push_back(held);
            return self.propose_publish(published, exchange, message, out);
        }
        let mut outcome = PublishOutcome::Accepted;
        if is_late(state, broker.epoch, exchange) {
            // True under every leader: nothing needs to be proved.
            outcome = PublishOutcome::Fenced;
        } else if message.qos == Qos::AtMostOnce {
            self.fan_out_once(slot, &message, RetainedVersion(0), out);
            self.share_live(state, &message, out);
        } else {
            self.share_live(state, &message, out);
            let source = published.source(number);
            held.waits_for = self.fan_out_numbered(source, &message, RetainedVersion(0), out);
            held.proof = self.proofs.want();
        }
        held.answer = Some((outcome, RetainedVersion(0)));
        let broker = self.brokers.get_mut(&slot).expect("looked at above");
        broker.publishes.held.push_back(held);
        self.release(slot, out);
    }

    fn propose_publish(
        &mut self,
        published: Published,
        exchange: Option<(SessionKey, PacketId)>,
        message: Arc<Message>,
        out: &mut Vec<Output>,
    ) {
        let Published { broker, number, .. } = published;
        let command = Command::Publish { broker, number, exchange, message: Arc::clone(&message) };
        self.propose(Proposed::Publish(published, message), command, out);
    }

    /// It was answered on a stream that broke since. Only at QoS 1 may it have been fenced without the
    /// log; one that was not has nobody who waits for another answer.
    fn answer_again(
        &mut self,
        (slot, number): (Slot, PublishNumber),
        state: &ClusterState,
        (exchange, qos): (Option<(SessionKey, PacketId)>, Qos),
        out: &mut Vec<Output>,
    ) {
        let epoch = self.brokers[&slot].epoch;
        let outcome = match state.refusal(epoch, number) {
            None if qos < Qos::ExactlyOnce && is_late(state, epoch, exchange) => {
                PublishOutcome::Fenced
            }
            None => PublishOutcome::Accepted,
            Some(Refusal::Repeat) => PublishOutcome::Repeat,
            Some(Refusal::QuotaExceeded) => PublishOutcome::QuotaExceeded,
            Some(Refusal::Fenced) => PublishOutcome::Fenced,
        };
        let retained = RetainedVersion(0);
        self.send(slot, Downstream::PublishResult { number, outcome, retained }, out);
    }

    /// The log has it, or has refused it.
    pub(crate) fn published(
        &mut self,
        state: &ClusterState,
        (published, message): (Published, &Arc<Message>),
        stored: Result<Stored, Refused>,
        out: &mut Vec<Output>,
    ) {
        let slot = self.by_epoch.get(&published.broker).copied();
        let (outcome, stored) = match stored {
            Ok(stored) if stored.repeat == Repeat::OfExchange => {
                return self.published_again((published, slot), message, stored.origins, out);
            }
            Ok(stored) => (PublishOutcome::Accepted, Some(stored)),
            Err(Refused::QuotaExceeded) => (PublishOutcome::QuotaExceeded, None),
            Err(Refused::Fenced) => (PublishOutcome::Fenced, None),
        };
        let version = stored.as_ref().and_then(|stored| stored.retained).unwrap_or_default();
        let mut waits_for = BrokerSet::default();
        if let Some(stored) = stored {
            waits_for = self.hand_on((published, slot), message, (&stored, version), out);
            if published.number.is_some() && stored.repeat == Repeat::No {
                self.share_at_most_once(state, message, out);
            }
            self.stored(state, message, stored.number, out);
        }
        self.settle((published, slot), (outcome, version), waits_for, out);
    }

    /// In an exchange that had begun before. Not everybody may have it: an earlier leader may have applied
    /// it, and handed it on to some. Its client waits, so it comes before what follows it (P4).
    fn published_again(
        &mut self,
        (published, slot): (Published, Option<Slot>),
        message: &Arc<Message>,
        origins: Vec<Origin>,
        out: &mut Vec<Output>,
    ) {
        let mut waits_for = BrokerSet::default();
        if let Some(number) = published.number
            && !origins.is_empty()
        {
            let source = published.source(number);
            let others = origins.into_iter().filter(|of| *of != source.origin).collect();
            waits_for = self.fan_out_again(source, others, message, out);
        }
        let answer = (PublishOutcome::Repeat, RetainedVersion(0));
        self.settle((published, slot), answer, waits_for, out);
    }

    /// The publish will be answered when all have it.
    fn settle(
        &mut self,
        (published, slot): (Published, Option<Slot>),
        answer: (PublishOutcome, RetainedVersion),
        waits_for: BrokerSet,
        out: &mut Vec<Output>,
    ) {
        let Some(slot) = slot else { return };
        let publishes = &mut self.brokers.get_mut(&slot).expect("found by its epoch").publishes;
        let Some(number) = published.number else {
            publishes.unnumbered -= 1;
            return;
        };
        publishes.in_log -= 1;
        if let Some(held) = publishes.find(number) {
            (held.answer, held.waits_for) = (Some(answer), waits_for);
        }
        self.release(slot, out);
    }

    /// Returns whom its answer waits for. One that was applied under an earlier leader, or in an earlier
    /// life of its broker, is handed on again: whoever has it knows it by its origin.
    fn hand_on(
        &mut self,
        (published, slot): (Published, Option<Slot>),
        message: &Arc<Message>,
        (stored, version): (&Stored, RetainedVersion),
        out: &mut Vec<Output>,
    ) -> BrokerSet {
        let (mut told, mut waits_for) = (BrokerSet::default(), BrokerSet::default());
        match (published.number, slot) {
            (Some(number), _) if message.qos > Qos::AtMostOnce => {
                let source = published.source(number);
                waits_for = self.fan_out_numbered(source, message, version, out);
                if message.qos == Qos::ExactlyOnce && published.is_of_session {
                    waits_for = waits_for.union(self.fan_out_back(source, message, out));
                }
                told = waits_for.and(self.resumed);
            }
            (Some(_), Some(slot)) if stored.repeat == Repeat::No => {
                told = self.fan_out_once(slot, message, version, out);
            }
            _ => (),
        }
        // The result tells the origin; without a number there is none.
        slot.filter(|_| published.number.is_some()).into_iter().for_each(|slot| told.insert(slot));
        self.tell_retained(self.attached.minus(told), message, version, out);
        waits_for
    }

    /// A will was published.
    pub(crate) fn fired(&mut self, state: &ClusterState, fired: Fired, out: &mut Vec<Output>) {
        let Fired { message, stored, number } = fired;
        let stored = stored.unwrap_or_default();
        let version = stored.retained.unwrap_or_default();
        let told = match number {
            Some(number) => {
                let source = Source::of_will(number);
                let waits_for = self.fan_out_numbered(source, &message, version, out);
                self.wills.given(number, waits_for);
                waits_for.and(self.resumed)
            }
            None => self.fan_out_will(&message, version, out),
        };
        self.tell_retained(self.attached.minus(told), &message, version, out);
        self.share_at_most_once(state, &message, out);
        self.stored(state, &message, stored.number, out);
    }

    /// What the state applied it gave to groups itself, but for QoS 0.
    fn share_at_most_once(
        &mut self,
        state: &ClusterState,
        message: &Arc<Message>,
        out: &mut Vec<Output>,
    ) {
        if message.qos == Qos::AtMostOnce {
            self.share_live(state, message, out);
        }
    }

    /// A message that no group keeps.
    fn share_live(&mut self, state: &ClusterState, message: &Arc<Message>, out: &mut Vec<Output>) {
        if !message.is_expired(self.cluster_time()) {
            self.sessions.share(state, message, &mut self.effects);
            self.perform(out);
        }
    }

    fn stored(
        &mut self,
        state: &ClusterState,
        message: &Arc<Message>,
        number: Option<u64>,
        out: &mut Vec<Output>,
    ) {
        if let Some(number) = number {
            self.sessions.stored(state, &message.topic, number, &mut self.effects);
            self.perform(out);
        }
    }
}

/// Whether a publish was made under an ownership of its session that is over: its client may have
/// published newer messages elsewhere.
fn is_late(
    state: &ClusterState,
    broker: BrokerEpoch,
    exchange: Option<(SessionKey, PacketId)>,
) -> bool {
    exchange.is_some_and(|(session, _)| !state.is_owned_by(session, broker))
}
