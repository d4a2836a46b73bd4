//! The in-memory holder of sessions (ADR 0007): what a broker keeps for clients beyond a connection.
//!
//! Decides who owns a client identifier, what is queued for whom and under which packet identifier,
//! when a session or a will is due, and which member of a share group gets a message. One per broker,
//! stepped by its shell; it does not survive the process.
//!
//! What is *not* here: messages of QoS 0, and all messages of ephemeral sessions outside share groups
//! (they go by [`Routes`](crate::engine::Routes)); and retained messages, which the plugin keeps.
//!
//! Flow: a session's messages wait in its queue. While it is connected they are handed to its engine
//! unasked, as many at a time as the client can take twice over; acknowledgements make room for the
//! next. So an engine is never given more than it can keep, and pages only after it lost something.

mod deliver;
mod groups;
mod invariants;
mod open;
mod progress;
mod queue;
mod session;
mod subscribe;
mod timers;

use std::collections::BTreeMap;
use std::sync::Arc;

use ha_types::session::{Ask, ConnectionId, SessionKey, Tell};
use ha_types::{ClusterMillis, FilterTree, Message, Millis, Qos, SessionId, Ticket, TopicFilter};

use self::groups::Interested;
use self::open::Waiting;
use self::session::Session;
use self::subscribe::Asked;
use self::timers::Timers;
use crate::engine::{Moment, Route, SharedSubscriptions};
use crate::host::{Delivery, HostEvent};

/// Limits of sessions.
#[derive(Clone, Debug)]
pub struct HolderConfig {
    /// Sessions, connected or not. More are refused.
    pub sessions_max: usize,
    /// Subscriptions of one session. More are refused.
    pub subscriptions_max: usize,
    /// Messages of one session that are not acknowledged, retained ones at SUBSCRIBE included. When
    /// there are so many, expired ones make room, within a second; without any, what comes next is
    /// dropped and counted.
    pub queue_messages_max: usize,
    /// Bytes of these: when there are so many, what comes next is dropped. So the last one may be
    /// beyond.
    pub queue_bytes_max: usize,
    /// Whether `$share` is served.
    pub shared_subscriptions: SharedSubscriptions,
}

impl Default for HolderConfig {
    fn default() -> Self {
        Self {
            sessions_max: 100_000,
            subscriptions_max: 10_000,
            queue_messages_max: 100_000,
            queue_bytes_max: 16 << 20,
            shared_subscriptions: SharedSubscriptions::Served,
        }
    }
}

/// Something that happened.
#[derive(Debug)]
pub enum Input {
    /// An engine asks.
    Ask(Ask),
    /// A message that may concern a durable session or a share group, and that no [`Ask::Publish`]
    /// brought: of QoS 0, of another broker, or a will.
    Message(Arc<Message>),
    /// The plugin's answer to [`HostEvent::Subscribe`]: retained messages for each subscription.
    Retained {
        /// Of the event.
        ticket: Ticket,
        /// In the order of the event's subscriptions.
        retained: Vec<Vec<Delivery>>,
    },
    /// The plugin's other answer: none of the subscriptions can be taken.
    SubscribeRefused {
        /// Of the event.
        ticket: Ticket,
    },
    /// The deadline has come.
    Tick,
}

/// Something that the shell must do, in the order given.
#[derive(Debug)]
pub enum Output {
    /// For the engine of a connection.
    Tell(ConnectionId, Tell),
    /// What the connection's live messages are matched with.
    Route(RouteChange),
    /// For the plugin.
    Plugin(HostEvent),
    /// A will is due. It is published like a client's message and comes back as [`Input::Message`].
    /// Last in its step: what it causes must not overtake the answer to a CONNECT.
    Publish(Arc<Message>),
}

/// A change to [`Routes`](crate::engine::Routes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteChange {
    /// A subscription is live, or has other options.
    Add {
        /// Whose.
        connection: ConnectionId,
        /// What it subscribes to.
        filter: TopicFilter,
        /// How.
        route: Route,
    },
    /// It ended.
    Remove {
        /// Whose.
        connection: ConnectionId,
        /// Which.
        filter: TopicFilter,
    },
    /// The connection ended.
    RemoveAll {
        /// Which.
        connection: ConnectionId,
    },
}

/// Numbers for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HolderCounts {
    /// Connected or not.
    pub sessions: usize,
    /// Of these, the connected ones.
    pub connected: usize,
    /// Of all sessions.
    pub subscriptions: usize,
    /// Messages that are not acknowledged.
    pub queued: usize,
    /// Messages that found a queue full.
    pub dropped: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Holder {
    config: HolderConfig,
    at: Moment,
    /// In boxes: a tree of large values has room for as many again.
    sessions: BTreeMap<SessionId, Box<Session>>,
    by_client: BTreeMap<Arc<str>, SessionId>,
    /// CONNECTs that wait for the end of an older connection.
    waiting: BTreeMap<Arc<str>, Waiting>,
    /// Filters of durable sessions, and of share groups.
    interested: FilterTree<Interested>,
    /// SUBSCRIBEs that wait for the plugin.
    asked: BTreeMap<Ticket, Asked>,
    timers: Timers,
    /// Of this step.
    due_wills: Vec<Arc<Message>>,
    next_session: u64,
    next_ticket: u64,
    /// Filters of durable sessions with QoS 1 or 2, and memberships in groups.
    durable_filters: usize,
    memberships: usize,
    counts: HolderCounts,
}

impl Holder {
    /// Without any session.
    #[must_use]
    pub fn new(config: HolderConfig) -> Self {
        Self {
            config,
            at: Moment { now: Millis(0), cluster: ClusterMillis(0) },
            sessions: BTreeMap::new(),
            by_client: BTreeMap::new(),
            waiting: BTreeMap::new(),
            interested: FilterTree::new(),
            asked: BTreeMap::new(),
            timers: Timers::default(),
            due_wills: Vec::new(),
            next_session: 1,
            next_ticket: 1,
            durable_filters: 0,
            memberships: 0,
            counts: HolderCounts::default(),
        }
    }

    /// When [`Input::Tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        self.timers.first()
    }

    /// Whether a message of this QoS may concern anybody here: if not, nobody needs to ask.
    #[must_use]
    pub fn wants(&self, qos: Qos) -> bool {
        self.memberships > 0 || (qos != Qos::AtMostOnce && self.durable_filters > 0)
    }

    /// Numbers for metrics.
    #[must_use]
    pub fn counts(&self) -> HolderCounts {
        HolderCounts { sessions: self.sessions.len(), ..self.counts }
    }

    /// Advances time, then takes one input and appends what must be done.
    pub fn step(&mut self, at: Moment, input: Input, out: &mut Vec<Output>) {
        self.at = Moment { now: self.at.now.max(at.now), cluster: at.cluster };
        self.expire(out);
        match input {
            Input::Ask(ask) => self.ask(ask, out),
            Input::Message(message) => self.deliver(&message, out),
            Input::Retained { ticket, retained } => self.retained(ticket, retained, out),
            Input::SubscribeRefused { ticket } => self.subscribe_refused(ticket, out),
            Input::Tick => (),
        }
        out.extend(self.due_wills.drain(..).map(Output::Publish));
    }

    fn ask(&mut self, ask: Ask, out: &mut Vec<Output>) {
        match ask {
            Ask::Open(open) | Ask::Claim { open, .. } => self.open(open, out),
            Ask::Subscribe { session, ticket, subscriptions } => {
                self.subscribe(session, ticket, subscriptions, out);
            }
            Ask::Unsubscribe { session, ticket, subscriptions } => {
                self.unsubscribe(session, ticket, &subscriptions, out);
            }
            Ask::Publish { session, packet_id, message } => {
                self.publish(session, packet_id, &message, out);
            }
            Ask::Release { session, packet_id } => self.release(session, packet_id, out),
            Ask::Fetch { session, after, messages_max, bytes_max } => {
                self.fetch(session, after, (messages_max, bytes_max), out);
            }
            Ask::Progress { session, progress } => self.progress(session, progress, out),
            Ask::Close { session, cause, progress, lifetime } => {
                self.close(session, cause, progress, lifetime, out);
            }
        }
    }

    /// The session, if the key is its owner's. A stale owner changes nothing; its connection was told
    /// [`Tell::Fenced`] when it was replaced, unless it had closed.
    fn owned(&mut self, key: SessionKey) -> Option<&mut Session> {
        let session = self.sessions.get_mut(&key.id)?;
        (session.epoch == key.epoch && session.owner.is_some()).then_some(session)
    }
}
