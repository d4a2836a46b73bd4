//! SUBSCRIBE and UNSUBSCRIBE.

use std::sync::Arc;

use ha_types::session::{
    ConnectionId, Granted, RefuseReason, RetainHandling, SessionKey, SubscribeOptions, Tell,
    Unqueued,
};
use ha_types::{ClusterMillis, Message, Qos, SessionId, Subscription, Ticket};

use super::deliver::is_own;
use super::queue::Item;
use super::session::{Durability, Session};
use super::{Holder, Output, RouteChange};
use crate::engine::{Route, SharedSubscriptions, Wants};
use crate::host::{Delivery, HostEvent, NewSubscription, RetainedWanted};
use crate::overtaken::Overtaken;

/// A SUBSCRIBE that waits for the plugin.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) session: SessionKey,
    /// Of the engine.
    ticket: Ticket,
    /// For each filter of the packet; those that are granted wait, in this order.
    answers: Vec<Result<SubscribeOptions, RefuseReason>>,
    /// Those that the session did not have before.
    new: Vec<Subscription>,
}

impl Asked {
    fn asks_for(&self, subscription: &Subscription) -> bool {
        self.answers.iter().flatten().any(|options| options.subscription == *subscription)
    }
}

impl Session {
    /// How live messages come by this subscription; `None` for a shared one.
    pub(super) fn route(&self, options: &SubscribeOptions) -> Option<RouteChange> {
        let (Some(connection), Subscription::Plain(filter)) = (self.owner, &options.subscription)
        else {
            return None;
        };
        let route = Route {
            session: self.id,
            qos: options.qos,
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            subscription_id: options.subscription_id,
            wants: match self.durability {
                Durability::Ephemeral => Wants::All,
                Durability::Durable => Wants::QosZero,
            },
        };
        Some(RouteChange::Add { connection, filter: filter.clone(), route })
    }
}

impl Holder {
    pub(super) fn subscribe(
        &mut self,
        key: SessionKey,
        ticket: Ticket,
        subscriptions: Vec<SubscribeOptions>,
        out: &mut Vec<Output>,
    ) {
        let Some(owner) = self.owned(key).and_then(|session| session.owner) else { return };
        let (mut answers, mut new, mut wanted) = (Vec::new(), Vec::new(), Vec::new());
        for options in subscriptions {
            let answer = self.take(key.id, &options, &mut new, &mut wanted, out);
            answers.push(answer.map(|()| options));
        }
        let asked = Asked { session: key, ticket, answers, new };
        if wanted.is_empty() {
            return self.answer(owner, asked, Vec::new(), out);
        }
        let ours = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.asked.insert(ours, asked);
        if let Some(session) = self.sessions.get_mut(&key.id) {
            session.is_announced = true;
            session.asked += 1;
        }
        let session = key.id;
        let event = HostEvent::Subscribe { ticket: ours, session, subscriptions: wanted };
        out.push(Output::Plugin(event));
    }

    /// Takes one subscription, if it may be.
    fn take(
        &mut self,
        id: SessionId,
        options: &SubscribeOptions,
        new: &mut Vec<Subscription>,
        wanted: &mut Vec<NewSubscription>,
        out: &mut Vec<Output>,
    ) -> Result<(), RefuseReason> {
        let is_shared = matches!(options.subscription, Subscription::Shared(_));
        if is_shared && self.config.shared_subscriptions == SharedSubscriptions::Refused {
            return Err(RefuseReason::SharedNotSupported);
        }
        let max = self.config.subscriptions_max;
        let session = self.sessions.get(&id).ok_or(RefuseReason::Unavailable)?;
        let is_new = !session.subscriptions.contains_key(&options.subscription);
        if is_new && session.subscriptions.len() >= max {
            return Err(RefuseReason::QuotaExceeded);
        }
        let retained = match options.retain_handling {
            _ if is_shared => RetainedWanted::Never,
            RetainHandling::AtSubscribe => RetainedWanted::Always,
            RetainHandling::IfNew if is_new => RetainedWanted::Always,
            RetainHandling::IfNew | RetainHandling::Never => RetainedWanted::Never,
        };
        wanted.push(NewSubscription { subscription: options.subscription.clone(), retained });
        if is_new {
            new.push(options.subscription.clone());
        }
        self.remember(id, options, out);
        Ok(())
    }

    /// A subscription begins, or has other options [MQTT-3.8.4-3].
    fn remember(&mut self, id: SessionId, options: &SubscribeOptions, out: &mut Vec<Output>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let older = session.subscriptions.insert(options.subscription.clone(), options.clone());
        out.extend(session.route(options).map(Output::Route));
        let durability = session.durability;
        match older {
            Some(older) => self.uncount(durability, &older),
            None => self.counts.subscriptions += 1,
        }
        self.count(durability, options);
        let interested = || options.subscription.filter();
        match &options.subscription {
            Subscription::Shared(shared) => {
                let groups = &mut self.interested.entry(interested()).groups;
                let group = groups.entry(shared.share_name.clone()).or_default();
                group.members.insert(id, options.clone());
            }
            Subscription::Plain(_) if durability == Durability::Durable => {
                self.interested.entry(interested()).sessions.insert(id, options.clone());
            }
            Subscription::Plain(_) => (),
        }
    }

    fn count(&mut self, durability: Durability, options: &SubscribeOptions) {
        match options.subscription {
            Subscription::Shared(_) => self.memberships += 1,
            Subscription::Plain(_) => {
                let counts = durability == Durability::Durable && options.qos > Qos::AtMostOnce;
                self.durable_filters += usize::from(counts);
            }
        }
    }

    fn uncount(&mut self, durability: Durability, options: &SubscribeOptions) {
        match options.subscription {
            Subscription::Shared(_) => self.memberships -= 1,
            Subscription::Plain(_) => {
                let counted = durability == Durability::Durable && options.qos > Qos::AtMostOnce;
                self.durable_filters -= usize::from(counted);
            }
        }
    }

    /// A subscription that the session does not have any more.
    pub(super) fn forget(&mut self, session: &Session, options: &SubscribeOptions) {
        self.counts.subscriptions -= 1;
        self.uncount(session.durability, options);
        self.interested.retain(options.subscription.filter(), |interested| {
            match &options.subscription {
                Subscription::Plain(_) => {
                    interested.sessions.remove(&session.id);
                }
                Subscription::Shared(shared) => {
                    if let Some(group) = interested.groups.get_mut(&shared.share_name) {
                        group.members.remove(&session.id);
                        if group.members.is_empty() {
                            interested.groups.remove(&shared.share_name);
                        }
                    }
                }
            }
            !interested.is_empty()
        });
    }

    /// The plugin has what was retained: SUBACK, then the retained messages.
    pub(super) fn retained(
        &mut self,
        ticket: Ticket,
        retained: Vec<Vec<Delivery>>,
        out: &mut Vec<Output>,
    ) {
        let Some((asked, overtaken)) = self.answered(ticket) else { return };
        let key = asked.session;
        let Some(session) = self.owned(key) else { return };
        let (durability, Some(owner)) = (session.durability, session.owner) else { return };
        let (mut queued, mut unqueued) = (Vec::new(), Vec::new());
        for (options, found) in asked.answers.iter().flatten().zip(retained) {
            let mut at_once = Vec::new();
            // Unless an UNSUBSCRIBE came meanwhile [MQTT-3.10.4-2].
            let is_subscribed = self.has(key.id, &options.subscription);
            for delivery in found.into_iter().filter(|_| is_subscribed) {
                let Some(item) = self.retained_item(key.id, options, delivery) else { continue };
                match durability {
                    Durability::Durable if item.qos > Qos::AtMostOnce => {
                        queued.extend((!overtaken.has(&item.message)).then_some(item));
                    }
                    Durability::Durable | Durability::Ephemeral => at_once.push(Unqueued {
                        message: item.message,
                        qos: item.qos,
                        subscription_id: options.subscription_id,
                    }),
                }
            }
            unqueued.push(at_once);
        }
        self.answer(owner, asked, unqueued, out);
        for item in queued {
            self.enqueue(key.id, item, out);
        }
    }

    /// The SUBSCRIBE that waited, and what has overtaken its retained messages.
    fn answered(&mut self, ticket: Ticket) -> Option<(Asked, Overtaken)> {
        let asked = self.asked.remove(&ticket)?;
        let mut overtaken = Overtaken::default();
        if let Some(session) = self.sessions.get_mut(&asked.session.id) {
            session.asked -= 1;
            overtaken = match session.asked {
                0 => std::mem::take(&mut session.overtaken),
                _ => session.overtaken.clone(),
            };
        }
        Some((asked, overtaken))
    }

    /// [MQTT-3.3.1-8]: with RETAIN set. At QoS 1 and 2 a durable session has it in its queue, after
    /// what is in it; nobody else keeps it, so nothing newer can come before it.
    fn retained_item(
        &self,
        id: SessionId,
        options: &SubscribeOptions,
        delivery: Delivery,
    ) -> Option<Item> {
        let Delivery { mut message, expires_in_s } = delivery;
        if options.no_local && is_own(&message, id) {
            return None;
        }
        let expires_at = expires_in_s.map(|seconds| {
            let left = u64::from(seconds) * 1_000;
            ClusterMillis(self.at.cluster.0.saturating_add(left))
        });
        if message.expires_at != expires_at {
            let copy = Message { expires_at, ..Message::clone(&message) };
            message = Arc::new(copy);
        }
        Some(Item {
            qos: message.qos.min(options.qos),
            message,
            retain: true,
            subscription_ids: options.subscription_id.into_iter().collect(),
            group: None,
        })
    }

    /// The plugin has no room: what the session did not have before it does not have now.
    pub(super) fn subscribe_refused(&mut self, ticket: Ticket, out: &mut Vec<Output>) {
        let Some((mut asked, _)) = self.answered(ticket) else { return };
        for subscription in std::mem::take(&mut asked.new) {
            self.undo(asked.session.id, subscription, out);
        }
        let Some(owner) = self.owned(asked.session).and_then(|session| session.owner) else {
            return;
        };
        for answer in &mut asked.answers {
            if answer.is_ok() {
                *answer = Err(RefuseReason::QuotaExceeded);
            }
        }
        self.answer(owner, asked, Vec::new(), out);
    }

    /// Unless another SUBSCRIBE waits for the same: then its answer decides.
    fn undo(&mut self, id: SessionId, subscription: Subscription, out: &mut Vec<Output>) {
        let mut others = self.asked.values_mut().filter(|other| other.session.id == id);
        match others.find(|other| other.asks_for(&subscription)) {
            Some(other) => other.new.push(subscription),
            None => {
                self.drop_subscription(id, &subscription, out);
            }
        }
    }

    fn has(&self, id: SessionId, subscription: &Subscription) -> bool {
        let session = self.sessions.get(&id);
        session.is_some_and(|session| session.subscriptions.contains_key(subscription))
    }

    /// `unqueued`: for each subscription that was granted, as far as there is any.
    fn answer(
        &mut self,
        owner: ConnectionId,
        asked: Asked,
        unqueued: Vec<Vec<Unqueued>>,
        out: &mut Vec<Output>,
    ) {
        let Asked { session, ticket, answers, .. } = asked;
        let mut unqueued = unqueued.into_iter();
        let mut granted = |options: SubscribeOptions| Granted {
            qos: options.qos,
            retained: Vec::new(),
            unqueued: unqueued.next().unwrap_or_default(),
        };
        let granted = answers.into_iter().map(|answer| answer.map(&mut granted)).collect();
        out.push(Output::Tell(owner, Tell::Subscribed { session, ticket, granted }));
    }

    /// False when the session did not have it.
    fn drop_subscription(
        &mut self,
        id: SessionId,
        subscription: &Subscription,
        out: &mut Vec<Output>,
    ) -> bool {
        let Some(mut session) = self.sessions.remove(&id) else { return false };
        let options = session.subscriptions.remove(subscription);
        if let Some(options) = &options {
            self.forget(&session, options);
            if let (Some(connection), Subscription::Plain(filter)) = (session.owner, subscription) {
                let filter = filter.clone();
                out.push(Output::Route(RouteChange::Remove { connection, filter }));
            }
        }
        self.sessions.insert(id, session);
        options.is_some()
    }

    pub(super) fn unsubscribe(
        &mut self,
        key: SessionKey,
        ticket: Ticket,
        subscriptions: &[Subscription],
        out: &mut Vec<Output>,
    ) {
        let Some(owner) = self.owned(key).and_then(|session| session.owner) else { return };
        let existed: Vec<_> = subscriptions
            .iter()
            .map(|subscription| self.drop_subscription(key.id, subscription, out))
            .collect();
        let gone = subscriptions.iter().zip(&existed).filter(|(_, existed)| **existed);
        let gone: Vec<_> = gone.map(|(subscription, _)| subscription.clone()).collect();
        if !gone.is_empty() {
            let session = key.id;
            out.push(Output::Plugin(HostEvent::Unsubscribe { session, subscriptions: gone }));
        }
        out.push(Output::Tell(owner, Tell::Unsubscribed { session: key, ticket, existed }));
    }
}
