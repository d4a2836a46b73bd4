//! How the clients of a broker that dies go on elsewhere.
//!
//! Subscribers with sessions that are kept get all messages of a steady publisher on a broker that
//! lives. Their broker is struck; each of them comes back, by itself, where it may.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::task::JoinSet;
use tokio::time;

use crate::client::{self, Connected, Session};
use crate::compose::put_answer;
use crate::connector::Connector;
use crate::packet::{self, Found, Packet, Protocol};
use crate::report::Figure;
use crate::steady::{Publisher, Strike, prepare, strike};
use crate::stream::send;

mod seen;

use seen::{Arrivals, Summary};

const TOPIC: &str = "bench/takeover";

/// One attempt to connect.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// How long clients may take to go on, and to get what they are owed.
const OUTAGE_MAX: Duration = Duration::from_secs(30);

/// For answers that are under way when the publisher stops.
const ANSWERS: Duration = Duration::from_secs(1);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A broker that lives: the publisher is there.
    #[arg(long, value_name = "HOST:PORT")]
    publish: String,
    /// Where the subscribers are first.
    #[arg(long, value_name = "HOST:PORT")]
    subscribe: String,
    /// Where they come back, in turn; by default where they were, as with a load balancer.
    #[arg(long, value_name = "HOST:PORT")]
    retry: Vec<String>,
    /// What is done, for the shell.
    #[arg(long, value_name = "COMMAND")]
    strike: String,
    /// What is done when all are subscribed and one second before --before, for the shell.
    #[arg(long, value_name = "COMMAND")]
    prepare: Option<String>,
    /// Subscribers.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    clients: u32,
    /// Milliseconds between two publishes; each subscriber gets all of them.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Milliseconds between two attempts to connect.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    retry_every: u64,
    /// A client waits this long at most, by chance, before its first attempt, in milliseconds.
    #[arg(long, default_value_t = 0)]
    jitter: u64,
    /// Milliseconds before the strike.
    #[arg(long, default_value_t = 2_000)]
    before: u64,
    /// Milliseconds after it, at least.
    #[arg(long, default_value_t = 3_000)]
    after: u64,
}

/// One subscriber.
struct Subscriber {
    id: String,
    places: Vec<String>,
    retry_every: Duration,
    /// Before the first attempt.
    pause: Duration,
    arrivals: Arc<Mutex<Arrivals>>,
}

/// Measures how many had to move, how they found their sessions, and how long they waited.
pub(crate) async fn run(args: Args) -> io::Result<Vec<Figure>> {
    let mut running = JoinSet::new();
    let mut all = Vec::new();
    for number in 0..args.clients {
        let subscriber = Subscriber::new(&args, number);
        let mut open = client::connect(&args.subscribe, &subscriber.id, Session::Kept).await?;
        open.subscribe(TOPIC, 1).await?;
        all.push(Arc::clone(&subscriber.arrivals));
        running.spawn(subscriber.stay(open));
    }
    let every = Duration::from_millis(args.every);
    let publisher = Publisher::start(&args.publish, TOPIC, every).await?;
    prepare(args.prepare.clone()).await?;
    time::sleep(Duration::from_millis(args.before)).await;
    let strike = strike(args.strike.clone()).await?;
    let all: Vec<_> = all.iter().map(|arrivals| &**arrivals).collect();
    time::sleep(Duration::from_millis(args.after)).await;
    until_all(strike, || all.iter().all(|one| lock(one).is_back(strike))).await;
    publisher.pause();
    time::sleep(ANSWERS).await;
    until_all(strike, || {
        let sent = publisher.sent();
        all.iter().all(|one| lock(one).missing(&sent) == 0)
    })
    .await;
    running.shutdown().await;
    let seen: Vec<_> = all.iter().map(|one| lock(one).clone()).collect();
    let summary = Summary::of(&seen, &publisher.stop(), strike);
    let place = args.retry.first().unwrap_or(&args.subscribe).as_str();
    Connector::default().forget_all((0..args.clients).map(|number| (place, id(number)))).await;
    Ok(figures(&summary))
}

async fn until_all(strike: Strike, done: impl Fn() -> bool) {
    let since = Instant::now().max(strike.ended);
    while !done() && since.elapsed() < OUTAGE_MAX {
        time::sleep(LOOK).await;
    }
}

fn id(number: u32) -> String {
    format!("bench-takeover-{}-{number}", std::process::id())
}

fn figures(summary: &Summary) -> Vec<Figure> {
    vec![
        Figure::count("moved", summary.moved as u64),
        Figure::count("present", summary.present as u64),
        Figure::millis("accepted", summary.accepted_most, 1).noted("slowest"),
        Figure::millis("first", summary.first_median, 1).noted("median"),
        Figure::millis("first-most", summary.first_most, 1),
        Figure::millis("gap", summary.gap, 1),
        Figure::count("lost", summary.lost),
        Figure::count("again", summary.again),
        Figure::count("reordered", summary.reordered),
    ]
}

impl Subscriber {
    fn new(args: &Args, number: u32) -> Self {
        let places = match args.retry.is_empty() {
            true => vec![args.subscribe.clone()],
            false => args.retry.clone(),
        };
        // Spread over the range, and the same in every run.
        let chance = u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        Self {
            id: id(number),
            places,
            retry_every: Duration::from_millis(args.retry_every),
            pause: Duration::from_millis((chance * (args.jitter + 1)) >> 32),
            arrivals: Arc::default(),
        }
    }

    /// Takes what comes, and comes back when the connection ends.
    async fn stay(self, mut open: Connected) {
        loop {
            // Why it ended does not matter.
            drop(self.take(open).await);
            lock(&self.arrivals).ended(Instant::now());
            time::sleep(self.pause).await;
            open = self.connect().await;
            lock(&self.arrivals).connected(Instant::now(), open.found == Found::Present);
            if open.found == Found::New {
                // If that fails, the connection has ended.
                drop(open.subscribe(TOPIC, 1).await);
            }
        }
    }

    async fn connect(&self) -> Connected {
        for place in self.places.iter().cycle() {
            let attempt = client::connect(place, &self.id, Session::Kept);
            if let Ok(Ok(open)) = time::timeout(CONNECT_MAX, attempt).await {
                return open;
            }
            time::sleep(self.retry_every).await;
        }
        unreachable!("there is a place")
    }

    async fn take(&self, open: Connected) -> io::Result<()> {
        let Connected { mut socket, mut buffer, .. } = open;
        let mut answers = BytesMut::new();
        loop {
            while let Some(packet) = packet::next(&mut buffer, Protocol::V311) {
                if let Packet::Publish { stamp, .. } = packet {
                    lock(&self.arrivals).came(Instant::now(), stamp.sequence);
                }
                put_answer(&mut answers, packet);
            }
            send(&mut socket, &answers).await?;
            answers.clear();
            if client::read(&mut socket, &mut buffer).await? == 0 {
                return Ok(());
            }
        }
    }
}

/// Each change is complete when the lock is released, also by a panic.
fn lock(arrivals: &Mutex<Arrivals>) -> std::sync::MutexGuard<'_, Arrivals> {
    arrivals.lock().unwrap_or_else(PoisonError::into_inner)
}
