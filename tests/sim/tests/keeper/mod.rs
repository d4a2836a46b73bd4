//! The replicated state and its leader where a broker's holder of sessions would be, with a log that
//! commits at once. The state is loaded from its store now and then: nothing lives elsewhere.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use broker_core::engine::{self, Route, Wants};
use broker_core::holder::{HolderConfig, HolderCounts, Input, Output, RouteChange};
use ha_core::cluster::{Batch, ClusterState, Command, Outcome, StateLimits};
use ha_core::sessions::{self, Moment, Sessions};
use ha_types::session::{
    Ask, ConnectionId, Lifetime, Opened, PacketId, SessionKey, SubscribeOptions, Tell,
};
use ha_types::{
    BrokerEpoch, BrokerName, ClusterMillis, Incarnation, Message, Millis, PublishNumber, Qos,
    Subscription, Ticket,
};

/// Batches from one load, and check of everything, to the next.
const RELOADS: u64 = 29;

/// See the module.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) state: ClusterState,
    store: BTreeMap<Vec<u8>, Vec<u8>>,
    sessions: Sessions,
    broker: BrokerEpoch,
    at: engine::Moment,
    index: u64,
    published: u64,
    /// What the broker knows of its connections.
    wants: BTreeMap<ConnectionId, Wants>,
    clients: BTreeSet<Arc<str>>,
    owners: BTreeMap<SessionKey, ConnectionId>,
    subscribing: BTreeMap<(SessionKey, Ticket), Vec<SubscribeOptions>>,
    unsubscribing: BTreeMap<(SessionKey, Ticket), Vec<Subscription>>,
}

impl Keeper {
    pub(crate) fn new(config: HolderConfig) -> Self {
        let at = engine::Moment { now: Millis(0), cluster: ClusterMillis(1) };
        let mut keeper = Self {
            state: ClusterState::new(),
            store: BTreeMap::new(),
            sessions: Sessions::new(),
            broker: BrokerEpoch(0),
            at,
            index: 0,
            published: 0,
            wants: BTreeMap::new(),
            clients: BTreeSet::new(),
            owners: BTreeMap::new(),
            subscribing: BTreeMap::new(),
            unsubscribing: BTreeMap::new(),
        };
        let limits = StateLimits {
            sessions_max: config.sessions_max,
            subscriptions_max: config.subscriptions_max,
            queue_messages_max: config.queue_messages_max,
            queue_bytes_max: config.queue_bytes_max,
            ..StateLimits::default()
        };
        let name = BrokerName::parse("a").unwrap();
        let join = Command::Join { name, incarnation: Incarnation(1) };
        let applied = keeper.apply(vec![join, Command::Configure(limits)]);
        match applied.outcomes[0] {
            Outcome::Joined(epoch) => keeper.broker = epoch,
            ref other => panic!("{other:?}"),
        }
        keeper
    }

    /// One batch is committed, applied and stored.
    fn apply(&mut self, commands: Vec<Command>) -> ha_core::cluster::Applied {
        self.index += 1;
        let batch = Batch { time: self.at.cluster, commands };
        let applied = self.state.apply(self.index, &batch.encode());
        if self.index.is_multiple_of(RELOADS) {
            self.state.check_invariants();
        }
        for (key, value) in self.state.take_changes() {
            match value {
                Some(value) => self.store.insert(key, value.to_vec()),
                None => self.store.remove(&key),
            };
        }
        applied
    }

    pub(crate) fn step(&mut self, at: engine::Moment, input: Input, out: &mut Vec<Output>) {
        self.at = at;
        if self.index.is_multiple_of(RELOADS) {
            self.state = ClusterState::load(&self.store).expect("the store has what was written");
        }
        let Some(input) = self.input(input, out) else { return };
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut outputs = Vec::new();
            let at = Moment { now: at.now, cluster: at.cluster };
            self.sessions.step(at, &self.state, input, &mut outputs);
            let mut commands = Vec::new();
            for output in outputs {
                match output {
                    sessions::Output::Propose(command) => commands.push(command),
                    sessions::Output::Tell(owner, tell) => {
                        self.local(owner.connection, &tell, out);
                        out.push(Output::Tell(owner.connection, tell));
                    }
                    sessions::Output::Live(will) => out.push(Output::Publish(will)),
                }
            }
            if !commands.is_empty() {
                let applied = self.apply(commands);
                inputs.push_back(sessions::Input::Applied(applied));
            }
        }
        // A will is last in its step.
        out.sort_by_key(|output| matches!(output, Output::Publish(_)));
    }

    /// `None`: nothing that the cluster needs.
    fn input(&mut self, input: Input, out: &mut Vec<Output>) -> Option<sessions::Input> {
        match input {
            Input::Ask(Ask::Publish { session, packet_id, message }) => {
                Some(self.publish(Some((session, packet_id)), message))
            }
            Input::Ask(ask) => {
                self.note(&ask, out);
                Some(sessions::Input::Ask(self.broker, ask))
            }
            // A will comes back, and is in the state already.
            Input::Message(message) if message.retain && message.qos == Qos::AtMostOnce => {
                Some(self.publish(None, message))
            }
            Input::Message(_) => None,
            Input::Tick => Some(sessions::Input::Tick),
            Input::Retained { .. } | Input::SubscribeRefused { .. } => {
                panic!("the plugin was not asked")
            }
        }
    }

    fn publish(
        &mut self,
        exchange: Option<(SessionKey, PacketId)>,
        message: Arc<Message>,
    ) -> sessions::Input {
        self.published += 1;
        let (broker, number) = (self.broker, PublishNumber(self.published));
        sessions::Input::Publish { broker, number, exchange, message }
    }

    /// What the broker remembers of what it asks.
    fn note(&mut self, ask: &Ask, out: &mut Vec<Output>) {
        match ask {
            Ask::Open(open) => {
                let wants = match open.lifetime {
                    Lifetime::Connection => Wants::All,
                    Lifetime::Seconds(_) | Lifetime::Unlimited => Wants::QosZero,
                };
                self.wants.insert(open.connection, wants);
                self.clients.insert(Arc::clone(&open.client_id));
            }
            Ask::Subscribe { session, ticket, subscriptions } => {
                self.subscribing.insert((*session, *ticket), subscriptions.clone());
            }
            Ask::Unsubscribe { session, ticket, subscriptions } => {
                self.unsubscribing.insert((*session, *ticket), subscriptions.clone());
            }
            Ask::Close { session, .. } => {
                if let Some(connection) = self.owners.remove(session) {
                    out.push(Output::Route(RouteChange::RemoveAll { connection }));
                }
            }
            _ => (),
        }
    }

    /// What an answer means for live messages.
    fn local(&mut self, connection: ConnectionId, tell: &Tell, out: &mut Vec<Output>) {
        match tell {
            Tell::Opened(Opened { session, is_present, subscriptions, .. }) => {
                self.owners.insert(*session, connection);
                if *is_present {
                    self.wants.insert(connection, Wants::QosZero);
                }
                let routes = subscriptions.iter();
                out.extend(routes.filter_map(|options| self.route(connection, *session, options)));
            }
            Tell::Subscribed { session, ticket, granted } => {
                let asked = self.subscribing.remove(&(*session, *ticket)).unwrap();
                for (options, answer) in asked.iter().zip(granted) {
                    let route = answer.is_ok().then(|| self.route(connection, *session, options));
                    out.extend(route.flatten());
                }
            }
            Tell::Unsubscribed { session, ticket, .. } => {
                for subscription in self.unsubscribing.remove(&(*session, *ticket)).unwrap() {
                    if let Subscription::Plain(filter) = subscription {
                        out.push(Output::Route(RouteChange::Remove { connection, filter }));
                    }
                }
            }
            Tell::Fenced { session } => {
                self.owners.remove(session);
                out.push(Output::Route(RouteChange::RemoveAll { connection }));
            }
            _ => (),
        }
    }

    fn route(
        &self,
        connection: ConnectionId,
        session: SessionKey,
        options: &SubscribeOptions,
    ) -> Option<Output> {
        let Subscription::Plain(filter) = &options.subscription else { return None };
        let wants = self.wants[&connection];
        let route = Route::new(session.id, options, options.qos, wants);
        Some(Output::Route(RouteChange::Add { connection, filter: filter.clone(), route }))
    }

    pub(crate) fn takes(&self, key: SessionKey, packet_id: PacketId) -> bool {
        self.state.takes(key, packet_id)
    }

    pub(crate) fn deadline(&self) -> Option<Millis> {
        let (cluster, now) = self.sessions.deadline(&self.state);
        let ahead = cluster.map(|due| self.at.now.plus(due.0.saturating_sub(self.at.cluster.0)));
        ahead.into_iter().chain(now).min()
    }

    pub(crate) fn check_invariants(&self) {
        if self.index.is_multiple_of(RELOADS) {
            self.state.check_invariants();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        let HolderCounts { sessions, subscriptions, queued, .. } = self.counts();
        (sessions, subscriptions, queued, self.state.counts().messages) == (0, 0, 0, 0)
    }

    fn queued(&self, client_id: &str) -> usize {
        let session = self.state.session_of(client_id);
        session.map_or(0, |(key, _)| self.state.unacknowledged(key.id))
    }

    pub(crate) fn counts(&self) -> HolderCounts {
        let counts = self.state.counts();
        let connected = self.state.sessions_of(self.broker).count();
        HolderCounts {
            sessions: counts.sessions,
            connected,
            subscriptions: counts.subscriptions,
            queued: self.clients.iter().map(|client| self.queued(client)).sum(),
            dropped: counts.dropped,
        }
    }
}
