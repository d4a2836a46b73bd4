//! The state in parts, as a store keeps it: what changed since it was last asked for.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use ha_types::link::Origin;
use ha_types::session::{Offset, PacketId, SessionEpoch, SubscribeOptions};
use ha_types::{
    AskNumber, BrokerEpoch, BrokerName, ClusterMillis, Incarnation, PublishNumber, SessionId,
    Subscription, TopicName,
};

use super::ClusterState;
use super::broker::Numbers;
use super::codec::{Malformed, Wire, encode, fields};
use super::feature::FeatureLevel;
use super::groups::{Group, GroupId};
use super::limits::StateLimits;
use super::lost::Lost;
use super::outcome::Owner;
use super::session::{Durability, Exchange, Kept, Session};
use super::share::Shared;
use super::strategy::Strategies;
use super::wills::OwedWill;

/// What a part is known by. The order is that of loading: messages come after the subscriptions that
/// need them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Meta,
    Broker(BrokerEpoch),
    Session(SessionId),
    Subscriptions(SessionId),
    Record(SessionId, PacketId),
    Private(SessionId, Offset),
    Message(u64),
    Retained(TopicName),
    Lost(BrokerEpoch),
    Group(GroupId),
    Shared(SessionId, u64),
    Waiting(GroupId, u64),
    Strategies,
    OwedWill(PublishNumber),
    LastOpen(u16),
}

/// What belongs to nobody in particular.
pub(super) struct Meta {
    /// The first in every version: whoever does not understand the rest knows why.
    pub(super) feature_level: FeatureLevel,
    pub(super) now: ClusterMillis,
    pub(super) applied: u64,
    pub(super) next_message: u64,
    pub(super) next_session: u64,
    pub(super) next_epoch: u64,
    pub(super) retained_version: u64,
    pub(super) swept: SessionId,
    pub(super) limits: StateLimits,
}

/// A broker without its name in the key.
pub(super) struct BrokerRecord {
    pub(super) name: BrokerName,
    pub(super) incarnation: Incarnation,
    pub(super) is_alive: bool,
    pub(super) numbers: Numbers,
    pub(super) asked_upto: AskNumber,
    pub(super) asked_above: Vec<AskNumber>,
}

/// A session without its subscriptions, exchanges and messages.
pub(super) struct SessionRecord {
    pub(super) client_id: std::sync::Arc<str>,
    pub(super) epoch: SessionEpoch,
    pub(super) owner: Option<Owner>,
    pub(super) is_durable: bool,
    pub(super) founder: Owner,
    pub(super) lifetime: ha_types::session::Lifetime,
    pub(super) receive_maximum: u16,
    pub(super) acked_upto: u64,
    pub(super) acked_above: Vec<u64>,
    pub(super) sent_upto: Offset,
    pub(super) is_behind: bool,
    pub(super) received: u64,
    pub(super) reserved: Offset,
    pub(super) inbound: BTreeMap<PacketId, Vec<Origin>>,
    pub(super) will: Option<Box<ha_types::session::NewWill>>,
    pub(super) will_at: Option<ClusterMillis>,
    pub(super) ends_at: Option<ClusterMillis>,
}

/// A subscription, and from which message on.
pub(super) struct SubscribedRecord {
    pub(super) options: SubscribeOptions,
    pub(super) began: Option<u64>,
    pub(super) at_2_from: Option<u64>,
}

/// A share group without its members and what waits for them.
pub(super) struct GroupRecord {
    pub(super) of: Subscription,
    pub(super) last: SessionId,
    pub(super) next: u64,
}

fields!(Meta {
    feature_level,
    now,
    applied,
    next_message,
    next_session,
    next_epoch,
    retained_version,
    swept,
    limits,
});
fields!(Owner { broker, connection });
fields!(BrokerRecord { name, incarnation, is_alive, numbers, asked_upto, asked_above });
fields!(Numbers { origin, published, refused });
fields!(Lost { name, incarnation, at, numbers });
fields!(SessionRecord {
    client_id,
    epoch,
    owner,
    is_durable,
    founder,
    lifetime,
    receive_maximum,
    acked_upto,
    acked_above,
    sent_upto,
    is_behind,
    received,
    reserved,
    inbound,
    will,
    will_at,
    ends_at,
});
fields!(SubscribedRecord { options, began, at_2_from });
fields!(Kept { message, qos, retain, subscription_ids });
fields!(GroupRecord { of, last, next });
fields!(Shared { group, place, kept });
fields!(OwedWill { message, retained });

impl Wire for GroupId {
    fn write(&self, out: &mut BytesMut) {
        self.0.write(out);
    }

    fn read(input: &mut Bytes) -> Result<Self, Malformed> {
        u64::read(input).map(Self)
    }
}

impl TryFrom<GroupRecord> for Group {
    type Error = Malformed;

    fn try_from(GroupRecord { of, last, next }: GroupRecord) -> Result<Self, Malformed> {
        let Subscription::Shared(of) = of else { return Err(Malformed) };
        let mut group = Self::new(of);
        (group.last, group.next) = (last, next);
        Ok(group)
    }
}

impl Wire for Exchange {
    fn write(&self, out: &mut BytesMut) {
        match self {
            Self::Sent(offset, kept) => {
                0_u8.write(out);
                offset.write(out);
                kept.write(out);
            }
            Self::Received(at) => (1_u8, *at).write(out),
        }
    }

    fn read(input: &mut Bytes) -> Result<Self, Malformed> {
        match u8::read(input)? {
            0 => Ok(Self::Sent(Offset::read(input)?, Kept::read(input)?)),
            1 => u64::read(input).map(Self::Received),
            _ => Err(Malformed),
        }
    }
}

impl Key {
    /// Bytes that sort like the keys.
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Meta => vec![0],
            Self::Broker(epoch) => with(1, &[epoch.0]),
            Self::Session(id) => with(2, &[id.0]),
            Self::Subscriptions(id) => with(3, &[id.0]),
            Self::Record(id, packet_id) => with(4, &[id.0, u64::from(packet_id.get())]),
            Self::Private(id, at) => with(5, &[id.0, at.message, u64::from(at.private)]),
            Self::Message(number) => with(6, &[*number]),
            Self::Retained(topic) => [&[7], &topic.as_bytes()[..]].concat(),
            Self::Lost(epoch) => with(8, &[epoch.0]),
            Self::Group(id) => with(9, &[id.0]),
            Self::Shared(id, number) => with(10, &[id.0, *number]),
            Self::Waiting(id, place) => with(11, &[id.0, *place]),
            Self::Strategies => vec![12],
            Self::OwedWill(number) => with(13, &[number.0]),
            Self::LastOpen(place) => with(14, &[u64::from(*place)]),
        }
    }

    /// `None`: no key has these bytes.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (&kind, rest) = bytes.split_first()?;
        if kind == 7 {
            return TopicName::parse(Bytes::copy_from_slice(rest)).ok().map(Self::Retained);
        }
        let (numbers, []) = rest.as_chunks::<8>() else { return None };
        let numbers: Vec<u64> = numbers.iter().map(|&bytes| u64::from_be_bytes(bytes)).collect();
        match (kind, numbers[..].as_ref()) {
            (0, []) => Some(Self::Meta),
            (1, &[epoch]) => Some(Self::Broker(BrokerEpoch(epoch))),
            (2, &[id]) => Some(Self::Session(SessionId(id))),
            (3, &[id]) => Some(Self::Subscriptions(SessionId(id))),
            (4, &[id, packet_id]) => {
                let packet_id = PacketId::new(u16::try_from(packet_id).ok()?)?;
                Some(Self::Record(SessionId(id), packet_id))
            }
            (5, &[id, message, private]) => {
                let private = u32::try_from(private).ok()?;
                Some(Self::Private(SessionId(id), Offset { message, private }))
            }
            (6, &[number]) => Some(Self::Message(number)),
            (8, &[epoch]) => Some(Self::Lost(BrokerEpoch(epoch))),
            (9, &[id]) => Some(Self::Group(GroupId(id))),
            (10, &[id, number]) => Some(Self::Shared(SessionId(id), number)),
            (11, &[id, place]) => Some(Self::Waiting(GroupId(id), place)),
            (12, []) => Some(Self::Strategies),
            (13, &[number]) => Some(Self::OwedWill(PublishNumber(number))),
            (14, &[place]) => u16::try_from(place).ok().map(Self::LastOpen),
            _ => None,
        }
    }
}

fn with(kind: u8, numbers: &[u64]) -> Vec<u8> {
    let numbers = numbers.iter().flat_map(|number| number.to_be_bytes());
    std::iter::once(kind).chain(numbers).collect()
}

impl From<&Session> for SessionRecord {
    fn from(session: &Session) -> Self {
        Self {
            client_id: session.client_id.clone(),
            epoch: session.epoch,
            owner: session.owner,
            is_durable: session.durability == Durability::Durable,
            founder: session.founder,
            lifetime: session.lifetime,
            receive_maximum: session.receive_maximum,
            acked_upto: session.acked.upto,
            acked_above: session.acked.above.iter().copied().collect(),
            sent_upto: session.sent_upto,
            is_behind: session.is_behind,
            received: session.received,
            reserved: session.reserved,
            inbound: BTreeMap::clone(&session.inbound),
            will: session.will.clone(),
            will_at: session.will_at,
            ends_at: session.ends_at,
        }
    }
}

impl ClusterState {
    /// What changed since the last call, as of the last batch: each part by its key, `None` when it
    /// is gone. What came and went in between is not there, so a message that was acknowledged soon
    /// never reaches a store.
    pub fn take_changes(&mut self) -> Vec<(Vec<u8>, Option<Bytes>)> {
        let changed = std::mem::take(&mut self.changed);
        self.stored_below = self.messages.next();
        changed.iter().map(|key| (key.bytes(), self.part(key))).collect()
    }

    /// Nobody needs these messages any more. One that is in no store is as if it had never been.
    pub(super) fn forget_messages(&mut self, gone: Vec<u64>) {
        for number in gone {
            if number < self.stored_below {
                self.changed.insert(Key::Message(number));
            } else {
                self.changed.remove(&Key::Message(number));
            }
        }
    }

    /// All parts, in the order of their keys: a whole copy.
    pub fn parts(&self) -> impl Iterator<Item = (Vec<u8>, Bytes)> {
        let sessions = || self.sessions.values();
        let keys = std::iter::once(Key::Meta)
            .chain(self.brokers.keys().map(|&epoch| Key::Broker(epoch)))
            .chain(self.sessions.keys().map(|&id| Key::Session(id)))
            .chain(self.sessions.keys().map(|&id| Key::Subscriptions(id)))
            .chain(sessions().flat_map(|of| of.records.keys().map(|&at| Key::Record(of.id, at))))
            .chain(sessions().flat_map(|of| of.private.keys().map(|&at| Key::Private(of.id, at))))
            .chain(self.messages.numbers().map(Key::Message))
            .chain(self.retained.ordered_after(None).map(|(topic, _)| Key::Retained(topic.clone())))
            .chain(self.lost.keys().map(|&epoch| Key::Lost(epoch)))
            .chain(self.groups.iter().map(|(id, _)| Key::Group(id)))
            .chain(sessions().flat_map(|of| of.shared.keys().map(|&at| Key::Shared(of.id, at))))
            .chain(self.groups.iter().flat_map(|(id, group)| {
                group.waiting().keys().map(move |&place| Key::Waiting(id, place))
            }))
            .chain(std::iter::once(Key::Strategies))
            .chain(self.owed_wills().map(|(number, _)| Key::OwedWill(number)))
            .chain(self.last_opens.places().map(Key::LastOpen));
        keys.filter_map(|key| Some((key.bytes(), self.part(&key)?)))
    }

    fn part(&self, key: &Key) -> Option<Bytes> {
        let session = |id: &SessionId| self.sessions.get(id);
        match key {
            Key::Meta => Some(encode(&self.meta())),
            Key::Broker(epoch) => self.brokers.get(epoch).map(|broker| {
                encode(&BrokerRecord {
                    name: broker.name.clone(),
                    incarnation: broker.incarnation,
                    is_alive: broker.is_alive,
                    numbers: broker.numbers.clone(),
                    asked_upto: broker.asked.upto,
                    asked_above: broker.asked.above.iter().copied().collect(),
                })
            }),
            Key::Session(id) => session(id).map(|session| encode(&SessionRecord::from(&**session))),
            Key::Subscriptions(id) => {
                let of = session(id).filter(|session| !session.subscriptions.is_empty())?;
                let subscriptions = of.subscriptions.iter().map(|of| SubscribedRecord {
                    options: of.options.clone(),
                    began: of.place.map(|place| place.began),
                    at_2_from: of.place.map(|place| place.at_2_from),
                });
                Some(encode(&subscriptions.collect::<Vec<_>>()))
            }
            Key::Record(id, packet_id) => session(id)?.records.get(packet_id).map(encode),
            Key::Private(id, offset) => session(id)?.private.get(offset).map(encode),
            Key::Message(number) => self.messages.get(*number).map(encode),
            Key::Retained(topic) => {
                let known = self.retained.get(topic)?;
                Some(encode(&(known.version, known.message.clone())))
            }
            Key::Lost(epoch) => self.lost.get(epoch).map(encode),
            Key::Group(id) => self.groups.get(*id).map(|group| {
                let of = Subscription::Shared(group.of.clone());
                encode(&GroupRecord { of, last: group.last, next: group.next })
            }),
            Key::Shared(id, number) => session(id)?.shared.get(number).map(encode),
            Key::Waiting(id, place) => self.groups.get(*id)?.waiting().get(place).map(encode),
            Key::Strategies => {
                let is_set = self.strategies != Strategies::default();
                is_set.then(|| encode(&self.strategies))
            }
            Key::OwedWill(number) => self.owed_wills.get(*number).map(encode),
            Key::LastOpen(place) => self.last_opens.get(*place).map(|index| encode(&index)),
        }
    }

    fn meta(&self) -> Meta {
        Meta {
            now: self.now,
            applied: self.applied,
            next_message: self.messages.next(),
            next_session: self.next_session,
            next_epoch: self.next_epoch,
            retained_version: self.retained_version.0,
            swept: self.swept,
            limits: self.limits,
            feature_level: self.feature_level,
        }
    }
}
