//! One subscriber: counts what arrives, and answers it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use hdrhistogram::Histogram;
use tokio::time;

use crate::client;
use crate::compose::put_answer;
use crate::packet::{self, Packet, Stamp};
use crate::run::{Shared, histogram};
use crate::stream::{Reader, Writer, send};

/// How often a silent subscriber looks whether the load has stopped.
const SILENT_MAX: Duration = Duration::from_millis(200);

/// What one subscriber saw.
pub(crate) struct Seen {
    pub(crate) latency_us: Histogram<u64>,
    pub(crate) duplicates: u64,
    pub(crate) reordered: u64,
    /// Of each publisher, the sequence number that comes next.
    next: Vec<u64>,
}

/// Receives until the load has stopped and nothing more comes, or the broker closes.
pub(crate) async fn receive(
    shared: Arc<Shared>,
    mut socket: Reader,
    mut writer: Writer,
    mut buffer: BytesMut,
) -> io::Result<Seen> {
    let mut seen = Seen::new(shared.flows.len());
    let (mut moved, mut answers) = (vec![0_u64; shared.flows.len()], BytesMut::new());
    let protocol = shared.load.connector.protocol;
    loop {
        while let Some(packet) = packet::next(&mut buffer, protocol) {
            if let Packet::Publish { stamp, .. } = packet
                && let Some(moved) = moved.get_mut(usize::from(stamp.publisher))
            {
                *moved += seen.take(&shared, stamp);
            }
            put_answer(&mut answers, packet);
        }
        for (flow, delivered) in shared.flows.iter().zip(&mut moved).filter(|(_, n)| **n > 0) {
            flow.delivered.fetch_add(std::mem::take(delivered), Ordering::Relaxed);
            flow.moved.notify_one();
        }
        if !answers.is_empty() {
            send(&mut writer, &answers).await?;
            answers.clear();
        }
        match time::timeout(SILENT_MAX, client::read(&mut socket, &mut buffer)).await {
            Ok(Ok(0)) => return Ok(seen),
            Ok(read) => drop(read?),
            Err(_) if shared.stops.load(Ordering::Relaxed) => return Ok(seen),
            Err(_) => (),
        }
    }
}

impl Seen {
    fn new(publishers: usize) -> Self {
        Self { latency_us: histogram(), duplicates: 0, reordered: 0, next: vec![0; publishers] }
    }

    /// Returns how many new messages this is: 1, or 0 for a duplicate.
    fn take(&mut self, shared: &Shared, stamp: Stamp) -> u64 {
        let next = &mut self.next[usize::from(stamp.publisher)];
        if stamp.sequence < *next {
            // A gap that fills later is counted as lost there and as reordered here.
            self.duplicates += 1;
            return 0;
        }
        self.reordered += u64::from(stamp.sequence > *next);
        *next = stamp.sequence + 1;
        if shared.counts.load(Ordering::Relaxed) {
            let latency = shared.now_us().saturating_sub(stamp.meant_at_us);
            self.latency_us.saturating_record(latency);
        }
        1
    }
}
