//! What all connections of a host share. No lock here is held across an await.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use broker_core::host::{HostEvent, HostPublish};
use ha_types::{Millis, TopicFilter};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use crate::admission::Admission;
use crate::config::HostConfig;
use crate::counters::Counters;
use crate::effects::Job;
use crate::front::entrance::Phase;
use crate::registry::Registry;
use crate::router::injector::Subscribing;
use crate::router::link::LinkMaker;
use crate::router::watch::Barrier;

/// Why the host ends a connection from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The client id connected again.
    TakenOver,
    /// The host stops.
    ShuttingDown,
}

/// How a connection is told to end. It is closed when the connection has been released.
pub(crate) type Kick = Arc<watch::Sender<Option<Ending>>>;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: HostConfig,
    pub(crate) admission: Arc<dyn Admission>,
    /// Where the host is in its life.
    pub(crate) phase: watch::Sender<Phase>,
    registry: Mutex<Registry<Kick>>,
    filters: Mutex<BTreeSet<TopicFilter>>,
    pub(crate) subscribing: Subscribing,
    pub(crate) counters: Counters,
    pub(crate) publishes: mpsc::Sender<HostPublish>,
    pub(crate) events: mpsc::Sender<HostEvent>,
    pub(crate) jobs: mpsc::Sender<Job>,
    /// A client went away with a will or a session that has a deadline.
    pub(crate) deadline_changed: Notify,
    pub(crate) links: LinkMaker,
    /// For links that are closing.
    pub(crate) closing: Barrier,
    started: Instant,
}

/// The ends of the host that lead outside of its front.
#[derive(Debug)]
pub(crate) struct Outlets {
    pub(crate) admission: Arc<dyn Admission>,
    pub(crate) publishes: mpsc::Sender<HostPublish>,
    pub(crate) events: mpsc::Sender<HostEvent>,
    pub(crate) jobs: mpsc::Sender<Job>,
    pub(crate) links: LinkMaker,
    pub(crate) closing: Barrier,
}

impl Shared {
    pub(crate) fn new(config: HostConfig, registry: Registry<Kick>, outlets: Outlets) -> Self {
        Self {
            config,
            admission: outlets.admission,
            phase: watch::Sender::new(Phase::Closed),
            registry: Mutex::new(registry),
            filters: Mutex::new(BTreeSet::new()),
            subscribing: Subscribing::default(),
            counters: Counters::default(),
            publishes: outlets.publishes,
            events: outlets.events,
            jobs: outlets.jobs,
            deadline_changed: Notify::new(),
            links: outlets.links,
            closing: outlets.closing,
            started: Instant::now(),
        }
    }

    /// Time since the host started.
    pub(crate) fn now(&self) -> Millis {
        Millis(u64::try_from(self.started.elapsed().as_millis()).expect("fits for 500 My"))
    }

    /// The moment that [`Shared::now`] calls `at`.
    pub(crate) fn instant(&self, at: Millis) -> Instant {
        self.started + std::time::Duration::from_millis(at.0)
    }

    pub(crate) fn registry(&self) -> MutexGuard<'_, Registry<Kick>> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the router may be given this filter: it knows it, or has room for another.
    pub(crate) fn has_room_for(&self, filter: &TopicFilter) -> bool {
        let mut filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        if filters.contains(filter) {
            return true;
        }
        let has_room = filters.len() < self.config.filters_max;
        if has_room {
            filters.insert(filter.clone());
        }
        has_room
    }
}
