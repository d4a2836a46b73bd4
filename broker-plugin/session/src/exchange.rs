//! What all connections share: who subscribes, who holds sessions, and the way to the plugin.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use broker_core::engine::{Delivery, Encodings, Routes, Scratch};
use broker_core::holder::{Holder, Input, Output, RouteChange};
use broker_core::host::{self, HostEvent};
use ha_types::session::{Ask, ConnectionId, PacketId, SessionKey, Tell};
use ha_types::{Message, Ticket};

use crate::clock::Clock;
use crate::config::HostConfig;
use crate::counters::{Counters, HostStats};
use crate::departure::Refusing;
use crate::here::Errand;
use crate::keeper::{Keeper, Reach};
use crate::mailbox::{Letter, Mailbox};
use crate::reached::Reached;
use crate::slots::{HalfOpen, Slots};
use crate::sys::SysTree;

/// See the module.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) config: HostConfig,
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    pub(crate) keeper: Keeper,
    routes: RwLock<Routes<Arc<Mailbox>>>,
    /// Places of all listeners together.
    pub(crate) clients: Slots,
    pub(crate) half_open: HalfOpen,
    pub(crate) refusing: Refusing,
    connections: Mutex<HashMap<ConnectionId, Arc<Mailbox>>>,
    sys: Mutex<SysTree>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nobody panics while holding one; if somebody did, the rest of the broker goes on.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Exchange {
    pub(crate) fn new(config: HostConfig, clock: Clock, keeper: Keeper) -> Self {
        Self {
            clock,
            counters: Counters::default(),
            keeper,
            routes: RwLock::new(Routes::new(RandomState::new().hash_one(0))),
            clients: Slots::new(config.connections_max),
            half_open: HalfOpen::default(),
            refusing: Refusing::default(),
            connections: Mutex::default(),
            sys: Mutex::default(),
            config,
        }
    }

    pub(crate) fn enter(&self, mailbox: &Arc<Mailbox>) {
        lock(&self.connections).insert(mailbox.id, Arc::clone(mailbox));
    }

    pub(crate) fn leave(&self, id: ConnectionId) {
        lock(&self.connections).remove(&id);
    }

    /// All connections, so that each can be told something.
    pub(crate) fn connections(&self) -> Vec<Arc<Mailbox>> {
        lock(&self.connections).values().cloned().collect()
    }

    /// Puts it into the mailboxes of live subscribers.
    pub(crate) fn deliver_live(&self, message: &Arc<Message>, reached: &mut Reached) {
        let mut recipients = 0_usize;
        let mut shared: Option<Arc<Encodings>> = None;
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        routes.for_each_recipient(message, &mut Scratch::default(), |mailbox, hit| {
            recipients += 1;
            // Most messages have one recipient, which needs no frame that others could share.
            if recipients == 2 {
                shared = Some(Arc::default());
            }
            let delivery = Delivery {
                message: Arc::clone(message),
                encodings: shared.clone(),
                qos: hit.qos,
                retain: hit.retain,
                subscription_ids: hit.subscription_ids.into(),
            };
            reached.post(mailbox, Letter::Deliver(delivery));
        });
    }

    /// A message of another broker, or a will: to live subscribers and to the holder.
    pub(crate) fn deliver(&self, message: &Arc<Message>) {
        self.deliver_live(message, &mut Reached::all_awake());
        self.show(message);
    }

    /// To the holder, if it is here and may need it.
    pub(crate) fn show(&self, message: &Arc<Message>) {
        if let Keeper::Here(here) = &self.keeper
            && here.wants(message.qos)
        {
            self.hold(Input::Message(Arc::clone(message)));
        }
    }

    pub(crate) fn ask(&self, ask: Ask) {
        match &self.keeper {
            Keeper::Here(_) => self.hold(Input::Ask(ask)),
            Keeper::State(lane, _) => {
                lock(&self.sys).asking(&ask);
                lane.ask(ask);
            }
        }
    }

    /// A publish of QoS 2 for the holder here. False: it is not taken, so nobody else may get it either.
    pub(crate) fn publish_once(
        &self,
        session: SessionKey,
        packet_id: PacketId,
        message: &Arc<Message>,
    ) -> bool {
        let message = Arc::clone(message);
        let ask = Input::Ask(Ask::Publish { session, packet_id, message });
        self.hold_with(|holder| holder.takes(session, packet_id), ask).unwrap_or(false)
    }

    pub(crate) fn hold(&self, input: Input) {
        self.hold_with(|_| (), input);
    }

    /// `None`: the holder is not here.
    fn hold_with<T>(&self, look: impl FnOnce(&Holder) -> T, input: Input) -> Option<T> {
        let Keeper::Here(here) = &self.keeper else { return None };
        Some(here.step(self.clock.moment(), look, input, |output| self.act(output)))
    }

    fn act(&self, output: Output) {
        let send_out = |errand| {
            if let Keeper::Here(here) = &self.keeper {
                here.send_out(errand);
            }
        };
        match output {
            Output::Tell(connection, tell) => self.tell(connection, tell),
            Output::Route(change) => self.reroute(change),
            Output::Plugin(event) => {
                self.note_sys(&event);
                send_out(Errand::Event(event));
            }
            Output::Publish(will) => send_out(Errand::Publish(will)),
        }
    }

    pub(crate) fn tell(&self, connection: ConnectionId, tell: Tell) {
        // One that is gone has closed its session, or will be found fenced.
        if let Some(mailbox) = lock(&self.connections).get(&connection) {
            mailbox.post(Letter::Tell(tell));
        }
    }

    pub(crate) fn reroute(&self, change: RouteChange) {
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        match change {
            RouteChange::Add { connection, filter, route } => {
                let Some(mailbox) = lock(&self.connections).get(&connection).cloned() else {
                    return;
                };
                routes.add(connection, mailbox, &filter, route);
            }
            RouteChange::Remove { connection, filter } => routes.remove(connection, &filter),
            RouteChange::RemoveAll { connection } => routes.remove_all(connection),
        }
    }

    /// Takes a new value of `$SYS`; `None`: it has not changed.
    pub(crate) fn set_sys(&self, topic: &'static str, value: String) -> Option<Arc<Message>> {
        lock(&self.sys).set(topic, value)
    }

    /// Adds values of `$SYS` to what the plugin found for a SUBSCRIBE.
    pub(crate) fn add_sys(&self, ticket: Ticket, retained: &mut [Vec<host::Delivery>]) {
        lock(&self.sys).add(ticket, retained);
    }

    /// Adds values of `$SYS` to what ha-server answered.
    pub(crate) fn add_sys_to(&self, tell: &mut Tell) {
        lock(&self.sys).add_to(tell);
    }

    fn note_sys(&self, event: &HostEvent) {
        let HostEvent::Subscribe { ticket, subscriptions, .. } = event else { return };
        lock(&self.sys).subscribing(*ticket, subscriptions);
    }

    pub(crate) fn stats(&self) -> HostStats {
        let mut stats = self.counters.stats();
        let counts = match &self.keeper {
            Keeper::Here(here) => here.counts(),
            Keeper::State(_, Reach::Alone(state)) => state.counts(),
            Keeper::State(_, Reach::Cluster) => {
                // All others are ha-server's to count.
                stats.sessions = stats.connections;
                return stats;
            }
        };
        stats.sessions = counts.sessions;
        stats.subscriptions = counts.subscriptions;
        stats.queued = counts.queued;
        stats.dropped += counts.dropped;
        stats
    }
}
