//! How the broker attaches to ha-server, and how it leaves: dialling, Hello, Welcome, lease.

use ha_types::link::{
    Downstream, Goodbye, GoodbyeReason, Hello, Needs, PROTOCOL_VERSIONS, RetainedUse, Upstream,
    Welcome,
};
use ha_types::{ClusterMillis, Ticket};

use crate::host::HostCommand;
use crate::interest::items;
use crate::lease::Lease;
use crate::link::{Address, Attached, Attempt, Link, StreamId, Target};
use crate::plugin::{Close, Event, HeldBy, Mode, Output, Plugin};

/// Leaders that are dialled in a row without a pause because another ha-server said so. Two are enough
/// while a leader changes; more go round in a circle.
const HINTS_MAX: u32 = 3;

impl Plugin {
    pub(crate) fn dial(&mut self, out: &mut Vec<Output>) {
        let Mode::Clustered(addresses) = &self.config.mode else { return };
        let stream = StreamId(self.next_stream);
        self.next_stream += 1;
        let next = Address(self.next_address % addresses.len());
        let target = self.first_target.take().unwrap_or(Target::Configured(next));
        if let Target::Configured(address) = target {
            self.next_address = address.0 + 1;
        }
        self.link = Link::Attaching(Attempt { stream, target: target.clone(), since: self.now });
        let hello = Hello {
            versions: PROTOCOL_VERSIONS,
            name: self.config.name.clone(),
            incarnation: self.config.incarnation,
            software: self.config.software.clone(),
            retained: match self.config.sessions {
                HeldBy::Host => RetainedUse::Copy,
                HeldBy::Cluster => RetainedUse::None,
            },
        };
        out.push(Output::Dial(stream, target));
        out.push(Output::Send(stream, Upstream::Hello(hello)));
    }

    /// Leaves the stream, if there is one, and waits before the next attempt.
    pub(crate) fn detach(&mut self, detail: String, out: &mut Vec<Output>) {
        self.leave(Close::Drop, out);
        let delay_ms = self.backoff.next_ms();
        if delay_ms > 0 {
            self.hints = 0;
        }
        self.link = Link::Detached(self.now.plus(delay_ms));
        out.push(Output::Note(Event::Detached(detail, delay_ms)));
    }

    /// ha-server ends the stream. Who leads is dialled at once, if it is said.
    pub(crate) fn goodbye(&mut self, goodbye: Goodbye, out: &mut Vec<Output>) {
        match (goodbye.reason, goodbye.leader) {
            (GoodbyeReason::LeaseExpired, _) => self.fence(goodbye.detail, out),
            (GoodbyeReason::NotLeader, Some(leader)) if self.hints < HINTS_MAX => {
                self.hints += 1;
                self.leave(Close::Drop, out);
                self.first_target = Some(self.target(leader));
                self.link = Link::Detached(self.now);
                out.push(Output::Note(Event::Detached(goodbye.detail, 0)));
                self.dial(out);
            }
            _ => self.detach(goodbye.detail, out),
        }
    }

    /// Where this address leads: if it is one of the configured ones, then the next of them is another server.
    fn target(&self, address: String) -> Target {
        let Mode::Clustered(configured) = &self.config.mode else { return Target::Leader(address) };
        let place = configured.iter().position(|one| *one == address);
        place.map_or(Target::Leader(address), |place| Target::Configured(Address(place)))
    }

    pub(crate) fn fence(&mut self, detail: String, out: &mut Vec<Output>) {
        self.leave(Close::Drop, out);
        let delay_ms = self.backoff.next_ms();
        self.link = Link::Fenced(self.now.plus(delay_ms));
        out.push(Output::Note(Event::Fenced(detail, delay_ms)));
    }

    pub(crate) fn leave(&mut self, how: Close, out: &mut Vec<Output>) {
        if let Some(stream) = self.link.stream() {
            if how == Close::Goodbye {
                out.push(Output::Send(stream, Upstream::Leave));
            }
            out.push(Output::Close(stream, how));
        }
        if self.link.attached().is_some() {
            self.relay.detached(self.now);
        }
        self.copy.stop();
        for (ticket, retained) in self.interest.stop_all_waiting() {
            self.subscribed(ticket, &retained, out);
        }
    }

    pub(crate) fn heartbeat_kept(&mut self, stream: StreamId, sequence: u64, applied: u64) {
        if let Link::Attached(attached) = &mut self.link
            && attached.stream == stream
        {
            self.seen = self.seen.max(applied);
            attached.lease.answered(sequence);
            if attached.lease.has_lasted(self.now) {
                // The address works: come back to it first. Welcome alone proves nothing: a broker
                // that is sent away after each would attach, announce and fail in a fast circle.
                self.first_target = Some(attached.target.clone());
                self.hints = 0;
                self.backoff.reset();
            }
        }
    }

    pub(crate) fn received(
        &mut self,
        stream: StreamId,
        items: Vec<Downstream>,
        out: &mut Vec<Output>,
    ) {
        let received_before = self.link.attached().map_or(0, |attached| attached.received);
        for item in items {
            // Each item may end the stream; what follows it then means nothing to us.
            match &self.link {
                Link::Attaching(attempt) if attempt.stream == stream => {
                    self.first_item(attempt.clone(), item, out);
                }
                Link::Attached(attached) if attached.stream == stream => self.take(item, out),
                _ => return,
            }
        }
        self.acknowledge(received_before, out);
    }

    /// Once for all that came at a time, after the host was given it.
    fn acknowledge(&mut self, before: u64, out: &mut Vec<Output>) {
        let Some(attached) = self.link.attached() else { return };
        let (stream, count) = (attached.stream, attached.received);
        if count > before {
            out.push(Output::Send(stream, Upstream::Received { count }));
        }
    }

    pub(crate) fn first_item(&mut self, attempt: Attempt, item: Downstream, out: &mut Vec<Output>) {
        match item {
            Downstream::Welcome(welcome) if is_spoken(welcome.version) => {
                self.welcomed(attempt, welcome, out);
            }
            Downstream::Welcome(welcome) => {
                let (version, ours) = (welcome.version, PROTOCOL_VERSIONS);
                let detail = format!(
                    "ha-server chose protocol version {version}, this broker speaks {} to {}",
                    ours.min, ours.max
                );
                self.detach(detail, out);
            }
            Downstream::Goodbye(goodbye) => self.goodbye(goodbye, out),
            _ => self.detach("ha-server's first item was not Welcome".into(), out),
        }
    }

    pub(crate) fn welcomed(
        &mut self,
        Attempt { stream, target, since }: Attempt,
        welcome: Welcome,
        out: &mut Vec<Output>,
    ) {
        if self.epoch.is_some_and(|known| known != welcome.epoch) {
            self.begin_epoch(out);
        }
        self.epoch = Some(welcome.epoch);
        if let Some(detail) = self.numbering_error(&welcome) {
            return self.detach(detail, out);
        }
        self.outbox_full_was_said = false;
        self.retained_full_was_said = false;
        let elapsed = ClusterMillis(self.now.0);
        self.cluster_time_at_zero = ClusterMillis(welcome.cluster_time.0.saturating_sub(elapsed.0));
        let lease = Lease::new(self.now, welcome.lease_ms, welcome.heartbeat_ms, since);
        let window = (welcome.publish_window as usize).min(self.config.outbox_max).max(1);
        let epoch = welcome.epoch;
        let attached = Attached { stream, target, epoch, lease, window, received: 0 };
        self.link = Link::Attached(attached);
        out.push(Output::Note(Event::Attached(epoch, welcome.software)));
        if self.config.sessions == HeldBy::Cluster {
            out.push(Output::Host(HostCommand::ClusterTime(self.cluster_time())));
        }
        self.announce_all(stream, out);
        self.resume(stream, out);
        self.outbox.restart(welcome.taken_upto);
        self.relay.restart(welcome.asked_upto);
        self.copy.provisional.lose_all_but(&self.outbox.retained());
        self.pump(out);
        self.advance(out);
    }

    /// ha-server let the epoch before end. What a host with sessions of its own has published goes up again
    /// as it is: its clients have their acknowledgements. Of sessions that ha-server held, clients have
    /// none and will retry.
    fn begin_epoch(&mut self, out: &mut Vec<Output>) {
        if self.config.sessions == HeldBy::Cluster {
            self.lose_sessions(out);
            let Self { outbox, relay, .. } = self;
            outbox.clear(|session| relay.is_guest(session));
        }
    }

    /// What ha-server has done of this epoch and we did not ask for.
    fn numbering_error(&self, welcome: &Welcome) -> Option<String> {
        let (taken, asked) = (welcome.taken_upto, welcome.asked_upto);
        let (last, last_ask) = (self.outbox.last_number(), self.relay.asks.last());
        if taken > last {
            return Some(format!(
                "ha-server took publish {taken} of this run, which numbered only {last}: \
                 another broker has its name and incarnation"
            ));
        }
        (asked > last_ask).then(|| {
            format!(
                "ha-server was asked {asked} times by this run, which asked only {last_ask}: \
                 another broker has its name and incarnation"
            )
        })
    }

    pub(crate) fn announce_all(&mut self, stream: StreamId, out: &mut Vec<Output>) {
        for filters in items(self.interest.filters().cloned()) {
            // Ticket 0 is nobody's: its answer is ignored.
            let announce = Upstream::Announce { ticket: Ticket(0), needs: Needs::All, filters };
            out.push(Output::Send(stream, announce));
        }
    }
}

fn is_spoken(version: u32) -> bool {
    (PROTOCOL_VERSIONS.min..=PROTOCOL_VERSIONS.max).contains(&version)
}
