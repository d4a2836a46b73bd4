//! Runs a load and counts what comes of it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::sync::{Mutex, Notify};
use tokio::task::AbortHandle;
use tokio::time;

use crate::client::{Connected, Session};
use crate::connector::Connector;
use crate::limits;
use crate::processes::{memory, processor_time};
use crate::progress::Progress;
use crate::publishing::{Publisher, acknowledged, publish};
use crate::seen::{Group, Seen};
use crate::shape::Pattern;
use crate::subscribing::receive;

/// How long what is on its way at the end may take.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// What to do.
pub(crate) struct Load {
    pub(crate) connector: Connector,
    pub(crate) pattern: Pattern,
    pub(crate) clients: u16,
    /// Where publishers are, in turn; at least one place.
    pub(crate) publish: Vec<String>,
    /// The same for subscribers.
    pub(crate) subscribe: Vec<String>,
    pub(crate) qos: u8,
    /// What follows the stamp.
    pub(crate) padding: Vec<u8>,
    pub(crate) window: u64,
    pub(crate) rate: u64,
    pub(crate) seconds: Duration,
    pub(crate) warm_up: Duration,
    /// Of the subscribers.
    pub(crate) session: Session,
    pub(crate) pids: Vec<u32>,
}

impl Load {
    /// Subscribers that get a message.
    pub(crate) fn copies(&self) -> u64 {
        self.pattern.copies(self.clients).into()
    }

    /// Messages of one publisher that may be on their way to a broker that takes so many exchanges.
    fn window_of(&self, receive_maximum: u16) -> u64 {
        if self.qos > 0 { self.window.min(receive_maximum.into()) } else { self.window }
    }

    /// Between two messages of one publisher; `None`: as fast as the window allows.
    pub(crate) fn interval_us(&self) -> Option<f64> {
        let publishers = float(self.pattern.publishers(self.clients).into());
        (self.rate > 0).then(|| 1_000_000.0 * publishers / float(self.rate))
    }

    /// When the first message of a publisher is due that is ready at `now_us`.
    ///
    /// At a rate the publishers take turns, each at the same distance to the one before: otherwise how
    /// fast a broker answered their CONNECT would decide how often their messages meet.
    pub(crate) fn first_due_us(&self, publisher: u16, now_us: u64) -> u64 {
        let Some(interval_us) = self.interval_us() else { return now_us };
        let turn_us = float(publisher.into()) * 1_000_000.0 / float(self.rate);
        let rounds = ((float(now_us) - turn_us) / interval_us).ceil().max(0.0);
        whole((turn_us + rounds * interval_us).ceil())
    }
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
    pub(crate) costs: Vec<Cost>,
}

/// What a process took for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) pid: u32,
    /// Processor time for a million deliveries.
    pub(crate) seconds_per_million: f64,
    /// Bytes at the end of the time that counts.
    pub(crate) resident: u64,
}

/// One publisher's progress, as it and its subscribers see it.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    pub(crate) sent: AtomicU64,
    /// Deliveries, counted over all subscribers.
    pub(crate) delivered: AtomicU64,
    /// Exchanges that are complete.
    pub(crate) acknowledged: AtomicU64,
    /// What came, where no subscriber alone can tell.
    pub(crate) group: std::sync::Mutex<Group>,
    pub(crate) moved: Notify,
}

/// A subscriber at work.
type Subscribing = tokio::task::JoinHandle<io::Result<Seen>>;

/// What all publishers and subscribers see.
pub(crate) struct Shared {
    pub(crate) load: Load,
    start: Instant,
    pub(crate) flows: Vec<Flow>,
    /// Whether latency is recorded.
    pub(crate) counts: AtomicBool,
    /// Whether nothing more is sent.
    pub(crate) stops: AtomicBool,
    /// Whether nothing more is waited for.
    pub(crate) ends: AtomicBool,
}

impl Shared {
    pub(crate) fn new(load: Load) -> Self {
        let publishers = load.pattern.publishers(load.clients);
        let flows = (0..publishers).map(|_| Flow::default()).collect();
        let [counts, stops, ends] = [(); 3].map(|()| AtomicBool::new(false));
        Self { load, start: Instant::now(), flows, counts, stops, ends }
    }

    /// Since the load was made.
    pub(crate) fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).expect("fits for 500,000 years")
    }

    fn total(&self, of: impl Fn(&Flow) -> &AtomicU64) -> u64 {
        self.flows.iter().map(|flow| of(flow).load(Ordering::Relaxed)).sum()
    }
}

pub(crate) async fn run(load: Load) -> io::Result<Report> {
    let publishers = load.pattern.publishers(load.clients);
    let subscribers = load.pattern.subscribers(load.clients);
    let shared = Arc::new(Shared::new(load));
    let load = &shared.load;
    let clocks = if load.rate > 0 { publishers } else { 0 };
    limits::make_room([publishers, subscribers, clocks].map(u64::from).iter().sum())?;
    let (mut subscribing, mut connections) = (Vec::new(), Vec::new());
    for subscriber in 0..subscribers {
        subscribing.push(begin_subscriber(&shared, subscriber).await?);
    }
    connections.extend(subscribing.iter().map(Subscribing::abort_handle));
    for publisher in 0..publishers {
        connections.extend(begin_publisher(&shared, publisher).await?);
    }
    let report = measure(&shared, subscribing, &connections).await;
    if load.session == Session::Kept {
        let kept = |number| (in_turn(&load.subscribe, number), subscriber_id(number));
        load.connector.forget_all((0..subscribers).map(kept)).await;
    }
    report
}

async fn begin_subscriber(shared: &Arc<Shared>, subscriber: u16) -> io::Result<Subscribing> {
    let (load, id) = (&shared.load, subscriber_id(subscriber));
    let place = in_turn(&load.subscribe, subscriber);
    let mut open = load.connector.connect(place, &id, load.session).await?;
    open.subscribe(&load.pattern.filter(subscriber), load.qos).await?;
    let Connected { socket, buffer, .. } = open;
    let seen = Seen::new(load, subscriber);
    Ok(tokio::spawn(receive(Arc::clone(shared), seen, socket.into_split(), buffer)))
}

/// Returns its tasks: one sends, one takes the answers.
async fn begin_publisher(shared: &Arc<Shared>, number: u16) -> io::Result<[AbortHandle; 2]> {
    let (load, id) = (&shared.load, format!("bench-pub-{}-{number}", std::process::id()));
    let place = in_turn(&load.publish, number);
    let open = load.connector.connect(place, &id, Session::Clean).await?;
    let window = load.window_of(open.receive_maximum);
    let Connected { socket, buffer, .. } = open;
    let (reader, writer) = socket.into_split();
    let writer = Arc::new(Mutex::new(writer));
    let answers = Arc::clone(&writer);
    let answers = tokio::spawn(acknowledged(Arc::clone(shared), number, reader, buffer, answers));
    let publisher = Publisher { number, window };
    let publishing = tokio::spawn(publish(Arc::clone(shared), publisher, writer));
    Ok([answers.abort_handle(), publishing.abort_handle()])
}

/// Clients are spread over the places, of which there is at least one.
fn in_turn(places: &[String], client: u16) -> &str {
    &places[usize::from(client) % places.len()]
}

fn subscriber_id(subscriber: u16) -> String {
    format!("bench-sub-{}-{subscriber}", std::process::id())
}

/// A connection that ends before the load does is an error: what is left is another load.
async fn measure(
    shared: &Arc<Shared>,
    subscribing: Vec<Subscribing>,
    connections: &[AbortHandle],
) -> io::Result<Report> {
    let load = &shared.load;
    let progress = Progress::of_time("load", load.warm_up + load.seconds);
    progress.sleep(load.warm_up).await;
    shared.counts.store(true, Ordering::Relaxed);
    let cpu = |pid: &u32| (*pid, processor_time(*pid));
    let cpu_before: Vec<_> = load.pids.iter().map(cpu).collect();
    let (began, sent) = (Instant::now(), shared.total(|flow| &flow.sent));
    let delivered = shared.total(|flow| &flow.delivered);
    progress.sleep(load.seconds).await;
    shared.counts.store(false, Ordering::Relaxed);
    if connections.iter().any(AbortHandle::is_finished) {
        return Err(io::Error::other("a connection ended while it was loaded"));
    }
    let seconds = began.elapsed().as_secs_f64();
    let delivered = shared.total(|flow| &flow.delivered) - delivered;
    let sent = shared.total(|flow| &flow.sent) - sent;
    let cost = |&(pid, before): &(u32, Duration)| {
        let used = processor_time(pid).saturating_sub(before);
        let seconds_per_million = used.as_secs_f64() * 1e6 / float(delivered.max(1));
        Cost { pid, seconds_per_million, resident: memory(pid).resident }
    };
    let costs = cpu_before.iter().map(cost).collect();
    progress.end();
    drain(shared).await;
    let expected = shared.total(|flow| &flow.sent) * load.copies();
    let mut report = Report {
        delivered_per_second: float(delivered) / seconds,
        sent_per_second: float(sent) / seconds,
        latency_us: histogram(),
        lost: expected.saturating_sub(shared.total(|flow| &flow.delivered)),
        duplicates: 0,
        reordered: 0,
        costs,
    };
    for task in subscribing {
        let seen = task.await.map_err(io::Error::other)??;
        report.latency_us.add(&seen.latency_us).map_err(io::Error::other)?;
        report.duplicates += seen.duplicates;
        report.reordered += seen.reordered;
    }
    Ok(report)
}

/// Stops the publishers and waits for what is on its way, then stops the subscribers: one of many may have
/// nothing to read for a while, and messages on their way.
async fn drain(shared: &Shared) {
    shared.stops.store(true, Ordering::Relaxed);
    let copies = shared.load.copies();
    let deadline = Instant::now() + DRAIN_MAX;
    let all = || shared.total(|f| &f.delivered) >= shared.total(|f| &f.sent) * copies;
    while !all() && Instant::now() < deadline {
        time::sleep(Duration::from_millis(20)).await;
    }
    shared.ends.store(true, Ordering::Relaxed);
}

/// 1 µs to 60 s, three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("sane bounds")
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}

/// Without what is behind the point.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, small")]
pub(crate) fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn load(qos: u8) -> Load {
        Load {
            connector: Connector::default(),
            pattern: Pattern::Pairs,
            clients: 2,
            publish: vec!["a:1".into(), "b:1".into()],
            subscribe: vec!["a:1".into()],
            qos,
            padding: Vec::new(),
            window: 512,
            rate: 100,
            seconds: Duration::ZERO,
            warm_up: Duration::ZERO,
            session: Session::Clean,
            pids: Vec::new(),
        }
    }

    #[test]
    fn window_is_no_wider_than_the_broker_allows_for_exchanges() {
        assert_eq!(load(0).window_of(20), 512);
        assert_eq!(load(1).window_of(20), 20);
        assert_eq!(load(2).window_of(u16::MAX), 512);
    }

    #[test]
    fn clients_are_spread_over_the_places() {
        let load = load(0);
        let places = |all| [0, 1, 2].map(|client| in_turn(all, client));
        assert_eq!(places(&load.publish), ["a:1", "b:1", "a:1"]);
        assert_eq!(places(&load.subscribe), ["a:1"; 3]);
    }

    #[test]
    fn rate_is_that_of_all_publishers_together() {
        assert_eq!(load(0).interval_us(), Some(20_000.0));
        assert_eq!(Load { rate: 0, ..load(0) }.interval_us(), None);
    }

    #[test]
    fn publishers_take_turns_at_equal_distances_whenever_they_are_ready() {
        let load = |rate| Load { rate, ..load(0) };
        for (publisher, ready, due) in [
            (0, 0, 0),
            (1, 0, 10_000),
            (0, 1, 20_000),
            (1, 10_000, 10_000),
            (1, 10_001, 30_000),
            (0, 20_000, 20_000),
        ] {
            assert_eq!(load(100).first_due_us(publisher, ready), due, "{publisher} at {ready}");
        }
        assert_eq!(load(0).first_due_us(1, 77), 77);
    }
}
