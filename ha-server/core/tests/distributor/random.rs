//! Whatever brokers, clients, networks, logs and leaders do, in whatever order.
//!
//! [`Cluster`] checks the invariants after every step. Beside it each broker is modelled, with one live
//! subscriber and one durable session, and what they were promised is counted in the end.

mod model;
mod world;

use ha_core::{Config, Input};
use ha_types::Qos;
use proptest::prelude::*;

use self::model::Model;
use self::world::World;
use crate::common::{Cluster, Log, config};

const TOPICS: [&str; 3] = ["a", "a/b", "c"];
const FILTERS: [&str; 4] = ["#", "a", "a/#", "c"];
const BROKERS: usize = 3;
const CLIENTS: usize = 2;

#[derive(Clone, Debug)]
enum Act {
    Attach,
    Restart,
    Break,
    Announce(usize),
    Withdraw(usize),
    Publish {
        topic: usize,
        qos: Qos,
        retain: bool,
    },
    /// Opens the durable session of this client here.
    Open(usize),
    Subscribe(usize, Qos),
    /// Its client acknowledges so many.
    Acknowledge(usize),
    Receive,
    Write(usize),
    Heartbeat,
    Wait(u64),
    Commit,
    Tell,
    Confirm,
    ChangeLeader,
}

fn act() -> impl Strategy<Value = Act> {
    let qos = || prop_oneof![Just(Qos::AtMostOnce), Just(Qos::AtLeastOnce), Just(Qos::ExactlyOnce)];
    let publish = (0..TOPICS.len(), qos(), prop::bool::weighted(0.2))
        .prop_map(|(topic, qos, retain)| Act::Publish { topic, qos, retain });
    prop_oneof![
        8 => Just(Act::Attach),
        1 => Just(Act::Restart),
        4 => Just(Act::Break),
        5 => (0..FILTERS.len()).prop_map(Act::Announce),
        1 => (0..FILTERS.len()).prop_map(Act::Withdraw),
        24 => publish,
        12 => (0..CLIENTS).prop_map(Act::Open),
        4 => (0..FILTERS.len(), qos()).prop_map(|(at, qos)| Act::Subscribe(at, qos)),
        5 => (1..4_usize).prop_map(Act::Acknowledge),
        8 => Just(Act::Receive),
        8 => (1..1_500_usize).prop_map(Act::Write),
        8 => Just(Act::Heartbeat),
        3 => (0..600_u64).prop_map(Act::Wait),
        14 => Just(Act::Commit),
        14 => Just(Act::Tell),
        8 => Just(Act::Confirm),
        1 => Just(Act::ChangeLeader),
    ]
}

fn run(world: &mut World, at: usize, act: Act) {
    if let Act::Publish { topic, qos, retain } = act {
        world.published += 1;
        let promised = world.promises(at, TOPICS[topic], qos);
        let of = (TOPICS[topic], qos, retain);
        return world.models[at].publish(&mut world.cluster, world.published, of, promised);
    }
    if let Act::Subscribe(filter, Qos::AtMostOnce) = act
        && world.is_promised(at, FILTERS[filter])
    {
        return;
    }
    let World { cluster, models, .. } = world;
    match act {
        Act::Attach => models[at].attach(cluster),
        Act::Restart => models[at].restart(cluster),
        Act::Break => models[at].break_stream(cluster),
        Act::Announce(filter) => models[at].announce(cluster, FILTERS[filter]),
        Act::Withdraw(filter) => models[at].withdraw(cluster, FILTERS[filter]),
        Act::Publish { .. } => (),
        Act::Open(client) => models[at].open(cluster, client),
        Act::Subscribe(filter, qos) => models[at].subscribe(cluster, FILTERS[filter], qos),
        Act::Acknowledge(count) => models[at].acknowledge(cluster, count),
        Act::Receive => models[at].say_received(cluster),
        Act::Write(bytes) => models[at].write(cluster, bytes),
        Act::Heartbeat => models[at].heartbeat(cluster),
        Act::Wait(ms) => {
            cluster.now = cluster.now.plus(ms);
            cluster.step(Input::Tick);
        }
        Act::Commit => drop(cluster.commit()),
        Act::Tell => drop(cluster.tell_applied()),
        Act::Confirm => drop(cluster.confirm()),
        Act::ChangeLeader => {
            cluster.change_leader();
            models.iter_mut().for_each(Model::forget_stream);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_was_answered_is_lost_and_nothing_comes_twice(
        acts in prop::collection::vec((0..BROKERS, act()), 0..200),
    ) {
        let mut cluster = Cluster::new(Config { queue_bytes: 3_000, ..config() });
        cluster.log = Log::Manual;
        let models = (0..BROKERS).map(Model::new).collect();
        let mut world = World { cluster, models, published: 0, subscribed: Default::default() };
        for (at, act) in acts {
            run(&mut world, at, act);
            world.read();
        }
        world.settle();
        world.check();
    }
}
