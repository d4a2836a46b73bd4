//! Conducts a run: starts the cluster and the clients, strikes, heals, drains, judges.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use history::{Recorder, What};
use tokio::task::JoinSet;
use tokio::time;

use crate::board::{Board, Phase, Standing};
use crate::client::{Client, Places};
use crate::cluster::{Binaries, Cluster, Disk, Shape};
use crate::disks::Disks;
use crate::faults::{self, LOOK, READY_MAX};
use crate::outage::{self, Fault};
use crate::plan::{self, Plan};
use crate::random::Random;
use crate::report::Report;
use crate::schedule::{Order, Schedule, Seen, Settings, Turn};

/// Events that are recorded at most, at 28 bytes each.
const EVENTS_MAX: u32 = 50_000_000;

/// How long clients may take to get what they are owed; they give up earlier when nothing comes.
const DRAIN_MAX: Duration = Duration::from_secs(300);

/// Between two lines of progress.
const TELL: Duration = Duration::from_secs(10);

/// Whether clients move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roaming {
    /// Each connection goes to any broker.
    Anywhere,
    /// Each client has its broker: sessions are found there only.
    Never,
}

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The programs under test.
    pub binaries: Binaries,
    /// Processes and faults.
    pub settings: Settings,
    /// Of servers.
    pub disk: Disk,
    /// Further lines of their configuration.
    pub server_keys: Vec<String>,
    /// While publishers publish.
    pub lasts: Duration,
    /// Of chance.
    pub seed: u64,
    /// Messages per second of all publishers together.
    pub rate: u32,
    /// Publishers that only publish.
    pub publishers: u16,
    /// Whether clients move.
    pub roaming: Roaming,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each says what failed")]
pub enum Failed {
    #[error("a process cannot be started")]
    Start(#[from] io::Error),
    #[error("{0}")]
    Ended(String),
    #[error("not ready in time: {0}")]
    NotReady(String),
    #[error("not subscribed in time: {0}")]
    NotSubscribed(String),
}

/// A run in progress.
struct Run<'a> {
    options: Options,
    cluster: Cluster,
    board: Arc<Board>,
    faults: Vec<Fault>,
    crashes: Vec<String>,
    disks: Disks,
    start: Instant,
    tell: &'a (dyn Fn(&str) + Sync),
}

/// Runs in `folder`, which gets configurations, logs and data; `tell` takes lines of progress.
///
/// # Errors
/// [`Failed`] when the cluster does not even begin to work.
pub async fn run(
    options: Options,
    folder: &Path,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Report, Failed> {
    let Settings { servers, brokers, .. } = options.settings;
    let (disk, server_keys) = (options.disk, options.server_keys.clone());
    let shape = Shape { servers, brokers, disk, server_keys };
    let cluster = Cluster::prepare(&options.binaries, &shape, folder)?;
    let plans = plan::cast(options.publishers);
    let board = Arc::new(Board::new(Recorder::new(EVENTS_MAX), &plans));
    let (faults, crashes) = (Vec::new(), Vec::new());
    let (disks, start) = (Disks::of(servers), Instant::now());
    let mut run = Run { options, cluster, board, faults, crashes, disks, start, tell };
    run.declare();
    run.begin().await?;
    let mut random = Random::new(run.options.seed);
    let mut clients = run.clients(plans, &mut random);
    run.subscribe().await?;
    run.conduct(random).await?;
    let unfinished = run.finish().await?;
    run.board.enter(Phase::End);
    // Whoever cannot even say goodbye is no worse for it.
    drop(time::timeout(READY_MAX, async { while clients.join_next().await.is_some() {} }).await);
    Ok(run.report(unfinished))
}

impl Run<'_> {
    fn declare(&self) {
        let lasts = self.options.lasts + 4 * READY_MAX + DRAIN_MAX;
        let seconds = u32::try_from(lasts.as_secs()).unwrap_or(u32::MAX);
        self.board.record("ha-chaos", 0, What::LastsAtMost { seconds });
    }

    async fn begin(&mut self) -> Result<(), Failed> {
        for process in self.cluster.processes() {
            self.cluster.obey(Order::Start(process))?;
        }
        self.wait_ready().await
    }

    async fn wait_ready(&mut self) -> Result<(), Failed> {
        let Self { cluster, disks, start, .. } = self;
        faults::ready(cluster, |cluster, seen| {
            disks.see(start.elapsed(), seen, |server| cluster.said_that_it_lost_records(server));
        })
        .await
    }

    fn clients(&self, plans: Vec<Plan>, random: &mut Random) -> JoinSet<()> {
        let addresses = self.cluster.addresses();
        let publishers = plans.iter().filter(|plan| plan.publishes.is_some()).count();
        let publishers = u32::try_from(publishers).expect("few");
        let rate = self.options.rate.div_ceil(publishers.max(1));
        let mut tasks = JoinSet::new();
        for (index, plan) in plans.into_iter().enumerate() {
            let places = match self.options.roaming {
                Roaming::Anywhere => Places::Any(addresses.clone()),
                Roaming::Never => Places::One(addresses[index % addresses.len()]),
            };
            let client = Client::new(plan, Arc::clone(&self.board), places, rate, random.fork());
            tasks.spawn(client.run());
        }
        tasks
    }

    async fn subscribe(&self) -> Result<(), Failed> {
        let late = self.wait("subscribe", READY_MAX, |standing| standing.is_subscribed).await;
        if late.is_empty() { Ok(()) } else { Err(Failed::NotSubscribed(late.join(", "))) }
    }

    /// Waits until all clients are so far; returns those that are not.
    async fn wait(
        &self,
        what: &str,
        limit: Duration,
        is_done: impl Fn(&Standing) -> bool,
    ) -> Vec<String> {
        let (since, mut told) = (Instant::now(), Instant::now());
        loop {
            let standings = self.board.standings();
            let late = standings.iter().filter(|(_, standing)| !is_done(standing));
            let names: Vec<_> = late.clone().map(|(id, _)| id.clone()).collect();
            if names.is_empty() || since.elapsed() > limit {
                return names;
            }
            if told.elapsed() > TELL {
                told = Instant::now();
                let missing: usize = late.clone().filter_map(|(_, it)| it.missing).sum();
                let unanswered: usize = late.map(|(_, it)| it.unanswered).sum();
                (self.tell)(&format!(
                    "waiting for {} clients to {what} ({unanswered} publishes unanswered, \
                     {missing} deliveries missing)",
                    names.len()
                ));
            }
            time::sleep(LOOK).await;
        }
    }

    /// Publishers publish, processes die.
    async fn conduct(&mut self, mut random: Random) -> Result<(), Failed> {
        self.board.enter(Phase::Publish);
        let mut schedule = Schedule::new(self.options.settings.clone(), random.fork());
        let (start, mut told) = (Instant::now(), Instant::now());
        while start.elapsed() < self.options.lasts {
            self.turn(start, &mut schedule).await?;
            if told.elapsed() > TELL {
                told = Instant::now();
                let (answered, faults) = (self.board.answers().len(), self.faults.len());
                let seconds = start.elapsed().as_secs();
                (self.tell)(&format!("{seconds} s: {answered} acknowledged, {faults} faults"));
            }
            time::sleep(LOOK).await;
        }
        for order in schedule.end() {
            self.obey(order)?;
        }
        Ok(())
    }

    async fn turn(&mut self, start: Instant, schedule: &mut Schedule) -> Result<(), Failed> {
        if self.options.settings.targets.is_empty() {
            return self.look_after();
        }
        let seen = self.cluster.look(|process| schedule.is_away(process)).await;
        self.judge_disks(&seen);
        self.look_after()?;
        let Turn { fault, orders } = schedule.step(start.elapsed(), &seen);
        if let Some(target) = fault {
            self.faults.push(Fault { at: Instant::now(), target });
            faults::announce(self.tell, &self.cluster, start, target, &orders);
        }
        // All that happens at the same moment is recorded before any of it.
        for &order in &orders {
            self.board.record(self.cluster.name(order.process()), 0, What::Fault);
        }
        orders.into_iter().try_for_each(|order| self.perform(order))
    }

    fn perform(&mut self, order: Order) -> Result<(), Failed> {
        self.cluster.obey(order)?;
        self.disks.note(self.start.elapsed(), order);
        Ok(())
    }

    fn judge_disks(&mut self, seen: &Seen) {
        let said = |server| self.cluster.said_that_it_lost_records(server);
        self.disks.see(self.start.elapsed(), seen, said);
    }

    /// A process that ended by itself is reported, and started again: there may be more to find.
    fn look_after(&mut self) -> Result<(), Failed> {
        while let Some(ended) = self.cluster.ended() {
            (self.tell)(&ended);
            self.crashes.push(ended);
            for process in self.cluster.processes() {
                if self.cluster.has_ended(process) {
                    self.obey(Order::Start(process))?;
                }
            }
        }
        Ok(())
    }

    fn obey(&mut self, order: Order) -> Result<(), Failed> {
        self.board.record(self.cluster.name(order.process()), 0, What::Fault);
        self.perform(order)
    }

    /// Everybody comes back and gets what it is owed; returns those who did not.
    async fn finish(&mut self) -> Result<Vec<String>, Failed> {
        self.board.enter(Phase::Settle);
        (self.tell)("faults and publishers stop");
        self.wait_ready().await?;
        let settled = |it: &Standing| it.is_subscribed && it.unanswered == 0;
        let mut unfinished = self.wait("settle", READY_MAX, settled).await;
        self.board.enter(Phase::Drain);
        unfinished.extend(self.wait("drain", DRAIN_MAX, |standing| standing.is_drained).await);
        unfinished.sort_unstable();
        unfinished.dedup();
        Ok(unfinished)
    }

    fn report(self, unfinished: Vec<String>) -> Report {
        let history = self.board.recorder.take();
        let verdict = history.check();
        let standings = self.board.standings();
        Report {
            history,
            verdict,
            oddities: self.board.oddities(),
            unfinished,
            crashes: self.crashes,
            disks: self.disks.complaints().to_vec(),
            outages: outage::outages(&self.faults, &self.board.answers()),
            connections: standings.values().map(|it| u64::from(it.connections)).sum(),
        }
    }
}
