//! How brokers come: Hello, a place in the replicated state, Welcome.

use ha_types::limits::BROKERS_MAX;
use ha_types::link::{
    Downstream, GoodbyeReason, Hello, PROTOCOL_VERSIONS, RetainedUse, Upstream, Welcome,
};
use ha_types::{AskNumber, BrokerEpoch, Millis, PublishNumber};

use crate::broker::{Broker, Life, Link, StreamId};
use crate::broker_set::Slot;
use crate::cluster::{ClusterState, Command, Outcome};
use crate::distributor::{Distributor, Stream};
use crate::interface::{Event, LostBy, Output};
use crate::proposals::Proposed;
use crate::retained::Transfer;

/// Streams that may await their Hello: every broker may open a few while its older ones break.
const SILENT_STREAMS_MAX: usize = 4 * BROKERS_MAX;

/// A broker whose Hello came, and whose epoch the log will say.
#[derive(Debug)]
pub(crate) struct Joining {
    stream: StreamId,
    address: String,
    version: u32,
    hello: Hello,
}

impl Distributor {
    /// Remembers a stream whose Hello is awaited.
    pub(crate) fn opened(&mut self, stream: StreamId, address: String, out: &mut Vec<Output>) {
        let mut silent: Vec<_> = self.silent_streams().collect();
        if silent.len() >= SILENT_STREAMS_MAX {
            // The oldest: who means well says Hello at once.
            silent.sort();
            let detail = format!("no Hello, and {SILENT_STREAMS_MAX} streams await theirs");
            self.end(silent[0].1, GoodbyeReason::ProtocolError, detail, out);
        }
        self.streams.insert(stream, Stream::AwaitsHello { address, opened_at: self.now });
    }

    /// When each stream without a Hello was opened.
    pub(crate) fn silent_streams(&self) -> impl Iterator<Item = (Millis, StreamId)> {
        self.streams.iter().filter_map(|(&id, stream)| match stream {
            Stream::AwaitsHello { opened_at, .. } => Some((*opened_at, id)),
            Stream::Joins | Stream::Of(_) => None,
        })
    }

    pub(crate) fn first_item(
        &mut self,
        stream: StreamId,
        address: String,
        item: Upstream,
        out: &mut Vec<Output>,
    ) {
        let Upstream::Hello(hello) = item else {
            let detail = "the first item must be Hello".into();
            return self.end(stream, GoodbyeReason::ProtocolError, detail, out);
        };
        let Some(version) = PROTOCOL_VERSIONS.highest_common(hello.versions) else {
            let (ours, theirs) = (PROTOCOL_VERSIONS, hello.versions);
            let detail = format!(
                "ha-server speaks protocol versions {} to {}, {} speaks {} to {}: update the older",
                ours.min, ours.max, hello.name, theirs.min, theirs.max
            );
            return self.end(stream, GoodbyeReason::UnsupportedVersion, detail, out);
        };
        if let Some((reason, detail)) = self.refusal_of(&hello, &address) {
            return self.end(stream, reason, detail, out);
        }
        self.streams.insert(stream, Stream::Joins);
        let command = Command::Join { name: hello.name.clone(), incarnation: hello.incarnation };
        let joining = Joining { stream, address, version, hello };
        self.propose(Proposed::Join(Box::new(joining)), command, out);
    }

    /// Why a broker may not join, as far as is known now.
    fn refusal_of(&self, hello: &Hello, address: &str) -> Option<(GoodbyeReason, String)> {
        let known = self.brokers.values().find(|broker| broker.name == hello.name);
        if let Some(known) = known.filter(|broker| broker.stream().is_some()) {
            return (known.incarnation != hello.incarnation)
                .then(|| (GoodbyeReason::NameInUse, name_in_use(known, address)));
        }
        let is_there = known.is_some_and(|broker| !broker.is_lost());
        let living = self.brokers.values().filter(|broker| !broker.is_lost()).count();
        let joining = self.proposed.iter().filter(|of| matches!(of, Proposed::Join(_))).count();
        let max = self.config.brokers_max;
        (!is_there && living + joining >= max).then(|| {
            (GoodbyeReason::TooManyBrokers, format!("{max} brokers are attached, the limit"))
        })
    }

    /// The log has said who the broker is.
    pub(crate) fn joined(
        &mut self,
        state: &ClusterState,
        joining: Joining,
        outcome: &Outcome,
        out: &mut Vec<Output>,
    ) {
        let name = &joining.hello.name;
        let &Outcome::Joined(epoch) = outcome else {
            let detail = format!("a newer run of {name} is known; was the clock set back?");
            return self.end(joining.stream, GoodbyeReason::NameInUse, detail, out);
        };
        // The state may be further: a life that is over there publishes nothing.
        let origin = state.origin(epoch).unwrap_or(epoch);
        let incarnation = joining.hello.incarnation;
        let life = Life { epoch, origin, name: name.clone(), incarnation };
        let Some(slot) = self.slot_for(life, out) else {
            self.propose(Proposed::Leave(epoch), Command::Leave { broker: epoch }, out);
            let detail = format!("{} brokers are attached, the limit", self.config.brokers_max);
            return self.end(joining.stream, GoodbyeReason::TooManyBrokers, detail, out);
        };
        if self.brokers[&slot].is_lost() {
            // Its lease ended while the log had its Hello: the end of this epoch is behind it there.
            let detail = format!("the lease of {name} ended; attach again");
            return self.end(joining.stream, GoodbyeReason::LeaseExpired, detail, out);
        }
        // Otherwise it broke meanwhile, and the broker counts as detached.
        if matches!(self.streams.get(&joining.stream), Some(Stream::Joins)) {
            self.attach(slot, state, joining, out);
        }
    }

    /// The slot of a broker in this life of it. An older life makes place for a newer; so does the
    /// broker that was lost first. `None`: as many as possible live.
    fn slot_for(&mut self, life: Life, out: &mut Vec<Output>) -> Option<Slot> {
        let epoch = life.epoch;
        let known = self.brokers.values().find(|broker| broker.name == life.name);
        if let Some(known) = known.filter(|broker| broker.epoch == epoch) {
            return Some(known.slot);
        }
        let same_name = known.map(|broker| broker.slot);
        let free =
            || Slot::all().take(self.config.brokers_max).find(|s| !self.brokers.contains_key(s));
        let oldest_lost = || {
            let is_gone =
                |broker: &&Broker| broker.is_lost() && !self.leaving.contains(broker.slot);
            let lost = self.brokers.values().filter(is_gone);
            lost.min_by_key(|broker| broker.heard_at).map(|broker| broker.slot)
        };
        let slot = same_name.or_else(free).or_else(oldest_lost)?;
        let mut broker = Broker::new(slot, life, self.now);
        if same_name.is_some() {
            broker.counters = self.brokers[&slot].counters;
            self.replace(slot, out);
        }
        self.brokers.insert(slot, broker);
        self.by_epoch.insert(epoch, slot);
        self.living.insert(slot);
        Some(slot)
    }

    /// The state has ended this life for a newer one.
    fn replace(&mut self, slot: Slot, out: &mut Vec<Output>) {
        if let Some(stream) = self.brokers[&slot].stream() {
            self.end(stream, GoodbyeReason::Replaced, "a newer run has joined".into(), out);
        }
        if !self.brokers[&slot].is_lost() {
            self.note_loss(slot, LostBy::Replaced);
            self.free(slot, LostBy::Replaced);
        }
        self.owe_nothing(slot, out);
    }

    fn attach(
        &mut self,
        slot: Slot,
        state: &ClusterState,
        joining: Joining,
        out: &mut Vec<Output>,
    ) {
        let Joining { stream, address, version, hello } = joining;
        if let Some(older) = self.brokers[&slot].stream() {
            self.end(older, GoodbyeReason::Replaced, "attached on a newer stream".into(), out);
        }
        let now = self.now;
        let broker = self.brokers.get_mut(&slot).expect("it has a slot");
        broker.link = Link::Attached(stream);
        broker.address.clone_from(&address);
        broker.software = hello.software;
        broker.retained = hello.retained;
        (broker.heard_at, broker.wrote_at) = (now, now);
        broker.stale_filters.append(&mut broker.filters);
        broker.publishes.said = None;
        (broker.receipts.sent, broker.receipts.received) = (0, 0);
        let epoch = broker.epoch;
        self.attached.insert(slot);
        self.streams.insert(stream, Stream::Of(slot));
        self.sessions.link(now, epoch);
        let welcome = self.welcome(version, epoch);
        self.send(slot, Downstream::Welcome(welcome), out);
        out.push(Output::Note(Event::Attached(hello.name, epoch, address)));
        if hello.retained == RetainedUse::Copy {
            self.brokers.get_mut(&slot).expect("it has a slot").transfer = Transfer::Due;
            self.continue_transfer(slot, state, out);
        }
    }

    fn welcome(&self, version: u32, epoch: BrokerEpoch) -> Welcome {
        Welcome {
            version,
            epoch,
            server: self.config.server,
            lease_ms: self.config.lease_ms,
            heartbeat_ms: self.config.heartbeat_ms,
            // What the state has done may not have been answered, or the answer was lost.
            taken_upto: PublishNumber(0),
            asked_upto: AskNumber(0),
            publish_window: self.config.publish_window,
            cluster_time: self.cluster_time(),
            software: self.config.software.clone(),
        }
    }
}

fn name_in_use(known: &Broker, address: &str) -> String {
    format!(
        "another broker named {} is attached from {}; set NAME in broker.conf at {}",
        known.name, known.address, address
    )
}
