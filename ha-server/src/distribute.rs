//! The one task that owns the [`Distributor`].
//!
//! Inputs come through two bounded channels: what keeps leases and answers operators overtakes the
//! traffic of streams. The task never waits for a stream: what it sends goes into queues whose
//! length the distributor itself bounds (it counts what was sent and not written).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ha_core::{BrokerView, Distributor, Event, HeartbeatAnswer, Input, LostBy, Output, StreamId};
use ha_types::link::{Downstream, GoodbyeReason};
use ha_types::{BrokerEpoch, ClusterMillis, Millis};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{self, Instant, MissedTickBehavior};

use crate::rates::{Rates, Sampler};

/// Frames of all streams that wait for the distributor. Small: what waits here has memory of its
/// own, and the streams' flow control holds the rest back.
const INPUTS_MAX: usize = 256;

/// Heartbeats and questions that wait.
const URGENT_MAX: usize = 1_024;

/// Between two samples of the message rates.
const SAMPLE: Duration = Duration::from_secs(1);

/// An item and what it weighs.
pub(crate) type Weighed = (Downstream, usize);

/// The distributor's end of a stream. The stream ends when it is dropped and all is written.
pub(crate) struct Queue {
    pub(crate) items: mpsc::UnboundedSender<Weighed>,
    /// Tells the writer of the end also while it waits for the network.
    _ended: oneshot::Sender<()>,
}

/// The writer's end of a stream.
pub(crate) struct QueueOut {
    pub(crate) items: mpsc::UnboundedReceiver<Weighed>,
    /// Resolves when nothing more will come.
    pub(crate) ended: oneshot::Receiver<()>,
}

/// Both ends of a stream's queue.
pub(crate) fn queue() -> (Queue, QueueOut) {
    let (items, items_out) = mpsc::unbounded_channel();
    let (sender, ended) = oneshot::channel();
    (Queue { items, _ended: sender }, QueueOut { items: items_out, ended })
}

/// From a stream.
pub(crate) enum FromStream {
    /// A stream with its queue.
    Opened(StreamId, String, Queue),
    /// Anything else.
    Input(Input),
}

/// What must not wait behind traffic.
pub(crate) enum Urgent {
    Heartbeat(BrokerEpoch, oneshot::Sender<(HeartbeatAnswer, ClusterMillis)>),
    Look(oneshot::Sender<Snapshot>),
    ShutDown,
}

/// What the distributor looks like.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) brokers: Vec<(BrokerView, Rates)>,
    pub(crate) retained_messages: usize,
    pub(crate) retained_bytes: usize,
    pub(crate) uptime_ms: u64,
}

/// How streams and services reach the distributor.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) inputs: mpsc::Sender<FromStream>,
    urgent: mpsc::Sender<Urgent>,
    snapshot: Arc<Mutex<Snapshot>>,
}

/// The distributor does not run any more.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("ha-server stops")]
pub(crate) struct Stopped;

impl Handle {
    /// Keeps a lease. Also returns the cluster time.
    pub(crate) async fn heartbeat(
        &self,
        epoch: BrokerEpoch,
    ) -> Result<(HeartbeatAnswer, ClusterMillis), Stopped> {
        let (reply, answer) = oneshot::channel();
        self.urgent.send(Urgent::Heartbeat(epoch, reply)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// Says goodbye to all brokers.
    pub(crate) async fn shut_down(&self) {
        // An error means that it has stopped already.
        let _ = self.urgent.send(Urgent::ShutDown).await;
    }

    /// The distributor as it is.
    pub(crate) async fn look(&self) -> Result<Snapshot, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.urgent.send(Urgent::Look(reply)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// The distributor as it was at most a second ago, without asking it.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.snapshot.lock().expect("nobody panics while holding it").clone()
    }
}

/// Starts the task. It runs until it is aborted: while ha-server stops, it keeps the leases of the
/// brokers that still read what was sent to them.
pub(crate) fn start(distributor: Distributor) -> (Handle, tokio::task::JoinHandle<()>) {
    let (inputs, from_streams) = mpsc::channel(INPUTS_MAX);
    let (urgent, urgent_inputs) = mpsc::channel(URGENT_MAX);
    let snapshot = Arc::new(Mutex::new(Snapshot::default()));
    let task = Task {
        distributor,
        queues: BTreeMap::new(),
        start: Instant::now(),
        snapshot: Arc::clone(&snapshot),
        outputs: Vec::new(),
        is_stopping: false,
        rates: Sampler::default(),
        sampled_at: Instant::now(),
    };
    let handle = Handle { inputs, urgent, snapshot };
    (handle, tokio::spawn(task.run(from_streams, urgent_inputs)))
}

struct Task {
    distributor: Distributor,
    /// Bounded by the distributor's own count of what was sent and not written.
    queues: BTreeMap<StreamId, Queue>,
    start: Instant,
    snapshot: Arc<Mutex<Snapshot>>,
    outputs: Vec<Output>,
    is_stopping: bool,
    rates: Sampler,
    sampled_at: Instant,
}

impl Task {
    async fn run(
        mut self,
        mut from_streams: mpsc::Receiver<FromStream>,
        mut urgent: mpsc::Receiver<Urgent>,
    ) {
        let mut sample = time::interval(SAMPLE);
        // After a pause of the process one sample is due, not one for each second that passed.
        sample.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let deadline = self.distributor.deadline();
            let wake = self.start + Duration::from_millis(deadline.map_or(0, |at| at.0));
            tokio::select! {
                biased;
                Some(question) = urgent.recv() => self.answer(question),
                () = time::sleep_until(wake), if deadline.is_some() => self.step(Input::Tick),
                _ = sample.tick() => self.sample(),
                Some(input) = from_streams.recv() => self.take(input),
            }
        }
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.start.elapsed().as_millis()).expect("fits for 500 My"))
    }

    fn take(&mut self, input: FromStream) {
        match input {
            // Came too late: its queue is dropped, and so it ends.
            FromStream::Opened(..) if self.is_stopping => (),
            FromStream::Opened(stream, address, queue) => {
                self.queues.insert(stream, queue);
                self.step(Input::Opened(stream, address));
            }
            FromStream::Input(Input::Broken(stream)) => {
                // Its writer may wait for items, not knowing.
                self.queues.remove(&stream);
                self.step(Input::Broken(stream));
            }
            FromStream::Input(input) => self.step(input),
        }
    }

    fn step(&mut self, input: Input) {
        self.distributor.step(self.now(), input, &mut self.outputs);
        self.act();
    }

    fn answer(&mut self, question: Urgent) {
        match question {
            Urgent::Heartbeat(epoch, reply) => {
                let answer = self.distributor.heartbeat(self.now(), epoch, &mut self.outputs);
                self.act();
                // The stream may be gone; the lease is kept all the same.
                let _ = reply.send((answer, self.distributor.cluster_time()));
            }
            // Whoever asked may be gone.
            Urgent::Look(reply) => drop(reply.send(self.look())),
            Urgent::ShutDown => {
                self.is_stopping = true;
                self.step(Input::ShutDown);
                self.queues.clear();
            }
        }
    }

    fn act(&mut self) {
        for output in self.outputs.drain(..) {
            match output {
                Output::Send(stream, item, bytes) => {
                    if let Some(queue) = self.queues.get(&stream) {
                        // A stream whose writer is gone reports itself as broken.
                        let _ = queue.items.send((item, bytes));
                    }
                }
                Output::End(stream) => {
                    self.queues.remove(&stream);
                }
                Output::Note(event) => log(&event),
            }
        }
    }

    fn sample(&mut self) {
        let brokers = self.distributor.brokers(self.now());
        let now = Instant::now();
        self.rates.sample(&brokers, now - std::mem::replace(&mut self.sampled_at, now));
        *self.snapshot.lock().expect("nobody panics while holding it") = self.look();
    }

    fn look(&self) -> Snapshot {
        let now = self.now();
        let brokers = self.distributor.brokers(now);
        let with_rates = |view: BrokerView| (self.rates.of(&view.name), view);
        Snapshot {
            brokers: brokers
                .into_iter()
                .map(with_rates)
                .map(|(rates, view)| (view, rates))
                .collect(),
            retained_messages: self.distributor.retained().len(),
            retained_bytes: self.distributor.retained().bytes(),
            uptime_ms: now.0,
        }
    }
}

fn log(event: &Event) {
    match event {
        Event::Attached(name, epoch, address) => {
            tracing::info!(broker = %name, %epoch, %address, "broker attached");
        }
        Event::Ended(name, goodbye) if goodbye.reason == GoodbyeReason::ShuttingDown => {
            let name = name.as_ref().map(tracing::field::display);
            tracing::info!(broker = name, "said goodbye");
        }
        Event::Ended(name, goodbye) => {
            let name = name.as_ref().map(tracing::field::display);
            tracing::warn!(broker = name, reason = ?goodbye.reason, "stream ended: {}", goodbye.detail);
        }
        Event::Detached(name) => {
            tracing::warn!(broker = %name, "stream broke; its lease runs on");
        }
        Event::Lost(name, LostBy::Lease) => tracing::warn!(broker = %name, "broker lost: silent"),
        Event::Lost(name, LostBy::Goodbye) => tracing::info!(broker = %name, "broker left"),
    }
}
