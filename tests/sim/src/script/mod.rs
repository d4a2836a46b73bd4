//! Scripts: a small language for driving a cluster into exactly one situation.
//!
//! A script is a list of steps: somebody acts, a fault happens, then everything goes on, event by event,
//! [until](Script::until) something is [seen](Sight). Clients read and answer at once, unless they are
//! told not to. After each event the invariants of all cores and states are checked; at the end everything
//! heals, and what clients saw is judged by the crate `history`. A script that fails prints its transcript:
//! steps, packets and what clients saw, in order.
//!
//! ```no_run
//! use ha_types::Qos;
//! use sim::script::{acknowledged, committed, play};
//!
//! play(|script| {
//!     let alice = script.durable("alice", 0);
//!     let message = script.publish(alice, "a", Qos::ExactlyOnce);
//!     script.until(committed(message));
//!     script.crash_leader();
//!     script.until(acknowledged(message));
//! });
//! ```

mod acts;
mod sights;
mod transcript;

use ha_core::cluster::{Batch, Command};
use history::{Event, Recorder};

pub use self::sights::{
    Sight, acknowledged, attached, away, committed, completed, delivered, detached, idle, leads,
    logged, proposed,
};
use crate::mqtt::broker::Broker;
use crate::mqtt::clock::{Clock, Pace};
use crate::mqtt::node::Node;
use crate::mqtt::world::World;
use crate::network::Delays;
use crate::random::Random;

use self::transcript::Transcript;

/// Node 0 leads at first, and then node 1.
const NODES: usize = 3;

const BROKERS: usize = 3;

/// Each scenario is played so often: whatever packets take, it is the same situation.
const SEEDS: u64 = 5;

const CALM: Delays = Delays { usual_max: 4, once_in: 1, rare_max: 4, broken_max: 4 };

/// Milliseconds in which anything that shall be seen must be.
const PATIENCE_MS: u64 = 10_000;

/// Milliseconds after which nothing is under way any more, once everything has healed.
const REST_MS: u64 = 8_000;

const EVENTS_MAX: u32 = 1 << 20;

/// A client of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who(usize);

/// A message of a client, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    who: Who,
    number: u32,
}

/// What a client does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attention {
    /// It reads and answers.
    Attends,
    /// It reads, and sends nothing.
    Silent,
    /// It does not even read.
    Deaf,
}

/// See the module.
#[derive(Debug)]
pub struct Script {
    world: World,
    recorder: Recorder,
    attention: Vec<Attention>,
    /// Everything that clients saw.
    seen: Vec<Event<String>>,
    /// What is in the log since the last act.
    log: Vec<Command>,
    /// Entries of the log that were looked at.
    entries: usize,
    transcript: Transcript,
}

/// Plays a scenario with several seeds, from a calm cluster with all brokers attached to the end, when
/// everything has healed and what clients saw is judged.
pub fn play(scenario: impl Fn(&mut Script)) {
    for seed in 0..SEEDS {
        let mut script = Script::begin(seed);
        scenario(&mut script);
        script.finish();
    }
}

impl Script {
    fn begin(seed: u64) -> Self {
        let clocks = vec![Clock::EXACT; NODES];
        let mut world = World::new(clocks, vec![Pace::EXACT; BROKERS], CALM, Random::new(seed));
        world.arrivals = Some(Vec::new());
        let mut script = Self {
            world,
            recorder: Recorder::new(EVENTS_MAX),
            attention: Vec::new(),
            seen: Vec::new(),
            log: Vec::new(),
            entries: 0,
            transcript: Transcript::new(seed),
        };
        script.lead_brokers_to(0);
        script.until(leads(0));
        (0..BROKERS).for_each(|broker| script.until(attached(broker)));
        script
    }

    /// Goes on until something is seen.
    ///
    /// # Panics
    /// It is not seen in ten seconds.
    pub fn until(&mut self, sight: Sight) {
        let end = self.world.now + PATIENCE_MS;
        while !sight.is_seen(self) {
            assert!(self.world.now < end, "never: {sight}");
            self.step(end);
        }
        self.say(&format!("seen: {sight}"));
    }

    /// Goes on for a while, in which something is not seen.
    ///
    /// # Panics
    /// It is seen.
    pub fn not_for(&mut self, ms: u64, sight: Sight) {
        let end = self.world.now + ms;
        while self.world.now < end {
            self.step(end);
            assert!(!sight.is_seen(self), "too early: {sight}");
        }
        self.say(&format!("not seen for {ms} ms: {sight}"));
    }

    /// Goes on for a while.
    pub fn pass(&mut self, ms: u64) {
        self.say(&format!("{ms} ms pass"));
        let end = self.world.now + ms;
        while self.world.now < end {
            self.step(end);
        }
    }

    /// Milliseconds since the start.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.world.now
    }

    /// One event, and what clients do about it.
    fn step(&mut self, end: u64) {
        self.world.step(end);
        for packet in self.world.arrivals.iter_mut().flat_map(std::mem::take) {
            self.transcript.packet(&packet);
        }
        (0..self.attention.len()).for_each(|client| self.attend(client));
        self.look();
        self.check_invariants();
    }

    fn attend(&mut self, client: usize) {
        if self.attention[client] == Attention::Deaf {
            return;
        }
        self.world.read(client);
        while self.attention[client] == Attention::Attends
            && self.world.is_reachable(client)
            && let Some(packet) = self.world.clients[client].device.next_packet()
        {
            self.world.send(client, &packet);
        }
    }

    /// What clients saw and the log has since the last look.
    fn look(&mut self) {
        let history = self.recorder.take();
        for (_, event) in history.events() {
            let event = history.in_words(event);
            self.transcript.line(self.world.now, &event.to_string());
            self.seen.push(event);
        }
        for entry in self.world.raft.after(self.entries) {
            self.entries += 1;
            let batch = Batch::decode(entry).expect("leaders propose batches");
            self.transcript.line(self.world.now, &format!("committed: {:?}", batch.commands));
            self.log.extend(batch.commands);
        }
    }

    fn check_invariants(&self) {
        let nodes = self.world.nodes.iter().filter_map(|node| node.running.as_ref());
        nodes.for_each(Node::check_invariants);
        let brokers = self.world.brokers.iter().filter_map(|broker| broker.running.as_ref());
        brokers.for_each(Broker::check_invariants);
    }

    fn say(&mut self, text: &str) {
        self.transcript.step(self.world.now, text);
    }
}
