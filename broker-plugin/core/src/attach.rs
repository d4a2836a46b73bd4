//! How the broker attaches to ha-server, and how it leaves: dialling, Hello, Welcome, lease.

use ha_types::link::{Downstream, Hello, PROTOCOL_VERSIONS, RetainedCopy, Upstream, Welcome};
use ha_types::{ClusterMillis, Ticket};

use crate::interest::items;
use crate::lease::Lease;
use crate::link::{Address, Attached, Attempt, Link, StreamId};
use crate::plugin::{Close, Event, Mode, Output, Plugin};

impl Plugin {
    pub(crate) fn dial(&mut self, out: &mut Vec<Output>) {
        let Mode::Clustered(addresses) = self.config.mode else { return };
        let stream = StreamId(self.next_stream);
        self.next_stream += 1;
        let address = Address(self.next_address % addresses);
        self.next_address = address.0 + 1;
        self.link = Link::Attaching(Attempt { stream, address, since: self.now });
        let hello = Hello {
            versions: PROTOCOL_VERSIONS,
            name: self.config.name.clone(),
            incarnation: self.config.incarnation,
            software: self.config.software.clone(),
            copy_of: self.copy.of,
        };
        out.push(Output::Dial(stream, address));
        out.push(Output::Send(stream, Upstream::Hello(hello)));
    }

    /// Leaves the stream, if there is one, and waits before the next attempt.
    pub(crate) fn detach(&mut self, detail: String, out: &mut Vec<Output>) {
        self.leave(Close::Drop, out);
        let delay_ms = self.backoff.next_ms();
        self.link = Link::Detached(self.now.plus(delay_ms));
        out.push(Output::Note(Event::Detached(detail, delay_ms)));
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
        self.copy.stop();
        for (ticket, retained) in self.interest.stop_all_waiting() {
            self.subscribed(ticket, &retained, out);
        }
    }

    pub(crate) fn heartbeat_kept(&mut self, stream: StreamId, sequence: u64) {
        if let Link::Attached(attached) = &mut self.link
            && attached.stream == stream
        {
            attached.lease.answered(sequence);
            if attached.lease.has_lasted(self.now) {
                // The address works: come back to it first. Welcome alone proves nothing: a broker
                // that is sent away after each would attach, announce and fail in a fast circle.
                self.next_address = attached.address.0;
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
        for item in items {
            // Each item may end the stream; what follows it then means nothing to us.
            match &self.link {
                Link::Attaching(attempt) if attempt.stream == stream => {
                    self.first_item(*attempt, item, out);
                }
                Link::Attached(attached) if attached.stream == stream => self.take(item, out),
                _ => return,
            }
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
            Downstream::Goodbye(goodbye) => self.detach(goodbye.detail, out),
            _ => self.detach("ha-server's first item was not Welcome".into(), out),
        }
    }

    pub(crate) fn welcomed(
        &mut self,
        Attempt { stream, address, since }: Attempt,
        welcome: Welcome,
        out: &mut Vec<Output>,
    ) {
        let (taken, last) = (welcome.taken_upto, self.outbox.last_number());
        if taken > last {
            let detail = format!(
                "ha-server took publish {taken} of this run, which numbered only {last}: \
                 another broker has its name and incarnation"
            );
            return self.detach(detail, out);
        }
        self.outbox_full_was_said = false;
        self.retained_full_was_said = false;
        self.server = Some(welcome.server);
        let elapsed = ClusterMillis(self.now.0);
        self.cluster_time_at_zero = ClusterMillis(welcome.cluster_time.0.saturating_sub(elapsed.0));
        let lease = Lease::new(self.now, welcome.lease_ms, welcome.heartbeat_ms, since);
        let window = (welcome.publish_window as usize).min(self.config.outbox_max).max(1);
        let epoch = welcome.epoch;
        self.link = Link::Attached(Attached { stream, address, epoch, lease, window });
        out.push(Output::Note(Event::Attached(epoch, welcome.software)));
        self.announce_all(stream, out);
        if welcome.retained_copy == RetainedCopy::Wanted {
            self.copy.start_upload();
            self.upload(stream, out);
        }
        self.outbox.restart(taken);
        self.copy.provisional.lose_all_but(&self.outbox.retained());
        self.pump(out);
        self.advance(out);
    }

    pub(crate) fn announce_all(&mut self, stream: StreamId, out: &mut Vec<Output>) {
        for filters in items(self.interest.filters().cloned()) {
            // Ticket 0 is nobody's: its answer is ignored.
            let announce = Upstream::Announce { ticket: Ticket(0), needs: Needs::All, filters };
            out.push(Output::Send(stream, announce));
        }
    }

    pub(crate) fn upload(&mut self, stream: StreamId, out: &mut Vec<Output>) {
        let page = self.copy.next_page();
        out.extend(page.into_iter().map(|item| Output::Send(stream, item)));
    }
}

fn is_spoken(version: u32) -> bool {
    (PROTOCOL_VERSIONS.min..=PROTOCOL_VERSIONS.max).contains(&version)
}
