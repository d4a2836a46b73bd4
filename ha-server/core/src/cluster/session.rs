//! What is kept of one client.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ha_types::link::{KNOWN_AS_MAX, Origin};
use ha_types::session::{
    Lifetime, NewWill, Offset, PacketId, SessionEpoch, SessionKey, SubscribeOptions, SubscriptionId,
};
use ha_types::{ClusterMillis, Message, Qos, SessionId, Subscription};

use super::groups::GroupId;
use super::index::IndexId;
use super::outcome::Owner;
use super::share::Shared;

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) epoch: SessionEpoch,
    pub(super) client_id: Arc<str>,
    pub(super) owner: Option<Owner>,
    /// The CONNECT that began it, by the first life of its broker's run: only to that it was not present.
    pub(super) founder: Owner,
    pub(super) durability: Durability,
    pub(super) lifetime: Lifetime,
    /// Of the owner, or of the last one.
    pub(super) receive_maximum: u16,
    /// In order.
    pub(super) subscriptions: Vec<Subscribed>,
    pub(super) acked: Acked,
    /// Up to here owners that are gone may have sent.
    pub(super) sent_upto: Offset,
    /// There is more than its owner was told of: QoS 2 deliveries begin when it asks.
    pub(super) is_behind: bool,
    /// Exchanges that began, in order of their packet identifiers.
    pub(super) records: BTreeMap<PacketId, Exchange>,
    /// PUBRECs that came.
    pub(super) received: u64,
    /// Retained messages that it must get, in order.
    pub(super) private: BTreeMap<Offset, Kept>,
    /// The last place that one of these got.
    pub(super) reserved: Offset,
    /// Messages of share groups that it was given, by number.
    pub(super) shared: BTreeMap<u64, Shared>,
    /// Share groups that it is a member of.
    pub(super) groups: BTreeSet<GroupId>,
    /// QoS 2 publishes of the client until PUBREL, and what each is known by: for each life of a broker
    /// that brought it its first number. In the order in which they came.
    pub(super) inbound: BTreeMap<PacketId, Vec<Origin>>,
    pub(super) will: Option<Box<NewWill>>,
    /// When a will that waits is due, and when the session ends.
    pub(super) will_at: Option<ClusterMillis>,
    pub(super) ends_at: Option<ClusterMillis>,
}

/// Whether a session keeps messages. One that was resumed does so to its end, even when its last
/// connection wants it to end with itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    Ephemeral,
    Durable,
}

/// One subscription of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subscribed {
    pub(super) options: SubscribeOptions,
    /// `None`: nothing is stored for it.
    pub(super) place: Option<Place>,
}

/// Where a subscription is in its filter's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) index: IndexId,
    /// Messages below are not for it.
    pub(super) began: u64,
    /// Messages below come at QoS 1 at most: they were queued when the subscription had no more, and what
    /// has been given to an engine at QoS 1 must not need a record afterwards.
    pub(super) at_2_from: u64,
    /// As the index knows it.
    pub(super) cursor: u64,
}

/// Which messages a session is done with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Acked {
    /// Everything below.
    pub(super) upto: u64,
    /// And these.
    pub(super) above: BTreeSet<u64>,
}

/// A message of this session alone, or in an exchange that began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) message: Arc<Message>,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    pub(super) subscription_ids: Vec<SubscriptionId>,
}

/// A delivery that began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Exchange {
    /// Perhaps sent.
    Sent(Offset, Kept),
    /// PUBREC came, after so many others. The message is not needed any more.
    Received(u64),
}

impl Acked {
    pub(super) fn has(&self, number: u64) -> bool {
        number < self.upto || self.above.contains(&number)
    }

    pub(super) fn skip_to(&mut self, upto: u64) {
        self.upto = self.upto.max(upto);
        self.above = self.above.split_off(&self.upto);
        if self.above.is_empty() {
            // An empty set may keep its last node.
            self.above = BTreeSet::new();
        }
    }
}

/// Messages that an engine is given at least, whatever its client takes at a time.
const GIVEN_MIN: usize = 32;

/// How many messages that are not acknowledged the engine of a client is given at most, so that it need
/// not wait for the next. Part of how the state behaves: changes need a feature level.
pub(crate) fn given_max(receive_maximum: u16) -> usize {
    (usize::from(receive_maximum) * 2).max(GIVEN_MIN)
}

impl Session {
    pub(super) fn key(&self) -> SessionKey {
        SessionKey { id: self.id, epoch: self.epoch }
    }

    /// An exchange of QoS 2 that the client began, perhaps again. Of more lives of brokers than are
    /// remembered, the first and the last ones are.
    pub(super) fn came_in(&mut self, packet_id: PacketId, origin: Option<Origin>) {
        let origins = self.inbound.entry(packet_id).or_default();
        let Some(origin) = origin else { return };
        if origins.iter().any(|known| known.broker == origin.broker) {
            return;
        }
        if origins.len() == KNOWN_AS_MAX {
            origins.remove(1);
        }
        origins.push(origin);
    }

    /// What the message of an exchange is known by, if this publish belongs to it: an older one under the
    /// same packet identifier has a lower number than it began with.
    pub(super) fn origins(&self, packet_id: PacketId, of: Origin) -> Vec<Origin> {
        let known = self.inbound.get(&packet_id);
        let is_it = |known: &Origin| known.broker == of.broker && known.number <= of.number;
        known.filter(|origins| origins.iter().any(is_it)).cloned().unwrap_or_default()
    }

    pub(super) fn find(&self, subscription: &Subscription) -> Result<usize, usize> {
        self.subscriptions.binary_search_by(|known| known.options.subscription.cmp(subscription))
    }

    /// The subscriptions that are for this message, which is stored under `number`, and at which QoS at
    /// most. What comes by shared ones has numbers of its own.
    fn wants<'a>(
        &'a self,
        number: u64,
        message: &'a Message,
    ) -> impl Iterator<Item = (&'a SubscribeOptions, Qos)> {
        self.subscriptions.iter().filter_map(move |of| {
            let began = of.place.map_or(0, |place| place.began);
            let options = &of.options;
            let is_own = options.no_local && message.publisher.session == self.id;
            let is_plain = matches!(options.subscription, Subscription::Plain(_));
            let is_for_it = is_plain && number >= began && !is_own;
            let is_lower = of.place.is_some_and(|place| number < place.at_2_from);
            let qos = if is_lower { options.qos.min(Qos::AtLeastOnce) } else { options.qos };
            let matches = is_for_it && options.subscription.filter().matches(&message.topic);
            matches.then_some((options, qos))
        })
    }

    /// What its matching subscriptions make of a message; `None`: it is not for this session.
    pub(super) fn merged(&self, number: u64, message: &Arc<Message>) -> Option<Kept> {
        let mut qos = Qos::AtMostOnce;
        let (mut retain, mut subscription_ids) = (false, Vec::new());
        for (options, at_most) in self.wants(number, message) {
            qos = qos.max(at_most);
            retain |= options.retain_as_published;
            subscription_ids.extend(options.subscription_id);
        }
        let qos = qos.min(message.qos);
        let kept = || Kept {
            message: Arc::clone(message),
            qos,
            retain: retain && message.retain,
            subscription_ids,
        };
        (qos > Qos::AtMostOnce).then(kept)
    }
}
