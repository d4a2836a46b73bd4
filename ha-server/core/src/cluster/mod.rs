//! What all ha-servers hold in common: durable sessions, their messages, who owns them, what is
//! retained (ADR 0013).
//!
//! [`ClusterState`] changes by [`apply`](ClusterState::apply) alone: a batch of commands at a place of
//! the replicated log. The same batches in the same order make the same state on every node, for any
//! bytes. What clients are told follows from the outcomes; only the leader tells it.
//!
//! A durable session is a cursor, not a copy: a message is stored once, under an offset, and each
//! distinct filter has an index of offsets. A publish costs one entry for every filter that matches,
//! however many sessions share it; a session knows up to where it has acknowledged.
//!
//! A share group has a queue, of which each member is given a part (ADR 0016).
//!
//! What is *not* here: who is connected to which socket, live messages that nobody must keep, the log
//! itself.

mod begin;
mod broker;
mod codec;
mod command;
mod feature;
mod few;
mod group_invariants;
mod groups;
mod index;
mod invariants;
mod last_opens;
mod limits;
mod live;
mod load;
mod lost;
mod membership;
mod messages;
mod open;
mod outcome;
mod page;
mod pending;
mod progress;
mod publish;
mod rare;
mod record;
mod session;
mod share;
mod strategy;
mod subscribe;
mod timers;
mod views;
mod wills;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ha_types::session::SessionKey;
use ha_types::{BrokerEpoch, ClusterMillis, RetainedStore, RetainedVersion, SessionId};

pub use self::broker::Refusal;
pub use self::codec::Malformed;
pub use self::command::{Asked, Batch, Command};
pub use self::feature::FeatureLevel;
pub use self::limits::StateLimits;
pub use self::live::Turns;
pub use self::load::{CorruptRecord, LoadError};
pub use self::outcome::{
    Applied, Began, Fired, Live, Opened, Outcome, Owner, Refused, Repeat, Stored,
};

pub use self::strategy::{Strategies, Strategy};
pub use self::views::{
    Listed, PageLimits, RetainedFind, RetainedView, SessionFind, SessionView, SubscriptionFind,
    SubscriptionPlace, SubscriptionView, Which,
};
pub use self::wills::OwedWill;

use self::broker::{Asking, Broker};
use self::groups::Groups;
use self::index::Indexes;
use self::last_opens::LastOpens;
use self::lost::Lost;
use self::messages::Messages;
use self::record::Key;
pub(crate) use self::session::given_max;

use self::session::Session;
use self::timers::Timers;
use self::wills::OwedWills;

/// See the module.
#[derive(Debug)]
pub struct ClusterState {
    limits: StateLimits,
    /// Cluster time, as the leader stamped it into the last batch. Never goes back.
    now: ClusterMillis,
    /// Of the last batch.
    applied: u64,
    messages: Messages,
    indexes: Indexes,
    groups: Groups,
    strategies: Strategies,
    /// Of what came after the first version, what may be used.
    feature_level: FeatureLevel,
    retained: RetainedStore,
    retained_version: RetainedVersion,
    /// In boxes: a tree of large values has room for as many again.
    sessions: BTreeMap<SessionId, Box<Session>>,
    by_client: BTreeMap<Arc<str>, SessionId>,
    by_broker: BTreeSet<(BrokerEpoch, SessionId)>,
    brokers: BTreeMap<BrokerEpoch, Broker>,
    /// Runs that may come back, by their last lives.
    lost: BTreeMap<BrokerEpoch, Lost>,
    timers: Timers,
    owed_wills: OwedWills,
    last_opens: LastOpens,
    next_session: u64,
    next_epoch: u64,
    /// The last session that the sweep has looked at.
    swept: SessionId,
    counts: Counts,
    /// Of this batch.
    fired: Vec<Fired>,
    /// Of this batch: sessions that were given messages of groups.
    given: BTreeSet<SessionId>,
    /// Of this batch: messages of groups for members of QoS 0.
    live: Vec<Live>,
    changed: BTreeSet<Key>,
    /// Messages with lower numbers may be in the store.
    stored_below: u64,
}

/// Numbers for metrics. Not replicated: a node counts since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sessions, connected or not.
    pub sessions: usize,
    /// Those with a connection. Sessions of a lost broker are until they are freed.
    pub connected: usize,
    /// Of all sessions.
    pub subscriptions: usize,
    /// Messages that are stored for several sessions, or wait for a member of their group.
    pub messages: usize,
    /// Bytes of these.
    pub bytes: usize,
    /// Share groups.
    pub groups: usize,
    /// Messages that a session lost because its queue was full.
    pub dropped: u64,
    /// Messages that expired before a session had them.
    pub expired: u64,
    /// Batches that were not understood.
    pub malformed: u64,
}

impl Default for ClusterState {
    fn default() -> Self {
        Self::new()
    }
}

impl ClusterState {
    /// Before the first command.
    #[must_use]
    pub fn new() -> Self {
        let limits = StateLimits::default();
        let messages = Messages::default();
        Self {
            now: ClusterMillis(0),
            applied: 0,
            stored_below: messages.next(),
            messages,
            indexes: Indexes::default(),
            groups: Groups::default(),
            strategies: Strategies::default(),
            feature_level: FeatureLevel::default(),
            retained: RetainedStore::new(limits.retained_max, limits.retained_bytes_max),
            retained_version: RetainedVersion(0),
            sessions: BTreeMap::new(),
            by_client: BTreeMap::new(),
            by_broker: BTreeSet::new(),
            brokers: BTreeMap::new(),
            lost: BTreeMap::new(),
            timers: Timers::default(),
            owed_wills: OwedWills::default(),
            last_opens: LastOpens::default(),
            next_session: 1,
            next_epoch: 1,
            swept: SessionId(0),
            counts: Counts::default(),
            fired: Vec::new(),
            given: BTreeSet::new(),
            live: Vec::new(),
            changed: BTreeSet::new(),
            limits,
        }
    }

    /// Applies what the log has at `index`. Total: bytes that are no batch change nothing but the
    /// counts.
    pub fn apply(&mut self, index: u64, batch: &[u8]) -> Applied {
        debug_assert!(index > self.applied, "the log has an order");
        self.applied = index;
        let Ok(Batch { time, commands }) = Batch::decode(batch) else {
            self.counts.malformed += 1;
            return Applied::default();
        };
        self.now = self.now.max(time);
        self.changed.insert(Key::Meta);
        let outcomes = commands.into_iter().map(|command| self.command(command)).collect();
        Applied {
            outcomes,
            fired: std::mem::take(&mut self.fired),
            given: std::mem::take(&mut self.given).into_iter().collect(),
            live: std::mem::take(&mut self.live),
        }
    }

    fn command(&mut self, command: Command) -> Outcome {
        match command {
            Command::Join { name, incarnation } => self.join(name, incarnation),
            Command::Leave { broker } => self.leave(broker),
            Command::Open { asked, open } => self.open(asked, open),
            Command::Close { asked, session, cause, progress, lifetime } => {
                self.close((asked, session), cause, &progress, lifetime)
            }
            Command::Subscribe { asked, session, given_upto, subscriptions } => {
                self.subscribe((asked, session), given_upto, subscriptions)
            }
            Command::Unsubscribe { asked, session, given_upto, subscriptions } => {
                self.unsubscribe((asked, session), given_upto, &subscriptions)
            }
            Command::Publish { broker, number, exchange, message } => {
                self.publish((broker, number), exchange, &message)
            }
            Command::Release { asked, session, packet_id } => {
                self.release(asked, session, packet_id)
            }
            Command::Progress { asked, session, progress } => {
                self.progress(asked, session, &progress)
            }
            Command::Pass { asked } => self.pass(asked),
            Command::Begin { session, offsets } => self.begin(session, &offsets),
            Command::Expire { at_most } => self.expire(at_most),
            Command::Sweep { at_most } => self.sweep(at_most),
            Command::WillsReceived { upto } => self.wills_received(upto),
            Command::Configure(limits) => self.configure(limits),
            Command::Share(strategies) => self.set_strategies(strategies),
            Command::Forget { session } => self.forget(session),
            Command::Raise(level) => self.raise(level),
        }
    }

    fn raise(&mut self, level: FeatureLevel) -> Outcome {
        self.feature_level = self.feature_level.max(level);
        Outcome::Done
    }

    /// What may be proposed.
    #[must_use]
    pub fn feature_level(&self) -> FeatureLevel {
        self.feature_level
    }

    /// Cluster time, as of the last batch.
    #[must_use]
    pub fn now(&self) -> ClusterMillis {
        self.now
    }

    /// When [`Command::Expire`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<ClusterMillis> {
        let is_freeing = self.brokers.values().any(|broker| !broker.is_alive);
        if is_freeing { Some(self.now) } else { self.timers.first() }
    }

    /// Numbers for metrics.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            sessions: self.sessions.len(),
            connected: self.by_broker.len(),
            messages: self.messages.len() + self.groups.waiting(),
            bytes: self.messages.bytes() + self.groups.bytes(),
            groups: self.groups.len(),
            ..self.counts
        }
    }

    /// What is retained.
    #[must_use]
    pub fn retained(&self) -> &RetainedStore {
        &self.retained
    }

    /// As the last [`Command::Share`] set them.
    #[must_use]
    pub fn strategies(&self) -> &Strategies {
        &self.strategies
    }

    /// As the last [`Command::Configure`] set them.
    #[must_use]
    pub fn limits(&self) -> &StateLimits {
        &self.limits
    }

    /// Remembers the ask of a session. `None`: the key is not that of its living owner.
    fn asked(&mut self, asked: Asked, key: SessionKey) -> Option<Asking> {
        let asking = self.ask(asked)?;
        let owner = self.owned(key)?.owner?;
        (owner.broker == asked.broker).then_some(asking)
    }

    /// The session, if the key is its living owner's. A stale one changes nothing.
    fn owned(&mut self, key: SessionKey) -> Option<&mut Session> {
        let session = self.sessions.get_mut(&key.id)?;
        let is_alive = |broker| self.brokers.get(&broker).is_some_and(|broker| broker.is_alive);
        let is_owned =
            session.epoch == key.epoch && session.owner.is_some_and(|owner| is_alive(owner.broker));
        is_owned.then_some(session)
    }
}
