//! What sessions cost whose clients are away.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use tokio::task::JoinSet;
use tokio::time;

use crate::client::{self, Session};
use crate::processes::memory;
use crate::progress::Progress;
use crate::report::Figure;
use crate::run::float;

/// How often a client that was sent away comes back, and after which time: a broker that is short of
/// processors may be taken for lost.
const TRIES_MAX: u32 = 50;
const PAUSE: Duration = Duration::from_millis(200);

/// What was written may still be on its way to a disk.
const SETTLE: Duration = Duration::from_secs(3);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where clients connect, in turn.
    #[arg(long = "broker", value_name = "HOST:PORT", required = true)]
    brokers: Vec<String>,
    /// Sessions.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// What they subscribe to.
    #[arg(long, value_enum, default_value_t = Filters::One)]
    filters: Filters,
    /// Clients at a time.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..))]
    at_a_time: u16,
    /// Processes whose memory is measured.
    #[arg(long = "pid", value_name = "PID")]
    pids: Vec<u32>,
}

/// Of the sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Filters {
    /// `bench/all` for all of them.
    One,
    /// `bench/NUMBER`.
    Each,
}

impl Filters {
    fn of(self, number: u32) -> String {
        match self {
            Self::One => "bench/all".into(),
            Self::Each => format!("bench/{number}"),
        }
    }
}

/// Each client connects, subscribes at QoS 1 and goes away. Measures memory for each session.
pub(crate) async fn run(args: Args) -> io::Result<Vec<Figure>> {
    let resident = |pid: &u32| memory(*pid).resident;
    let before: Vec<_> = args.pids.iter().map(resident).collect();
    let start = Instant::now();
    let args = Arc::new(args);
    make(&args).await?;
    let seconds = start.elapsed().as_secs_f64();
    time::sleep(SETTLE).await;
    let count = f64::from(args.count);
    let mut figures = vec![Figure::measure("made", count / seconds, 0, "sessions/s")];
    for (pid, before) in args.pids.iter().zip(before) {
        let bytes = float(memory(*pid).resident.saturating_sub(before)) / count;
        figures.push(Figure::measure("memory", bytes, 0, "B per session").of_last(*pid));
    }
    Ok(figures)
}

async fn make(args: &Arc<Args>) -> io::Result<()> {
    let (next, mut clients) = (Arc::new(AtomicU32::new(0)), JoinSet::new());
    let made = Progress::of_count("made", args.count.into());
    for _ in 0..args.at_a_time {
        clients.spawn(come_and_go(Arc::clone(args), Arc::clone(&next), made.clone()));
    }
    while let Some(client) = clients.join_next().await {
        client.map_err(io::Error::other)??;
    }
    made.end();
    Ok(())
}

async fn come_and_go(args: Arc<Args>, next: Arc<AtomicU32>, made: Progress) -> io::Result<()> {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= args.count {
            return Ok(());
        }
        let mut tries = 1;
        while let Err(error) = come_once(&args, number).await {
            if tries >= TRIES_MAX {
                return Err(error);
            }
            tries += 1;
            time::sleep(PAUSE).await;
        }
        made.step();
    }
}

async fn come_once(args: &Args, number: u32) -> io::Result<()> {
    let broker = &args.brokers[number as usize % args.brokers.len()];
    let mut client = client::connect(broker, &format!("bench-{number}"), Session::Kept).await?;
    client.subscribe(&args.filters.of(number), 1).await?;
    client.leave().await
}
