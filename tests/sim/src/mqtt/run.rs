//! One run of a seed: attach, work under faults, come to rest, be judged.

pub mod shares;

use broker_core::codec::Version;
use ha_types::Qos;
use history::{History, Recorder, Verdict, What};

use super::clock::{Clock, Pace, SLOWEST};
use super::device::{Device, Kind, Post};
use super::raft::NodeId;
use super::world::{Client, World};
use crate::network::{BrokerId, Delays, Way};
use crate::random::Random;

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// Nothing.
    None,
    /// Streams, one direction of them, brokers, nodes, their last saves, clocks, clients' connections, and
    /// everybody's patience.
    All,
}

/// What a run was like.
#[derive(Debug)]
pub struct Summary {
    /// Of everything that clients saw.
    pub verdict: Verdict,
    /// All of that.
    pub history: History,
    /// Faults that happened.
    pub faults: usize,
    /// Leaders that there were.
    pub terms: u64,
}

const TOPICS: [&str; 4] = ["a", "a/b", "b", "b/c/d"];
const FILTERS: [&str; 7] = ["a", "a/#", "+/b", "b/#", "#", "b/+/d", "wills/#"];
/// Where wills are published. Each is sent with its CONNECT, and comes after what is sent later; those of a client have
/// no order either: a CONNECT that was held up may take the session from a later one.
const WILLS: [&str; 8] =
    ["wills/0", "wills/1", "wills/2", "wills/3", "wills/4", "wills/5", "wills/6", "wills/7"];
const NODES: usize = 3;
const BROKERS: usize = 3;
const EVENTS_MAX: u32 = 1 << 20;

const CALM: Delays = Delays { usual_max: 4, once_in: 1, rare_max: 4, broken_max: 800 };
const ROUGH: Delays = Delays { usual_max: 20, once_in: 40, rare_max: 400, broken_max: 800 };

/// Milliseconds for all to attach.
const START_MS: u64 = 2_000;
/// Milliseconds until all is calm.
const REST_MS: u64 = 20_000;

/// Whom a fault hits.
struct Target {
    broker: BrokerId,
    node: NodeId,
    leader: NodeId,
    client: usize,
    for_ms: u64,
}

type Fault = fn(&mut Run, &Target);

/// Each with its words in a history; what stands here twice happens twice as often.
const FAULTS: [(&str, Fault); 19] = [
    ("streams break", |run, at| run.world.break_streams(at.broker)),
    ("streams break", |run, at| run.world.break_streams(at.broker)),
    ("leader killed", |run, at| run.world.kill_node(at.leader, at.for_ms)),
    ("leader killed", |run, at| run.world.kill_node(at.leader, at.for_ms)),
    ("node killed", |run, at| run.world.kill_node(at.node, at.for_ms)),
    ("broker killed", |run, at| run.world.kill_broker(at.broker, at.for_ms)),
    ("broker paused", |run, at| run.world.pause_broker(at.broker, at.for_ms)),
    ("leader paused", |run, at| run.world.pause_node(at.leader, at.for_ms)),
    ("leader cut off", |run, at| run.world.cut_node(at.leader, at.for_ms)),
    ("node cut off", |run, at| run.world.cut_node(at.node, at.for_ms)),
    ("broker not heard", |run, at| run.world.hold(at.broker, Way::Up, at.for_ms)),
    ("broker hears nothing", |run, at| run.world.hold(at.broker, Way::Down, at.for_ms)),
    ("client cut off", |run, at| run.world.hang_up(at.client)),
    ("client cut off", |run, at| run.world.hang_up(at.client)),
    ("all killed", |run, _| run.kill_everything()),
    ("network is rough", |run, _| run.world.set_delays(ROUGH)),
    ("network is calm", |run, _| run.world.set_delays(CALM)),
    ("clock set", |run, at| run.world.clocks[at.leader].ahead_ms = wall_clock(&mut run.random)),
    ("clock set", |run, at| run.world.clocks[at.node].ahead_ms = wall_clock(&mut run.random)),
];

/// Up to five minutes wrong.
fn wall_clock(random: &mut Random) -> u64 {
    random.between(0, 2 * SLOWEST)
}

/// Up to a twentieth wrong.
fn pace(random: &mut Random) -> Pace {
    Pace(random.between(950, 1_050))
}

struct Run {
    world: World,
    recorder: Recorder,
    random: Random,
    faults: usize,
}

/// Runs a seed for `work_ms` milliseconds of its own time. Panics when an invariant is broken.
#[must_use]
pub fn run(seed: u64, faults: Faults, work_ms: u64) -> Summary {
    let mut run = Run::begin(seed);
    run.world.clients.extend([11, 15].map(|number| client(number, &run.recorder)));
    run.work_until(START_MS + work_ms, faults);
    run.rest();
    for client in run.world.clients.iter().filter(|client| client.device.is_durable()) {
        client.device.drained();
    }
    let history = run.recorder.take();
    let verdict = history.check();
    Summary { verdict, history, faults: run.faults, terms: run.world.raft.term }
}

/// Durable and (every fourth) ephemeral ones of both families, every other one with a will.
fn client(number: usize, recorder: &Recorder) -> Client {
    let kind = if number % 4 == 3 { Kind::Ephemeral } else { Kind::Durable };
    let version = if number % 3 == 2 { Version::V311 } else { Version::V5 };
    let device = Device::new(format!("client-{number}"), version, kind, recorder);
    let qos = if number % 4 == 1 { Qos::ExactlyOnce } else { Qos::AtLeastOnce };
    let wills = WILLS.map(|topic| Post { topic, qos, retain: false, expires_in_s: None });
    let device = if number % 2 == 1 { device.with_wills(wills.into()) } else { device };
    Client { device, link: None }
}

impl Run {
    /// All are there, and nobody has connected.
    fn begin(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let recorder = Recorder::new(EVENTS_MAX);
        let mut clock = || Clock { pace: pace(&mut random), ahead_ms: wall_clock(&mut random) };
        let clocks = (0..NODES).map(|_| clock()).collect();
        let paces = (0..BROKERS).map(|_| pace(&mut random)).collect();
        let own = Random::new(random.between(0, u64::MAX - 1));
        let mut world = World::new(clocks, paces, CALM, own);
        world.clients = (0..8).map(|number| client(number, &recorder)).collect();
        world.run_until(START_MS);
        Self { world, recorder, random, faults: 0 }
    }

    fn work_until(&mut self, end: u64, faults: Faults) {
        let mut next_fault = self.world.now + self.random.between(100, 1_500);
        while self.world.now < end {
            let next_act = self.world.now + self.random.between(1, 12);
            self.world.run_until(next_act.min(end));
            self.act();
            if faults == Faults::All && next_fault <= self.world.now {
                self.fail();
                next_fault = self.world.now + self.random.between(1, 1_500);
            }
        }
    }

    /// Some client does something.
    fn act(&mut self) {
        let last = u64::try_from(self.world.clients.len() - 1).expect("fits");
        let who = usize::try_from(self.random.between(0, last)).expect("was a usize");
        self.world.read(who);
        match self.random.between(0, 99) {
            0..=9 => self.connect(who),
            10..=12 => self.subscribe(who),
            13 => self.unsubscribe(who),
            14..=54 => self.publish(who),
            _ => self.answer(who),
        }
    }

    fn connect(&mut self, who: usize) {
        let broker = self.random.pick(&[0, 1, 2]);
        self.world.connect(who, broker, self.random.pick(&[1, 3, u16::MAX]));
    }

    fn answer(&mut self, who: usize) {
        if !self.world.is_reachable(who) {
            return;
        }
        for _ in 0..self.random.between(1, 3) {
            if let Some(packet) = self.world.clients[who].device.next_packet() {
                self.world.send(who, &packet);
            }
        }
    }

    fn publish(&mut self, who: usize) {
        if !self.world.is_reachable(who) {
            return;
        }
        let levels = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];
        let post = Post {
            topic: self.random.pick(&TOPICS),
            qos: self.random.pick(&levels),
            retain: self.random.once_in(6),
            expires_in_s: self.random.once_in(12).then_some(2),
        };
        self.publish_one(who, post);
    }

    fn publish_one(&mut self, who: usize, post: Post) {
        if let Some(packet) = self.world.clients[who].device.publish(post) {
            self.world.send(who, &packet);
        }
    }

    fn subscribe(&mut self, who: usize) {
        if !self.world.is_reachable(who) {
            return;
        }
        let filter = self.random.pick(&FILTERS);
        // Not mixed: while a SUBSCRIBE is under way, a message may come by an older one of QoS 0 too.
        let levels = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];
        let qos = self.random.pick(if who.is_multiple_of(5) { &levels[..1] } else { &levels[1..] });
        self.subscribe_to(who, filter, qos);
    }

    fn subscribe_to(&mut self, who: usize, filter: &'static str, qos: Qos) {
        if let Some(packet) = self.world.clients[who].device.subscribe(filter, qos) {
            self.world.send(who, &packet);
        }
    }

    fn unsubscribe(&mut self, who: usize) {
        if !self.world.is_reachable(who) {
            return;
        }
        let device = &mut self.world.clients[who].device;
        let filter = device.subscriptions().keys().next().copied();
        if let Some(packet) = filter.and_then(|filter| device.unsubscribe(filter)) {
            self.world.send(who, &packet);
        }
    }

    fn fail(&mut self) {
        self.faults += 1;
        let longest_ms = if self.random.once_in(12) { 10_000 } else { 3_000 };
        let target = Target {
            broker: self.random.pick(&[0, 1, 2]),
            node: self.random.pick(&[0, 1, 2]),
            leader: self.world.raft.leader,
            client: self.random.pick(&[0, 1, 2, 3, 4, 5, 6, 7]),
            for_ms: self.random.between(1, longest_ms),
        };
        let (words, happens) = self.random.pick(&FAULTS);
        // Whatever it is: what follows may have it as its cause.
        self.recorder.client(words).record_alone(What::Fault);
        happens(self, &target);
    }

    fn kill_everything(&mut self) {
        for id in 0..NODES {
            self.world.kill_node(id, self.random.between(1, 1_000));
        }
        for id in 0..BROKERS {
            self.world.kill_broker(id, self.random.between(1, 1_000));
        }
    }

    /// Faults are over; clients come back, and finish what they began.
    fn rest(&mut self) {
        self.world.set_delays(CALM);
        let end = self.world.now + REST_MS;
        while self.world.now < end {
            self.world.run_until(self.world.now + 5);
            for who in 0..self.world.clients.len() {
                self.world.read(who);
                self.connect(who);
                self.answer(who);
            }
        }
        for client in &self.world.clients {
            let device = &client.device;
            assert!(device.is_connected(), "{} is not served", device.name);
            assert!(device.is_idle(), "{} waits for answers: {device:?}", device.name);
        }
    }
}
