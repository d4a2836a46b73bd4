//! One publisher: sends what its window or its rate allows, and completes the exchanges.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::Mutex;
use tokio::time;

use crate::client;
use crate::compose::{Publish, put_answer};
use crate::pacer::Pacer;
use crate::packet::{self, Packet, Stamp};
use crate::run::{Flow, Load, Shared, float, whole};
use crate::stream::{Reader, Writer, send};

/// Messages that are written at a time.
const BATCH_MAX: u64 = 64;

/// The half of a socket that PUBLISH and PUBREL share.
pub(crate) type SharedWriter = Arc<Mutex<Writer>>;

/// One publisher, as the load sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publisher {
    pub(crate) number: u16,
    /// Messages that may be on their way.
    pub(crate) window: u64,
}

/// Publishes until the load stops.
pub(crate) async fn publish(
    shared: Arc<Shared>,
    publisher: Publisher,
    socket: SharedWriter,
) -> io::Result<()> {
    let (load, Publisher { number, window }) = (&shared.load, publisher);
    let (mut topics, flow) = (load.pattern.topics(number), &shared.flows[usize::from(number)]);
    let protocol = load.connector.protocol;
    let publish = Publish { protocol, qos: load.qos, padding: &load.padding };
    let interval_us = load.interval_us();
    let pacer = interval_us.map(|_| Pacer::new()).transpose()?;
    let begin = load.first_due_us(number, shared.now_us());
    let (mut buffer, mut sequence) = (BytesMut::new(), 0);
    while !shared.stops.load(Ordering::Relaxed) {
        let moved = flow.moved.notified();
        let room = room(window, sequence, done(load, flow));
        let now_us = shared.now_us();
        let elapsed_us = now_us.checked_sub(begin);
        let due = interval_us.map_or(room, |us| due(elapsed_us, us, sequence).min(room));
        for _ in 0..due {
            let meant_at_us =
                interval_us.map_or_else(|| shared.now_us(), |us| begin + scaled(sequence, us));
            let stamp = Stamp { publisher: number, sequence, meant_at_us };
            publish.put(&mut buffer, topics.of(sequence), stamp);
            sequence += 1;
        }
        if due > 0 {
            flow.sent.store(sequence, Ordering::Relaxed);
            send(&mut *socket.lock().await, &buffer).await?;
            buffer.clear();
        } else if room == 0 {
            // Bounded, in case that something was lost.
            let _ = time::timeout(Duration::from_millis(100), moved).await;
        } else if let (Some(us), Some(pacer)) = (interval_us, &pacer) {
            let due_us = begin + scaled(sequence, us);
            pacer.wait(Duration::from_micros(due_us.saturating_sub(now_us))).await?;
        }
    }
    Ok(())
}

/// Counts what is complete and answers PUBREC, until the broker closes.
pub(crate) async fn acknowledged(
    shared: Arc<Shared>,
    publisher: u16,
    mut socket: Reader,
    mut buffer: BytesMut,
    writer: SharedWriter,
) -> io::Result<()> {
    let flow = &shared.flows[usize::from(publisher)];
    let (protocol, mut answers) = (shared.load.connector.protocol, BytesMut::new());
    loop {
        let mut completed = 0;
        while let Some(packet) = packet::next(&mut buffer, protocol) {
            completed += u64::from(matches!(packet, Packet::Completed(_)));
            put_answer(&mut answers, packet);
        }
        if !answers.is_empty() {
            send(&mut *writer.lock().await, &answers).await?;
            answers.clear();
        }
        flow.acknowledged.fetch_add(completed, Ordering::Relaxed);
        flow.moved.notify_one();
        if client::read(&mut socket, &mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

/// How many messages the window allows at once.
fn room(window: u64, sent: u64, done: u64) -> u64 {
    window.saturating_sub(sent.saturating_sub(done)).min(BATCH_MAX)
}

/// How many messages are no longer on their way.
fn done(load: &Load, flow: &Flow) -> u64 {
    let mut done = flow.delivered.load(Ordering::Relaxed) / load.copies();
    if load.qos > 0 {
        done = done.min(flow.acknowledged.load(Ordering::Relaxed));
    }
    done
}

/// How many messages are due after so many microseconds and were not sent; none before the first is due.
fn due(elapsed_us: Option<u64>, interval_us: f64, sent: u64) -> u64 {
    let Some(elapsed_us) = elapsed_us else { return 0 };
    (whole(float(elapsed_us) / interval_us) + 1).saturating_sub(sent)
}

fn scaled(sequence: u64, interval_us: f64) -> u64 {
    whole((float(sequence) * interval_us).ceil())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_due_at_its_time_and_not_a_microsecond_earlier() {
        for interval_us in [500.0, 333.333_333] {
            for sequence in 1..1_000 {
                let at = scaled(sequence, interval_us);
                assert_eq!(due(Some(at), interval_us, sequence), 1, "{sequence} at {at}");
                assert_eq!(due(Some(at - 1), interval_us, sequence), 0, "{sequence} before {at}");
            }
            assert_eq!(due(Some(0), interval_us, 0), 1, "the first");
            assert_eq!(due(None, interval_us, 0), 0, "before the first");
        }
    }
}
