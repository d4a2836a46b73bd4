//! The replicated state and its leader where a broker's holder of sessions would be. The log commits
//! at once, command by command, but the leader learns of it one after the other, when all are applied:
//! the state is ahead of what it knows. It is loaded from its store now and then: nothing lives
//! elsewhere.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use broker_core::engine::{self, Route, Wants};
use broker_core::holder::{HolderConfig, HolderCounts, Input, Output, RouteChange};
use ha_core::cluster::{Applied, Batch, ClusterState, Command, StateLimits};
use ha_core::{Config, Distributor, FanOut, StreamId};
use ha_types::link::{Downstream, Hello, PROTOCOL_VERSIONS, PublishOutcome, RetainedUse, Upstream};
use ha_types::session::{
    Ask, ConnectionId, Lifetime, Opened, PacketId, RefuseReason, SessionKey, SubscribeOptions, Tell,
};
use ha_types::{
    AskNumber, BrokerEpoch, BrokerName, ClusterMillis, Incarnation, Message, Millis, PublishNumber,
    ServerIncarnation, Subscription, Ticket,
};

/// Of the one broker.
const STREAM: StreamId = StreamId(0);

/// Batches from one load, and check of everything, to the next.
const RELOADS: u64 = 29;

/// Cluster time when the tests begin.
const BEGINNING: ClusterMillis = ClusterMillis(1_000_000);

/// Longer than any test.
const LEASE_MS: u64 = 1 << 50;

/// One broker that never dies, is never behind, and gets every will.
fn leader_config() -> Config {
    Config {
        server: ServerIncarnation(1),
        software: String::new(),
        wall_time: BEGINNING,
        lease_ms: LEASE_MS,
        heartbeat_ms: 1_000,
        fan_out: FanOut::All,
        brokers_max: 1,
        filters_max: 1,
        queue_bytes: usize::MAX,
        stall_ms: LEASE_MS,
        publish_window: u32::MAX,
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) state: ClusterState,
    store: BTreeMap<Vec<u8>, Vec<u8>>,
    leader: Distributor,
    broker: BrokerEpoch,
    at: engine::Moment,
    index: u64,
    published: u64,
    asked: u64,
    /// Whose publishes are not answered.
    /// Messages that its client has sent again.
    received: u64,
    exchanges: BTreeMap<PublishNumber, (SessionKey, PacketId)>,
    /// What the broker knows of its connections.
    wants: BTreeMap<ConnectionId, Wants>,
    clients: BTreeSet<Arc<str>>,
    owners: BTreeMap<SessionKey, ConnectionId>,
    subscribing: BTreeMap<(SessionKey, Ticket), Vec<SubscribeOptions>>,
    unsubscribing: BTreeMap<(SessionKey, Ticket), Vec<Subscription>>,
    /// Those that were published and have not come back.
    wills: Vec<Arc<Message>>,
}

impl Keeper {
    pub(crate) fn new(config: HolderConfig) -> Self {
        let at = engine::Moment { now: Millis(0), cluster: BEGINNING };
        let mut state = ClusterState::new();
        let limits = StateLimits {
            sessions_max: config.sessions_max,
            subscriptions_max: config.subscriptions_max,
            queue_messages_max: config.queue_messages_max,
            queue_bytes_max: config.queue_bytes_max,
            ..StateLimits::default()
        };
        let commands = vec![Command::Configure(limits)];
        let configure = Batch { time: ClusterMillis(0), commands };
        state.apply(1, &configure.encode());
        let mut keeper = Self {
            leader: Distributor::new(leader_config(), &state),
            state,
            store: BTreeMap::new(),
            broker: BrokerEpoch(0),
            at,
            index: 1,
            published: 0,
            asked: 0,
            received: 0,
            exchanges: BTreeMap::new(),
            wants: BTreeMap::new(),
            clients: BTreeSet::new(),
            owners: BTreeMap::new(),
            subscribing: BTreeMap::new(),
            unsubscribing: BTreeMap::new(),
            wills: Vec::new(),
        };
        let hello = Hello {
            versions: PROTOCOL_VERSIONS,
            name: BrokerName::parse("a").unwrap(),
            incarnation: Incarnation(1),
            software: String::new(),
            retained: RetainedUse::None,
        };
        let mut out = Vec::new();
        keeper.lead(ha_core::Input::Opened(STREAM, String::new()), &mut out);
        keeper.say(Upstream::Hello(hello), &mut out);
        keeper.say(Upstream::Resumed, &mut out);
        keeper
    }

    /// One batch is committed, applied and stored.
    fn apply(&mut self, command: Command) -> Applied {
        self.index += 1;
        let batch = Batch { time: self.leader.cluster_time(), commands: vec![command] };
        let applied = self.state.apply(self.index, &batch.encode());
        if self.index.is_multiple_of(RELOADS) {
            self.state.check_invariants();
            self.leader.check_invariants();
        }
        for (key, value) in self.state.take_changes() {
            match value {
                Some(value) => self.store.insert(key, value.to_vec()),
                None => self.store.remove(&key),
            };
        }
        applied
    }

    fn say(&mut self, item: Upstream, out: &mut Vec<Output>) {
        self.lead(ha_core::Input::Received(STREAM, vec![item]), out);
    }

    /// The leader takes an input, and learns of all that follows.
    fn lead(&mut self, input: ha_core::Input, out: &mut Vec<Output>) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut outputs = Vec::new();
            self.leader.step(self.at.now, &self.state, input, &mut outputs);
            for output in outputs {
                match output {
                    ha_core::Output::Propose(command) => {
                        inputs.push_back(ha_core::Input::Applied(self.apply(command)));
                    }
                    ha_core::Output::Confirm(number) => {
                        inputs.push_back(ha_core::Input::Confirmed(number));
                    }
                    ha_core::Output::Send(_, item, bytes) => {
                        inputs.push_back(ha_core::Input::Written(STREAM, bytes));
                        if let Downstream::Deliver { origin: Some(_), .. } = item {
                            self.received += 1;
                            let received = Upstream::Received { count: self.received };
                            inputs.push_back(ha_core::Input::Received(STREAM, vec![received]));
                        }
                        self.take(item, out);
                    }
                    ha_core::Output::End(_) => panic!("the leader ended the stream"),
                    ha_core::Output::Note(_) => (),
                }
            }
        }
    }

    fn take(&mut self, item: Downstream, out: &mut Vec<Output>) {
        match item {
            Downstream::Welcome(welcome) => self.broker = welcome.epoch,
            Downstream::Tell { connection, tell } => {
                self.local(connection, &tell, out);
                out.push(Output::Tell(connection, tell));
            }
            Downstream::PublishResult { number, outcome, .. } => self.answer(number, outcome, out),
            // A will. Of its own only what a client sends again comes back, and it has that.
            Downstream::Deliver { origin: None, message, .. } => {
                self.wills.push(Arc::clone(&message));
                out.push(Output::Publish(message));
            }
            _ => (),
        }
    }

    fn answer(&mut self, number: PublishNumber, outcome: PublishOutcome, out: &mut Vec<Output>) {
        let Some((session, packet_id)) = self.exchanges.remove(&number) else { return };
        let Some(&connection) = self.owners.get(&session) else { return };
        let outcome = match outcome {
            PublishOutcome::Accepted | PublishOutcome::Repeat | PublishOutcome::RetainedFull => {
                Ok(())
            }
            PublishOutcome::QuotaExceeded => Err(RefuseReason::QuotaExceeded),
            PublishOutcome::Fenced => {
                let tell = Tell::Fenced { session };
                self.local(connection, &tell, out);
                return out.push(Output::Tell(connection, tell));
            }
        };
        let tell = Tell::Published { session, packet_id, outcome };
        out.push(Output::Tell(connection, tell));
    }

    pub(crate) fn step(&mut self, at: engine::Moment, input: Input, out: &mut Vec<Output>) {
        self.at = at;
        if self.index.is_multiple_of(RELOADS) {
            self.state = ClusterState::load(&self.store).expect("the store has what was written");
        }
        let Some(input) = self.input(input, out) else { return };
        self.lead(input, out);
        // A will is last in its step.
        out.sort_by_key(|output| matches!(output, Output::Publish(_)));
    }

    /// `None`: nothing that the cluster needs.
    fn input(&mut self, input: Input, out: &mut Vec<Output>) -> Option<ha_core::Input> {
        match input {
            Input::Ask(Ask::Publish { session, packet_id, message }) => {
                Some(self.publish(Some((session, packet_id)), message))
            }
            Input::Ask(ask) => {
                self.note(&ask, out);
                self.asked += 1;
                let number = AskNumber(self.asked);
                Some(ha_core::Input::Received(STREAM, vec![Upstream::Ask { number, ask }]))
            }
            Input::Message(message) if self.is_will(&message) => None,
            Input::Message(message) => Some(self.publish(None, message)),
            Input::Tick => Some(ha_core::Input::Tick),
            Input::Retained { .. } | Input::SubscribeRefused { .. } => {
                panic!("the plugin was not asked")
            }
        }
    }

    /// A will comes back, and all have it already.
    fn is_will(&mut self, message: &Arc<Message>) -> bool {
        self.wills.extract_if(.., |will| Arc::ptr_eq(will, message)).next().is_some()
    }

    fn publish(
        &mut self,
        exchange: Option<(SessionKey, PacketId)>,
        message: Arc<Message>,
    ) -> ha_core::Input {
        let number = exchange.map(|exchange| {
            self.published += 1;
            let number = PublishNumber(self.published);
            self.exchanges.insert(number, exchange);
            number
        });
        let publish = Upstream::Publish { number, exchange, message };
        ha_core::Input::Received(STREAM, vec![publish])
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
        self.leader.deadline(&self.state).filter(|at| at.0 < LEASE_MS)
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
