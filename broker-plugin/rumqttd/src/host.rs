//! The host's handle: how the broker's shell starts, opens, probes and stops it.

use std::sync::Arc;
use std::time::Duration;

use broker_core::host::{HostCommand, HostEvent, HostPublish};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::admission::Admission;
use crate::config::{HostConfig, InvalidConfig};
use crate::counters::HostStats;
use crate::effects::{self, JOBS_MAX, Job};
use crate::front::entrance::{Entrance, HANDSHAKES_MAX, Phase};
use crate::registry::{Registry, RegistryLimits};
use crate::router::injector::{self, Injecting, Injector};
use crate::router::link::{LinkMaker, LinkPlan, RouterGone};
use crate::router::watch::{Barrier, ProbeError, Prober, watch_for_death};
use crate::shared::{Ending, Outlets, Shared};

/// The channels between host and plugin. All are bounded by whoever makes them.
///
/// The plugin must take publishes that are waiting before it answers an event: a publish may have
/// been acknowledged before the SUBSCRIBE that must see it was sent.
#[derive(Debug)]
pub struct PluginPorts {
    /// Full: publishing clients wait, and deliveries to them go on.
    pub publishes: mpsc::Sender<HostPublish>,
    /// Full: clients that subscribe or leave wait.
    pub events: mpsc::Sender<HostEvent>,
    /// Taken at once, in order.
    pub commands: mpsc::Receiver<HostCommand>,
}

/// Why the host does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Correct the configuration.
    #[error("invalid limit")]
    Config(#[from] InvalidConfig),
    /// The operating system gave no thread.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// The router died at once.
    #[error("the rumqttd router does not start")]
    Router,
}

impl From<RouterGone> for StartError {
    fn from(_: RouterGone) -> Self {
        Self::Router
    }
}

/// A running host. Dropping it stops it at once, without goodbye and without wills.
#[derive(Debug)]
pub struct Host {
    shared: Arc<Shared>,
    died: watch::Receiver<bool>,
    prober: Mutex<Prober>,
    /// One permit for each connection.
    places: Arc<Semaphore>,
    places_max: u32,
    tasks: Vec<JoinHandle<()>>,
}

/// Starts router and tasks on the current tokio runtime. Connections come through
/// [`Host::entrance`]; none is served before [`Host::open`].
///
/// # Errors
/// [`StartError`]; nothing is left running.
pub async fn start(
    config: HostConfig,
    plugin: PluginPorts,
    admission: Arc<dyn Admission>,
) -> Result<Host, StartError> {
    config.check()?;
    let links = LinkMaker::start(config.router()).map_err(StartError::Thread)?;
    let injector = Injector {
        link: Injecting::open(links.clone(), "host-deliveries").await?,
        barrier: Barrier::new(links.open("host-barrier", LinkPlan::Ephemeral).await?),
        must_wait: false,
    };
    let closing = Barrier::new(links.open("host-closing", LinkPlan::Ephemeral).await?);
    let wills = Injecting::open(links.clone(), "host-wills").await?;
    let prober = Prober::new(links.open("host-probe", LinkPlan::Ephemeral).await?);
    let idle = links.open("host-watch", LinkPlan::Ephemeral).await?;
    let limits = RegistryLimits {
        connections_max: config.connections_max,
        sessions_max: config.sessions_max,
    };
    let places_max = config.connections_max.saturating_add(HANDSHAKES_MAX);
    let places_max = u32::try_from(places_max.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
    let (jobs, queue) = mpsc::channel(JOBS_MAX);
    let PluginPorts { publishes, events, commands } = plugin;
    let outlets = Outlets { admission, publishes, events, jobs, links, closing };
    let shared = Arc::new(Shared::new(config, Registry::new(limits), outlets));
    let (death, died) = watch::channel(false);
    let places = Arc::new(Semaphore::new(places_max as usize));
    let tasks = vec![
        tokio::spawn(injector::run(Arc::clone(&shared), commands, injector)),
        tokio::spawn(effects::run(Arc::clone(&shared), queue, wills)),
        tokio::spawn(watch_for_death(idle, death)),
    ];
    Ok(Host { shared, died, prober: Mutex::new(prober), places, places_max, tasks })
}

impl Host {
    /// Where listeners bring connections.
    #[must_use]
    pub fn entrance(&self) -> Entrance {
        Entrance::new(Arc::clone(&self.shared), Arc::clone(&self.places))
    }

    /// Begins to serve connections. Until then they wait in the listeners' backlogs.
    pub fn open(&self) {
        self.shared.phase.send_if_modified(|phase| {
            let opens = *phase == Phase::Closed;
            if opens {
                *phase = Phase::Open;
            }
            opens
        });
    }

    /// Asks the router for a sign of life. Calls wait for each other.
    ///
    /// # Errors
    /// [`ProbeError`]: this broker cannot deliver.
    pub async fn probe(&self) -> Result<(), ProbeError> {
        if *self.died.borrow() {
            return Err(ProbeError::Died);
        }
        self.prober.lock().await.probe().await
    }

    /// Waits until the router has died. It does not come back: end the process.
    pub async fn died(&self) {
        let mut died = self.died.clone();
        if died.wait_for(|died| *died).await.is_err() {
            // The task that would tell has ended with the runtime.
            std::future::pending::<()>().await;
        }
    }

    /// Tells at most so many clients to go that were not told before (5.0: 0x8B). What they began is not
    /// waited for.
    pub fn leave(&self, at_most: usize) {
        let registry = self.shared.registry();
        let staying = registry.connections().filter(|kick| kick.borrow().is_none());
        for kick in staying.take(at_most) {
            kick.send_replace(Some(Ending::ShuttingDown));
        }
    }

    /// Numbers for metrics.
    #[must_use]
    pub fn stats(&self) -> HostStats {
        self.shared.counters.stats(self.shared.registry().counts())
    }

    /// Stops: accepts nothing more, tells every client (5.0: 0x8B), publishes the wills of those
    /// that did not disconnect, and gives up after `patience`.
    ///
    /// The plugin must still take publishes and events.
    pub async fn shutdown(&self, patience: Duration) {
        if timeout(patience, self.say_goodbye()).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
    }

    async fn say_goodbye(&self) {
        self.shared.phase.send_replace(Phase::Stopped);
        for connection in self.shared.registry().connections() {
            connection.send_replace(Some(Ending::ShuttingDown));
        }
        // All permits: no connection is left.
        let _ = self.places.acquire_many(self.places_max).await;
        let effects = self.shared.registry().end_all();
        for effect in effects {
            let _ = self.shared.jobs.send(Job::Effect(effect)).await;
        }
        let (done, waiting) = oneshot::channel();
        let _ = self.shared.jobs.send(Job::Barrier(done)).await;
        let _ = waiting.await;
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.shared.phase.send_replace(Phase::Stopped);
        for connection in self.shared.registry().connections() {
            connection.send_replace(Some(Ending::ShuttingDown));
        }
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
