//! The one task that owns the [`Plugin`].
//!
//! It waits for everything at once and for nothing in particular: what it gives to a stream or to
//! the host goes into a queue, and while a queue is long the task takes no more of what fills it.

mod notes;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use broker_core::host::{HostCommand, HostEvent, HostPublish};
use broker_core::{Close, Input, LinkState, Output, Plugin, StreamId, Target};
use ha_member::alone::Alone;
use ha_shell::health::Health;
use ha_types::link::Upstream;
use ha_types::{BrokerEpoch, Millis};
use session_host::{LaneEnd, Traffic};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{self, Instant};

use self::notes::Notes;
use crate::steward::{Order, Orders};
use crate::stream::{self, Ends, FromStream, Weighed};

/// Frames from ha-server that wait for the task.
const EVENTS_MAX: usize = 256;

/// Commands that wait for the host; more are not taken from ha-server.
const COMMANDS_MAX: usize = 8_192;

/// Commands that are given to the host at a time.
pub(crate) const COMMANDS_AT_ONCE: usize = 256;

/// Bytes that wait for the stream; more publishes are not taken from the host.
const QUEUE_BYTES: usize = 4 << 20;

/// Publishes that are taken before others have their turn.
const PUBLISHES_AT_ONCE: usize = 64;

/// How long the last results may take, and then a goodbye.
const GOODBYE_MAX: Duration = Duration::from_secs(2);

/// Where the plugin's streams lead.
#[derive(Clone, Debug)]
pub(crate) enum Reach {
    /// To ha-server, at as many addresses as the plugin was told.
    Servers(Vec<String>),
    /// To the state of this process.
    Here(Arc<Alone>),
}

/// What the plugin last looked like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    pub(crate) link: LinkState,
    pub(crate) outbox: usize,
    pub(crate) filters: usize,
    pub(crate) retained: usize,
    pub(crate) dropped: u64,
    pub(crate) attachments: u64,
}

/// The host's ends of the plugin.
pub(crate) struct HostEnds {
    pub(crate) publishes: mpsc::Receiver<HostPublish>,
    pub(crate) events: mpsc::Receiver<HostEvent>,
    /// Of a host whose sessions ha-server holds: instead of the other two.
    pub(crate) lane: LaneEnd,
    pub(crate) commands: mpsc::Sender<HostCommand>,
}

/// How others reach the task.
pub(crate) struct Handle {
    pub(crate) snapshot: Arc<Mutex<Snapshot>>,
    /// True since the copy of the retained messages, if there is one, was complete for the first time.
    pub(crate) loaded: watch::Receiver<bool>,
    stop: oneshot::Sender<()>,
    pub(crate) task: JoinHandle<()>,
}

impl Handle {
    /// Says goodbye to ha-server and waits until that is done, for a bounded time.
    pub(crate) async fn stop(self) {
        // An error means that the task has ended by itself.
        let _ = self.stop.send(());
        let _ = time::timeout(GOODBYE_MAX * 3, self.task).await;
    }
}

/// Starts the task.
pub(crate) fn start(
    plugin: Plugin,
    reach: Reach,
    host: HostEnds,
    (health, orders): (Health, Orders),
) -> Handle {
    let (stop, stopped) = oneshot::channel();
    let (loaded_tx, loaded) = watch::channel(plugin.is_loaded());
    let (events, from_stream) = mpsc::channel(EVENTS_MAX);
    let (urgent, urgent_events) = mpsc::channel(EVENTS_MAX);
    let snapshot = Arc::new(Mutex::new(snapshot(&plugin, &reach, 0)));
    let task = Task {
        plugin,
        reach,
        start: Instant::now(),
        stream: None,
        commands: VecDeque::new(),
        events,
        urgent,
        outputs: Vec::new(),
        health,
        orders,
        loaded: loaded_tx,
        snapshot: Arc::clone(&snapshot),
        notes: Notes::default(),
        beyond_bytes: 0,
    };
    let inbox = Inbox { host, from_stream, urgent_events };
    Handle { snapshot, loaded, stop, task: tokio::spawn(task.run(inbox, stopped)) }
}

struct Inbox {
    host: HostEnds,
    from_stream: mpsc::Receiver<FromStream>,
    urgent_events: mpsc::Receiver<FromStream>,
}

/// The current stream, as the task sees it.
struct Current {
    id: StreamId,
    items: mpsc::UnboundedSender<Weighed>,
    heartbeats: mpsc::UnboundedSender<(BrokerEpoch, u64)>,
    queued_bytes: usize,
    task: JoinHandle<()>,
}

struct Task {
    plugin: Plugin,
    reach: Reach,
    start: Instant,
    stream: Option<Current>,
    commands: VecDeque<HostCommand>,
    events: mpsc::Sender<FromStream>,
    urgent: mpsc::Sender<FromStream>,
    outputs: Vec<Output>,
    health: Health,
    orders: Orders,
    loaded: watch::Sender<bool>,
    snapshot: Arc<Mutex<Snapshot>>,
    notes: Notes,
    /// Bytes of publishes that SUBSCRIBEs brought since publishes were last wanted.
    beyond_bytes: usize,
}

impl Task {
    async fn run(mut self, mut inbox: Inbox, mut stop: oneshot::Receiver<()>) {
        self.step(Input::Tick);
        self.tell_health(snapshot(&self.plugin, &self.reach, 0).link);
        let mut batch = Vec::with_capacity(PUBLISHES_AT_ONCE);
        let mut traffic = Vec::with_capacity(PUBLISHES_AT_ONCE);
        // Set when the broker stops: then only what the host handed over is still awaited.
        let mut gives_up: Option<Instant> = None;
        while gives_up.is_none() || self.has_publishes(&inbox.host) {
            let deadline = self.plugin.deadline();
            let wake = self.start + Duration::from_millis(deadline.map_or(0, |at| at.0));
            let takes_events = self.commands.len() < COMMANDS_MAX;
            let takes_publishes = self.takes_publishes();
            if takes_publishes {
                self.beyond_bytes = 0;
            }
            let takes_host_events = takes_events && self.beyond_bytes < QUEUE_BYTES;
            tokio::select! {
                _ = &mut stop, if gives_up.is_none() => {
                    gives_up = Some(Instant::now() + GOODBYE_MAX);
                }
                () = time::sleep_until(gives_up.unwrap_or(wake)), if gives_up.is_some() => break,
                () = time::sleep_until(wake), if deadline.is_some() => self.step(Input::Tick),
                Some(event) = inbox.urgent_events.recv() => self.take_event(event),
                Some(event) = inbox.from_stream.recv(), if takes_events => self.take_event(event),
                Some(event) = inbox.host.events.recv(), if takes_host_events => {
                    self.take_waiting(&mut inbox.host.publishes);
                    self.step(Input::Host(event));
                }
                // Always taken: the host waits for credit before it sends a publish.
                1.. = inbox.host.lane.recv_many(&mut traffic, PUBLISHES_AT_ONCE) => {
                    traffic.drain(..).for_each(|item| self.take_traffic(item));
                }
                room = inbox.host.commands.reserve_many(self.commands.len().min(COMMANDS_AT_ONCE)),
                    if !self.commands.is_empty() =>
                {
                    let Ok(room) = room else { break };
                    room.zip(std::iter::from_fn(|| self.commands.pop_front()))
                        .for_each(|(permit, command)| permit.send(command));
                    if self.commands.is_empty() {
                        self.commands.shrink_to(COMMANDS_AT_ONCE);
                    }
                }
                1.. = inbox.host.publishes.recv_many(&mut batch, PUBLISHES_AT_ONCE),
                    if takes_publishes =>
                {
                    for publish in batch.drain(..) {
                        self.step(Input::Publish(publish));
                    }
                }
            }
            if self.stream_has_room() {
                inbox.host.lane.held(self.plugin.publishes_held());
            }
            self.publish_state();
        }
        if self.has_publishes(&inbox.host) {
            let waiting = inbox.host.publishes.len() + inbox.host.lane.len();
            let publishes = self.plugin.outbox_len() + waiting;
            tracing::warn!(publishes, "stopping before ha-server answered them");
        }
        drop(inbox);
        self.stop().await;
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.start.elapsed().as_millis()).expect("fits for 500 My"))
    }

    fn takes_publishes(&self) -> bool {
        self.plugin.wants_publishes() && self.stream_has_room()
    }

    fn stream_has_room(&self) -> bool {
        self.stream.as_ref().is_none_or(|stream| stream.queued_bytes < QUEUE_BYTES)
    }

    fn take_traffic(&mut self, item: Traffic) {
        self.step(match item {
            Traffic::Publish(publish) => Input::Publish(publish),
            Traffic::Ask(ask) => Input::Host(HostEvent::Ask(ask)),
        });
    }

    /// Whether the host handed over publishes that ha-server has not answered.
    fn has_publishes(&self, host: &HostEnds) -> bool {
        self.plugin.outbox_len() > 0 || !host.publishes.is_empty() || !host.lane.is_empty()
    }

    /// Takes the publishes that came before a SUBSCRIBE: it must see those that were acknowledged.
    /// They may exceed the window by [`QUEUE_BYTES`] and as many as the channel holds.
    fn take_waiting(&mut self, publishes: &mut mpsc::Receiver<HostPublish>) {
        for _ in 0..publishes.len() {
            let Ok(publish) = publishes.try_recv() else { return };
            self.beyond_bytes += publish.payload.len() + publish.topic.as_bytes().len();
            self.step(Input::Publish(publish));
        }
    }

    fn take_event(&mut self, event: FromStream) {
        let input = match event {
            FromStream::Received(stream, items) => Input::Received(stream, items),
            FromStream::Broken(stream, detail) => Input::Broken(stream, detail),
            FromStream::HeartbeatKept(stream, sequence, applied) => {
                Input::HeartbeatKept(stream, sequence, applied)
            }
            FromStream::HeartbeatFenced(stream) => Input::HeartbeatFenced(stream),
            FromStream::Written(stream, bytes) => {
                if let Some(current) = self.stream.as_mut().filter(|s| s.id == stream) {
                    current.queued_bytes -= bytes;
                }
                return;
            }
        };
        self.step(input);
    }

    fn step(&mut self, input: Input) {
        let mut outputs = std::mem::take(&mut self.outputs);
        self.plugin.step(self.now(), input, &mut outputs);
        outputs.drain(..).for_each(|output| self.act(output));
        outputs.shrink_to(COMMANDS_AT_ONCE);
        self.outputs = outputs;
    }

    fn act(&mut self, output: Output) {
        match output {
            Output::Dial(stream, target) => self.dial(stream, target),
            Output::Send(stream, item) => self.send(stream, item),
            Output::Heartbeat(stream, epoch, sequence) => {
                if let Some(current) = self.stream.as_ref().filter(|s| s.id == stream) {
                    // A stream that is gone reports itself as broken.
                    let _ = current.heartbeats.send((epoch, sequence));
                }
            }
            Output::Close(stream, close) => self.close(stream, close),
            Output::Host(command) => self.commands.push_back(command),
            Output::Drain(rate) => self.orders.give(Order::Drain(rate)),
            Output::Undrain => self.orders.give(Order::Undrain),
            Output::Note(event) => self.notes.take(&event, &self.reach, Instant::now()),
        }
    }

    fn dial(&mut self, stream: StreamId, target: Target) {
        let (items, items_rx) = mpsc::unbounded_channel();
        let (heartbeats, heartbeats_rx) = mpsc::unbounded_channel();
        let ends = Ends {
            items: items_rx,
            heartbeats: heartbeats_rx,
            events: self.events.clone(),
            urgent: self.urgent.clone(),
            is_draining: Arc::clone(&self.orders.is_draining),
        };
        let task = match (&self.reach, target) {
            (Reach::Servers(all), Target::Configured(address)) => {
                tokio::spawn(stream::run(stream, all[address.0].clone(), ends))
            }
            (Reach::Servers(_), Target::Leader(address)) => {
                tokio::spawn(stream::run(stream, address, ends))
            }
            (Reach::Here(alone), _) => {
                tokio::spawn(stream::here::run(stream, Arc::clone(alone), ends))
            }
        };
        self.stream = Some(Current { id: stream, items, heartbeats, queued_bytes: 0, task });
    }

    fn send(&mut self, stream: StreamId, item: Upstream) {
        let Some(current) = self.stream.as_mut().filter(|current| current.id == stream) else {
            return;
        };
        let bytes = queue_bytes(&item);
        current.queued_bytes += bytes;
        // A stream that is gone reports itself as broken.
        let _ = current.items.send((item, bytes));
    }

    fn close(&mut self, stream: StreamId, close: Close) {
        let Some(current) = self.stream.take_if(|current| current.id == stream) else { return };
        match close {
            Close::Drop => current.task.abort(),
            Close::Goodbye => self.stream = Some(current),
        }
    }

    /// Half-closes the stream after what was sent, and waits for ha-server to end it.
    async fn stop(mut self) {
        self.step(Input::Stop);
        let Some(Current { items, heartbeats, mut task, .. }) = self.stream.take() else { return };
        drop((items, heartbeats));
        if time::timeout(GOODBYE_MAX, &mut task).await.is_err() {
            task.abort();
        }
    }

    fn publish_state(&self) {
        let new = snapshot(&self.plugin, &self.reach, self.notes.attachments);
        let mut known = self.snapshot.lock().expect("nobody panics while holding it");
        if self.plugin.is_loaded() {
            self.loaded.send_if_modified(|loaded| !std::mem::replace(loaded, true));
        }
        let changed = known.link != new.link;
        *known = new;
        drop(known);
        if changed {
            self.tell_health(new.link);
        }
    }

    fn tell_health(&self, link: LinkState) {
        self.health.set_field("link", format!("{link:?}").to_lowercase());
    }
}

fn snapshot(plugin: &Plugin, reach: &Reach, attachments: u64) -> Snapshot {
    let link = match (plugin.link_state(), reach) {
        (LinkState::Attached, Reach::Here(_)) => LinkState::Alone,
        (link, _) => link,
    };
    Snapshot {
        link,
        outbox: plugin.outbox_len(),
        filters: plugin.filters(),
        retained: plugin.retained_len(),
        dropped: plugin.dropped(),
        attachments,
    }
}

/// What an item weighs in the stream's queue: its bytes on the wire, roughly.
fn queue_bytes(item: &Upstream) -> usize {
    const FIXED: usize = 64;
    match item {
        Upstream::Publish { message, .. } => FIXED + message.size(),
        _ => FIXED,
    }
}

#[cfg(test)]
mod tests;
