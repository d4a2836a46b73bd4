//! Who is killed, stopped and started again, and when.
//!
//! Pure: time and what is seen of the cluster in, [`Turn`] out; the same seed, times and sights give
//! the same turns. Of several ha-servers a majority is always ready, and a broker always is, unless
//! all are killed at the same moment. Otherwise only one that is ready is a victim.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use faulty_disk::Damage;

use crate::random::Random;

#[cfg(test)]
mod tests;

/// A process of the cluster, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "its names say it")]
pub enum Process {
    Server(usize),
    Broker(usize),
}

/// Whom a fault is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Target {
    /// Any broker.
    Broker,
    /// The ha-server that leads; any while none does.
    Leader,
    /// Any ha-server.
    Server,
    /// All servers and brokers at the same moment.
    All,
    /// Any ha-server of three or more while all are ready: a segment of its log is damaged while it
    /// is away. A bit flips, or it is truncated, or zeroed, in turn.
    Disk,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Broker => "broker",
            Self::Leader => "leader",
            Self::Server => "server",
            Self::All => "all",
            Self::Disk => "disk",
        })
    }
}

/// What happens to a segment, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wound {
    /// What.
    pub damage: Damage,
    /// In thousandths of the part of it that may be damaged; below 1,000.
    pub place: u64,
}

impl fmt::Display for Wound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "damaged: {} at {} thousandths", self.damage, self.place)
    }
}

/// Something to do to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `kill -9`.
    Kill(Process),
    /// Start it again.
    Start(Process),
    /// SIGSTOP.
    Stop(Process),
    /// SIGCONT.
    Continue(Process),
    /// Damage a segment of the log of this server, which is dead.
    Damage(Process, Wound),
}

impl Order {
    /// Whom it concerns.
    #[must_use]
    pub fn process(self) -> Process {
        match self {
            Self::Kill(process)
            | Self::Start(process)
            | Self::Stop(process)
            | Self::Continue(process)
            | Self::Damage(process, _) => process,
        }
    }
}

/// What a schedule is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// ha-servers.
    pub servers: usize,
    /// Brokers.
    pub brokers: usize,
    /// Whom faults are meant for, each as often as the others, all at once half as often. None: no
    /// faults.
    pub targets: Vec<Target>,
    /// Between two faults.
    pub every: Duration,
    /// One fault in three is a stop of so long, if there are any.
    pub stop: Option<Duration>,
}

/// What is seen of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The server that leads, if one says so.
    pub leader: Option<usize>,
    /// Processes that say that they are ready, and have what they lost.
    pub ready: BTreeSet<Process>,
    /// Servers that lost records and get them back from the others.
    pub recovering: BTreeSet<usize>,
    /// Servers that lead and still recover.
    pub premature: BTreeSet<usize>,
}

/// What is to be done now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// The fault that the orders are, if it is one.
    pub fault: Option<Target>,
    /// In this order.
    pub orders: Vec<Order>,
}

/// A process that is away, and what brings it back.
#[derive(Clone, Copy, Debug)]
struct Away {
    until: Duration,
    back: Order,
}

/// Milliseconds that a killed process stays away: a service manager takes about as long.
const AWAY_MS: (u64, u64) = (200, 3_000);

/// How many times as long as usual it takes to the next fault after all were killed, so that there
/// is something to lose again.
const REST_AFTER_ALL: u32 = 4;

/// How long all servers must have been ready before a disk is damaged. What a server wrote in the last
/// 200 ms may be taken for a write that was never finished when it is gone.
const WHOLE: Duration = Duration::from_secs(2);

/// Servers without which none gets back what its disk lost while another one is away.
pub const DISKS_MIN: usize = 3;

/// What happens to disks, in turn.
const DAMAGES: [Damage; 3] = [Damage::Flip, Damage::Truncate, Damage::Zero];

/// Decides from turn to turn. Times are since the beginning of the run.
#[derive(Debug)]
pub struct Schedule {
    settings: Settings,
    random: Random,
    next_fault: Duration,
    away: BTreeMap<Process, Away>,
    /// Since when no server was missing at any step.
    whole_since: Option<Duration>,
    damages: usize,
    /// The next fault is to be a damage, as soon as that can be.
    is_disk_due: bool,
}

impl Schedule {
    /// The first fault comes after one interval.
    #[must_use]
    pub fn new(settings: Settings, random: Random) -> Self {
        let next_fault = settings.every;
        let away = BTreeMap::new();
        let (whole_since, damages, is_disk_due) = (None, 0, false);
        Self { settings, random, next_fault, away, whole_since, damages, is_disk_due }
    }

    /// Whether this process was killed or stopped and not yet brought back.
    #[must_use]
    pub fn is_away(&self, process: Process) -> bool {
        self.away.contains_key(&process)
    }

    /// What is to be done at `now`; times do not fall.
    pub fn step(&mut self, now: Duration, seen: &Seen) -> Turn {
        let orders = self.bring_back(|away| away.until <= now);
        let mut servers = (0..self.settings.servers).map(Process::Server);
        let are_whole = servers.all(|server| !self.is_away(server) && seen.ready.contains(&server));
        self.whole_since = are_whole.then(|| self.whole_since.unwrap_or(now));
        if now < self.next_fault || self.settings.targets.is_empty() {
            return Turn { fault: None, orders };
        }
        // Who comes back in this turn is not ready, whatever was seen.
        let coming: BTreeSet<_> = orders.iter().map(|order| order.process()).collect();
        let is_there = |process: &Process| !self.is_away(*process) && !coming.contains(process);
        let ready: BTreeSet<_> = seen.ready.iter().copied().filter(is_there).collect();
        let target = self.target();
        let mut turn = self.strike(now, target, seen.leader, &ready);
        let rest = if turn.fault == Some(Target::All) { REST_AFTER_ALL } else { 1 };
        // Nobody may be hurt now; soon somebody may.
        let next = if turn.fault.is_some() { self.settings.every * rest } else { PAUSE };
        self.next_fault = now + next;
        turn.orders.splice(0..0, orders);
        turn
    }

    /// The end of all faults: what brings everybody back.
    pub fn end(&mut self) -> Vec<Order> {
        self.settings.targets.clear();
        self.bring_back(|_| true)
    }

    fn bring_back(&mut self, is_due: impl Fn(&Away) -> bool) -> Vec<Order> {
        let due = self.away.extract_if(.., |_, away| is_due(away));
        due.map(|(_, away)| away.back).collect()
    }

    fn target(&mut self) -> Target {
        if self.is_disk_due {
            return Target::Disk;
        }
        let target = self.random.pick(&self.settings.targets);
        let is_spared = target == Target::All && self.random.once_in(2);
        if is_spared { self.random.pick(&self.settings.targets) } else { target }
    }

    fn strike(
        &mut self,
        now: Duration,
        target: Target,
        leader: Option<usize>,
        ready: &BTreeSet<Process>,
    ) -> Turn {
        let victims: Vec<_> = match target {
            Target::All => return self.kill_all(now),
            Target::Leader => self.servers(leader, ready),
            Target::Server => self.servers(None, ready),
            Target::Broker => self.brokers(ready),
            Target::Disk => return self.damage(now, ready),
        };
        if victims.is_empty() {
            return Turn::default();
        }
        let victim = self.random.pick(&victims);
        let order = match self.settings.stop {
            Some(stop) if self.random.once_in(3) => {
                self.away.insert(victim, Away { until: now + stop, back: Order::Continue(victim) });
                Order::Stop(victim)
            }
            _ => {
                let until = now + self.absence();
                self.away.insert(victim, Away { until, back: Order::Start(victim) });
                Order::Kill(victim)
            }
        };
        Turn { fault: Some(target), orders: vec![order] }
    }

    /// Only one disk at a time is damaged: who recovers is not ready.
    fn damage(&mut self, now: Duration, ready: &BTreeSet<Process>) -> Turn {
        let servers = self.servers(None, ready);
        let are_whole = self.whole_since.is_some_and(|since| now.saturating_sub(since) >= WHOLE);
        // Other faults wait, or servers would seldom be whole for long enough.
        self.is_disk_due = self.settings.servers >= DISKS_MIN;
        if !self.is_disk_due || servers.len() < self.settings.servers || !are_whole {
            return Turn::default();
        }
        self.is_disk_due = false;
        let victim = self.random.pick(&servers);
        let damage = DAMAGES[self.damages % DAMAGES.len()];
        let wound = Wound { damage, place: self.random.between(0, 999) };
        self.damages += 1;
        let until = now + self.absence();
        self.away.insert(victim, Away { until, back: Order::Start(victim) });
        let orders = vec![Order::Kill(victim), Order::Damage(victim, wound)];
        Turn { fault: Some(Target::Disk), orders }
    }

    /// Those of which one may go: a majority stays. The only one may go as well.
    fn servers(&self, only: Option<usize>, ready: &BTreeSet<Process>) -> Vec<Process> {
        let all: Vec<_> =
            ready.iter().filter(|process| matches!(process, Process::Server(_))).collect();
        let servers = self.settings.servers;
        if servers > 1 && all.len() <= servers / 2 + 1 {
            return Vec::new();
        }
        let is_meant =
            |process: &&&Process| only.is_none_or(|only| ***process == Process::Server(only));
        all.iter().filter(is_meant).map(|process| **process).collect()
    }

    /// Those of which one may go: another one stays. The only one may go as well.
    fn brokers(&self, ready: &BTreeSet<Process>) -> Vec<Process> {
        let is_broker = |process: &&Process| matches!(process, Process::Broker(_));
        let all: Vec<_> = ready.iter().filter(is_broker).copied().collect();
        if self.settings.brokers > 1 && all.len() < 2 { Vec::new() } else { all }
    }

    /// Whoever runs dies, ready or not, stopped or not; who is dead comes back with all others.
    fn kill_all(&mut self, now: Duration) -> Turn {
        let servers = (0..self.settings.servers).map(Process::Server);
        let all: Vec<_> = servers.chain((0..self.settings.brokers).map(Process::Broker)).collect();
        let is_dead = |process: &Process| {
            self.away.get(process).is_some_and(|away| matches!(away.back, Order::Start(_)))
        };
        let orders: Vec<_> =
            all.iter().filter(|process| !is_dead(process)).copied().map(Order::Kill).collect();
        if orders.is_empty() {
            return Turn::default();
        }
        let until = now + self.absence();
        self.away =
            all.into_iter().map(|it| (it, Away { until, back: Order::Start(it) })).collect();
        Turn { fault: Some(Target::All), orders }
    }

    fn absence(&mut self) -> Duration {
        Duration::from_millis(self.random.between(AWAY_MS.0, AWAY_MS.1))
    }
}

/// Until the next look when nobody could be hurt.
const PAUSE: Duration = Duration::from_millis(100);
