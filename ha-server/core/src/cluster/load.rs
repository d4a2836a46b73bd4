//! The state from the parts that a store kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use ha_types::{Message, RetainedStore, RetainedVersion, SessionId};

use super::ClusterState;
use super::broker::{AskedUpto, Broker};
use super::codec::{Malformed, Wire, decode};
use super::feature::FeatureLevel;
use super::rare::Rare;
use super::record::{BrokerRecord, GroupRecord, Key, Meta, SessionRecord, SubscribedRecord};
use super::session::{Acked, Durability, Place, Session, Subscribed};
use super::share::Shared;
use super::wills::OwedWills;

/// A part that cannot be read, or that nothing belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorruptRecord {
    /// Its key.
    pub key: Vec<u8>,
}

impl std::fmt::Display for CorruptRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the stored record {:02x?} is corrupt", self.key)
    }
}

impl std::error::Error for CorruptRecord {}

/// Why a stored state cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// A part is damaged.
    #[error(transparent)]
    Corrupt(#[from] CorruptRecord),
    /// It uses what this program does not know. No damage.
    #[error(
        "the state has feature level {level}, and this program understands {}: a newer one wrote it",
        FeatureLevel::NEWEST
    )]
    Newer {
        /// That of the state.
        level: FeatureLevel,
    },
}

impl From<BrokerRecord> for Broker {
    fn from(record: BrokerRecord) -> Self {
        let above = record.asked_above.into_iter().collect();
        Self {
            name: record.name,
            incarnation: record.incarnation,
            is_alive: record.is_alive,
            numbers: record.numbers,
            asked: AskedUpto { upto: record.asked_upto, above },
        }
    }
}

/// Whether this program knows what a state uses, as its [`Meta`] says behind the version of the format.
fn understood(meta: &[u8]) -> Result<(), LoadError> {
    match <(u8, FeatureLevel)>::read(&mut Bytes::copy_from_slice(meta)) {
        Ok((_, level)) if level > FeatureLevel::NEWEST => Err(LoadError::Newer { level }),
        // What else is wrong is found when all of it is read.
        _ => Ok(()),
    }
}

impl ClusterState {
    /// From all parts, in the order of their keys, as [`parts`](Self::parts) gives them or as a store
    /// has them after [`take_changes`](Self::take_changes).
    ///
    /// # Errors
    /// [`LoadError`]: of the first part that is wrong.
    pub fn load<K, V>(parts: impl IntoIterator<Item = (K, V)>) -> Result<Self, LoadError>
    where
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let mut state = Self::new();
        for (key, value) in parts {
            let (key, value) = (key.as_ref(), value.as_ref());
            if key == Key::Meta.bytes() {
                understood(value)?;
            }
            let read = Key::parse(key).ok_or(Malformed).and_then(|key| state.load_part(key, value));
            read.map_err(|Malformed| CorruptRecord { key: key.to_vec() })?;
        }
        state.stored_below = state.messages.next();
        state.index_timers();
        state.index_groups()?;
        Ok(state)
    }

    fn load_part(&mut self, key: Key, value: &[u8]) -> Result<(), Malformed> {
        match key {
            Key::Meta => self.load_meta(&decode(value)?),
            Key::Broker(epoch) => {
                let record: BrokerRecord = decode(value)?;
                self.brokers.insert(epoch, record.into());
            }
            Key::Session(id) => self.load_session(id, decode(value)?),
            Key::Subscriptions(id) => self.load_subscriptions(id, decode(value)?)?,
            Key::Record(id, packet_id) => {
                self.loading(id)?.records.insert(packet_id, decode(value)?);
            }
            Key::Private(id, offset) => {
                self.loading(id)?.private.insert(offset, decode(value)?);
            }
            Key::Message(number) => self.load_message(number, decode(value)?)?,
            Key::Retained(topic) => {
                let (version, message): (RetainedVersion, Option<Arc<Message>>) = decode(value)?;
                self.retained.apply(&topic, version, message).map_err(|_| Malformed)?;
            }
            Key::Group(id) => {
                let record: GroupRecord = decode(value)?;
                self.groups.add(id, record.try_into()?);
            }
            Key::Shared(id, number) => {
                let shared: Shared = decode(value)?;
                self.loading(id)?.shared.insert(number, shared);
            }
            Key::Strategies => self.strategies = decode(value)?,
            Key::Waiting(id, place) => {
                let message = decode(value)?;
                if self.groups.get(id).is_none_or(|group| place >= group.next) {
                    return Err(Malformed);
                }
                self.groups.put_waiting(id, place, message);
            }
            Key::Lost(epoch) => {
                self.lost.insert(epoch, decode(value)?);
            }
            Key::OwedWill(number) if OwedWills::is_possible(number, self.applied) => {
                self.owed_wills.insert(number, decode(value)?);
            }
            Key::OwedWill(_) => return Err(Malformed),
            Key::LastOpen(place) => self.last_opens.insert(place, decode(value)?),
        }
        Ok(())
    }

    fn loading(&mut self, id: SessionId) -> Result<&mut Session, Malformed> {
        self.sessions.get_mut(&id).map(Box::as_mut).ok_or(Malformed)
    }

    fn load_meta(&mut self, meta: &Meta) {
        self.feature_level = meta.feature_level;
        self.now = meta.now;
        self.applied = meta.applied;
        self.messages.set_next(meta.next_message);
        self.next_session = meta.next_session;
        self.next_epoch = meta.next_epoch;
        self.retained_version = RetainedVersion(meta.retained_version);
        self.swept = meta.swept;
        self.limits = meta.limits;
        let limits = &self.limits;
        self.retained = RetainedStore::new(limits.retained_max, limits.retained_bytes_max);
    }

    fn load_session(&mut self, id: SessionId, record: SessionRecord) {
        let session = Session {
            id,
            epoch: record.epoch,
            client_id: record.client_id,
            owner: record.owner,
            durability: match record.is_durable {
                true => Durability::Durable,
                false => Durability::Ephemeral,
            },
            founder: record.founder,
            lifetime: record.lifetime,
            receive_maximum: record.receive_maximum,
            subscriptions: Vec::new(),
            acked: Acked {
                upto: record.acked_upto,
                above: BTreeSet::from_iter(record.acked_above).into(),
            },
            sent_upto: record.sent_upto,
            is_behind: record.is_behind,
            records: Rare::default(),
            received: record.received,
            private: Rare::default(),
            reserved: record.reserved,
            shared: Rare::default(),
            groups: Rare::default(),
            inbound: record.inbound.into(),
            will: record.will,
            will_at: record.will_at,
            ends_at: record.ends_at,
        };
        self.by_client.insert(Arc::clone(&session.client_id), id);
        if let Some(owner) = session.owner {
            self.by_broker.insert((owner.broker, id));
        }
        self.sessions.insert(id, Box::new(session));
    }

    fn load_subscriptions(
        &mut self,
        id: SessionId,
        records: Vec<SubscribedRecord>,
    ) -> Result<(), Malformed> {
        let session = self.sessions.get_mut(&id).ok_or(Malformed)?;
        session.subscriptions.reserve_exact(records.len());
        for SubscribedRecord { options, began, at_2_from } in records {
            let place = began.map(|began| {
                let cursor = began.max(session.acked.upto);
                let index = self.indexes.join(options.subscription.filter(), id, cursor);
                if session.owner.is_some() {
                    self.indexes.get_mut(index).connected.insert(id, options.qos);
                }
                Place { index, began, at_2_from: at_2_from.unwrap_or(began), cursor }
            });
            session.subscriptions.push(Subscribed { options, place });
            self.counts.subscriptions += 1;
        }
        let is_ordered = session
            .subscriptions
            .is_sorted_by(|a, b| a.options.subscription < b.options.subscription);
        if is_ordered { Ok(()) } else { Err(Malformed) }
    }

    /// An index has what some session of its filter may need: the same that it had when the message
    /// was stored, less what has been reclaimed since.
    fn load_message(&mut self, number: u64, message: Arc<Message>) -> Result<(), Malformed> {
        let mut indexes = self.indexes.matching(&message.topic);
        indexes.retain(|&id| {
            self.indexes.get(id).needed_from().is_some_and(|needed_from| number >= needed_from)
        });
        if indexes.is_empty() || number >= self.messages.next() {
            return Err(Malformed);
        }
        for &index in &indexes {
            self.indexes.push(index, number, message.size());
        }
        self.messages.put(number, message, indexes.len());
        Ok(())
    }

    fn index_timers(&mut self) {
        let ids: BTreeSet<SessionId> = self.sessions.keys().copied().collect();
        ids.into_iter().for_each(|id| self.set_timers(id));
    }
}
