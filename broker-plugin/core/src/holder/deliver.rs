//! Who of those that are kept for gets a message.

use std::collections::BTreeMap;
use std::sync::Arc;

use ha_types::session::{SubscribeOptions, SubscriptionId};
use ha_types::{BrokerEpoch, Message, Qos, SessionId};

use super::queue::{GroupKey, Item};
use super::session::{Durability, Session};
use super::{Holder, Output};

/// What the matching subscriptions of one session say together.
#[derive(Debug, Default)]
struct Merged {
    qos: Qos,
    retain_as_published: bool,
    subscription_ids: Vec<SubscriptionId>,
}

impl Merged {
    fn add(&mut self, options: &SubscribeOptions) {
        self.qos = self.qos.max(options.qos);
        self.retain_as_published |= options.retain_as_published;
        self.subscription_ids.extend(options.subscription_id);
    }
}

/// Whether this session published the message itself. Sessions of other brokers have numbers of
/// their own, under their broker's epoch.
pub(super) fn is_own(message: &Message, id: SessionId) -> bool {
    message.publisher.session == id && message.publisher.epoch == BrokerEpoch(0)
}

/// A message for several sessions.
struct Shared<'a> {
    message: &'a Arc<Message>,
    /// The copy for all queues in which it may stay for long: not in the buffer that it came in.
    own: Option<Arc<Message>>,
}

impl Shared<'_> {
    fn for_session(&mut self, session: Option<&Session>) -> Arc<Message> {
        if session.is_some_and(|session| session.owner.is_some() && session.queue.has_room()) {
            return Arc::clone(self.message);
        }
        Arc::clone(self.own.get_or_insert_with(|| Arc::new(self.message.detached())))
    }
}

impl Holder {
    /// Queues `message` for every durable session, and for one member of every group, that it
    /// matches. What is QoS 0 for a session goes by its live routes.
    pub(super) fn deliver(&mut self, message: &Arc<Message>, out: &mut Vec<Output>) {
        if !self.wants(message.qos) {
            return;
        }
        let mut sessions: BTreeMap<SessionId, Merged> = BTreeMap::new();
        let mut groups: Vec<GroupKey> = Vec::new();
        self.interested.for_each_match(&message.topic, |interested| {
            if message.qos > Qos::AtMostOnce {
                for (&id, options) in &interested.sessions {
                    if !(options.no_local && is_own(message, id)) {
                        sessions.entry(id).or_default().add(options);
                    }
                }
            }
            let filter = |group: &super::groups::Group| {
                group.members.values().next().map(|member| member.subscription.filter().clone())
            };
            let named = interested.groups.iter();
            groups.extend(named.filter_map(|(name, of)| Some((Arc::clone(name), filter(of)?))));
        });
        let mut shared = Shared { message, own: None };
        for (id, merged) in sessions {
            let qos = message.qos.min(merged.qos);
            if qos == Qos::AtMostOnce {
                continue;
            }
            if let Some(session) = self.sessions.get_mut(&id).filter(|session| session.asked > 0) {
                session.overtaken.note(message);
            }
            let item = Item {
                message: shared.for_session(self.sessions.get(&id).map(Box::as_ref)),
                qos,
                retain: message.retain && merged.retain_as_published,
                subscription_ids: merged.subscription_ids,
                group: None,
            };
            self.enqueue(id, item, out);
        }
        for key in groups {
            self.deliver_shared(&key, message, out);
        }
    }

    /// The message for one session alone.
    pub(super) fn message_for(&self, id: SessionId, message: &Arc<Message>) -> Arc<Message> {
        Shared { message, own: None }.for_session(self.sessions.get(&id).map(Box::as_ref))
    }

    /// Puts it at the end of a session's queue, or drops it when that is full of what has not expired.
    pub(super) fn enqueue(&mut self, id: SessionId, item: Item, out: &mut Vec<Output>) {
        let (messages_max, bytes_max) =
            (self.config.queue_messages_max, self.config.queue_bytes_max);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if !session.queue.fits(messages_max, bytes_max) {
            let before = session.queue.len();
            session.queue.forget_expired(self.at.cluster);
            self.counts.queued -= before - session.queue.len();
        }
        if !session.queue.fits(messages_max, bytes_max) {
            self.counts.dropped += 1;
            return;
        }
        debug_assert!(
            session.durability == Durability::Durable || session.owner.is_some(),
            "an ephemeral session is connected"
        );
        session.queue.push(item);
        self.counts.queued += 1;
        self.pump(id, out);
    }
}
