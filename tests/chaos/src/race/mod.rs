//! Retained messages that race: writers and readers on all brokers, on few topics, while processes die.
//! For each topic there must be one order that explains what everybody saw ([`history::register`], P5).

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use history::register::{self, Anomaly, Kind, NOTHING, Operation};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;

use crate::cluster::{Binaries, Cluster, Disk, Shape};
use crate::faults::{self, Faults, LOOK, READY_MAX};
use crate::random::Random;
use crate::run::{Failed, Options};
use crate::schedule::{Order, Settings};

mod racer;

use racer::{Log, Racer};

/// What to do.
#[derive(Clone, Debug)]
pub struct Race {
    /// The programs under test.
    pub binaries: Binaries,
    /// Processes and faults.
    pub settings: Settings,
    /// How long.
    pub lasts: Duration,
    /// Of chance.
    pub seed: u64,
    /// Clients that write and read.
    pub clients: u64,
    /// Topics that they share.
    pub topics: u64,
    /// Between two operations of a client at most, in milliseconds.
    pub pause_ms: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Faults of processes.
    pub faults: usize,
    /// Writes that were acknowledged.
    pub writes: usize,
    /// Writes that were not.
    pub unanswered: usize,
    /// Reads.
    pub reads: usize,
    /// Those of them that found nothing.
    pub empty: usize,
    /// Topics without an order that explains all, and why there is none.
    pub anomalies: BTreeMap<u64, Anomaly>,
}

/// Runs in `folder`, which gets configurations, logs and data; `tell` takes lines of progress.
///
/// # Errors
/// [`Failed`] when the cluster does not begin to work, or does not come back.
pub async fn run(race: Race, folder: &Path, tell: &dyn Fn(&str)) -> Result<Outcome, Failed> {
    let Settings { servers, brokers, .. } = race.settings;
    let shape = Shape { servers, brokers, disk: Disk::Keeps, server_keys: Vec::new() };
    let mut cluster = Cluster::prepare(&race.binaries, &shape, folder)?;
    for process in cluster.processes() {
        cluster.obey(Order::Start(process))?;
    }
    faults::ready(&mut cluster, |_, _| ()).await?;
    let (log, mut random) = (Arc::new(Log::new()), Random::new(race.seed));
    let (over, is_over) = watch::channel(false);
    let mut racers = JoinSet::new();
    for number in 1..=race.clients {
        let racer = race.racer(number, &cluster, &log, &mut random);
        racers.spawn(racer.run(is_over.clone()));
    }
    let Race { ref settings, lasts, .. } = race;
    let faults = Faults { settings, lasts, random: random.fork(), tell };
    let faults = faults.strike(&mut cluster, |_| ()).await?;
    // Nobody is left who would care.
    over.send_replace(true);
    while racers.join_next().await.is_some() {}
    faults::ready(&mut cluster, |_, _| ()).await?;
    let last = race.racer(race.clients + 1, &cluster, &log, &mut random);
    for address in cluster.addresses() {
        read_at_last(&last, address).await?;
    }
    Ok(Outcome { faults, ..judge(&log.operations()) })
}

impl Race {
    /// So many clients on 100 topics, each with an operation a second or so.
    #[must_use]
    pub fn of(options: Options, clients: u64) -> Self {
        let Options { binaries, settings, lasts, seed, .. } = options;
        Self { binaries, settings, lasts, seed, clients, topics: 100, pause_ms: 2_000 }
    }

    fn racer(&self, number: u64, cluster: &Cluster, log: &Arc<Log>, random: &mut Random) -> Racer {
        Racer {
            number,
            addresses: cluster.addresses(),
            topics: self.topics,
            pause_ms: self.pause_ms,
            random: random.fork(),
            log: Arc::clone(log),
            written: 0,
        }
    }
}

/// What was written last must be there on every broker.
async fn read_at_last(racer: &Racer, address: std::net::SocketAddr) -> Result<(), Failed> {
    let since = Instant::now();
    loop {
        match racer.read_all(address).await {
            Ok(()) => return Ok(()),
            Err(lost) if since.elapsed() > READY_MAX => {
                return Err(Failed::NotReady(format!("a broker for the last reader: {lost}")));
            }
            Err(_) => time::sleep(LOOK).await,
        }
    }
}

fn judge(operations: &[(u64, Operation)]) -> Outcome {
    let mut topics: BTreeMap<u64, Vec<Operation>> = BTreeMap::new();
    for &(topic, operation) in operations {
        topics.entry(topic).or_default().push(operation);
    }
    let count =
        |is: &dyn Fn(&Operation) -> bool| operations.iter().filter(|(_, it)| is(it)).count();
    let check = |(topic, operations): (u64, Vec<Operation>)| {
        register::check(&operations).err().map(|anomaly| (topic, anomaly))
    };
    Outcome {
        faults: 0,
        writes: count(&|it| it.kind == Kind::Write && it.ended.is_some()),
        unanswered: count(&|it| it.kind == Kind::Write && it.ended.is_none()),
        reads: count(&|it| it.kind == Kind::Read),
        empty: count(&|it| it.kind == Kind::Read && it.value == NOTHING),
        anomalies: topics.into_iter().filter_map(check).collect(),
    }
}

impl Outcome {
    /// Whether there is an order for every topic, and something was seen of it.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.anomalies.is_empty() && self.writes > 0 && self.reads > self.empty
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { faults, writes, unanswered, reads, empty, anomalies } = self;
        writeln!(f, "{faults} faults")?;
        writeln!(
            f,
            "{writes} writes acknowledged, {unanswered} not; {reads} reads, {empty} of nothing"
        )?;
        for (topic, anomaly) in anomalies {
            writeln!(f, "topic {topic}: {anomaly} (microseconds)")?;
        }
        f.write_str(if self.is_clean() {
            "EVERY TOPIC IS LINEARIZABLE"
        } else {
            "NOT LINEARIZABLE"
        })
    }
}

#[cfg(test)]
mod tests {
    use history::register::Value;

    use super::*;

    fn at(kind: Kind, value: u64, began: u64, ended: u64) -> Operation {
        Operation { kind, value: Value(value), began, ended: Some(ended) }
    }

    #[test]
    fn acknowledged_message_that_a_later_reader_misses_is_told_with_its_topic() {
        let good = [(1, at(Kind::Write, 1, 1, 2)), (1, at(Kind::Read, 1, 3, 4))];
        assert!(judge(&good).is_clean());
        let bad = [(2, at(Kind::Write, 2, 1, 2)), (2, at(Kind::Read, 0, 3, 4))];
        let outcome = judge(&[good, bad].concat());
        assert_eq!(outcome.anomalies.keys().copied().collect::<Vec<_>>(), [2]);
        assert!(!outcome.is_clean());
        assert!(outcome.to_string().contains("topic 2: it held"), "{outcome}");
    }

    #[test]
    fn race_in_which_nobody_read_anything_proves_nothing() {
        assert!(!judge(&[(1, at(Kind::Write, 1, 1, 2))]).is_clean());
        assert!(!judge(&[]).is_clean());
    }
}
