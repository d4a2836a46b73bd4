//! Runs a load and counts what comes of it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::time;

use crate::client::{self, Packet, Stamp};
use crate::processes::processor_time;
use crate::shape::Pattern;

/// How long what is on its way at the end may take.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// What to do.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) pattern: Pattern,
    pub(crate) clients: usize,
    pub(crate) publish: String,
    pub(crate) subscribe: String,
    pub(crate) qos: u8,
    pub(crate) size: usize,
    pub(crate) window: usize,
    pub(crate) rate: u64,
    pub(crate) seconds: Duration,
    pub(crate) warm_up: Duration,
    pub(crate) pids: Vec<u32>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) delivered_per_second: f64,
    pub(crate) sent_per_second: f64,
    pub(crate) latency_us: Histogram<u64>,
    pub(crate) lost: u64,
    pub(crate) duplicates: u64,
    pub(crate) reordered: u64,
    pub(crate) cpu_seconds_per_million: Vec<(u32, f64)>,
}

/// One publisher's progress, as it and its subscribers see it.
#[derive(Debug, Default)]
struct Flow {
    sent: AtomicU64,
    /// Deliveries, counted over all subscribers.
    delivered: AtomicU64,
    acknowledged: AtomicU64,
    moved: Notify,
}

struct Shared {
    load: Load,
    start: Instant,
    flows: Vec<Flow>,
    counts: AtomicBool,
    stops: AtomicBool,
}

impl Shared {
    fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).expect("fits for 500,000 years")
    }

    fn total(&self, of: impl Fn(&Flow) -> &AtomicU64) -> u64 {
        self.flows.iter().map(|flow| of(flow).load(Ordering::Relaxed)).sum()
    }
}

/// What one subscriber saw.
struct Seen {
    latency_us: Histogram<u64>,
    duplicates: u64,
    reordered: u64,
}

pub(crate) async fn run(load: Load) -> io::Result<Report> {
    let publishers = load.pattern.publishers(load.clients);
    let subscribers = load.pattern.subscribers(load.clients);
    let flows = (0..publishers).map(|_| Flow::default()).collect();
    let (start, counts, stops) = (Instant::now(), AtomicBool::new(false), AtomicBool::new(false));
    let shared = Arc::new(Shared { load: load.clone(), start, flows, counts, stops });
    let mut subscribing = Vec::new();
    for subscriber in 0..subscribers {
        let id = format!("bench-sub-{}-{subscriber}", std::process::id());
        let (mut socket, mut buffer) = client::connect(&load.subscribe, &id).await?;
        let filter = load.pattern.filter(subscriber);
        client::subscribe(&mut socket, &mut buffer, &filter, load.qos).await?;
        let (reader, writer) = socket.into_split();
        subscribing.push(tokio::spawn(receive(Arc::clone(&shared), reader, writer, buffer)));
    }
    for publisher in 0..publishers {
        let id = format!("bench-pub-{}-{publisher}", std::process::id());
        let (socket, buffer) = client::connect(&load.publish, &id).await?;
        let (reader, writer) = socket.into_split();
        tokio::spawn(acknowledged(Arc::clone(&shared), publisher, reader, buffer));
        tokio::spawn(publish(Arc::clone(&shared), publisher, writer));
    }
    measure(&shared, subscribing).await
}

async fn measure(
    shared: &Arc<Shared>,
    subscribing: Vec<tokio::task::JoinHandle<io::Result<Seen>>>,
) -> io::Result<Report> {
    let load = &shared.load;
    time::sleep(load.warm_up).await;
    shared.counts.store(true, Ordering::Relaxed);
    let cpu = |pid: &u32| (*pid, processor_time(*pid));
    let cpu_before: Vec<_> = load.pids.iter().map(cpu).collect();
    let (began, sent) = (Instant::now(), shared.total(|flow| &flow.sent));
    let delivered = shared.total(|flow| &flow.delivered);
    time::sleep(load.seconds).await;
    shared.counts.store(false, Ordering::Relaxed);
    let seconds = began.elapsed().as_secs_f64();
    let delivered = shared.total(|flow| &flow.delivered) - delivered;
    let sent = shared.total(|flow| &flow.sent) - sent;
    let used = |(pid, before): &(u32, Duration)| {
        let used = processor_time(*pid).saturating_sub(*before);
        (*pid, used.as_secs_f64() * 1e6 / float(delivered.max(1)))
    };
    let cpu_seconds_per_million = cpu_before.iter().map(used).collect();
    drain(shared).await;
    let copies = load.pattern.copies(load.clients) as u64;
    let expected = shared.total(|flow| &flow.sent) * copies;
    let mut report = Report {
        delivered_per_second: float(delivered) / seconds,
        sent_per_second: float(sent) / seconds,
        latency_us: histogram(),
        lost: expected.saturating_sub(shared.total(|flow| &flow.delivered)),
        duplicates: 0,
        reordered: 0,
        cpu_seconds_per_million,
    };
    for task in subscribing {
        let seen = task.await.map_err(io::Error::other)??;
        report.latency_us.add(&seen.latency_us).map_err(io::Error::other)?;
        report.duplicates += seen.duplicates;
        report.reordered += seen.reordered;
    }
    Ok(report)
}

/// Stops the publishers and waits for what is on its way.
async fn drain(shared: &Shared) {
    shared.stops.store(true, Ordering::Relaxed);
    let copies = shared.load.pattern.copies(shared.load.clients) as u64;
    let deadline = Instant::now() + DRAIN_MAX;
    let all = || shared.total(|f| &f.delivered) >= shared.total(|f| &f.sent) * copies;
    while !all() && Instant::now() < deadline {
        time::sleep(Duration::from_millis(20)).await;
    }
}

async fn publish(
    shared: Arc<Shared>,
    publisher: usize,
    mut socket: OwnedWriteHalf,
) -> io::Result<()> {
    let load = &shared.load;
    let (topic, flow) = (Pattern::topic(publisher), &shared.flows[publisher]);
    let padding = vec![b'.'; load.size - client::STAMP_BYTES];
    let copies = load.pattern.copies(load.clients) as u64;
    let publishers = load.pattern.publishers(load.clients) as u64;
    let interval_us = (load.rate > 0).then(|| 1_000_000.0 * float(publishers) / float(load.rate));
    let (mut buffer, begin) = (BytesMut::new(), shared.now_us());
    let mut sequence = 0;
    while !shared.stops.load(Ordering::Relaxed) {
        let moved = flow.moved.notified();
        let room = room(load, flow, sequence, copies);
        let due =
            interval_us.map_or(room, |us| due(shared.now_us() - begin, us, sequence).min(room));
        for _ in 0..due {
            let meant_at_us = match interval_us {
                None => shared.now_us(),
                Some(us) => begin + scaled(sequence, us),
            };
            let stamp = Stamp { publisher: publisher as u64, sequence, meant_at_us };
            client::put_publish(&mut buffer, &topic, load.qos, stamp, &padding);
            sequence += 1;
        }
        if due > 0 {
            flow.sent.store(sequence, Ordering::Relaxed);
            socket.write_all(&buffer).await?;
            buffer.clear();
        } else if room == 0 {
            // Bounded, in case that something was lost.
            let _ = time::timeout(Duration::from_millis(100), moved).await;
        } else {
            time::sleep(Duration::from_micros(200)).await;
        }
    }
    Ok(())
}

/// How many messages the window allows now, at most 64 at a time.
fn room(load: &Load, flow: &Flow, sent: u64, copies: u64) -> u64 {
    let delivered = flow.delivered.load(Ordering::Relaxed) / copies;
    let mut done = delivered;
    if load.qos > 0 {
        done = done.min(flow.acknowledged.load(Ordering::Relaxed));
    }
    (load.window as u64).saturating_sub(sent.saturating_sub(done)).min(64)
}

/// How many messages are due after so many microseconds and were not sent.
fn due(elapsed_us: u64, interval_us: f64, sent: u64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, small")]
    let due = (float(elapsed_us) / interval_us) as u64;
    (due + 1).saturating_sub(sent)
}

fn scaled(sequence: u64, interval_us: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, small")]
    let at = (float(sequence) * interval_us) as u64;
    at
}

async fn acknowledged(
    shared: Arc<Shared>,
    publisher: usize,
    mut socket: OwnedReadHalf,
    mut buffer: BytesMut,
) -> io::Result<()> {
    let flow = &shared.flows[publisher];
    loop {
        let mut pubacks = 0;
        while let Some(packet) = client::next(&mut buffer) {
            pubacks += u64::from(packet == Packet::Puback);
        }
        flow.acknowledged.fetch_add(pubacks, Ordering::Relaxed);
        flow.moved.notify_one();
        if socket.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

async fn receive(
    shared: Arc<Shared>,
    mut socket: OwnedReadHalf,
    mut writer: OwnedWriteHalf,
    mut buffer: BytesMut,
) -> io::Result<Seen> {
    let mut seen = Seen { latency_us: histogram(), duplicates: 0, reordered: 0 };
    let mut next = vec![0; shared.flows.len()];
    let mut answers = BytesMut::new();
    loop {
        let mut moved = vec![0_u64; if buffer.is_empty() { 0 } else { next.len() }];
        while let Some(packet) = client::next(&mut buffer) {
            let Packet::Publish { id, stamp } = packet else { continue };
            let publisher = usize::try_from(stamp.publisher).expect("one of ours");
            moved[publisher] += seen.take(&shared, &mut next[publisher], stamp);
            if let Some(id) = id {
                client::put_puback(&mut answers, id);
            }
        }
        for (flow, delivered) in shared.flows.iter().zip(moved).filter(|(_, n)| *n > 0) {
            flow.delivered.fetch_add(delivered, Ordering::Relaxed);
            flow.moved.notify_one();
        }
        if !answers.is_empty() {
            writer.write_all(&answers).await?;
            answers.clear();
        }
        let read = time::timeout(Duration::from_millis(200), socket.read_buf(&mut buffer)).await;
        match read {
            Ok(Ok(0)) => return Ok(seen),
            Ok(read) => drop(read?),
            Err(_) if shared.stops.load(Ordering::Relaxed) => return Ok(seen),
            Err(_) => (),
        }
    }
}

impl Seen {
    /// Returns how many new messages this is: 1, or 0 for a duplicate.
    fn take(&mut self, shared: &Shared, next: &mut u64, stamp: Stamp) -> u64 {
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

/// 1 µs to 60 s, three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("sane bounds")
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn float(number: u64) -> f64 {
    number as f64
}
