//! How brokers come and go: Hello, Goodbye, broken streams, leases.
//!
//! A broken stream frees nothing: the broker may be back in a moment. Its interest is freed when
//! its lease ends, when it says goodbye, and when it attaches again (it then announces anew).

use ha_types::limits::BROKERS_MAX;
use ha_types::link::{
    Downstream, Goodbye, GoodbyeReason, Hello, PROTOCOL_VERSIONS, RetainedCopy, Upstream, Welcome,
};
use ha_types::{BrokerEpoch, Millis, PublishNumber};

use crate::broker::{Broker, Counters, Link, StreamId};
use crate::broker_set::Slot;
use crate::distributor::{Distributor, Event, LostBy, Output, Stream};
use crate::retained::Transfer;

/// Streams that may await their Hello: every broker may open a few while its older ones break.
const SILENT_STREAMS_MAX: usize = 4 * BROKERS_MAX;

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
            Stream::Of(_) => None,
        })
    }

    /// Ends streams that said no Hello for a whole lease.
    pub(crate) fn end_silent(&mut self, out: &mut Vec<Output>) {
        let lease_ms = self.config.lease_ms;
        let is_late = |&(opened_at, _): &(Millis, _)| opened_at.plus(lease_ms) <= self.now;
        let late: Vec<_> = self.silent_streams().filter(is_late).collect();
        for (_, stream) in late {
            let detail = format!("no Hello for {lease_ms} ms");
            self.end(stream, GoodbyeReason::ProtocolError, detail, out);
        }
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
        match self.slot_for(&hello, &address) {
            Ok(slot) => self.attach(slot, stream, address, version, &hello, out),
            Err((reason, detail)) => self.end(stream, reason, detail, out),
        }
    }

    fn slot_for(&self, hello: &Hello, address: &str) -> Result<Slot, (GoodbyeReason, String)> {
        if let Some(known) = self.brokers.values().find(|broker| broker.name == hello.name) {
            let other_run = known.incarnation != hello.incarnation;
            if other_run && known.stream().is_some() {
                let detail = format!(
                    "another broker named {} is attached from {}; set NAME in broker.conf at {}",
                    known.name, known.address, address
                );
                return Err((GoodbyeReason::NameInUse, detail));
            }
            return Ok(known.slot);
        }
        let free =
            Slot::all().take(self.config.brokers_max).find(|s| !self.brokers.contains_key(s));
        let oldest_lost = || {
            let lost = self.brokers.values().filter(|broker| broker.is_lost());
            lost.min_by_key(|broker| broker.heard_at).map(|broker| broker.slot)
        };
        free.or_else(oldest_lost).ok_or_else(|| {
            let detail = format!("{} brokers are attached, the limit", self.config.brokers_max);
            (GoodbyeReason::TooManyBrokers, detail)
        })
    }

    fn attach(
        &mut self,
        slot: Slot,
        stream: StreamId,
        address: String,
        version: u32,
        hello: &Hello,
        out: &mut Vec<Output>,
    ) {
        let epoch = self.next_epoch;
        self.next_epoch = BrokerEpoch(epoch.0 + 1);
        let (taken_upto, counters) = self.replace(slot, hello, out);
        let broker = Broker {
            name: hello.name.clone(),
            slot,
            incarnation: hello.incarnation,
            epoch,
            link: Link::Attached(stream),
            address: address.clone(),
            software: hello.software.clone(),
            heard_at: self.now,
            filters: Default::default(),
            taken_upto,
            last_number: None,
            held: Default::default(),
            queued_bytes: 0,
            answers_bytes: 0,
            wrote_at: self.now,
            transfer: Transfer::AwaitsCopy,
            counters,
        };
        self.brokers.insert(slot, broker);
        self.attached.insert(slot);
        self.streams.insert(stream, Stream::Of(slot));
        let copy_is_unknown = hello.copy_of.is_some_and(|server| server != self.config.server);
        let retained_copy =
            if copy_is_unknown { RetainedCopy::Wanted } else { RetainedCopy::NotWanted };
        let welcome = self.welcome(version, epoch, taken_upto, retained_copy);
        self.send(slot, Downstream::Welcome(welcome), out);
        out.push(Output::Note(Event::Attached(hello.name.clone(), epoch, address)));
        if retained_copy == RetainedCopy::NotWanted {
            self.start_transfer(slot, out);
        }
    }

    fn welcome(
        &self,
        version: u32,
        epoch: BrokerEpoch,
        taken_upto: Option<PublishNumber>,
        retained_copy: RetainedCopy,
    ) -> Welcome {
        Welcome {
            version,
            epoch,
            server: self.config.server,
            lease_ms: self.config.lease_ms,
            heartbeat_ms: self.config.heartbeat_ms,
            taken_upto: taken_upto.unwrap_or_default(),
            publish_window: self.config.publish_window,
            cluster_time: self.cluster_time(),
            retained_copy,
            leader_hint: None,
            software: self.config.software.clone(),
        }
    }

    /// Clears a slot for a broker that attaches. Returns what survives: for the same incarnation,
    /// which publishes were taken; for the same name, the counters.
    fn replace(
        &mut self,
        slot: Slot,
        hello: &Hello,
        out: &mut Vec<Output>,
    ) -> (Option<PublishNumber>, Counters) {
        let Some(old) = self.brokers.get(&slot) else { return (None, Counters::default()) };
        let (taken_upto, counters) = (old.taken_upto, old.counters);
        let same_name = old.name == hello.name;
        let same_run = same_name && old.incarnation == hello.incarnation;
        if let Some(stream) = old.stream() {
            self.end(stream, GoodbyeReason::Replaced, "attached on a newer stream".into(), out);
        }
        self.forget_interest(slot);
        let counters = if same_name { counters } else { Counters::default() };
        (taken_upto.filter(|_| same_run), counters)
    }

    /// Says goodbye on a stream and detaches its broker, if it has one.
    pub(crate) fn end(
        &mut self,
        stream: StreamId,
        reason: GoodbyeReason,
        detail: String,
        out: &mut Vec<Output>,
    ) {
        let Some(known) = self.streams.get(&stream) else { return };
        let name = match known {
            Stream::AwaitsHello { .. } => None,
            Stream::Of(slot) => Some(self.brokers[slot].name.clone()),
        };
        let goodbye = Goodbye { reason, detail, leader: None };
        out.push(Output::Send(stream, Downstream::Goodbye(goodbye.clone()), 0));
        out.push(Output::End(stream));
        out.push(Output::Note(Event::Ended(name, goodbye)));
        self.detach(stream, out);
    }

    /// The broker said goodbye.
    pub(crate) fn left(&mut self, slot: Slot, stream: StreamId, out: &mut Vec<Output>) {
        self.detach(stream, out);
        self.lose(slot, LostBy::Goodbye, out);
        out.push(Output::End(stream));
    }

    pub(crate) fn broken(&mut self, stream: StreamId, out: &mut Vec<Output>) {
        if let Some(slot) = self.detach(stream, out) {
            out.push(Output::Note(Event::Detached(self.brokers[&slot].name.clone())));
        }
    }

    /// Takes the stream from its broker. Returns the broker that was attached through it.
    fn detach(&mut self, stream: StreamId, out: &mut Vec<Output>) -> Option<Slot> {
        let Some(Stream::Of(slot)) = self.streams.remove(&stream) else { return None };
        if !self.is_attached(slot, stream) {
            return None;
        }
        let broker = self.brokers.get_mut(&slot).expect("is attached");
        broker.link = Link::Detached;
        broker.held.clear();
        broker.queued_bytes = 0;
        broker.answers_bytes = 0;
        broker.transfer = Transfer::Idle;
        self.attached.remove(slot);
        self.behind.remove(slot);
        self.stop_waiting_for(slot, out);
        Some(slot)
    }

    pub(crate) fn lose(&mut self, slot: Slot, by: LostBy, out: &mut Vec<Output>) {
        let broker = self.brokers.get_mut(&slot).expect("only known brokers are lost");
        let name = broker.name.clone();
        if let Some(stream) = broker.stream() {
            let detail = format!("no heartbeat of {name} for {} ms", self.config.lease_ms);
            self.end(stream, GoodbyeReason::LeaseExpired, detail, out);
        }
        self.brokers.get_mut(&slot).expect("still known").link = Link::Lost(by);
        self.forget_interest(slot);
        out.push(Output::Note(Event::Lost(name, by)));
    }

    /// Detaches brokers that are behind and have written nothing for too long, or go on asking
    /// for answers: nothing else bounds the queue of who talks and never reads.
    pub(crate) fn end_stalled(&mut self, out: &mut Vec<Output>) {
        let is_stalled = |broker: &&Broker| {
            broker.wrote_at.plus(self.config.stall_ms) <= self.now
                || broker.answers_bytes > self.config.queue_bytes
        };
        let stalled: Vec<_> = self
            .behind
            .iter()
            .filter_map(|slot| self.brokers.get(&slot))
            .filter(is_stalled)
            .filter_map(Broker::stream)
            .collect();
        for stream in stalled {
            let detail = format!(
                "behind, and for {} ms nothing was read, or less than was asked for",
                self.config.stall_ms
            );
            self.end(stream, GoodbyeReason::TooSlow, detail, out);
        }
    }
}
