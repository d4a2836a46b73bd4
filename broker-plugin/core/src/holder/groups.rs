//! Who is interested in a filter: durable sessions, each for itself, and share groups, one member of
//! which gets each message [MQTT-4.8.2-4].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ha_types::session::SubscribeOptions;
use ha_types::{Message, Qos, SessionId, Subscription};

use super::queue::{GroupKey, Item};
use super::{Holder, HolderConfig, Output};

/// What one filter is there for.
#[derive(Debug, Default)]
pub(super) struct Interested {
    pub(super) sessions: BTreeMap<SessionId, SubscribeOptions>,
    pub(super) groups: BTreeMap<Arc<str>, Group>,
}

/// The members of a share group, in the order of their sessions.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) members: BTreeMap<SessionId, SubscribeOptions>,
    /// Who had the last turn.
    last: SessionId,
}

impl Interested {
    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.groups.is_empty()
    }
}

impl Group {
    /// Members from the one whose turn it is, each once.
    fn turns(&self) -> impl Iterator<Item = (SessionId, &SubscribeOptions)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let later = self.members.range((Excluded(self.last), Unbounded));
        later.chain(self.members.range(..=self.last)).map(|(id, options)| (*id, options))
    }
}

/// How ready a member is, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Readiness {
    Free,
    Busy,
    Away,
    /// What it gets is dropped.
    Full,
}

impl Holder {
    fn readiness(&self, id: SessionId) -> Option<Readiness> {
        let session = self.sessions.get(&id)?;
        let HolderConfig { queue_messages_max, queue_bytes_max, .. } = self.config;
        Some(match session.owner {
            _ if !session.queue.fits(queue_messages_max, queue_bytes_max) => Readiness::Full,
            Some(_) if session.queue.has_room() => Readiness::Free,
            Some(_) => Readiness::Busy,
            None => Readiness::Away,
        })
    }

    fn is_connected(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|session| session.owner.is_some())
    }

    /// Chooses the member that gets a message: the next one that is free, or else connected, or else
    /// away with room in its queue. At QoS 0 one that is away gets nothing.
    fn choose(&self, group: &Group, qos: Qos) -> Option<(SessionId, SubscribeOptions)> {
        let mut best: Option<(Readiness, SessionId, &SubscribeOptions)> = None;
        for (id, options) in group.turns() {
            let Some(readiness) = self.readiness(id) else { continue };
            if qos.min(options.qos) == Qos::AtMostOnce && !self.is_connected(id) {
                continue;
            }
            if best.is_none_or(|(known, ..)| readiness < known) {
                best = Some((readiness, id, options));
            }
            if readiness == Readiness::Free {
                break;
            }
        }
        best.map(|(_, id, options)| (id, options.clone()))
    }

    /// Gives a message to one member of a group.
    pub(super) fn deliver_shared(
        &mut self,
        key: &GroupKey,
        message: &Arc<Message>,
        out: &mut Vec<Output>,
    ) {
        let group = self.interested.get(&key.1).and_then(|of| of.groups.get(&key.0));
        let chosen = group.and_then(|group| self.choose(group, message.qos));
        let Some((id, options)) = chosen else { return };
        if let Some(group) = self.interested.entry(&key.1).groups.get_mut(&key.0) {
            group.last = id;
        }
        let item = Item {
            message: self.message_for(id, message),
            qos: message.qos.min(options.qos),
            retain: message.retain && options.retain_as_published,
            subscription_ids: options.subscription_id.into_iter().collect(),
            group: Some(key.clone()),
        };
        self.enqueue(id, item, out);
    }

    /// Messages that their member will not acknowledge go to others. Those of QoS 0 are gone.
    pub(super) fn share_again(&mut self, items: Vec<Item>, out: &mut Vec<Output>) {
        for item in items {
            if let Some(key) = &item.group
                && item.qos > Qos::AtMostOnce
            {
                self.deliver_shared(key, &item.message, out);
            }
        }
    }

    /// A member is away: if others are connected they get what it did not acknowledge. If not, it
    /// finds that again under the packet identifiers that it knows [MQTT-4.4.0-1].
    pub(super) fn share_what_is_left(&mut self, id: SessionId, out: &mut Vec<Output>) {
        let Some(session) = self.sessions.get(&id) else { return };
        let keys = session.subscriptions.keys().filter_map(|subscription| match subscription {
            Subscription::Shared(shared) => {
                Some((shared.share_name.clone(), shared.filter.clone()))
            }
            Subscription::Plain(_) => None,
        });
        let served: BTreeSet<GroupKey> = keys.filter(|key| self.is_served(key)).collect();
        let Some(session) = self.sessions.get_mut(&id).filter(|_| !served.is_empty()) else {
            return;
        };
        let before = session.queue.len();
        let items = session.queue.take_shared(|key| served.contains(key));
        self.counts.queued -= before - session.queue.len();
        self.share_again(items, out);
    }

    /// Whether a member of the group is connected.
    fn is_served(&self, key: &GroupKey) -> bool {
        let group = self.interested.get(&key.1).and_then(|of| of.groups.get(&key.0));
        group.is_some_and(|group| group.members.keys().any(|&id| self.is_connected(id)))
    }
}
