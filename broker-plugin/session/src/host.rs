//! The host's handle: how the broker's shell starts, feeds, probes and stops it.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use broker_core::engine::{Ending, Limits};
use broker_core::host::{HostCommand, HostEvent, HostPublish};
use ha_types::session::ConnectionId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::admission::Admission;
use crate::client;
use crate::clock::Clock;
use crate::config::{HostConfig, InvalidConfig};
use crate::counters::HostStats;
use crate::exchange::Exchange;
use crate::here::Here;
use crate::keeper::{Keeper, OwnState, Reach};
use crate::lane::Lane;
use crate::loopback::Loopback;
use crate::mailbox::{Letter, Mailbox};
use crate::slots::Slots;
use crate::{link, sys};

/// The channels between host and plugin. All are bounded by whoever makes them.
#[derive(Debug)]
pub struct PluginPorts {
    /// To the plugin.
    pub sessions: SessionPorts,
    /// Taken at once, in order.
    pub commands: mpsc::Receiver<HostCommand>,
}

/// Who holds sessions, and the way to the plugin that follows from it.
#[derive(Debug)]
pub enum SessionPorts {
    /// This host does: the broker is alone, and nothing outlives it.
    ///
    /// The plugin must take publishes that are waiting before it answers an event: a publish may have
    /// been acknowledged before the SUBSCRIBE that must see it was sent.
    Here {
        /// Retained messages. Full: publishing clients wait, and deliveries to them go on.
        publishes: mpsc::Sender<HostPublish>,
        /// Full: subscribing clients wait for SUBACK.
        events: mpsc::Sender<HostEvent>,
    },
    /// ha-server does, in a cluster.
    Cluster(Lane),
    /// The plugin does, with a state of its own: the broker is alone.
    Alone(Lane, Arc<dyn OwnState>),
}

/// Where a socket came from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Which of [`HostConfig::listeners`].
    pub listener: usize,
    /// Address of the client, not of a load balancer if that can be known.
    pub peer: SocketAddr,
    /// What its verified certificate says about the client.
    pub certificate: Option<Arc<Certificate>>,
}

/// Whom a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Common name, if the subject has one.
    pub common_name: Option<String>,
    /// The whole subject as text.
    pub subject: String,
}

/// The host does not work any more: end the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// Its tasks go on for ever, unless one panics.
    #[error("a task that must not end has ended")]
    Died,
    /// It published a message to itself.
    #[error("a message to a client of its own was not delivered")]
    NotDelivered,
}

/// A running host. Dropping it stops what is not a client's task.
#[derive(Debug)]
pub struct Host {
    pub(crate) exchange: Arc<Exchange>,
    loopback: Loopback,
    /// Clients that will be told to go.
    pub(crate) leaving: Mutex<Vec<Arc<Mailbox>>>,
    admission: Arc<dyn Admission>,
    doors: Vec<Arc<Door>>,
    sockets: Arc<Sockets>,
    next_connection: AtomicU64,
    random: RandomState,
    is_stopping: AtomicBool,
    /// The host works while all of them do.
    tasks: Vec<JoinHandle<()>>,
    /// Ends by itself when `$SYS` is off.
    sys: JoinHandle<()>,
}

/// What a socket comes with.
pub(crate) struct Entry {
    pub(crate) id: ConnectionId,
    pub(crate) random: u128,
    pub(crate) origin: Origin,
    pub(crate) door: Arc<Door>,
    pub(crate) admission: Arc<dyn Admission>,
}

/// One listener's side of the host.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) limits: Arc<Limits>,
    /// Clients that have sent their CONNECT.
    pub(crate) clients: Slots,
}

/// Sockets of all listeners.
#[derive(Debug, Default)]
struct Sockets {
    open: AtomicUsize,
    closed: Notify,
}

/// Counts a socket until it is closed.
#[derive(Debug)]
struct Guard(Arc<Sockets>);

impl Sockets {
    fn enter(self: &Arc<Self>) -> Guard {
        self.open.fetch_add(1, Ordering::AcqRel);
        Guard(Arc::clone(self))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.closed.notify_waiters();
        }
    }
}

/// Starts the host on the current tokio runtime.
///
/// # Errors
/// [`InvalidConfig`]; nothing is left running.
pub fn start(
    config: HostConfig,
    admission: Arc<dyn Admission>,
    plugin: PluginPorts,
) -> Result<Host, InvalidConfig> {
    config.check()?;
    let doors = config.listeners.iter().map(|listener| {
        let limits = Arc::new(listener.connection.clone());
        Arc::new(Door { limits, clients: Slots::new(listener.connections_max) })
    });
    let doors = doors.collect();
    let clock = Clock::starting_at(config.unix_ms);
    let (exchange, mut tasks) = match plugin.sessions {
        SessionPorts::Here { publishes, events } => {
            let here = Arc::new(Here::new(config.holder.clone(), publishes));
            let keeper = Keeper::Here(Arc::clone(&here));
            let exchange = Arc::new(Exchange::new(config, clock, keeper));
            let errands = link::run_errands(Arc::clone(&exchange), here, events);
            (exchange, vec![tokio::spawn(errands)])
        }
        SessionPorts::Cluster(lane) => {
            let keeper = Keeper::State(lane, Reach::Cluster);
            (Arc::new(Exchange::new(config, clock, keeper)), Vec::new())
        }
        SessionPorts::Alone(lane, state) => {
            let keeper = Keeper::State(lane, Reach::Alone(state));
            (Arc::new(Exchange::new(config, clock, keeper)), Vec::new())
        }
    };
    tasks.push(tokio::spawn(link::take_commands(Arc::clone(&exchange), plugin.commands)));
    let sys = tokio::spawn(sys::run(Arc::clone(&exchange)));
    let random = RandomState::new();
    let number = u128::from(random.hash_one(0_u64)) << 64 | u128::from(random.hash_one(1_u64));
    Ok(Host {
        sys,
        loopback: Loopback::subscribe(&exchange, number),
        leaving: Mutex::default(),
        exchange,
        admission,
        doors,
        sockets: Arc::default(),
        next_connection: AtomicU64::new(1),
        random,
        is_stopping: AtomicBool::new(false),
        tasks,
    })
}

impl Host {
    /// Serves a socket in a task of its own. One client too many is told so by CONNACK; one socket too
    /// many without a CONNECT takes the place of the oldest of these.
    pub fn serve<S>(&self, stream: S, origin: Origin)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some(door) = self.doors.get(origin.listener).filter(|_| !self.is_stopping()) else {
            return;
        };
        let guard = self.sockets.enter();
        let number = self.next_connection.fetch_add(1, Ordering::Relaxed);
        let entry = Entry {
            id: ConnectionId(number),
            random: self.random(number),
            origin,
            door: Arc::clone(door),
            admission: Arc::clone(&self.admission),
        };
        tokio::spawn(client::serve(Arc::clone(&self.exchange), stream, entry, guard));
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// The keys of the hasher are random: 128 bits that nobody guesses and nobody gets twice.
    fn random(&self, number: u64) -> u128 {
        let half = |of: u64| {
            let mut hasher = self.random.build_hasher();
            hasher.write_u64(number);
            hasher.write_u64(of);
            u128::from(hasher.finish())
        };
        half(0) << 64 | half(1)
    }

    /// Whether the host works: its tasks run, and a message to a client of its own is delivered.
    ///
    /// # Errors
    /// [`ProbeError`]
    pub fn probe(&self) -> Result<(), ProbeError> {
        if self.tasks.iter().any(JoinHandle::is_finished) {
            return Err(ProbeError::Died);
        }
        if self.loopback.works(&self.exchange) { Ok(()) } else { Err(ProbeError::NotDelivered) }
    }

    /// Numbers for metrics.
    #[must_use]
    pub fn stats(&self) -> HostStats {
        self.exchange.stats()
    }

    /// Stops: takes no more sockets, tells every client (5.0: 0x8B), publishes the wills of those
    /// that did not disconnect, and gives up after `patience`.
    ///
    /// The plugin must still take publishes and events.
    pub async fn shutdown(&self, patience: Duration) {
        self.is_stopping.store(true, Ordering::Release);
        if timeout(patience, self.say_goodbye()).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
    }

    async fn say_goodbye(&self) {
        loop {
            let closed = self.sockets.closed.notified();
            tokio::pin!(closed);
            closed.as_mut().enable();
            if self.sockets.open.load(Ordering::Acquire) == 0 {
                break;
            }
            for mailbox in self.exchange.connections() {
                mailbox.post(Letter::End(Ending::ShuttingDown));
            }
            closed.await;
        }
        if let Keeper::Here(here) = &self.exchange.keeper {
            here.finish_errands().await;
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.is_stopping.store(true, Ordering::Release);
        for mailbox in self.exchange.connections() {
            mailbox.post(Letter::End(Ending::ShuttingDown));
        }
        self.tasks.iter().for_each(JoinHandle::abort);
        self.sys.abort();
    }
}
