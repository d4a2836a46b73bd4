//! Starts the peers in rotation and has each carry all loads.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::figures::{Figures, bench};
use crate::loads::{IDLE, Kind, Load, Victim};
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
    /// Each sitting has a folder in its folder.
    pub(crate) site: Site,
    /// Whether the folders are left there.
    pub(crate) keeps: Keeps,
    /// The names of those whose cost is measured as it grows.
    pub(crate) growing: BTreeSet<String>,
}

/// What becomes of data and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    Folders,
    Nothing,
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
    /// Loads that a peer carries between a start and its end: those without a break that are of one kind.
    fn sittings(&self, peer: &dyn Peer) -> Vec<Vec<&Load>> {
        let grows = self.growing.contains(peer.name());
        let asked = self.loads.iter().filter(|load| grows || !load.kind.is_of_a_curve());
        let mut sittings: Vec<Vec<&Load>> = Vec::new();
        for load in asked {
            match sittings.last_mut() {
                Some(last) if last[0].kind.sits_with(load.kind) => last.push(load),
                _ => sittings.push(vec![load]),
            }
        }
        sittings
    }

    fn sit(
        &self,
        round: u32,
        peer: &dyn Peer,
        loads: &[&Load],
        store: &mut Store,
    ) -> io::Result<()> {
        let mut running: Option<(Site, Running)> = None;
        for load in loads {
            if running.is_none() {
                let site = self.site.within(&format!("{}-{}-{round}", peer.name(), load.name))?;
                match self.begin(peer, &site, load.kind) {
                    Ok(begun) => running = Some((site, begun)),
                    Err(error) => {
                        let why = format!("it did not start: {error}");
                        record(store, failure(round, peer, load, why))?;
                        continue;
                    }
                }
            }
            let Some((site, begun)) = &mut running else { continue };
            match self.measure(peer, site, begun, load) {
                Ok(Some(figures)) => {
                    let (peer, load) = (peer.name().to_owned(), load.name.clone());
                    record(store, Record::Run { round, peer, load, figures })?;
                }
                Ok(None) => (),
                Err(error) => {
                    record(store, failure(round, peer, load, error.to_string()))?;
                    // What it left behind must not burden the next one.
                    self.end(running.take())?;
                }
            }
        }
        self.end(running)
    }

    fn begin(&self, peer: &dyn Peer, site: &Site, kind: Kind) -> io::Result<Running> {
        let mut running = peer.start(site, kind)?;
        self.wait_ready(site, &mut running)?;
        Ok(running)
    }

    fn end(&self, running: Option<(Site, Running)>) -> io::Result<()> {
        let Some((site, running)) = running else { return Ok(()) };
        drop(running);
        match self.keeps {
            Keeps::Folders => Ok(()),
            Keeps::Nothing => fs::remove_dir_all(&site.folder),
        }
    }

    fn wait_ready(&self, site: &Site, running: &mut Running) -> io::Result<()> {
        let start = Instant::now();
        let nodes = running.nodes.len();
        let mut ready = 0;
        while ready < nodes {
            running.check()?;
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
        running: &mut Running,
        load: &Load,
    ) -> io::Result<Option<Figures>> {
        let more = match load.kind {
            Kind::Kill(victim) => match killing(victim, running, peer.leader(site, running)?) {
                Some(arguments) => arguments,
                None => return Ok(None),
            },
            Kind::Idle => idle(running),
            _ => across(running, self.seconds),
        };
        let arguments: Vec<_> = load.arguments.iter().cloned().chain(more).collect();
        let at_most = LONGER_MAX + Duration::from_secs(self.seconds);
        let figures = bench(&site.program("ha-bench"), &arguments, at_most)?;
        if !matches!(load.kind, Kind::Kill(_)) {
            running.check()?;
        }
        if let (Kind::Idle, Some(open)) = (load.kind, figures.of("open"))
            && open < f64::from(IDLE)
        {
            return Err(io::Error::other(format!("only {open} of {IDLE} connections stayed open")));
        }
        Ok(Some(figures))
    }
}

fn failure(round: u32, peer: &dyn Peer, load: &Load, why: String) -> Record {
    Record::Failed { round, peer: peer.name().into(), load: load.name.clone(), why }
}

fn record(store: &mut Store, record: Record) -> io::Result<()> {
    tell(&record);
    store.add(&record)
}

/// Whether a few messages of QoS 1 reach a subscriber at another node.
fn came_through(site: &Site, from: &str, to: &str) -> io::Result<bool> {
    let line = "pairs --clients 1 --qos 1 --rate 20 --seconds 1 --warm-up 0";
    let places = ["--publish", from, "--subscribe", to];
    let arguments: Vec<_> = line.split(' ').chain(places).map(str::to_owned).collect();
    let figures = bench(&site.program("ha-bench"), &arguments, Duration::from_secs(20))?;
    Ok(figures.of("lost") == Some(0.0) && figures.of("delivered").is_some_and(|n| n > 0.0))
}

fn options(of: &[(&str, String)]) -> Vec<String> {
    of.iter().flat_map(|(name, value)| [format!("--{name}"), value.clone()]).collect()
}

fn pids(running: &Running) -> Vec<String> {
    let pids = running.pids().into_iter().map(|pid| ("pid", pid.to_string()));
    options(&pids.collect::<Vec<_>>())
}

/// Publishers at the first node, subscribers at the second.
fn across(running: &Running, seconds: u64) -> Vec<String> {
    let from = &running.nodes[0];
    let to = running.nodes.get(1).unwrap_or(from);
    let mut arguments = options(&[
        ("publish", from.clone()),
        ("subscribe", to.clone()),
        ("seconds", seconds.to_string()),
    ]);
    arguments.extend(pids(running));
    arguments
}

fn idle(running: &Running) -> Vec<String> {
    let mut arguments = options(&[("broker", running.nodes[0].clone())]);
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
    let mut arguments = options(&[
        ("publish", address(publish)),
        ("subscribe", address(subscribe)),
        ("strike", format!("kill -9 {dead}")),
    ]);
    let gone = |node: &usize| running.pid_of(*node) == dead;
    let elsewhere = (0..running.nodes.len()).filter(|node| *node != subscribe && !gone(node));
    let elsewhere: Vec<_> = elsewhere.map(|node| ("retry", address(node))).collect();
    arguments.extend(options(&elsewhere));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loads;
    use crate::peers;

    fn plan(names: &[&str]) -> Plan {
        let mut loads = loads::all();
        loads.retain(|load| names.contains(&&*load.name));
        let site = Site { programs: "/bin".into(), folder: "/none".into(), first_port: 2_000 };
        let growing = ["nats".to_owned()].into();
        let (peers, keeps) = (Vec::new(), Keeps::Nothing);
        Plan { peers, loads, rounds: 1, seconds: 1, site, keeps, growing }
    }

    fn sittings(peer: &str, names: &[&str]) -> Vec<Vec<String>> {
        let peers = peers::all();
        let peer = peers.iter().find(|of| of.name() == peer).unwrap();
        let plan = plan(names);
        let sittings = plan.sittings(peer.as_ref()).into_iter();
        sittings.map(|loads| loads.iter().map(|load| load.name.clone()).collect()).collect()
    }

    #[test]
    fn each_peer_starts_anew_for_each_kind_of_load_and_for_each_kill() {
        let names = ["pairs-0", "pairs-1", "paced-0", "idle", "kill-broker", "kill-leader"];
        let expected = vec![
            vec!["pairs-0", "pairs-1"],
            vec!["paced-0"],
            vec!["idle"],
            vec!["kill-broker"],
            vec!["kill-leader"],
        ];
        assert_eq!(sittings("nats", &names), expected);
    }

    #[test]
    fn curve_is_climbed_at_one_go_by_those_who_are_asked_to() {
        let names = ["subscribers-10", "subscribers-100", "topics-10"];
        let expected = vec![vec!["subscribers-10", "subscribers-100"], vec!["topics-10"]];
        assert_eq!(sittings("nats", &names), expected);
        assert!(sittings("rabbitmq", &names).is_empty());
    }

    /// Three nodes, as processes that do nothing.
    fn three_nodes(folder: &std::path::Path) -> Running {
        let site = Site { programs: "/bin".into(), folder: folder.into(), first_port: 2_000 };
        let mut command = std::process::Command::new("sleep");
        command.arg("1000");
        let servers = (0..3).map(|node| site.spawn(&format!("{node}"), &command).unwrap());
        Running {
            nodes: ["a", "b", "c"].map(String::from).into(),
            serving: vec![0, 1, 2],
            servers: servers.collect(),
        }
    }

    fn line(victim: Victim, running: &Running, leader: Option<Leader>) -> Option<String> {
        Some(killing(victim, running, leader)?.join(" "))
    }

    #[test]
    fn who_is_killed_is_where_the_subscribers_are_or_leads_and_they_go_where_somebody_lives() {
        let folder = tempfile::tempdir().unwrap();
        let running = three_nodes(folder.path());
        let [a, b] = [0, 1].map(|node| running.pid_of(node));
        let expected =
            format!("--publish a --subscribe b --strike kill -9 {b} --retry a --retry c");
        assert_eq!(line(Victim::Broker, &running, None), Some(expected));
        let expected = format!("--publish b --subscribe c --strike kill -9 {a} --retry b");
        assert_eq!(line(Victim::Leader, &running, Some(Leader::Node(0))), Some(expected));
        let expected = "--publish a --subscribe b --strike kill -9 99 --retry a --retry c";
        let line = |leader| line(Victim::Leader, &running, leader);
        assert_eq!(line(Some(Leader::Apart(99))), Some(expected.into()));
        assert_eq!(line(None), None);
    }
}
