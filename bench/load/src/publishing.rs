//! One publisher: sends what its window or its rate allows, and completes the exchanges.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;
use tokio::{task, time};

use crate::client::{self, Packet, Stamp};
use crate::run::{Flow, Load, Shared, float};
use crate::shape::Pattern;

/// Messages that are written at a time.
const BATCH_MAX: u64 = 64;

/// What the timer of the runtime may be late.
const TIMER_LATE_MAX: Duration = Duration::from_millis(3);

/// The half of a socket that PUBLISH and PUBREL share.
pub(crate) type Writer = Arc<Mutex<OwnedWriteHalf>>;

/// Publishes until the load stops.
pub(crate) async fn publish(shared: Arc<Shared>, publisher: u16, socket: Writer) -> io::Result<()> {
    let load = &shared.load;
    let (topic, flow) = (Pattern::topic(publisher), &shared.flows[usize::from(publisher)]);
    let (mut buffer, begin) = (BytesMut::new(), shared.now_us());
    let interval_us = load.interval_us();
    let mut sequence = 0;
    while !shared.stops.load(Ordering::Relaxed) {
        let moved = flow.moved.notified();
        let room = room(load, flow, sequence);
        let elapsed_us = shared.now_us() - begin;
        let due = interval_us.map_or(room, |us| due(elapsed_us, us, sequence).min(room));
        for _ in 0..due {
            let meant_at_us =
                interval_us.map_or_else(|| shared.now_us(), |us| begin + scaled(sequence, us));
            let stamp = Stamp { publisher, sequence, meant_at_us };
            client::put_publish(&mut buffer, &topic, load.qos, stamp, &load.padding);
            sequence += 1;
        }
        if due > 0 {
            flow.sent.store(sequence, Ordering::Relaxed);
            socket.lock().await.write_all(&buffer).await?;
            buffer.clear();
        } else if room == 0 {
            // Bounded, in case that something was lost.
            let _ = time::timeout(Duration::from_millis(100), moved).await;
        } else if let Some(us) = interval_us {
            pause(Duration::from_micros(scaled(sequence, us).saturating_sub(elapsed_us))).await;
        }
    }
    Ok(())
}

/// Counts what is complete and answers PUBREC, until the broker closes.
pub(crate) async fn acknowledged(
    shared: Arc<Shared>,
    publisher: u16,
    mut socket: OwnedReadHalf,
    mut buffer: BytesMut,
    writer: Writer,
) -> io::Result<()> {
    let flow = &shared.flows[usize::from(publisher)];
    let mut answers = BytesMut::new();
    loop {
        let mut completed = 0;
        while let Some(packet) = client::next(&mut buffer) {
            completed += u64::from(matches!(packet, Packet::Completed(_)));
            client::put_answer(&mut answers, packet);
        }
        if !answers.is_empty() {
            writer.lock().await.write_all(&answers).await?;
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
fn room(load: &Load, flow: &Flow, sent: u64) -> u64 {
    let mut done = flow.delivered.load(Ordering::Relaxed) / load.copies();
    if load.qos > 0 {
        done = done.min(flow.acknowledged.load(Ordering::Relaxed));
    }
    load.window.saturating_sub(sent.saturating_sub(done)).min(BATCH_MAX)
}

/// How many messages are due after so many microseconds and were not sent.
fn due(elapsed_us: u64, interval_us: f64, sent: u64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, small")]
    let due = (float(elapsed_us) / interval_us) as u64;
    (due + 1).saturating_sub(sent)
}

fn scaled(sequence: u64, interval_us: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, small")]
    let at = (float(sequence) * interval_us).ceil() as u64;
    at
}

/// Waits exactly: the runtime's timer counts in milliseconds, which would be most of what is
/// measured.
async fn pause(duration: Duration) {
    if duration > TIMER_LATE_MAX {
        time::sleep(duration - TIMER_LATE_MAX).await;
    } else {
        let slept = task::spawn_blocking(move || std::thread::sleep(duration)).await;
        slept.expect("sleeping does not panic");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_due_at_its_time_and_not_a_microsecond_earlier() {
        for interval_us in [500.0, 333.333_333] {
            for sequence in 1..1_000 {
                let at = scaled(sequence, interval_us);
                assert_eq!(due(at, interval_us, sequence), 1, "{sequence} at {at}");
                assert_eq!(due(at - 1, interval_us, sequence), 0, "{sequence} before {at}");
            }
        }
    }
}
