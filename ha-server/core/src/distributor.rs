//! The distributor: one value that owns everything the leader knows about its brokers.
//!
//! Runs on the ha-server that leads. Nothing of it is replicated: a new leader begins with what the
//! replicated state has, and with what brokers say when they attach again. The state is beside it in
//! each step; it changes by commands of the log alone, which the distributor proposes.

use std::collections::{BTreeMap, VecDeque};

use ha_types::limits::BROKERS_MAX;
use ha_types::link::{GoodbyeReason, Upstream};
use ha_types::{BrokerEpoch, ClusterMillis, FilterTree, Millis};

use crate::broker::{Broker, Life, StreamId};
use crate::broker_set::{BrokerSet, Slot};
use crate::clock::ClusterClock;
use crate::cluster::ClusterState;
use crate::fan_out::Interested;
use crate::interface::{Config, HeartbeatAnswer, Input, Output};
use crate::losses::Losses;
use crate::proposals::Proposed;
use crate::results::Proofs;
use crate::sessions::{Effect, Sessions};
use crate::wills::Wills;

/// Brokers, interest, what is not answered. See the module.
#[derive(Debug)]
pub struct Distributor {
    pub(crate) config: Config,
    pub(crate) clock: ClusterClock,
    pub(crate) brokers: BTreeMap<Slot, Broker>,
    /// Brokers that are not lost.
    pub(crate) by_epoch: BTreeMap<BrokerEpoch, Slot>,
    pub(crate) streams: BTreeMap<StreamId, Stream>,
    pub(crate) interest: FilterTree<Interested>,
    /// Brokers that are not lost, as far as the log has that.
    pub(crate) living: BrokerSet,
    /// Those that were welcomed on an open stream.
    pub(crate) attached: BrokerSet,
    /// Those that have announced all that they need on it.
    pub(crate) resumed: BrokerSet,
    /// Those whose needs an earlier leader knew: until they are back, they need everything.
    pub(crate) unknown: BrokerSet,
    /// Those that are lost, while the log does not have that: they are waited for.
    pub(crate) leaving: BrokerSet,
    /// Brokers whose queues are longer than they should be.
    pub(crate) behind: BrokerSet,
    /// Brokers with asks that were done in this step.
    pub(crate) asked: BrokerSet,
    pub(crate) sessions: Sessions,
    /// What sessions want, between two lines. Kept for its room.
    pub(crate) effects: Vec<Effect>,
    /// Commands whose outcomes have not come, in order. Bounded by the publish windows and by the asks
    /// of all brokers.
    pub(crate) proposed: VecDeque<Proposed>,
    pub(crate) proofs: Proofs,
    pub(crate) losses: Losses,
    pub(crate) wills: Wills,
    pub(crate) is_expiring: bool,
    pub(crate) is_sweeping: bool,
    pub(crate) sweep_at: Millis,
    pub(crate) now: Millis,
}

#[derive(Debug)]
pub(crate) enum Stream {
    AwaitsHello {
        address: String,
        opened_at: Millis,
    },
    /// Its Hello is in the log.
    Joins,
    /// The slot of its broker, which was welcomed.
    Of(Slot),
}

impl Distributor {
    /// Beginning of a leadership, at [`Millis`] zero. Brokers of the state that are alive get a full
    /// lease and are waited for: until they are back, they need everything.
    ///
    /// The state must have all that earlier leaders have committed.
    #[must_use]
    pub fn new(config: Config, state: &ClusterState) -> Self {
        assert!(config.heartbeat_ms * 2 <= config.lease_ms, "one heartbeat may be lost");
        assert!(config.brokers_max <= BROKERS_MAX, "a set of brokers has no place for more");
        let mut distributor = Self {
            clock: ClusterClock::new(state.now(), config.wall_time),
            config,
            brokers: BTreeMap::new(),
            by_epoch: BTreeMap::new(),
            streams: BTreeMap::new(),
            interest: FilterTree::new(),
            living: BrokerSet::default(),
            attached: BrokerSet::default(),
            resumed: BrokerSet::default(),
            unknown: BrokerSet::default(),
            leaving: BrokerSet::default(),
            behind: BrokerSet::default(),
            asked: BrokerSet::default(),
            sessions: Sessions::new(state),
            effects: Vec::new(),
            proposed: VecDeque::new(),
            proofs: Proofs::default(),
            losses: Losses::default(),
            wills: Wills::default(),
            is_expiring: false,
            is_sweeping: false,
            sweep_at: Millis(0),
            now: Millis(0),
        };
        // A broker joins when there is a slot for it: never more live than there are.
        for (slot, (epoch, name, incarnation)) in Slot::all().zip(state.alive()) {
            let origin = state.origin(epoch).expect("who is alive is known");
            let life = Life { epoch, origin, name: name.clone(), incarnation };
            let broker = Broker::new(slot, life, Millis(0));
            distributor.brokers.insert(slot, broker);
            distributor.by_epoch.insert(epoch, slot);
            distributor.living.insert(slot);
            distributor.unknown.insert(slot);
        }
        distributor.give_owed(state);
        distributor
    }

    /// Advances time to `now`, then takes one input and appends what must be done. The state has at
    /// least what the inputs so far said was applied.
    pub fn step(&mut self, now: Millis, state: &ClusterState, input: Input, out: &mut Vec<Output>) {
        self.advance(now, out);
        match input {
            Input::Opened(stream, address) => self.opened(stream, address, out),
            Input::Received(stream, items) => self.received(state, stream, items, out),
            Input::Malformed(stream, detail) => {
                self.end(stream, GoodbyeReason::ProtocolError, detail, out);
            }
            Input::Broken(stream) => self.broken(stream, out),
            Input::Written(stream, bytes) => self.written(state, stream, bytes, out),
            Input::Applied(applied) => self.applied(state, applied, out),
            Input::Confirmed(number) => self.confirmed(number, out),
            Input::Tick => (),
            Input::ShutDown => self.shut_down(out),
        }
        self.finish(state, out);
    }

    /// Advances time to `now`, then takes a heartbeat of the broker with this epoch.
    pub fn heartbeat(
        &mut self,
        now: Millis,
        state: &ClusterState,
        epoch: BrokerEpoch,
        out: &mut Vec<Output>,
    ) -> HeartbeatAnswer {
        // Expire first: a heartbeat that waited past its deadline must not revive a lease.
        self.advance(now, out);
        self.finish(state, out);
        let Some(slot) = self.by_epoch.get(&epoch) else { return HeartbeatAnswer::Fenced };
        self.brokers.get_mut(slot).expect("found by its epoch").heard_at = self.now;
        HeartbeatAnswer::Kept
    }

    /// When [`Input::Tick`] must come if nothing else does before; `None`: never.
    #[must_use]
    pub fn deadline(&self, state: &ClusterState) -> Option<Millis> {
        let others = self.upkeep_due(state).into_iter().chain(self.sessions_due());
        self.patience_ends().into_iter().chain(others).min()
    }

    /// Cluster time now.
    #[must_use]
    pub fn cluster_time(&self) -> ClusterMillis {
        self.clock.at(self.now)
    }

    /// When somebody has been silent for too long.
    fn patience_ends(&self) -> Option<Millis> {
        let leases = self.brokers.values().filter(|broker| !broker.is_lost());
        let lease = leases.map(|broker| broker.heard_at.plus(self.config.lease_ms));
        let stalled = self.behind.iter().map(|slot| self.brokers[&slot].wrote_at);
        let stalled = stalled.map(|at| at.plus(self.config.stall_ms));
        let silent = self.silent_streams().map(|(at, _)| at.plus(self.config.lease_ms));
        lease.chain(stalled).chain(silent).min()
    }

    pub(crate) fn advance(&mut self, now: Millis, out: &mut Vec<Output>) {
        let stood_still = self.stood_still(now);
        self.now = self.now.max(now);
        if stood_still {
            self.start_anew();
        }
        self.end_leases(out);
        self.end_stalled(out);
        self.end_silent(out);
    }

    /// What follows from a whole step.
    pub(crate) fn finish(&mut self, state: &ClusterState, out: &mut Vec<Output>) {
        self.losses.count(state);
        self.serve_sessions(state, out);
        self.keep_up(state, out);
        self.tell_received_wills(out);
        self.tell_asked(out);
        self.ask_for_proof(out);
    }

    /// Whether a deadline passed by more than a heartbeat without a step: this process was paused or
    /// starved, and heartbeats may wait unread.
    fn stood_still(&self, now: Millis) -> bool {
        let patience_ms = self.config.heartbeat_ms;
        let missed = |deadline: Millis| now.since(deadline) > patience_ms;
        now.since(self.now) > patience_ms && self.patience_ends().is_some_and(missed)
    }

    /// Everybody gets the full time from now: while we did not listen, silence means nothing.
    fn start_anew(&mut self) {
        let now = self.now;
        for broker in self.brokers.values_mut().filter(|broker| !broker.is_lost()) {
            (broker.heard_at, broker.wrote_at) = (now, now);
        }
        for stream in self.streams.values_mut() {
            if let Stream::AwaitsHello { opened_at, .. } = stream {
                *opened_at = now;
            }
        }
    }

    fn received(
        &mut self,
        state: &ClusterState,
        stream: StreamId,
        items: Vec<Upstream>,
        out: &mut Vec<Output>,
    ) {
        for item in items {
            // Each item may end the stream; what follows it is then from nobody.
            match self.streams.get_mut(&stream) {
                None => return,
                Some(Stream::AwaitsHello { address, .. }) => {
                    let address = std::mem::take(address);
                    self.first_item(stream, address, item, out);
                }
                Some(Stream::Joins) => {
                    let detail = "an item before Welcome".into();
                    self.end(stream, GoodbyeReason::ProtocolError, detail, out);
                }
                Some(Stream::Of(slot)) => {
                    let of = (*slot, stream);
                    self.take(of, state, item, out);
                }
            }
        }
    }

    fn take(
        &mut self,
        of: (Slot, StreamId),
        state: &ClusterState,
        item: Upstream,
        out: &mut Vec<Output>,
    ) {
        let (slot, stream) = of;
        match item {
            Upstream::Leave => self.left(slot, stream, out),
            Upstream::Hello(_) => {
                self.end(stream, GoodbyeReason::ProtocolError, "a second Hello".into(), out);
            }
            Upstream::Publish { number: None, exchange: _, message } => {
                self.publish(slot, state, message, out);
            }
            Upstream::Publish { number: Some(number), exchange, message } => {
                self.publish_numbered(of, state, number, (exchange, message), out);
            }
            Upstream::Ask { number, ask } => self.ask(of, state, number, ask, out),
            Upstream::Resume(resume) => self.resume(of, state, resume, out),
            Upstream::Resumed => self.all_resumed(slot, stream, out),
            Upstream::Received { count } => self.received_upto(slot, stream, count, out),
            Upstream::Announce { ticket, needs, filters } => {
                self.announce(of, ticket, needs, filters, out);
            }
            Upstream::Withdraw { filters } => self.withdraw(slot, &filters),
        }
    }
}
