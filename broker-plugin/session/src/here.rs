//! Sessions of a broker that is alone: the holder, and what it wants of the plugin.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use broker_core::engine::Moment;
use broker_core::holder::{Holder, HolderConfig, HolderCounts, Input, Output};
use broker_core::host::{HostEvent, HostPublish};
use ha_types::{Message, Millis, Qos};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::exchange::lock;

/// See the module.
#[derive(Debug)]
pub(crate) struct Here {
    holding: Mutex<Holding>,
    /// Whether the holder must see messages of QoS 0, and of QoS 1.
    wants: [AtomicBool; 2],
    /// Retained messages.
    pub(crate) publishes: mpsc::Sender<HostPublish>,
    errands: Mutex<VecDeque<Errand>>,
    pub(crate) errands_came: Notify,
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

impl Here {
    pub(crate) fn new(config: HolderConfig, publishes: mpsc::Sender<HostPublish>) -> Self {
        let holding = Holding { holder: Holder::new(config), outputs: Vec::new() };
        Self {
            holding: Mutex::new(holding),
            wants: [AtomicBool::new(false), AtomicBool::new(false)],
            publishes,
            errands: Mutex::default(),
            errands_came: Notify::new(),
        }
    }

    /// Whether a durable session or a share group may need it.
    pub(crate) fn wants(&self, qos: Qos) -> bool {
        self.wants[usize::from(qos != Qos::AtMostOnce)].load(Ordering::Acquire)
    }

    /// Looks at the holder, steps it and does what it says before anybody else can step it: so what it
    /// tells one connection arrives in order.
    pub(crate) fn step<T>(
        &self,
        at: Moment,
        look: impl FnOnce(&Holder) -> T,
        input: Input,
        act: impl FnMut(Output),
    ) -> T {
        let mut holding = lock(&self.holding);
        let Holding { holder, outputs } = &mut *holding;
        let (due, seen) = (holder.deadline(), look(holder));
        holder.step(at, input, outputs);
        outputs.drain(..).for_each(act);
        self.wants[0].store(holder.wants(Qos::AtMostOnce), Ordering::Release);
        self.wants[1].store(holder.wants(Qos::AtLeastOnce), Ordering::Release);
        let sooner = holder.deadline().is_some_and(|new| due.is_none_or(|old| new < old));
        drop(holding);
        if sooner {
            self.send_out(Errand::Deadline);
        }
        seen
    }

    pub(crate) fn send_out(&self, errand: Errand) {
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
    pub(crate) fn deadline(&self) -> Option<Millis> {
        lock(&self.holding).holder.deadline()
    }

    pub(crate) fn counts(&self) -> HolderCounts {
        lock(&self.holding).holder.counts()
    }
}
