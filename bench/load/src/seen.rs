//! What one subscriber saw.

use std::ops::Range;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use hdrhistogram::Histogram;

use crate::packet::Stamp;
use crate::run::{Load, Shared, histogram};

mod order;

pub(crate) use order::Group;
use order::{Lanes, Verdict};

/// Counts and times what arrives.
pub(crate) struct Seen {
    pub(crate) latency_us: Histogram<u64>,
    pub(crate) duplicates: u64,
    pub(crate) reordered: u64,
    /// Publishers whose messages it may get.
    sources: Range<u16>,
    /// `None`: others may have got a message, so that each publisher's [`Group`] judges.
    lanes: Option<Lanes>,
    /// New messages of each source since the last [`Seen::settle`].
    moved: Vec<u64>,
}

impl Seen {
    pub(crate) fn new(load: &Load, subscriber: u16) -> Self {
        let sources = load.pattern.sources(subscriber, load.clients);
        Self {
            latency_us: histogram(),
            duplicates: 0,
            reordered: 0,
            lanes: load.pattern.lanes().map(|topics| Lanes::new(sources.len(), topics)),
            moved: vec![0; sources.len()],
            sources,
        }
    }

    pub(crate) fn take(&mut self, shared: &Shared, stamp: Stamp) {
        if !self.sources.contains(&stamp.publisher) {
            return;
        }
        let source = usize::from(stamp.publisher - self.sources.start);
        let verdict = match &mut self.lanes {
            Some(lanes) => lanes.take(source, stamp.sequence),
            None => {
                let group = &shared.flows[usize::from(stamp.publisher)].group;
                group.lock().unwrap_or_else(PoisonError::into_inner).take(stamp.sequence)
            }
        };
        match verdict {
            Verdict::Again => {
                self.duplicates += 1;
                return;
            }
            Verdict::Late => self.reordered += 1,
            Verdict::New => (),
        }
        self.moved[source] += 1;
        if shared.counts.load(Ordering::Relaxed) {
            let latency = shared.now_us().saturating_sub(stamp.meant_at_us);
            self.latency_us.saturating_record(latency);
        }
    }

    /// Tells the publishers what arrived.
    pub(crate) fn settle(&mut self, shared: &Shared) {
        let first = usize::from(self.sources.start);
        for (flow, moved) in shared.flows[first..].iter().zip(&mut self.moved) {
            if *moved > 0 {
                flow.delivered.fetch_add(std::mem::take(moved), Ordering::Relaxed);
                flow.moved.notify_one();
            }
        }
    }
}
