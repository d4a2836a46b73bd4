//! Share groups while members, brokers and leaders die: publishers and durable members on all brokers.
//! Nothing may be lost, or be with two members of a group ([`history::share`], P9).
//!
//! First there is a calm, after which every member must have got as many messages as others; then
//! processes are killed, and members let their connections go; at last all come back, and get
//! what is left.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use history::share::{self, What};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;

use crate::client::Places;
use crate::cluster::{Cluster, Shape};
use crate::faults::{self, Faults, LOOK, READY_MAX};
use crate::random::Random;
use crate::run::{Failed, Options, Roaming};
use crate::schedule::{Order, Process};

mod log;
mod member;
mod outcome;
mod publisher;

use log::Log;
use member::Member;
pub use outcome::Outcome;
use publisher::Publisher;

/// Topics that publishers publish to, at random.
const TOPICS: u64 = 8;

/// Before a client connects again that lost its connection, in milliseconds.
const PAUSE_MS: (u64, u64) = (10, 150);

/// Without a fault at the beginning: a quarter of the time, but not more than this.
const CALM_MAX: Duration = Duration::from_secs(10);

/// How long members may go without anything before what is missing is taken for lost.
const DRAIN_MAX: Duration = Duration::from_secs(60);

/// What may come late, and twice, comes in this time after all is acknowledged: a lease, and more.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// What clients do at this time of the run, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Publishers publish, nobody dies.
    Calm,
    /// Publishers wait.
    Pause,
    /// Publishers publish, members die.
    Storm,
    /// Publishers end, members come back.
    Drain,
    /// Everybody goes.
    End,
}

/// What to do.
#[derive(Clone, Debug)]
pub struct Shares {
    /// Programs, processes, faults, publishers and the rest. `lasts` is calm and storm together.
    pub options: Options,
    /// Share groups, all over the same topics.
    pub groups: u16,
    /// Members of each.
    pub members: u16,
}

/// A run in progress.
struct Run<'a> {
    shares: Shares,
    cluster: Cluster,
    log: Arc<Log>,
    phase: watch::Sender<Phase>,
    random: Random,
    tell: &'a dyn Fn(&str),
}

/// Runs in `folder`, which gets configurations, logs, data, and all that was observed; `tell` takes lines
/// of progress.
///
/// # Errors
/// [`Failed`] when the cluster does not begin to work, or does not come back.
pub async fn run(shares: Shares, folder: &Path, tell: &dyn Fn(&str)) -> Result<Outcome, Failed> {
    let Options { settings, disk, server_keys, binaries, seed, .. } = &shares.options;
    let (servers, brokers) = (settings.servers, settings.brokers);
    let shape = Shape { servers, brokers, disk: *disk, server_keys: server_keys.clone() };
    let cluster = Cluster::prepare(binaries, &shape, folder)?;
    let (log, random) = (Arc::new(Log::new()), Random::new(*seed));
    let phase = watch::Sender::new(Phase::Calm);
    let mut run = Run { shares, cluster, log, phase, random, tell };
    for process in run.cluster.processes() {
        run.cluster.obey(Order::Start(process))?;
    }
    faults::ready(&mut run.cluster, |_, _| ()).await?;
    let mut members = run.members().await?;
    let faults = run.conduct().await?;
    run.phase.send_replace(Phase::End);
    while members.join_next().await.is_some() {}
    let books = run.log.books().clone();
    let mut lines = BufWriter::new(File::create(folder.join("events.txt"))?);
    books.events.iter().try_for_each(|event| writeln!(lines, "{event:?}"))?;
    lines.flush()?;
    let verdict = share::check(&books.events);
    Ok(Outcome { faults, verdict, left_out: books.left_out, oddities: books.oddities })
}

impl Shares {
    /// Three groups.
    #[must_use]
    pub fn of(options: Options, members: u16) -> Self {
        Self { options, groups: 3, members }
    }
}

impl Run<'_> {
    /// All members, who have subscribed.
    async fn members(&mut self) -> Result<JoinSet<()>, Failed> {
        let Shares { groups, members, .. } = self.shares;
        let mut tasks = JoinSet::new();
        let names = (1..=groups)
            .flat_map(|group| (1..=members).map(move |number| share::Member { group, number }));
        for (index, name) in names.enumerate() {
            let member = Member {
                name,
                places: self.places(index),
                brokers: self.cluster.addresses(),
                random: self.random.fork(),
                log: Arc::clone(&self.log),
                phase: self.phase.subscribe(),
                is_subscribed: false,
            };
            tasks.spawn(member.run());
        }
        let (all, since) = (usize::from(groups) * usize::from(members), Instant::now());
        while self.log.books().subscribed.len() < all {
            if since.elapsed() > READY_MAX {
                return Err(Failed::NotSubscribed("members of share groups".into()));
            }
            time::sleep(LOOK).await;
        }
        Ok(tasks)
    }

    fn publishers(&mut self) -> JoinSet<()> {
        let Options { publishers, rate, .. } = self.shares.options;
        let mut tasks = JoinSet::new();
        for number in 1..=publishers {
            let publisher = Publisher {
                number: number.into(),
                places: self.places(number.into()),
                brokers: self.cluster.addresses(),
                random: self.random.fork(),
                log: Arc::clone(&self.log),
                phase: self.phase.subscribe(),
                every: Duration::from_secs(publishers.into()) / rate,
                sent: 0,
                unanswered: std::collections::BTreeMap::new(),
            };
            tasks.spawn(publisher.run());
        }
        tasks
    }

    /// Those that stay do so on all brokers.
    fn places(&self, index: usize) -> Places {
        let mut addresses = self.cluster.addresses();
        match self.shares.options.roaming {
            Roaming::Anywhere => Places::Any(addresses),
            Roaming::Never => Places::One(addresses.swap_remove(index % addresses.len())),
        }
    }

    /// Calm, storm and drain; how many faults there were.
    async fn conduct(&mut self) -> Result<usize, Failed> {
        let mut publishers = self.publishers();
        let lasts = self.shares.options.lasts;
        let calm = CALM_MAX.min(lasts / 4);
        time::sleep(calm).await;
        self.phase.send_replace(Phase::Pause);
        if self.drain().await == 0 {
            self.log.record(What::Quiet);
        }
        (self.tell)("the calm is over");
        self.phase.send_replace(Phase::Storm);
        let faults = self.strike(lasts - calm).await?;
        self.phase.send_replace(Phase::Drain);
        (self.tell)("faults and publishers stop");
        while publishers.join_next().await.is_some() {}
        faults::ready(&mut self.cluster, |_, _| ()).await?;
        self.drain().await;
        time::sleep(AFTERWARDS).await;
        Ok(faults)
    }

    async fn strike(&mut self, lasts: Duration) -> Result<usize, Failed> {
        let (settings, random) = (&self.shares.options.settings, self.random.fork());
        let log = Arc::clone(&self.log);
        let note = |order| match order {
            Order::Kill(process) | Order::Stop(process) => log.record(What::Down(named(process))),
            Order::Start(process) | Order::Continue(process) => {
                log.record(What::Up(named(process)));
            }
            Order::Damage(..) => (),
        };
        Faults { settings, lasts, random, tell: self.tell }.strike(&mut self.cluster, note).await
    }

    /// Waits until everything is acknowledged, or nobody gets anything; how much is missing.
    async fn drain(&self) -> usize {
        let (mut since, mut acknowledged) = (Instant::now(), 0);
        loop {
            let open = {
                let mut books = self.log.books();
                if books.acknowledged != acknowledged {
                    (since, acknowledged) = (Instant::now(), books.acknowledged);
                }
                books.unanswered + books.missing(self.shares.groups.into())
            };
            if open == 0 || since.elapsed() > DRAIN_MAX {
                return open;
            }
            time::sleep(LOOK).await;
        }
    }
}

/// The broker at an address, which is one of these.
fn broker(all: &[SocketAddr], address: SocketAddr) -> share::Process {
    let index = all.iter().position(|broker| *broker == address);
    named(Process::Broker(index.expect("it was picked among them")))
}

/// Counted from 1.
fn named(process: Process) -> share::Process {
    let number = |index: usize| u16::try_from(index + 1).expect("few");
    match process {
        Process::Server(index) => share::Process::Server(number(index)),
        Process::Broker(index) => share::Process::Broker(number(index)),
    }
}
