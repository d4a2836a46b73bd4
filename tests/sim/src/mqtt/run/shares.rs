//! Share groups whose members come and go: each message is some member's, and one's only.

use std::collections::{BTreeMap, BTreeSet};

use ha_types::Qos;
use history::{History, Name, Step, Verdict, What};

use super::{Client, Faults, Post, Run};

/// A group of clients, by their numbers, of which three of four are durable.
struct Group {
    members: std::ops::Range<usize>,
    filter: &'static str,
}

const GROUPS: [Group; 2] = [
    Group { members: 0..4, filter: "$share/g/jobs/+" },
    // Without the last, which is ephemeral.
    Group { members: 4..7, filter: "$share/h/#" },
];
const DURABLE: usize = 1;

const TOPICS: [&str; 2] = ["jobs/a", "jobs/b"];

/// What a run was like.
#[derive(Debug)]
pub struct Shares {
    /// Of everything that clients saw, but for shared subscriptions.
    pub verdict: Verdict,
    /// Messages that were acknowledged to their publishers.
    pub acknowledged: usize,
    /// For each group the most and the fewest messages that one of its members got.
    pub spread: [(usize, usize); 2],
    /// Leaders that there were.
    pub terms: u64,
}

/// Runs a seed for `work_ms` milliseconds of its own time. Panics when an invariant is broken, a message
/// is lost, or comes to two members without a cause.
#[must_use]
pub fn run(seed: u64, faults: Faults, work_ms: u64) -> Shares {
    let mut run = Run::begin(seed);
    run.join();
    let end = run.world.now + work_ms;
    run.share_until(end, faults);
    run.rest();
    for client in run.world.clients.iter().filter(|client| client.device.is_durable()) {
        client.device.drained();
    }
    let history = run.recorder.take();
    let ledger = Ledger::new(&history);
    ledger.judge(faults);
    Shares {
        verdict: history.check(),
        acknowledged: ledger.acknowledged.len(),
        spread: [0, 1].map(|group| ledger.spread(group)),
        terms: run.world.raft.term,
    }
}

fn group_of(who: usize) -> Option<usize> {
    GROUPS.iter().position(|group| group.members.contains(&who))
}

impl Run {
    /// All members subscribe.
    fn join(&mut self) {
        let is_member = |(who, client): (usize, &Client)| {
            group_of(who).is_none() || !client.device.subscriptions().is_empty()
        };
        while !self.world.clients.iter().enumerate().all(is_member) {
            self.world.run_until(self.world.now + 5);
            for who in 0..self.world.clients.len() {
                self.world.read(who);
                self.connect(who);
                self.be_member(who);
                self.answer(who);
            }
        }
    }

    /// Subscribes anew in a session that is new.
    fn be_member(&mut self, who: usize) {
        let Some(group) = group_of(who).filter(|_| self.world.is_reachable(who)) else { return };
        if self.world.clients[who].device.subscriptions().is_empty() {
            self.subscribe_to(who, GROUPS[group].filter, Qos::ExactlyOnce);
        }
    }

    fn share_until(&mut self, end: u64, faults: Faults) {
        let mut next_fault = self.world.now + self.random.between(100, 1_500);
        while self.world.now < end {
            let next_act = self.world.now + self.random.between(1, 6);
            self.world.run_until(next_act.min(end));
            self.act_as_member();
            if faults == Faults::All && next_fault <= self.world.now {
                self.fail();
                next_fault = self.world.now + self.random.between(1, 1_500);
            }
        }
    }

    fn act_as_member(&mut self) {
        let who = usize::try_from(self.random.between(0, 7)).expect("was a usize");
        self.world.read(who);
        match self.random.between(0, 9) {
            0 => self.connect(who),
            1 => self.be_member(who),
            2..=4 if self.world.is_reachable(who) => {
                let qos = self.random.pick(&[Qos::AtLeastOnce, Qos::AtLeastOnce, Qos::ExactlyOnce]);
                let topic = self.random.pick(&TOPICS);
                self.publish_one(who, Post { topic, qos, retain: false, expires_in_s: None });
            }
            _ => self.answer(who),
        }
    }
}

/// A message, by publisher and number.
type Sent = (Name, u32);

/// What became of all messages.
struct Ledger {
    published: BTreeMap<Sent, (Qos, usize)>,
    acknowledged: BTreeSet<Sent>,
    /// For each group who got them.
    delivered: [BTreeMap<Sent, BTreeSet<Name>>; 2],
}

impl Ledger {
    fn new(history: &History) -> Self {
        let mut ledger = Self {
            published: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            delivered: Default::default(),
        };
        for (_, event) in history.events() {
            match event.what {
                What::Publishing { number, qos, .. } => {
                    let known = ledger.published.entry((event.who, number)).or_insert((qos, 0));
                    known.1 += 1;
                }
                What::Acknowledged { number, step: Step::Puback | Step::Pubrec } => {
                    ledger.acknowledged.insert((event.who, number));
                }
                What::Delivered { publisher, number, .. } => {
                    let who = history.names().text(event.who);
                    let who = who.trim_start_matches("client-").parse().expect("ours");
                    let group = group_of(who).expect("others subscribed to nothing");
                    let members = ledger.delivered[group].entry((publisher, number)).or_default();
                    members.insert(event.who);
                }
                _ => (),
            }
        }
        ledger
    }

    fn judge(&self, faults: Faults) {
        for (group, delivered) in self.delivered.iter().enumerate() {
            for sent in &self.acknowledged {
                let members = delivered.get(sent).map_or(0, BTreeSet::len);
                let (qos, times) = self.published[sent];
                let is_begun_elsewhere = qos == Qos::ExactlyOnce && group != DURABLE;
                let may_be_lost = is_begun_elsewhere && faults == Faults::All;
                assert!(members > 0 || may_be_lost, "{sent:?} of {qos:?} is lost to group {group}");
                let may_come_again = faults == Faults::All && qos == Qos::AtLeastOnce;
                assert!(members <= 1 || may_come_again, "{sent:?} of {qos:?}, sent {times} times");
            }
        }
    }

    fn spread(&self, group: usize) -> (usize, usize) {
        let mut counts: BTreeMap<Name, usize> = BTreeMap::new();
        for member in self.delivered[group].values().flatten() {
            *counts.entry(*member).or_default() += 1;
        }
        let most = counts.values().copied().max().unwrap_or(0);
        (most, counts.values().copied().min().unwrap_or(0))
    }
}
