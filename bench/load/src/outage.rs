//! How long a publisher waits for its acknowledgements when something is done to a cluster.
//!
//! It publishes at QoS 1, at a steady pace, what a session that is away must get: an acknowledgement
//! means that a majority has it.

use std::io;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task;
use tokio::time::{self, MissedTickBehavior};

use crate::client::{self, Connected, Packet, Session, Stamp};

const TOPIC: &str = "bench/outage";

/// Bytes of payload.
const SIZE: u32 = 256;

/// Packet identifiers must not come round.
const MESSAGES_MAX: usize = 65_000;

/// How long the cluster may take to go on.
const OUTAGE_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where it publishes.
    #[arg(long, value_name = "HOST:PORT")]
    publish: String,
    /// What is done, for the shell.
    #[arg(long, value_name = "COMMAND")]
    strike: String,
    /// Milliseconds between two publishes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Milliseconds of publishing before.
    #[arg(long, default_value_t = 1_000)]
    before: u64,
    /// Milliseconds of publishing after, at least.
    #[arg(long, default_value_t = 2_000)]
    after: u64,
}

/// One publish.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Instant,
    acknowledged: Option<Instant>,
}

/// When it was done: before the command began, and after it had ended.
#[derive(Clone, Copy, Debug)]
struct Strike {
    began: Instant,
    ended: Instant,
}

/// What the publisher saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    /// From the beginning of the strike to the first acknowledgement of what was sent after its end.
    next: Option<Duration>,
    /// The longest time without an acknowledgement, from the beginning of the strike on.
    gap: Duration,
    /// The same, before.
    gap_before: Duration,
}

type Log = Arc<Mutex<Vec<Sent>>>;

/// Prints how long it waited.
pub(crate) async fn run(args: Args) -> io::Result<()> {
    let away_id = format!("bench-away-{}", std::process::id());
    let mut away = client::connect(&args.publish, &away_id, Session::Kept).await?;
    away.subscribe(TOPIC, 1).await?;
    away.leave().await?;
    let id = format!("bench-outage-{}", std::process::id());
    let open = client::connect(&args.publish, &id, Session::Clean).await?;
    let Connected { socket, buffer, .. } = open;
    let (reader, writer) = socket.into_split();
    let log = Log::default();
    let publishing = tokio::spawn(publish(writer, args.every, Arc::clone(&log)));
    let answers = tokio::spawn(take(reader, buffer, Arc::clone(&log)));
    time::sleep(Duration::from_millis(args.before)).await;
    let strike = task::spawn_blocking(move || strike(&args.strike));
    let strike = strike.await.map_err(io::Error::other)??;
    let after = Duration::from_millis(args.after);
    while !answers.is_finished() && strike.began.elapsed() < OUTAGE_MAX {
        time::sleep(Duration::from_millis(100)).await;
        if strike.ended.elapsed() > after && seen(&lock(&log), strike).next.is_some() {
            break;
        }
    }
    publishing.abort();
    answers.abort();
    print(&seen(&lock(&log), strike));
    client::forget(&args.publish, &away_id).await
}

fn print(seen: &Seen) {
    let millis = |time: Duration| time.as_secs_f64() * 1_000.0;
    match seen.next {
        Some(next) => println!("next        {:>12.2} ms", millis(next)),
        None => println!("next        {:>12} ms", "never"),
    }
    println!("gap         {:>12.2} ms", millis(seen.gap));
    println!("gap-before  {:>12.2} ms", millis(seen.gap_before));
}

fn strike(command: &str) -> io::Result<Strike> {
    let began = Instant::now();
    let status = Command::new("sh").arg("-c").arg(command).stdout(Stdio::null()).status()?;
    if !status.success() {
        return Err(io::Error::other(format!("{command}: {status}")));
    }
    Ok(Strike { began, ended: Instant::now() })
}

async fn publish(mut socket: OwnedWriteHalf, every_ms: u64, log: Log) -> io::Result<()> {
    let mut pace = time::interval(Duration::from_millis(every_ms));
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (padding, mut out) = (client::padding(SIZE), BytesMut::new());
    for sequence in 0..MESSAGES_MAX {
        pace.tick().await;
        let stamp = Stamp { publisher: 0, sequence: sequence as u64, meant_at_us: 0 };
        client::put_publish(&mut out, TOPIC, 1, stamp, &padding);
        lock(&log).push(Sent { at: Instant::now(), acknowledged: None });
        socket.write_all_buf(&mut out).await?;
    }
    Ok(())
}

async fn take(mut socket: OwnedReadHalf, mut buffer: BytesMut, log: Log) -> io::Result<()> {
    while client::read(&mut socket, &mut buffer).await? > 0 {
        let now = Instant::now();
        let mut log = lock(&log);
        while let Some(packet) = client::next(&mut buffer) {
            if let Packet::Completed(id) = packet
                && let Some(sent) = log.get_mut(usize::from(id) - 1)
            {
                sent.acknowledged = sent.acknowledged.or(Some(now));
            }
        }
    }
    Ok(())
}

/// Decides what was seen.
fn seen(log: &[Sent], strike: Strike) -> Seen {
    let after = log.iter().filter(|sent| sent.at >= strike.ended);
    let next = after.filter_map(|sent| sent.acknowledged).min();
    let mut answers: Vec<_> = log.iter().filter_map(|sent| sent.acknowledged).collect();
    answers.sort_unstable();
    let (mut gap, mut gap_before) = (Duration::ZERO, Duration::ZERO);
    for pair in answers.windows(2) {
        let longest = if pair[1] >= strike.began { &mut gap } else { &mut gap_before };
        *longest = (*longest).max(pair[1] - pair[0]);
    }
    Seen { next: next.map(|at| at - strike.began), gap, gap_before }
}

/// Each change is complete when the lock is released, also by a panic.
fn lock(log: &Log) -> std::sync::MutexGuard<'_, Vec<Sent>> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(start: Instant, all: &[(u64, u64)]) -> Vec<Sent> {
        let at = |ms: u64| start + Duration::from_millis(ms);
        let sent = |&(sent, answered)| Sent { at: at(sent), acknowledged: Some(at(answered)) };
        all.iter().map(sent).collect()
    }

    #[test]
    fn answer_to_what_was_sent_before_the_strike_ended_is_not_the_next() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let strike = Strike { began: at(10), ended: at(12) };
        let seen = seen(&log(start, &[(0, 1), (8, 11), (11, 12), (13, 400), (15, 399)]), strike);
        assert_eq!(seen.next, Some(Duration::from_millis(389)));
        assert_eq!(seen.gap, Duration::from_millis(387));
        assert_eq!(seen.gap_before, Duration::ZERO);
    }

    #[test]
    fn gap_that_began_before_the_strike_counts_as_its_own() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let strike = Strike { began: at(10), ended: at(10) };
        let seen = seen(&log(start, &[(0, 1), (2, 4), (5, 60)]), strike);
        assert_eq!((seen.gap_before, seen.gap), (at(4) - at(1), at(60) - at(4)));
        assert_eq!(seen.next, None);
    }
}
