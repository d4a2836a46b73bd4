//! One run of a seed: attach, work under faults, come to rest, be judged.

pub mod shares;

use broker_core::codec::Version;
use ha_types::Qos;
use history::{History, Recorder, Verdict, What};

use super::device::{Device, Kind, Post};
use super::world::{Client, World};
use crate::network::Delays;
use crate::random::Random;

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// Nothing.
    None,
    /// Streams, brokers, nodes, clients' connections, and everybody's patience.
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
const FILTERS: [&str; 6] = ["a", "a/#", "+/b", "b/#", "#", "b/+/d"];
const NODES: usize = 3;
const BROKERS: usize = 3;
const EVENTS_MAX: u32 = 1 << 20;

const CALM: Delays = Delays { usual_max: 4, once_in: 1, rare_max: 4 };
const ROUGH: Delays = Delays { usual_max: 20, once_in: 40, rare_max: 400 };

/// Milliseconds for all to attach.
const START_MS: u64 = 2_000;
/// Milliseconds until all is calm.
const REST_MS: u64 = 20_000;

/// As they stand in a history.
const FAULTS: [&str; 14] = [
    "streams break",
    "streams break",
    "leader killed",
    "leader killed",
    "node killed",
    "broker killed",
    "broker paused",
    "leader paused",
    "leader cut off",
    "client cut off",
    "client cut off",
    "all killed",
    "network changes",
    "network changes",
];

struct Run {
    world: World,
    recorder: Recorder,
    random: Random,
    faults: usize,
}

/// Runs a seed for `work_ms` milliseconds of its own time. Panics when an invariant is broken.
#[must_use]
pub fn run(seed: u64, faults: Faults, work_ms: u64) -> Summary {
    let mut random = Random::new(seed);
    let recorder = Recorder::new(EVENTS_MAX);
    let mut world = World::new(NODES, BROKERS, CALM, Random::new(random.between(0, u64::MAX - 1)));
    world.clients = (0..8).map(|number| client(number, &recorder)).collect();
    let mut run = Run { world, recorder, random, faults: 0 };
    run.world.run_until(START_MS);
    run.work_until(START_MS + work_ms, faults);
    run.rest();
    for client in run.world.clients.iter().filter(|client| client.device.is_durable()) {
        client.device.drained();
    }
    let history = run.recorder.take();
    let verdict = history.check();
    Summary { verdict, history, faults: run.faults, terms: run.world.raft.term }
}

/// Durable and ephemeral ones of both families.
fn client(number: usize, recorder: &Recorder) -> Client {
    let kind = if number % 4 == 3 { Kind::Ephemeral } else { Kind::Durable };
    let version = if number % 3 == 2 { Version::V311 } else { Version::V5 };
    Client { device: Device::new(format!("client-{number}"), version, kind, recorder), link: None }
}

impl Run {
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
        self.read(who);
        match self.random.between(0, 99) {
            0..=9 => self.connect(who),
            10..=12 => self.subscribe(who),
            13 => self.unsubscribe(who),
            14..=54 => self.publish(who),
            _ => self.answer(who),
        }
    }

    /// Everything that came; and whether the connection goes on.
    fn read(&mut self, who: usize) {
        let Some((broker, run, id)) = self.world.clients[who].link else { return };
        let is_gone = self.world.run_of(broker) != run || {
            let mut packets = Vec::new();
            let is_open = self.world.act(broker, |broker| {
                packets.extend(std::iter::from_fn(|| broker.host.read(id)));
                broker.host.is_open(id)
            });
            let device = &mut self.world.clients[who].device;
            packets.into_iter().for_each(|packet| device.take(packet));
            is_open == Some(false)
        };
        if is_gone {
            self.world.clients[who].device.closed();
            self.world.clients[who].link = None;
        }
    }

    fn connect(&mut self, who: usize) {
        if self.world.clients[who].link.is_some() {
            return;
        }
        let broker = self.random.pick(&[0, 1, 2]);
        if !self.world.brokers[broker].is_awake(self.world.now) {
            return;
        }
        let receive_maximum = self.random.pick(&[1, 3, u16::MAX]);
        let (id, now) = (self.world.next_connection(), self.world.now);
        let connect = self.world.clients[who].device.connect(receive_maximum);
        self.world.act(broker, |broker| broker.host.dial(now, id, &connect));
        self.world.clients[who].link = Some((broker, self.world.run_of(broker), id));
    }

    fn send(&mut self, who: usize, packet: &broker_core::codec::FromClient) {
        if let Some((broker, run, id)) = self.world.clients[who].link
            && self.world.run_of(broker) == run
        {
            self.world.act(broker, |broker| broker.host.send(id, packet));
        }
    }

    fn is_reachable(&self, who: usize) -> bool {
        self.world.clients[who].link.is_some_and(|(broker, run, _)| {
            self.world.run_of(broker) == run && self.world.brokers[broker].is_awake(self.world.now)
        })
    }

    fn answer(&mut self, who: usize) {
        if !self.is_reachable(who) {
            return;
        }
        for _ in 0..self.random.between(1, 3) {
            if let Some(packet) = self.world.clients[who].device.next_packet() {
                self.send(who, &packet);
            }
        }
    }

    fn publish(&mut self, who: usize) {
        if !self.is_reachable(who) {
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
            self.send(who, &packet);
        }
    }

    fn subscribe(&mut self, who: usize) {
        if !self.is_reachable(who) {
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
            self.send(who, &packet);
        }
    }

    fn unsubscribe(&mut self, who: usize) {
        if !self.is_reachable(who) {
            return;
        }
        let device = &mut self.world.clients[who].device;
        let filter = device.subscriptions().keys().next().copied();
        if let Some(packet) = filter.and_then(|filter| device.unsubscribe(filter)) {
            self.send(who, &packet);
        }
    }

    fn fail(&mut self) {
        self.faults += 1;
        let (broker, node) = (self.random.pick(&[0, 1, 2]), self.random.pick(&[0, 1, 2]));
        let leader = self.world.raft.leader;
        let long = self.random.between(1, 3_000);
        let what = self.random.between(0, 13);
        // Whatever it is: what follows may have it as its cause.
        self.recorder
            .client(FAULTS[usize::try_from(what).expect("small")])
            .record_alone(What::Fault);
        match what {
            0 | 1 => self.world.break_streams(broker),
            2 | 3 => self.world.kill_node(leader, long),
            4 => self.world.kill_node(node, long),
            5 => self.world.kill_broker(broker, long),
            6 => self.world.pause_broker(broker, long),
            7 => self.world.pause_node(leader, long),
            8 => self.world.cut_node(leader, long),
            9 | 10 => self.hang_up(),
            11 => self.kill_everything(),
            _ => self.world.set_delays(if self.random.once_in(2) { ROUGH } else { CALM }),
        }
    }

    /// A client's network breaks; what was under way is lost.
    fn hang_up(&mut self) {
        let who = usize::try_from(self.random.between(0, 7)).expect("was a usize");
        let Some((broker, run, id)) = self.world.clients[who].link.take() else { return };
        if self.world.run_of(broker) == run {
            self.world.act(broker, |broker| broker.host.hang_up(id));
        }
        self.world.clients[who].device.closed();
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
                self.read(who);
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
