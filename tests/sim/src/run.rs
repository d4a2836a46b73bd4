//! One run of a seed: attach, work, with or without faults, come to rest, be checked.

use ha_types::Qos;

use crate::checks;
use crate::clients::{Clients, Kind, Owed, TOPICS};
use crate::cluster::Cluster;
use crate::network::Delays;
use crate::random::Random;

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// Nothing: every message must arrive.
    None,
    /// Streams, processes, and everybody's patience.
    All,
}

/// Packets of a healthy network.
const CALM: Delays = Delays { usual_max: 20, once_in: 1, rare_max: 20, broken_max: 800 };

/// Packets of a bad one: some take longer than a heartbeat's interval, though less than a lease.
const ROUGH: Delays = Delays { usual_max: 40, once_in: 50, rare_max: 700, broken_max: 800 };

/// Milliseconds for all to attach.
const START_MS: u64 = 1_000;
/// Milliseconds of work. Long enough for several faults to overlap.
const WORK_MS: u64 = 10_000;
/// Milliseconds until all is calm: pauses, leases, back-off and expiry come to their ends.
const REST_MS: u64 = 12_000;

/// What a run was like, so that tests can tell that it was worth something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Messages published.
    pub published: usize,
    /// Messages delivered, one for each broker.
    pub delivered: usize,
    /// Faults that happened.
    pub faults: usize,
}

struct Run {
    cluster: Cluster,
    clients: Clients,
    random: Random,
    summary: Summary,
}

/// Runs a seed. Panics when something is not as it must be.
#[must_use]
pub fn run(seed: u64, faults: Faults) -> Summary {
    let mut random = Random::new(seed);
    let brokers = if random.once_in(2) { 2 } else { 3 };
    // Small enough that a paused broker is behind; without faults nobody ever may be.
    let (queue_bytes, promise) = match faults {
        Faults::None => (1_000_000, Owed::WhatIsNeeded),
        Faults::All => (1_500, Owed::Nothing),
    };
    let seeds = [random.between(0, u64::MAX - 1), random.between(0, u64::MAX - 1)];
    let mut run = Run {
        cluster: Cluster::new(brokers, queue_bytes, CALM, Random::new(seeds[0])),
        clients: Clients::new(Random::new(seeds[1]), promise),
        random,
        summary: Summary::default(),
    };
    run.rest_until(START_MS);
    run.work_until(START_MS + WORK_MS, faults);
    run.cluster.set_delays(CALM);
    run.rest_until(START_MS + WORK_MS + REST_MS);
    checks::all_is_settled(&run.cluster, &run.clients);
    checks::nothing_is_owed(&run.clients);
    run.probe();
    run.forget_and_remember();
    (run.summary.published, run.summary.delivered) = run.clients.counts();
    run.summary
}

impl Run {
    fn rest_until(&mut self, end: u64) {
        while self.cluster.now < end {
            self.cluster.step(end);
            self.clients.take(self.cluster.commands());
        }
    }

    fn work_until(&mut self, end: u64, faults: Faults) {
        let mut next_fault = self.random.between(0, 1_500) + self.cluster.now;
        while self.cluster.now < end {
            let next_act = self.cluster.now + self.random.between(1, 40);
            self.rest_until(next_act);
            self.clients.act(&mut self.cluster);
            if faults == Faults::All && next_fault <= self.cluster.now {
                self.fail();
                next_fault = self.cluster.now + self.random.between(1, 1_500);
            }
        }
    }

    fn fail(&mut self) {
        self.summary.faults += 1;
        let brokers: Vec<_> = (0..self.cluster.brokers.len()).collect();
        let broker = self.random.pick(&brokers);
        match self.random.between(0, 9) {
            0..=3 => self.cluster.break_streams(broker),
            4 => self.cluster.restart_server(self.random.between(1, 1_500)),
            5 => {
                self.cluster.restart_broker(broker, self.random.between(1, 1_500));
                self.clients.lose_broker(broker);
            }
            // The lease is 1,000 ms.
            6 | 7 => self.cluster.pause_broker(broker, self.random.between(1, 3_000)),
            8 => self.cluster.pause_server(self.random.between(1, 2_000)),
            _ => self.cluster.set_delays(if self.random.once_in(2) { ROUGH } else { CALM }),
        }
    }

    /// A new run of ha-server knows nothing, and learns all from the brokers' copies.
    fn forget_and_remember(&mut self) {
        let before = checks::retained(&self.cluster);
        self.cluster.restart_server(500);
        self.rest_until(self.cluster.now + 5_000);
        checks::all_is_settled(&self.cluster, &self.clients);
        assert_eq!(checks::retained(&self.cluster), before, "retained before and after a restart");
    }

    /// Everybody publishes everything: what is announced is what is delivered.
    fn probe(&mut self) {
        self.clients.promise = Owed::ExactlyWhatIsNeeded;
        let kind = Kind { qos: Qos::AtLeastOnce, retain: false, clears: false, expires_in_s: None };
        for topic in TOPICS {
            for broker in 0..self.cluster.brokers.len() {
                self.clients.publish(&mut self.cluster, broker, topic, kind);
            }
            self.rest_until(self.cluster.now + 200);
        }
        checks::nothing_is_owed(&self.clients);
        checks::all_is_settled(&self.cluster, &self.clients);
    }
}
