//! The plugin: one value that owns the link, the outbox, the interest, the retained copy and what is
//! asked for sessions.
//!
//! One per broker. Without ha-server (not configured, or out of reach) it answers the host at once:
//! the broker serves its own clients on its own.

use ha_types::link::{Downstream, Upstream};
use ha_types::{BrokerEpoch, BrokerName, ClusterMillis, Incarnation, Millis};

use crate::backoff::Backoff;
use crate::host::{HostCommand, HostEvent, HostPublish};
use crate::interest::Interest;
use crate::link::{Link, LinkState, StreamId, Target};
use crate::origins::Origins;
use crate::outbox::Outbox;
use crate::relay::Relay;
use crate::retained::Copy;
use crate::turn::Turns;

/// How long a Welcome is awaited. A healthy ha-server answers in milliseconds, and the lease counts
/// from Hello: with the default lease of a second, a later Welcome attaches to nothing.
const ATTACH_TIMEOUT_MS: u64 = 1_000;

/// How often expired retained messages are removed. Until then they are not shown, only take room.
const EXPIRY_MS: u64 = 60_000;

/// Whether there is a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// There is nobody to attach to.
    Alone,
    /// It attaches to one of these addresses, at least one, each as `host:port`. The leader may be in this
    /// process; then its address is any text.
    Clustered(Vec<String>),
}

/// Who holds the sessions of this broker's clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldBy {
    /// The host itself; its SUBSCRIBEs are answered from a copy of the retained messages.
    Host,
    /// Whoever leads behind the stream (ADR 0014): ha-server, or the state in this process (ADR 0017).
    Cluster,
}

/// What an operator may choose, and what only the shell can know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whether there is a cluster.
    pub mode: Mode,
    /// Who holds sessions.
    pub sessions: HeldBy,
    /// Who this broker is.
    pub name: BrokerName,
    /// This run: higher than that of any earlier run.
    pub incarnation: Incarnation,
    /// Program and version.
    pub software: String,
    /// Cluster time at [`Millis`] zero, until ha-server says better.
    pub cluster_time_at_zero: ClusterMillis,
    /// Chooses the jitter between attempts.
    pub seed: u64,
    /// Shortest and longest delay between attempts.
    pub backoff_ms: (u64, u64),
    /// How long a CONNECT waits for a leader, milliseconds; then it is refused, or served provisionally.
    pub connect_hold_ms: u64,
    /// Whether clients whose sessions end with their connections are served then.
    pub serves_isolated: bool,
    /// Publishes that wait for ha-server.
    pub outbox_max: usize,
    /// Bytes of publishes that wait for ha-server.
    pub outbox_bytes_max: usize,
    /// Distinct topic filters of all sessions; also the subscriptions of one session.
    pub filters_max: usize,
    /// Retained messages; as many again may wait for ha-server to order them.
    pub retained_max: usize,
    /// Bytes of retained messages; as many again may wait.
    pub retained_bytes_max: usize,
}

/// Something that happened outside.
#[derive(Debug)]
pub enum Input {
    /// A client published.
    Publish(HostPublish),
    /// A client changed its subscriptions.
    Host(HostEvent),
    /// Items arrived, in order.
    Received(StreamId, Vec<Downstream>),
    /// The stream could not be opened, broke, or brought something that is not the protocol.
    Broken(StreamId, String),
    /// ha-server answered the heartbeat with this sequence number and keeps the lease. So much of the log it had.
    HeartbeatKept(StreamId, u64, u64),
    /// ha-server answered a heartbeat: the epoch is not attached.
    HeartbeatFenced(StreamId),
    /// The deadline has come.
    Tick,
    /// The broker stops.
    Stop,
}

/// Something that the shell must do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Open a stream to there.
    Dial(StreamId, Target),
    /// Write this item.
    Send(StreamId, Upstream),
    /// Send a heartbeat with this sequence number.
    Heartbeat(StreamId, BrokerEpoch, u64),
    /// End the stream.
    Close(StreamId, Close),
    /// For the host.
    Host(HostCommand),
    /// An operator wants the clients to go, so many in a second; `None`: as configured.
    Drain(Option<u32>),
    /// An operator wants clients to be taken again.
    Undrain,
    /// Worth a line in the log.
    Note(Event),
}

/// How to end a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// Write what was sent, then half-close: ha-server frees the broker at once.
    Goodbye,
    /// At once: the stream is of no use.
    Drop,
}

/// What operators want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Attached with this epoch to this program.
    Attached(BrokerEpoch, String),
    /// The copy of the retained messages is complete.
    RetainedLoaded(usize),
    /// Not attached any more, or not attached at all; the next attempt comes after so many ms.
    Detached(String, u64),
    /// ha-server let the epoch end; the next attempt comes after so many ms.
    Fenced(String, u64),
    /// The outbox is full: publishes of QoS ≥ 1 stay local, or wait at the host that gave its sessions
    /// away. Said once per outage.
    OutboxFull,
    /// The limit of topic filters is reached: a SUBSCRIBE was refused.
    FiltersFull,
    /// A message could not be retained: the limit is reached. Said once per attachment.
    RetainedFull,
}

/// See the module.
#[derive(Debug)]
pub struct Plugin {
    pub(crate) config: Config,
    pub(crate) link: Link,
    pub(crate) next_stream: u64,
    pub(crate) next_address: usize,
    /// Where to dial before that.
    pub(crate) first_target: Option<Target>,
    /// Leaders in a row that were dialled because another ha-server said so.
    pub(crate) hints: u32,
    pub(crate) backoff: Backoff,
    pub(crate) outbox: Outbox,
    pub(crate) interest: Interest,
    pub(crate) copy: Copy,
    pub(crate) relay: Relay,
    pub(crate) turns: Turns,
    pub(crate) origins: Origins,
    /// The epoch that we have, or had last.
    pub(crate) epoch: Option<BrokerEpoch>,
    /// How much of the log a leader had when it was heard last.
    pub(crate) seen: u64,
    pub(crate) cluster_time_at_zero: ClusterMillis,
    pub(crate) now: Millis,
    pub(crate) dropped: u64,
    pub(crate) outbox_full_was_said: bool,
    pub(crate) retained_full_was_said: bool,
    /// When expired retained messages are removed next.
    pub(crate) expire_at: Millis,
}

impl Plugin {
    /// Starts detached, due to dial at once; or alone.
    #[must_use]
    pub fn new(config: Config) -> Self {
        assert!(config.mode != Mode::Clustered(Vec::new()), "a cluster has an address");
        let is_alone = config.mode == Mode::Alone;
        assert!(!is_alone || config.sessions == HeldBy::Host, "nobody else is there");
        let (link, addresses) = match &config.mode {
            Mode::Alone => (Link::Alone, 0),
            Mode::Clustered(addresses) => (Link::Detached(Millis(0)), addresses.len()),
        };
        let addresses = u32::try_from(addresses).unwrap_or(u32::MAX);
        Self {
            link,
            next_stream: 1,
            next_address: 0,
            first_target: None,
            hints: 0,
            backoff: Backoff::new(addresses, config.backoff_ms, config.seed),
            outbox: Outbox::new(config.outbox_max, config.outbox_bytes_max),
            interest: Interest::default(),
            copy: Copy::new(config.retained_max, config.retained_bytes_max),
            relay: Relay::default(),
            turns: Turns::default(),
            origins: Origins::default(),
            epoch: None,
            seen: 0,
            cluster_time_at_zero: config.cluster_time_at_zero,
            now: Millis(0),
            dropped: 0,
            outbox_full_was_said: false,
            retained_full_was_said: false,
            expire_at: Millis(EXPIRY_MS),
            config,
        }
    }

    /// Advances time to `now`, then takes one input and appends what must be done.
    pub fn step(&mut self, now: Millis, input: Input, out: &mut Vec<Output>) {
        self.now = self.now.max(now);
        self.advance(out);
        match input {
            Input::Publish(publish) => self.publish(publish, out),
            Input::Host(event) => self.host_event(event, out),
            Input::Received(stream, items) => self.received(stream, items, out),
            Input::Broken(stream, detail) if self.link.stream() == Some(stream) => {
                self.detach(detail, out);
            }
            Input::HeartbeatKept(stream, sequence, applied) => {
                self.heartbeat_kept(stream, sequence, applied);
            }
            Input::HeartbeatFenced(stream) if self.link.stream() == Some(stream) => {
                self.fence("ha-server does not know this epoch".into(), out);
            }
            Input::Stop => self.stop(out),
            // Of a stream that we already left.
            Input::Broken(..) | Input::HeartbeatFenced(_) => (),
            Input::Tick => (),
        }
        self.relay.trim_holds();
    }

    /// When [`Input::Tick`] must come if nothing else does before; `None`: never.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let link = match &self.link {
            Link::Alone => return None,
            Link::Attached(attached) => return Some(attached.lease.deadline()),
            Link::Detached(at) | Link::Fenced(at) => *at,
            Link::Attaching(attempt) => attempt.since.plus(ATTACH_TIMEOUT_MS),
        };
        let held = self.relay.hold_due(self.config.connect_hold_ms);
        Some(held.map_or(link, |due| due.min(link)))
    }

    /// Whether the shell may bring the next [`Input::Publish`] of a host with sessions of its own. While
    /// ha-server is slower than the publishing clients, they wait; while it is out of reach, they do not.
    ///
    /// What comes with asks in one order is always taken: see [`Plugin::publishes_held`].
    #[must_use]
    pub fn wants_publishes(&self) -> bool {
        match self.link.attached() {
            None => true,
            Some(attached) => {
                let bytes = self.outbox.bytes();
                self.outbox.len() < attached.window && bytes < self.config.outbox_bytes_max
            }
        }
    }

    /// Where the link is.
    #[must_use]
    pub fn link_state(&self) -> LinkState {
        match self.link {
            Link::Alone => LinkState::Alone,
            Link::Detached(_) => LinkState::Detached,
            Link::Attaching(_) => LinkState::Attaching,
            Link::Attached(_) => LinkState::Attached,
            Link::Fenced(_) => LinkState::Fenced,
        }
    }

    /// Whether clients may come: the copy of the retained messages has been complete at least once, or
    /// is not needed and ha-server was there.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        match (&self.config.mode, self.config.sessions) {
            (Mode::Alone, _) => true,
            (Mode::Clustered(_), HeldBy::Host) => self.copy.was_complete,
            (Mode::Clustered(_), HeldBy::Cluster) => self.epoch.is_some(),
        }
    }

    /// What the publishes that wait for ha-server weigh, each as [`HostPublish::weight`] says. The shell
    /// lets the host hand over only so many that this stays below its limit.
    #[must_use]
    pub fn publishes_held(&self) -> usize {
        self.outbox.weight()
    }

    /// What engines asked of ha-server and it has not done.
    #[must_use]
    pub fn asks_len(&self) -> usize {
        self.relay.asks.len()
    }

    /// Publishes that wait for ha-server.
    #[must_use]
    pub fn outbox_len(&self) -> usize {
        self.outbox.len()
    }

    /// Distinct topic filters of all sessions.
    #[must_use]
    pub fn filters(&self) -> usize {
        self.interest.len() + self.relay.needs.len()
    }

    /// Retained messages that ha-server, or a broker that is alone, has ordered.
    #[must_use]
    pub fn retained_len(&self) -> usize {
        self.copy.store.len()
    }

    /// Publishes that did not reach ha-server because it was out of reach.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(crate) fn cluster_time(&self) -> ClusterMillis {
        ClusterMillis(self.cluster_time_at_zero.0.saturating_add(self.now.0))
    }

    pub(crate) fn advance(&mut self, out: &mut Vec<Output>) {
        if self.expire_at <= self.now {
            self.expire_at = self.now.plus(EXPIRY_MS);
            self.copy.store.remove_expired(self.cluster_time());
        }
        if self.link.attached().is_none() {
            self.end_holds(out);
        }
        match &mut self.link {
            Link::Detached(at) | Link::Fenced(at) if *at <= self.now => self.dial(out),
            Link::Attaching(attempt) if attempt.since.plus(ATTACH_TIMEOUT_MS) <= self.now => {
                self.detach("no answer to Hello".into(), out);
            }
            Link::Attached(attached) if attached.lease.expires() <= self.now => {
                // A machine that is gone would cost a whole attempt.
                self.first_target = None;
                self.detach("no answer to heartbeats for a whole lease".into(), out);
            }
            Link::Attached(attached) => {
                if let Some(sequence) = attached.lease.due(self.now) {
                    out.push(Output::Heartbeat(attached.stream, attached.epoch, sequence));
                }
            }
            Link::Alone | Link::Detached(_) | Link::Fenced(_) | Link::Attaching(_) => (),
        }
    }

    fn stop(&mut self, out: &mut Vec<Output>) {
        self.leave(Close::Goodbye, out);
        self.link = Link::Alone;
    }
}
