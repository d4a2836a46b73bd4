//! What all connections share: who subscribes, who holds sessions, and the way to the plugin.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use broker_core::engine::{Delivery, Encodings, Routes, Scratch};
use broker_core::holder::{Holder, Input, Output, RouteChange};
use broker_core::host::{self, HostEvent, HostPublish};
use ha_types::session::{Ask, ConnectionId, PacketId, SessionKey, Tell};
use ha_types::{Message, Qos, Ticket};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::clock::Clock;
use crate::config::HostConfig;
use crate::counters::{Counters, HostStats};
use crate::mailbox::{Congestion, Letter, Mailbox};
use crate::slots::{HalfOpen, Slots};
use crate::sys::SysTree;

/// See the module.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) config: HostConfig,
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    routes: RwLock<Routes<Arc<Mailbox>>>,
    holding: Mutex<Holding>,
    /// Whether the holder must see messages of QoS 0, and of QoS 1.
    wants: [AtomicBool; 2],
    /// Places of all listeners together.
    pub(crate) clients: Slots,
    pub(crate) half_open: HalfOpen,
    connections: Mutex<HashMap<ConnectionId, Arc<Mailbox>>>,
    pub(crate) publishes: mpsc::Sender<HostPublish>,
    errands: Mutex<VecDeque<Errand>>,
    pub(crate) errands_came: Notify,
    sys: Mutex<SysTree>,
}

/// The holder, and room for its outputs.
#[derive(Debug)]
struct Holding {
    holder: Holder,
    outputs: Vec<Output>,
}

/// Something that the link task does because it has to wait for the plugin. Bounded by what
/// connections may have unanswered, and by the number of sessions.
#[derive(Debug)]
pub(crate) enum Errand {
    Event(HostEvent),
    /// A will.
    Publish(Arc<Message>),
    /// The holder's deadline has changed.
    Deadline,
    /// Told when all before it is done.
    Barrier(oneshot::Sender<()>),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nobody panics while holding one; if somebody did, the rest of the broker goes on.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Exchange {
    pub(crate) fn new(
        config: HostConfig,
        clock: Clock,
        publishes: mpsc::Sender<HostPublish>,
    ) -> Self {
        let holder = Holder::new(config.holder.clone());
        Self {
            clock,
            counters: Counters::default(),
            routes: RwLock::new(Routes::new(RandomState::new().hash_one(0))),
            holding: Mutex::new(Holding { holder, outputs: Vec::new() }),
            wants: [AtomicBool::new(false), AtomicBool::new(false)],
            clients: Slots::new(config.connections_max),
            half_open: HalfOpen::default(),
            connections: Mutex::default(),
            publishes,
            errands: Mutex::default(),
            errands_came: Notify::new(),
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

    /// Whether other brokers, or the retained messages, need it.
    pub(crate) fn plugin_wants(&self, message: &Message) -> bool {
        message.retain || self.config.is_clustered
    }

    /// Whether a durable session or a share group may need it.
    pub(crate) fn holder_wants(&self, qos: Qos) -> bool {
        self.wants[usize::from(qos != Qos::AtMostOnce)].load(Ordering::Acquire)
    }

    /// Puts it into the mailboxes of live subscribers. `behind` gets those that publishers should
    /// wait for.
    pub(crate) fn deliver_live(&self, message: &Arc<Message>, behind: &mut Vec<Arc<Mailbox>>) {
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
            let congestion = mailbox.post(Letter::Deliver(delivery));
            if congestion == Congestion::Behind && behind.len() < PAUSES_MAX {
                behind.push(Arc::clone(mailbox));
            }
        });
    }

    /// A message of another broker, or a will: to live subscribers and to the holder.
    pub(crate) fn deliver(&self, message: &Arc<Message>) {
        self.deliver_live(message, &mut Vec::new());
        if self.holder_wants(message.qos) {
            self.hold(Input::Message(Arc::clone(message)));
        }
    }

    pub(crate) fn ask(&self, ask: Ask) {
        self.hold(Input::Ask(ask));
    }

    /// A publish of QoS 2. False: it is not taken, so nobody else may get it either.
    pub(crate) fn publish_once(
        &self,
        session: SessionKey,
        packet_id: PacketId,
        message: &Arc<Message>,
    ) -> bool {
        let message = Arc::clone(message);
        let ask = Input::Ask(Ask::Publish { session, packet_id, message });
        self.hold_with(|holder| holder.takes(session, packet_id), ask)
    }

    pub(crate) fn hold(&self, input: Input) {
        self.hold_with(|_| (), input);
    }

    /// Looks at the holder, steps it and does what it says before anybody else can step it: so what it tells one
    /// connection arrives in order.
    fn hold_with<T>(&self, look: impl FnOnce(&Holder) -> T, input: Input) -> T {
        let mut holding = lock(&self.holding);
        let Holding { holder, outputs } = &mut *holding;
        let (due, seen) = (holder.deadline(), look(holder));
        let at = self.clock.moment();
        holder.step(at, input, outputs);
        for output in outputs.drain(..) {
            self.act(output);
        }
        self.wants[0].store(holder.wants(Qos::AtMostOnce), Ordering::Release);
        self.wants[1].store(holder.wants(Qos::AtLeastOnce), Ordering::Release);
        let sooner = holder.deadline().is_some_and(|new| due.is_none_or(|old| new < old));
        drop(holding);
        if sooner {
            self.send_out(Errand::Deadline);
        }
        seen
    }

    fn act(&self, output: Output) {
        match output {
            Output::Tell(connection, tell) => self.tell(connection, tell),
            Output::Route(change) => self.reroute(change),
            Output::Plugin(event) => {
                self.note_sys(&event);
                self.send_out(Errand::Event(event));
            }
            Output::Publish(will) => self.send_out(Errand::Publish(will)),
        }
    }

    fn tell(&self, connection: ConnectionId, tell: Tell) {
        // One that is gone has closed its session, or will be found fenced.
        if let Some(mailbox) = lock(&self.connections).get(&connection) {
            mailbox.post(Letter::Tell(tell));
        }
    }

    fn reroute(&self, change: RouteChange) {
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

    fn note_sys(&self, event: &HostEvent) {
        let HostEvent::Subscribe { ticket, subscriptions, .. } = event else { return };
        lock(&self.sys).subscribing(*ticket, subscriptions);
    }

    fn send_out(&self, errand: Errand) {
        lock(&self.errands).push_back(errand);
        self.errands_came.notify_one();
    }

    /// The next errand.
    pub(crate) fn errand(&self) -> Option<Errand> {
        lock(&self.errands).pop_front()
    }

    /// Waits until the link task has done all errands.
    pub(crate) async fn finish_errands(&self) {
        let (done, waiting) = oneshot::channel();
        self.send_out(Errand::Barrier(done));
        // Without the task nothing will be done any more.
        let _ = waiting.await;
    }

    /// When the holder must be stepped.
    pub(crate) fn deadline(&self) -> Option<ha_types::Millis> {
        lock(&self.holding).holder.deadline()
    }

    pub(crate) fn stats(&self) -> HostStats {
        let mut stats = self.counters.stats();
        let counts = lock(&self.holding).holder.counts();
        stats.sessions = counts.sessions;
        stats.subscriptions = counts.subscriptions;
        stats.queued = counts.queued;
        stats.dropped += counts.dropped;
        stats
    }
}

/// Recipients that a publisher waits for at a time; one of many is enough to slow it down.
const PAUSES_MAX: usize = 8;
