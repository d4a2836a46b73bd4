//! How the broker attaches to ha-server, and how it leaves: dialling, Hello, Welcome, lease.

use ha_types::limits::FILTERS_PER_ITEM_MAX;
use ha_types::link::{Downstream, Hello, PROTOCOL_VERSIONS, RetainedCopy, Upstream, Welcome};
use ha_types::{ClusterMillis, Millis, Ticket};

use crate::lease::Lease;
use crate::link::{Address, Attached, Link, StreamId};
use crate::plugin::{Close, Event, Mode, Output, Plugin};

impl Plugin {
    pub(crate) fn dial(&mut self, out: &mut Vec<Output>) {
        let Mode::Clustered(addresses) = self.config.mode else { return };
        let stream = StreamId(self.next_stream);
        self.next_stream += 1;
        let address = Address(self.next_address % addresses);
        self.next_address = address.0 + 1;
        self.link = Link::Attaching { stream, since: self.now };
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
            out.push(Output::Close(stream, how));
        }
        self.copy.stop();
        for (ticket, retained) in self.interest.stop_waiting() {
            self.subscribed(ticket, &retained, out);
        }
    }

    pub(crate) fn heartbeat_kept(&mut self, stream: StreamId, sequence: u64) {
        if let Link::Attached(attached) = &mut self.link
            && attached.stream == stream
        {
            attached.lease.answered(sequence);
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
                Link::Attaching { stream: current, since } if *current == stream => {
                    let since = *since;
                    self.first_item(stream, since, item, out);
                }
                Link::Attached(attached) if attached.stream == stream => self.take(item, out),
                _ => return,
            }
        }
    }

    pub(crate) fn first_item(
        &mut self,
        stream: StreamId,
        hello_sent: Millis,
        item: Downstream,
        out: &mut Vec<Output>,
    ) {
        match item {
            Downstream::Welcome(welcome) if is_spoken(welcome.version) => {
                self.welcomed(stream, hello_sent, welcome, out);
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
        stream: StreamId,
        hello_sent: Millis,
        welcome: Welcome,
        out: &mut Vec<Output>,
    ) {
        self.backoff.reset();
        // The address works: come back to it first.
        self.next_address = self.next_address.wrapping_sub(1);
        self.outbox_full_was_said = false;
        self.server = Some(welcome.server);
        let elapsed = ClusterMillis(self.now.0);
        self.cluster_time_at_zero = ClusterMillis(welcome.cluster_time.0.saturating_sub(elapsed.0));
        let lease = Lease::new(self.now, welcome.lease_ms, welcome.heartbeat_ms, hello_sent);
        let window = (welcome.publish_window as usize).clamp(1, self.config.outbox_max);
        self.link = Link::Attached(Attached { stream, epoch: welcome.epoch, lease, window });
        out.push(Output::Note(Event::Attached(welcome.epoch, welcome.software)));
        self.announce_all(stream, out);
        if welcome.retained_copy == RetainedCopy::Wanted {
            self.copy.start_upload();
            self.upload(stream, out);
        }
        self.outbox.restart(welcome.taken_upto);
        self.pump(out);
        self.advance(out);
    }

    pub(crate) fn announce_all(&mut self, stream: StreamId, out: &mut Vec<Output>) {
        let all: Vec<_> = self.interest.filters().cloned().collect();
        for filters in all.chunks(FILTERS_PER_ITEM_MAX) {
            // Ticket 0 is nobody's: its answer is ignored.
            let announce = Upstream::Announce { ticket: Ticket(0), filters: filters.to_vec() };
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
