//! Starts the peers in rotation and has each carry all loads.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::figures::{Figures, bench};
use crate::loads::{Kind, Load, Victim};
use crate::peers::{Leader, Peer, Running};
use crate::results::{Record, Store};
use crate::site::Site;

/// How long a peer may take until a message of QoS 1 comes through from each node to the next.
const READY_MAX: Duration = Duration::from_secs(180);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// What `ha-bench` may take longer than the time that it measures: curves begin with 10,000 clients.
const LONGER_MAX: Duration = Duration::from_secs(240);

/// What to do.
pub(crate) struct Plan {
    pub(crate) peers: Vec<Box<dyn Peer>>,
    pub(crate) loads: Vec<Load>,
    pub(crate) rounds: u32,
    pub(crate) seconds: u64,
    /// Where this project's programs are.
    pub(crate) programs: PathBuf,
    /// Data and logs; each peer has a folder in it while it runs.
    pub(crate) folder: PathBuf,
    pub(crate) first_port: u16,
    /// The names of those whose cost is measured as it grows.
    pub(crate) growing: BTreeSet<String>,
}

/// Carries it out, A B C A B C. A measurement that fails is on record as such, and the rest goes on.
pub(crate) fn run(plan: &Plan, store: &mut Store) -> io::Result<()> {
    for round in 1..=plan.rounds {
        for peer in &plan.peers {
            for loads in plan.sittings(peer.as_ref()) {
                plan.sit(round, peer.as_ref(), &loads, store)?;
            }
        }
    }
    Ok(())
}

impl Plan {
    /// Loads that a peer carries between a start and its end.
    fn sittings(&self, peer: &dyn Peer) -> Vec<Vec<&Load>> {
        let is_asked = |load: &&Load| {
            !matches!(load.kind, Kind::Growth(..)) || self.growing.contains(peer.name())
        };
        let (apart, together): (Vec<_>, Vec<_>) =
            self.loads.iter().filter(is_asked).partition(|load| load.kind.is_apart());
        let mut sittings = vec![together];
        for load in apart {
            match (load.kind, sittings.last_mut()) {
                // The steps of a curve are climbed at one go.
                (Kind::Growth(axis, _), Some(last))
                    if last.last().is_some_and(
                        |before| matches!(before.kind, Kind::Growth(same, _) if same == axis),
                    ) =>
                {
                    last.push(load);
                }
                _ => sittings.push(vec![load]),
            }
        }
        sittings.retain(|loads| !loads.is_empty());
        sittings
    }

    fn sit(
        &self,
        round: u32,
        peer: &dyn Peer,
        loads: &[&Load],
        store: &mut Store,
    ) -> io::Result<()> {
        let site = self.site(peer)?;
        let running = peer.start(&site).and_then(|mut running| {
            self.wait_ready(&site, &mut running)?;
            Ok(running)
        });
        for load in loads {
            let measured = match &running {
                Ok(running) => self.measure(peer, &site, running, load),
                Err(error) => Err(io::Error::other(format!("it did not start: {error}"))),
            };
            let (peer, name) = (peer.name().to_owned(), load.name.clone());
            let record = match measured {
                Ok(Some(figures)) => Record::Run { round, peer, load: name, figures },
                Ok(None) => continue,
                Err(error) => Record::Failed { round, peer, load: name, why: error.to_string() },
            };
            tell(&record);
            store.add(&record)?;
        }
        Ok(())
    }

    fn site(&self, peer: &dyn Peer) -> io::Result<Site> {
        let folder = self.folder.join(peer.name());
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let programs = self.programs.clone();
        Ok(Site { programs, folder, first_port: self.first_port })
    }

    fn wait_ready(&self, site: &Site, running: &mut Running) -> io::Result<()> {
        let start = Instant::now();
        let nodes = running.nodes.len();
        let mut ready = 0;
        while ready < nodes {
            running.servers.iter_mut().try_for_each(|server| server.check())?;
            let (from, to) = (&running.nodes[ready], &running.nodes[(ready + 1) % nodes]);
            match came_through(site, from, to) {
                Ok(true) => ready += 1,
                other if start.elapsed() > READY_MAX => {
                    let why = other.err().map_or("messages are lost".into(), |e| e.to_string());
                    return Err(io::Error::other(format!("{from} to {to}: {why}")));
                }
                _ => thread::sleep(PAUSE),
            }
        }
        Ok(())
    }

    /// `None`: there is nothing to measure.
    fn measure(
        &self,
        peer: &dyn Peer,
        site: &Site,
        running: &Running,
        load: &Load,
    ) -> io::Result<Option<Figures>> {
        let more = match load.kind {
            Kind::Kill(victim) => match killing(victim, running, peer.leader(site, running)) {
                Some(arguments) => arguments,
                None => return Ok(None),
            },
            Kind::Idle => idle(running),
            _ => across(running, self.seconds),
        };
        let arguments: Vec<_> = load.arguments.iter().cloned().chain(more).collect();
        let at_most = LONGER_MAX + Duration::from_secs(self.seconds);
        bench(&site.program("ha-bench"), &arguments, at_most).map(Some)
    }
}

/// Whether a few messages of QoS 1 reach a subscriber at another node.
fn came_through(site: &Site, from: &str, to: &str) -> io::Result<bool> {
    let line = "pairs --clients 1 --qos 1 --rate 20 --seconds 1 --warm-up 0";
    let places = ["--publish", from, "--subscribe", to];
    let arguments: Vec<_> = line.split(' ').chain(places).map(str::to_owned).collect();
    let figures = bench(&site.program("ha-bench"), &arguments, Duration::from_secs(20))?;
    Ok(figures.of("lost") == Some(0.0) && figures.of("delivered").is_some_and(|n| n > 0.0))
}

fn pairs(of: &[(&str, String)]) -> Vec<String> {
    of.iter().flat_map(|(name, value)| [format!("--{name}"), value.clone()]).collect()
}

fn pids(running: &Running) -> Vec<String> {
    let pids = running.pids().into_iter().map(|pid| ("pid", pid.to_string()));
    pairs(&pids.collect::<Vec<_>>())
}

/// Publishers at the first node, subscribers at the second.
fn across(running: &Running, seconds: u64) -> Vec<String> {
    let from = &running.nodes[0];
    let to = running.nodes.get(1).unwrap_or(from);
    let mut arguments = pairs(&[
        ("publish", from.clone()),
        ("subscribe", to.clone()),
        ("seconds", seconds.to_string()),
    ]);
    arguments.extend(pids(running));
    arguments
}

fn idle(running: &Running) -> Vec<String> {
    let mut arguments = pairs(&[("broker", running.nodes[0].clone())]);
    arguments.extend(pids(running));
    arguments
}

/// Who publishes where while who is killed. `None`: there is no such victim, or nobody would be left.
fn killing(victim: Victim, running: &Running, leader: Option<Leader>) -> Option<Vec<String>> {
    let nodes = 0..running.nodes.len();
    let leading = match leader {
        Some(Leader::Node(node)) => Some(node),
        _ => None,
    };
    let mut others = nodes.filter(|node| Some(*node) != leading);
    let (publish, subscribe) = (others.next()?, others.next()?);
    let dead = match (victim, leader) {
        (Victim::Broker, _) => running.pid_of(subscribe),
        (Victim::Leader, Some(Leader::Apart(pid))) => pid,
        (Victim::Leader, Some(Leader::Node(node))) => running.pid_of(node),
        (Victim::Leader, None) => return None,
    };
    let address = |node: usize| running.nodes[node].clone();
    let mut arguments = pairs(&[
        ("publish", address(publish)),
        ("subscribe", address(subscribe)),
        ("strike", format!("kill -9 {dead}")),
    ]);
    let gone = |node: &usize| running.pid_of(*node) == dead;
    let elsewhere = (0..running.nodes.len()).filter(|node| *node != subscribe && !gone(node));
    let elsewhere: Vec<_> = elsewhere.map(|node| ("retry", address(node))).collect();
    arguments.extend(pairs(&elsewhere));
    Some(arguments)
}

/// A line for who watches.
fn tell(record: &Record) {
    match record {
        Record::Run { round, peer, load, figures } => {
            let shown =
                ["delivered", "p50", "p99", "cpu", "first", "gap", "lost", "reordered", "memory"];
            let shown = shown.iter().filter_map(|name| Some((name, figures.of(name)?)));
            let shown: Vec<_> = shown.map(|(name, value)| format!("{name} {value:.2}")).collect();
            eprintln!("{round} {peer:<18} {load:<18} {}", shown.join(", "));
        }
        Record::Failed { round, peer, load, why } => {
            eprintln!("{round} {peer:<18} {load:<18} failed: {why}");
        }
        Record::Missing { peer, why } => eprintln!("{peer} does not take part: {why}"),
        Record::Peer { peer, version } => eprintln!("{peer}: {version}"),
        Record::Machine(_) => (),
    }
}
