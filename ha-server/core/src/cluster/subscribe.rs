//! SUBSCRIBE and UNSUBSCRIBE.

use std::sync::Arc;

use ha_types::session::{
    Granted, Offset, Queued, RefuseReason, RetainHandling, SessionKey, SubscribeOptions, Unqueued,
};
use ha_types::{Message, Qos, SessionId, Subscription};

use super::ClusterState;
use super::broker::Asking;
use super::command::Asked;
use super::membership::shared;
use super::open::PACKET_IDS_MAX;
use super::outcome::Outcome;
use super::record::Key;
use super::session::{Durability, Exchange, Kept, Place, Session, Subscribed};

impl ClusterState {
    pub(super) fn subscribe(
        &mut self,
        (asked, key): (Asked, SessionKey),
        given_upto: Option<Offset>,
        subscriptions: Vec<SubscribeOptions>,
    ) -> Outcome {
        match self.asked(asked, key) {
            None => return Outcome::Fenced,
            Some(Asking::Again) => return self.subscribe_again(key.id, &subscriptions),
            Some(Asking::First) => (),
        }
        // One after the other: the second of two equal ones is not new [MQTT-3.8.4-5].
        let granted = subscriptions.into_iter();
        let granted = granted.map(|options| self.take((key.id, given_upto), options)).collect();
        self.changed.insert(Key::Subscriptions(key.id));
        Outcome::Subscribed(granted)
    }

    /// What is there, and the retained messages that no queue has. One that was refused has no other
    /// answer than before.
    fn subscribe_again(&self, id: SessionId, subscriptions: &[SubscribeOptions]) -> Outcome {
        let Some(session) = self.sessions.get(&id) else { return Outcome::Fenced };
        let again = |options: &SubscribeOptions| {
            if session.find(&options.subscription).is_err() {
                return Err(RefuseReason::QuotaExceeded);
            }
            // Whether it was new then is not known; too many come rather than too few.
            let wants_retained =
                options.retain_handling != RetainHandling::Never && shared(options).is_none();
            let found = wants_retained.then(|| self.retained_for(session, options));
            let unqueued = found.into_iter().flatten().filter_map(|(message, qos)| {
                let subscription_id = options.subscription_id;
                (!session.queues(qos)).then_some(Unqueued { message, qos, subscription_id })
            });
            Ok(Granted { qos: options.qos, retained: Vec::new(), unqueued: unqueued.collect() })
        };
        Outcome::Subscribed(subscriptions.iter().map(again).collect())
    }

    /// What is retained for a subscription, and at which QoS.
    fn retained_for(
        &self,
        session: &Session,
        options: &SubscribeOptions,
    ) -> Vec<(Arc<Message>, Qos)> {
        let is_own =
            |message: &Message| options.no_local && message.publisher.session == session.id;
        let found = self.retained.matching(options.subscription.filter(), self.now);
        let found = found.filter(|message| !is_own(message));
        found.map(|message| (Arc::clone(message), message.qos.min(options.qos))).collect()
    }

    fn take(
        &mut self,
        (id, given_upto): (SessionId, Option<Offset>),
        options: SubscribeOptions,
    ) -> Result<Granted, RefuseReason> {
        let session = self.sessions.get(&id).ok_or(RefuseReason::Unavailable)?;
        let found = session.find(&options.subscription);
        let is_new = found.is_err();
        if is_new && session.subscriptions.len() >= self.limits.subscriptions_max {
            return Err(RefuseReason::QuotaExceeded);
        }
        if found.is_ok_and(|at| session.subscriptions[at].options.no_local && !options.no_local) {
            self.forget_own(id);
        }
        self.place((id, given_upto), found, &options);
        if let Some(shared) = shared(&options) {
            self.join_group(id, shared, &options);
        }
        // 5.0 §4.8.2: a shared subscription gets no retained messages.
        let wants_retained = match options.retain_handling {
            _ if shared(&options).is_some() => false,
            RetainHandling::AtSubscribe => true,
            RetainHandling::IfNew => is_new,
            RetainHandling::Never => false,
        };
        let mut granted = Granted { qos: options.qos, retained: Vec::new(), unqueued: Vec::new() };
        if wants_retained {
            self.reserve_retained(id, &options, &mut granted);
        }
        Ok(granted)
    }

    /// Subscribing again keeps where the subscription began [MQTT-3.8.4-3].
    fn place(
        &mut self,
        (id, given_upto): (SessionId, Option<Offset>),
        found: Result<usize, usize>,
        options: &SubscribeOptions,
    ) {
        let session = self.sessions.get(&id).expect("looked at by the caller");
        let known = found.ok().and_then(|at| session.subscriptions[at].place);
        let is_stored = session.durability == Durability::Durable
            && options.qos > Qos::AtMostOnce
            && shared(options).is_none();
        let before = found.ok().map(|at| &session.subscriptions[at].options);
        let is_changed = before.is_some_and(|before| before != options);
        let is_raised = before.is_some_and(|before| before.qos < options.qos);
        if is_changed {
            self.keep_in_flight((id, given_upto), known);
        }
        let place = match (known, is_stored) {
            (None, true) => {
                let began = self.messages.next();
                let filter = options.subscription.filter();
                let index = self.indexes.join(filter, id, began);
                Some(Place { index, began, at_2_from: began, cursor: began })
            }
            (Some(place), true) => {
                let at_2_from = if is_raised { self.messages.next() } else { place.at_2_from };
                Some(Place { at_2_from, ..place })
            }
            (known, false) => {
                self.unplace(id, known);
                None
            }
        };
        if let Some(place) = place {
            self.indexes.get_mut(place.index).connected.insert(id, options.qos);
        }
        let session = self.sessions.get_mut(&id).expect("looked at by the caller");
        let subscribed = Subscribed { options: options.clone(), place };
        match found {
            Ok(at) => session.subscriptions[at] = subscribed,
            Err(at) => {
                // Most sessions have one.
                if session.subscriptions.is_empty() {
                    session.subscriptions.reserve_exact(1);
                }
                session.subscriptions.insert(at, subscribed);
                self.counts.subscriptions += 1;
            }
        }
    }

    /// What a session published itself while it did not want that, it does not want later either.
    fn forget_own(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        let is_own = |number: &u64| {
            let message = self.messages.get(*number).expect("an index has what is stored");
            session.merged(*number, message).is_none()
        };
        let own = self.indexes.pending(session, session.acked.upto).filter(is_own);
        let own: Vec<u64> = own.collect();
        if let Some(session) = self.sessions.get_mut(&id) {
            session.acked.above.extend(own);
            self.changed.insert(Key::Session(id));
        }
        self.advance(id);
    }

    /// Every retained message that matches gets a place behind what is queued, if somebody must keep
    /// it [MQTT-3.3.1-6].
    fn reserve_retained(
        &mut self,
        id: SessionId,
        options: &SubscribeOptions,
        granted: &mut Granted,
    ) {
        let Some(session) = self.sessions.get(&id) else { return };
        let found = self.retained_for(session, options);
        let after = self.messages.next() - 1;
        let (room, mut dropped) = (self.limits.queue_messages_max, 0);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        for (message, qos) in found {
            if !session.queues(qos) {
                let subscription_id = options.subscription_id;
                granted.unqueued.push(Unqueued { message, qos, subscription_id });
            } else if session.private.len() >= room {
                dropped += 1;
            } else {
                let (offset, queued) = session.reserve(after, message, qos, options);
                session.is_behind |= qos == Qos::ExactlyOnce;
                self.changed.extend([Key::Session(id), Key::Private(id, offset)]);
                granted.retained.push(queued);
            }
        }
        self.counts.dropped += dropped;
    }

    /// A repeat had what it does not have any more.
    pub(super) fn unsubscribe(
        &mut self,
        (asked, key): (Asked, SessionKey),
        given_upto: Option<Offset>,
        subscriptions: &[Subscription],
    ) -> Outcome {
        match self.asked(asked, key) {
            None => return Outcome::Fenced,
            Some(Asking::Again) => return Outcome::Unsubscribed(vec![true; subscriptions.len()]),
            Some(Asking::First) => (),
        }
        let of = (key.id, given_upto);
        let existed = subscriptions.iter().map(|subscription| self.drop_one(of, subscription));
        let existed = existed.collect();
        self.advance(key.id);
        self.changed.insert(Key::Subscriptions(key.id));
        Outcome::Unsubscribed(existed)
    }

    /// False when the session did not have it.
    fn drop_one(
        &mut self,
        (id, given_upto): (SessionId, Option<Offset>),
        subscription: &Subscription,
    ) -> bool {
        let Some(session) = self.sessions.get(&id) else { return false };
        let Ok(at) = session.find(subscription) else { return false };
        let place = session.subscriptions[at].place;
        self.keep_in_flight((id, given_upto), place);
        let session = self.sessions.get_mut(&id).expect("found above");
        let options = session.subscriptions.remove(at).options;
        self.counts.subscriptions -= 1;
        self.unplace(id, place);
        if let Some(shared) = shared(&options) {
            self.leave_group(id, shared);
        }
        true
    }

    /// Deliveries of QoS 1 that the engine was given go on as records, as they were given
    /// [MQTT-3.10.4-3].
    fn keep_in_flight(
        &mut self,
        (id, given_upto): (SessionId, Option<Offset>),
        place: Option<Place>,
    ) {
        let (Some(place), Some(given_upto)) = (place, given_upto) else { return };
        let Some(session) = self.sessions.get(&id) else { return };
        let given = self.sendable(session, PACKET_IDS_MAX, given_upto);
        let given = given.into_iter().filter(|queued| {
            queued.record.is_none()
                && queued.offset.private == 0
                && self.indexes.get(place.index).has(queued.offset.message)
        });
        let given: Vec<Queued> = given.collect();
        let session = self.sessions.get_mut(&id).expect("found above");
        for queued in given {
            let Queued { offset, message, qos, retain, subscription_ids, .. } = queued;
            session.take(offset);
            let packet_id = offset.packet_id();
            let kept = Kept { message, qos, retain, subscription_ids };
            session.records.insert(packet_id, Exchange::Sent(offset, kept));
            self.changed.insert(Key::Record(id, packet_id));
        }
        self.changed.insert(Key::Session(id));
    }

    /// Nothing is stored for this subscription any more.
    pub(super) fn unplace(&mut self, id: SessionId, place: Option<Place>) {
        let Some(Place { index, cursor, .. }) = place else { return };
        let mut gone = Vec::new();
        self.indexes.leave(index, id, cursor, &mut self.messages, &mut gone);
        self.forget_messages(gone);
    }
}

impl Session {
    /// Whether a retained message of this QoS is kept until it is acknowledged.
    fn queues(&self, qos: Qos) -> bool {
        qos > Qos::AtMostOnce && self.durability == Durability::Durable
    }

    /// A place behind the message `after` for a message of this session alone.
    fn reserve(
        &mut self,
        after: u64,
        message: Arc<Message>,
        qos: Qos,
        options: &SubscribeOptions,
    ) -> (Offset, Queued) {
        let private = if self.reserved.message == after { self.reserved.private + 1 } else { 1 };
        let offset = Offset { message: after, private };
        self.reserved = offset;
        let subscription_ids = options.subscription_id.into_iter().collect();
        let kept = Kept { message, qos, retain: true, subscription_ids };
        let queued = kept.queued(offset, None);
        self.private.insert(offset, kept);
        (offset, queued)
    }
}
