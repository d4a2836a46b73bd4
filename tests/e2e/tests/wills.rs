//! Wills of clients that end in every way, with their brokers and without: once, or not at all.

use std::collections::BTreeMap;

use e2e::{Client, Cluster, Life, Mortal, Version, wait::LONG};

/// Due after all others, so that whoever got this one got all.
const LAST: &str = "last";

/// A cluster whose clients live on the second broker, and who listens to their wills on the first.
fn cluster() -> (Cluster, Client) {
    with_listener(Cluster::start(2))
}

/// The same with three ha-servers, of which one may die: a CONNECT waits for the next leader, also on a machine
/// that is busy.
fn cluster_of_three() -> (Cluster, Client) {
    let mut cluster = Cluster::of_servers(3, 0);
    for _ in 0..2 {
        let broker = cluster.prepare();
        broker.set("DISTRIBUTOR.CONNECT_HOLD", "15s");
        broker.start_ready();
    }
    with_listener(cluster)
}

fn with_listener(cluster: Cluster) -> (Cluster, Client) {
    let mut listener = Client::connect(cluster.port(0), Version::V5, "listener");
    listener.subscribe("will/#", 1);
    (cluster, listener)
}

fn last() -> Mortal {
    Mortal::delayed(LAST, 4, 60)
}

/// How often the will of each came, until the last one.
fn came(listener: &mut Client) -> BTreeMap<String, usize> {
    let mut came = BTreeMap::new();
    loop {
        let message = listener.receive(LONG).expect("the last will comes");
        let who = message.topic.trim_start_matches("will/").to_owned();
        if who == LAST {
            return came;
        }
        *came.entry(who).or_insert(0) += 1;
    }
}

fn once(names: &[&str]) -> BTreeMap<String, usize> {
    names.iter().map(|&name| (name.to_owned(), 1)).collect()
}

/// Who ends in each way that a client can.
struct Ends {
    /// Those whose network is cut when the test says so.
    cut: Vec<Life>,
    /// Of those, the ones who come back.
    back: [Mortal; 2],
    /// Still on their old connections.
    moving: Vec<(Mortal, Life)>,
}

/// All of them live.
fn ends(here: u16) -> Ends {
    for (version, name) in [(Version::V311, "3"), (Version::V5, "5")] {
        Mortal::new(&format!("polite-{name}"), version).connect(here).disconnect(0);
    }
    Mortal::new("said-so", Version::V5).connect(here).disconnect(4);
    let back = ["back-in-time", "back-in-time-too"].map(|id| Mortal::delayed(id, 60, 120));
    let cut = [
        Mortal::new("cut-3", Version::V311),
        Mortal::new("cut-5", Version::V5),
        back[0].clone(),
        Mortal::delayed("delayed", 1, 60),
        Mortal::delayed("session-ends-first", 60, 1),
        back[1].clone(),
    ];
    let moving = [
        Mortal::new("taken-3", Version::V311),
        Mortal::new("taken-5", Version::V5),
        Mortal::delayed("moved", 60, 120),
    ];
    let moving = moving.map(|mortal| (mortal.clone(), mortal.connect(here)));
    Ends { cut: cut.map(|mortal| mortal.connect(here)).into(), back, moving: moving.into() }
}

impl Ends {
    /// Some are back in time; others connect anew while their old connections live.
    fn go_elsewhere(self, elsewhere: u16) {
        for mortal in &self.back {
            mortal.come_back(elsewhere).disconnect(0);
        }
        for (mortal, old) in self.moving {
            mortal.come_back(elsewhere).disconnect(0);
            old.until_closed();
        }
    }
}

const ENDED: [&str; 7] =
    ["cut-3", "cut-5", "taken-3", "taken-5", "said-so", "delayed", "session-ends-first"];

#[test]
fn client_that_dies_is_mourned_once_and_one_that_leaves_or_is_back_in_time_is_not() {
    let (cluster, mut listener) = cluster();
    let mut ends = ends(cluster.port(1));
    ends.cut.clear();
    ends.go_elsewhere(cluster.port(0));
    drop(last().connect(cluster.port(1)));
    assert_eq!(came(&mut listener), once(&ENDED));
}

#[test]
fn client_that_dies_with_the_leader_is_mourned_once_and_one_that_is_back_in_time_is_not() {
    let (mut cluster, mut listener) = cluster_of_three();
    let mut ends = ends(cluster.port(1));
    // Half of them are gone when the leader dies, perhaps unheard of, and their wills are about to be published; the
    // other half go while nobody leads.
    let later = ends.cut.split_off(ends.cut.len() / 2);
    ends.cut.clear();
    let leader = cluster.leader();
    cluster.servers[leader].kill();
    drop(later);
    ends.go_elsewhere(cluster.port(0));
    drop(last().connect(cluster.port(1)));
    assert_eq!(came(&mut listener), once(&ENDED));
}

/// Clients of the broker that is about to die.
struct Doomed {
    lives: Vec<Life>,
    back: Mortal,
}

fn doomed(cluster: &Cluster) -> Doomed {
    let here = cluster.port(1);
    for (version, name) in [(Version::V311, "left-3"), (Version::V5, "left-5")] {
        Mortal::new(name, version).connect(here).disconnect(0);
    }
    let back = Mortal::delayed("back-in-time", 60, 120);
    let all = [
        Mortal::new("ephemeral-3", Version::V311),
        Mortal::new("ephemeral-5", Version::V5),
        Mortal { expiry_s: 60, ..Mortal::new("durable-3", Version::V311) },
        Mortal::delayed("durable-5", 0, 60),
        Mortal::delayed("delayed", 1, 60),
        Mortal::delayed("session-ends-first", 60, 1),
        back.clone(),
        last(),
    ];
    Doomed { lives: all.iter().map(|mortal| mortal.connect(here)).collect(), back }
}

const MOURNED: [&str; 6] =
    ["ephemeral-3", "ephemeral-5", "durable-3", "durable-5", "delayed", "session-ends-first"];

#[test]
fn clients_whose_broker_dies_are_mourned_once_and_one_that_is_back_in_time_is_not() {
    let (mut cluster, mut listener) = cluster();
    let Doomed { lives, back } = doomed(&cluster);
    cluster.brokers[1].kill();
    back.come_back(cluster.port(0)).disconnect(0);
    lives.into_iter().for_each(Life::until_closed);
    assert_eq!(came(&mut listener), once(&MOURNED));
}

#[test]
fn clients_whose_broker_dies_together_with_ha_server_are_mourned_once_when_it_is_back() {
    let (mut cluster, mut listener) = cluster();
    let Doomed { lives, back } = doomed(&cluster);
    cluster.brokers[1].kill();
    cluster.servers[0].kill();
    lives.into_iter().for_each(Life::until_closed);
    cluster.servers[0].start_ready();
    back.come_back(cluster.port(0)).disconnect(0);
    assert_eq!(came(&mut listener), once(&MOURNED));
}

#[test]
fn clients_whose_broker_dies_together_with_the_leader_are_mourned_once_by_the_next_one() {
    let (mut cluster, mut listener) = cluster_of_three();
    let Doomed { lives, back } = doomed(&cluster);
    let leader = cluster.leader();
    cluster.brokers[1].kill();
    cluster.servers[leader].kill();
    back.come_back(cluster.port(0)).disconnect(0);
    lives.into_iter().for_each(Life::until_closed);
    assert_eq!(came(&mut listener), once(&MOURNED));
}
