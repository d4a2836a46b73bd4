//! Random histories of a share group: what is not acknowledged is somewhere, and with one member only.

use std::collections::{BTreeMap, BTreeSet};

use ha_core::cluster::{Command, Strategies, Strategy as Shared};
use ha_types::Qos;
use ha_types::session::{
    CloseCause, Offset, Open, Progress, Queued, SessionKey, SubscribeOptions, SubscriptionId,
};
use proptest::prelude::*;

use crate::common::{Bench, at, durable, ephemeral, message, payload};

/// The first is always a member that is kept for, so that nothing is for nobody.
const CLIENTS: [&str; 4] = ["a", "b", "c", "d"];
const GROUPS: [&str; 2] = ["$share/g/t", "$share/h/+"];

const STRATEGIES: [Shared; 5] = [
    Shared::RoundRobin,
    Shared::LocalFirst,
    Shared::LeastInFlight,
    Shared::ByClient,
    Shared::ByTopic,
];

#[derive(Clone, Debug)]
enum Step {
    Open { client: usize, receive_maximum: u16 },
    Close { client: usize, cause: CloseCause },
    LoseBroker { broker: usize },
    Subscribe { client: usize, group: usize, qos: Qos },
    Unsubscribe { client: usize, group: usize },
    Publish { qos: Qos, many: usize },
    Acknowledge { client: usize, many: usize },
    Begin { client: usize },
    Share(Shared),
    Sweep,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let client = || 0..CLIENTS.len();
    let group = || 0..GROUPS.len();
    let kept = || prop_oneof![2 => Just(Qos::AtLeastOnce), 1 => Just(Qos::ExactlyOnce)];
    let qos = || prop_oneof![1 => Just(Qos::AtMostOnce), 3 => kept()];
    let cause = prop_oneof![
        Just(CloseCause::Disconnect),
        Just(CloseCause::Failure),
        Just(CloseCause::Handover)
    ];
    let strategy = prop::sample::select(STRATEGIES.to_vec());
    prop_oneof![
        4 => (client(), 1..40_u16).prop_map(|(client, receive_maximum)| Step::Open { client, receive_maximum }),
        2 => (client(), cause).prop_map(|(client, cause)| Step::Close { client, cause }),
        1 => (0..2_usize).prop_map(|broker| Step::LoseBroker { broker }),
        4 => (client(), group(), qos()).prop_map(|(client, group, qos)| Step::Subscribe { client, group, qos }),
        1 => (client(), group()).prop_map(|(client, group)| Step::Unsubscribe { client, group }),
        8 => (kept(), 1..40_usize).prop_map(|(qos, many)| Step::Publish { qos, many }),
        6 => (client(), 1..30_usize).prop_map(|(client, many)| Step::Acknowledge { client, many }),
        3 => client().prop_map(|client| Step::Begin { client }),
        1 => strategy.prop_map(Step::Share),
        1 => Just(Step::Sweep),
        1 => Just(Step::Restart),
    ]
}

/// A message for one group, by its payload and the group's name.
type Copy = String;

struct World {
    bench: Bench,
    brokers: [ha_types::BrokerEpoch; 2],
    keys: [Option<SessionKey>; 4],
    published: usize,
    lives: u64,
    /// Acknowledged, or gone with a member of QoS 0 or an exchange of QoS 2.
    done: BTreeSet<Copy>,
}

impl World {
    fn new() -> Self {
        let mut bench = Bench::new();
        let brokers = [bench.broker, bench.join("b", 1)];
        let mut world =
            Self { bench, brokers, keys: [None; 4], published: 0, lives: 1, done: BTreeSet::new() };
        world.step(Step::Open { client: 0, receive_maximum: 10 });
        for group in 0..GROUPS.len() {
            world.step(Step::Subscribe { client: 0, group, qos: Qos::ExactlyOnce });
        }
        world
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Open { client, receive_maximum } => self.open(client, receive_maximum),
            Step::Close { client, cause } => self.close(client, cause),
            Step::LoseBroker { broker } => self.lose(broker),
            Step::Subscribe { client, group, qos } => {
                let qos = if client == 0 { qos.max(Qos::AtLeastOnce) } else { qos };
                if let Some(session) = self.keys[client] {
                    let subscription_id = SubscriptionId::new(u32::try_from(group).unwrap() + 1);
                    let options = SubscribeOptions { subscription_id, ..at(GROUPS[group], qos) };
                    self.bench.subscribe(session, options);
                }
            }
            Step::Unsubscribe { client, group } => {
                if let Some(session) = self.keys[client].filter(|_| client > 0) {
                    self.bench.unsubscribe(session, GROUPS[group]);
                }
            }
            Step::Publish { qos, many } => (0..many).for_each(|_| self.publish(qos)),
            Step::Acknowledge { client, many } => self.acknowledge(client, many),
            Step::Begin { client } => {
                let Some(session) = self.keys[client] else { return };
                let page = self.bench.page(session).messages;
                let of_2 = page.iter().filter(|queued| queued.qos == Qos::ExactlyOnce);
                let offsets: Vec<Offset> = of_2.map(|queued| queued.offset).take(3).collect();
                self.bench.begin(session, &offsets);
            }
            Step::Share(strategy) => {
                let by_name = std::iter::once(("g".into(), strategy)).collect();
                let strategies = Strategies { by_name, ..Strategies::default() };
                self.bench.one(Command::Share(strategies));
            }
            Step::Sweep => drop(self.bench.one(Command::Sweep { at_most: 2 })),
            Step::Restart => self.bench.restart(),
        }
        self.check();
    }

    /// Clients c and d have sessions that end with their connections.
    fn open(&mut self, client: usize, receive_maximum: u16) {
        self.note_begun(client);
        let name = CLIENTS[client];
        let open = if client < 2 { durable(name) } else { ephemeral(name) };
        let broker = self.brokers[client % 2];
        let opened = self.bench.open_at(broker, Open { receive_maximum, ..open });
        self.keys[client] = Some(opened.session);
    }

    fn close(&mut self, client: usize, cause: CloseCause) {
        if let Some(session) = self.keys[client].take() {
            self.bench.close(session, cause);
        }
    }

    fn lose(&mut self, broker: usize) {
        for client in (0..CLIENTS.len()).filter(|client| client % 2 == broker) {
            self.note_begun(client);
            self.keys[client] = None;
        }
        self.bench.one(Command::Leave { broker: self.brokers[broker] });
        self.publish(Qos::AtLeastOnce);
        self.lives += 1;
        self.brokers[broker] = self.bench.join(["a", "b"][broker], self.lives);
        self.bench.broker = self.brokers[0];
        self.bench.pass(0);
    }

    /// What an ephemeral session whose last word is not heard has in exchanges ends with it.
    fn note_begun(&mut self, client: usize) {
        let Some(session) = self.keys[client].filter(|_| client >= 2) else { return };
        let begun = self.bench.state.begun_by(session).unwrap_or_default();
        self.done.extend(begun.iter().map(copy));
    }

    fn publish(&mut self, qos: Qos) {
        // Lost, a broker publishes nothing; the other does.
        let alive = self.bench.state.alive().map(|(epoch, ..)| epoch).next().unwrap();
        self.published += 1;
        let message = message("t", &self.published.to_string(), qos).into();
        let command = Command::Publish { broker: alive, number: None, exchange: None, message };
        for live in self.bench.batch(vec![command]).live {
            assert_eq!(live.queued.qos, Qos::AtMostOnce);
            assert!(self.done.insert(copy(&live.queued)), "once");
        }
    }

    fn acknowledge(&mut self, client: usize, many: usize) {
        let Some(session) = self.keys[client] else { return };
        let mut progress = Progress::default();
        let page = self.bench.page(session).messages;
        for queued in page.iter().filter(|queued| queued.qos == Qos::AtLeastOnce).take(many) {
            progress.acknowledged.push(queued.offset);
            self.done.insert(copy(queued));
        }
        for queued in self.bench.state.begun_by(session).unwrap().iter().take(many) {
            progress.completed.push(queued.offset.packet_id());
            self.done.insert(copy(queued));
        }
        self.bench.progress(session, progress);
    }

    /// What each session has.
    fn held(&self) -> BTreeMap<Copy, Vec<&'static str>> {
        let mut held: BTreeMap<Copy, Vec<&str>> = BTreeMap::new();
        for client in CLIENTS {
            let Some((key, _)) = self.bench.state.session_of(client) else { continue };
            let begun = self.bench.state.begun_by(key).unwrap();
            for queued in self.bench.page(key).messages.iter().chain(&begun) {
                held.entry(copy(queued)).or_default().push(client);
            }
        }
        held
    }

    fn check(&self) {
        let held = self.held();
        let waiting = self.bench.state.counts().messages;
        assert!(held.keys().all(|copy| !self.done.contains(copy)), "done is done");
        assert_eq!(held.values().map(Vec::len).sum::<usize>(), held.len(), "one member has it");
        let left = self.published * GROUPS.len() - self.done.len();
        assert_eq!(held.len() + waiting, left, "nothing is lost");
    }
}

/// Subscription identifiers tell the groups apart.
fn copy(queued: &Queued) -> Copy {
    let group = queued.subscription_ids.first().map_or(0, |id| id.get());
    format!("{} of {group}", payload(&queued.message))
}

/// The durable ones acknowledge everything.
fn drain(world: &mut World) {
    world.close(2, CloseCause::Failure);
    world.close(3, CloseCause::Failure);
    for round in 0.. {
        assert!(round < 1_000, "it ends");
        for client in [0, 1] {
            world.step(Step::Open { client, receive_maximum: 1_000 });
            world.step(Step::Begin { client });
            world.step(Step::Acknowledge { client, many: usize::MAX });
        }
        if world.held().is_empty() && world.bench.state.counts().messages == 0 {
            return;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn message_of_a_group_is_with_one_member_or_waits_until_it_is_acknowledged(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.bench.reloaded();
        drain(&mut world);
    }
}
