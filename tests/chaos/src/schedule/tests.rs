use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Order, Process, Schedule, Seen, Settings, Target, Turn};
use crate::random::Random;

const EVERY: Duration = Duration::from_millis(500);
const STEP: Duration = Duration::from_millis(50);
const ALL_TARGETS: [Target; 4] = [Target::Broker, Target::Leader, Target::Server, Target::All];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Runs { ready_at: Duration },
    Stopped,
    Dead,
}

/// Processes that need a while to get ready after they were started or continued.
struct World {
    settings: Settings,
    states: BTreeMap<Process, State>,
}

impl World {
    fn new(servers: usize, brokers: usize, targets: &[Target], stop: Option<Duration>) -> Self {
        let targets = targets.to_vec();
        let settings = Settings { servers, brokers, targets, every: EVERY, stop };
        let all = (0..servers).map(Process::Server).chain((0..brokers).map(Process::Broker));
        let runs = State::Runs { ready_at: Duration::ZERO };
        Self { settings, states: all.map(|process| (process, runs)).collect() }
    }

    fn seen(&self, now: Duration) -> Seen {
        let is_ready =
            |state: &State| matches!(state, State::Runs { ready_at } if *ready_at <= now);
        let ready: BTreeSet<_> =
            self.states.iter().filter(|(_, state)| is_ready(state)).map(|(&who, _)| who).collect();
        let mut servers =
            (0..self.settings.servers).filter(|&n| ready.contains(&Process::Server(n)));
        Seen { leader: servers.next_back(), ready, ..Seen::default() }
    }

    fn obey(&mut self, now: Duration, turn: &Turn) {
        let runs = State::Runs { ready_at: now + 7 * STEP };
        for &order in &turn.orders {
            let state = self.states.get_mut(&order.process()).unwrap();
            *state = match (order, *state) {
                (Order::Kill(_), State::Runs { .. } | State::Stopped) => State::Dead,
                (Order::Damage(..), State::Dead) => State::Dead,
                (Order::Stop(_), State::Runs { .. }) => State::Stopped,
                (Order::Start(_), State::Dead) | (Order::Continue(_), State::Stopped) => runs,
                wrong => panic!("{wrong:?} at {now:?}"),
            };
        }
    }

    /// Runs for two minutes and tells what was done when; `check` sees the world after each turn.
    fn run(
        mut self,
        seed: u64,
        mut check: impl FnMut(&Self, Duration, &Turn),
    ) -> Vec<(Duration, Turn)> {
        let mut schedule = Schedule::new(self.settings.clone(), Random::new(seed));
        let mut done = Vec::new();
        for now in (0..2_400).map(|step| STEP * step) {
            let turn = schedule.step(now, &self.seen(now));
            self.obey(now, &turn);
            check(&self, now, &turn);
            done.push((now, turn));
        }
        let orders = schedule.end();
        self.obey(2_400 * STEP, &Turn { fault: None, orders });
        let all = self.settings.servers + self.settings.brokers;
        assert_eq!(self.seen(Duration::MAX).ready.len(), all, "everybody is back");
        done.retain(|(_, turn)| *turn != Turn::default());
        done
    }

    fn ready(&self, now: Duration, wanted: fn(&Process) -> bool) -> usize {
        self.seen(now).ready.iter().filter(|process| wanted(process)).count()
    }
}

fn is_server(process: &Process) -> bool {
    matches!(process, Process::Server(_))
}

fn faults(done: &[(Duration, Turn)]) -> Vec<(Duration, Target)> {
    done.iter().filter_map(|(at, turn)| Some((*at, turn.fault?))).collect()
}

#[test]
fn majority_of_servers_and_a_broker_are_ready_after_each_fault_but_that_of_all() {
    for (servers, majority) in [(3, 2), (4, 3), (5, 3)] {
        for seed in 0..20 {
            let world = World::new(servers, 3, &ALL_TARGETS, Some(Duration::from_secs(5)));
            let done = world.run(seed, |world, now, turn| {
                let target = turn.fault.filter(|&target| target != Target::All);
                if target.is_some_and(|target| target != Target::Broker) {
                    let ready = world.ready(now, is_server);
                    assert!(
                        ready >= majority,
                        "seed {seed}, {now:?}: {ready} of {servers} servers"
                    );
                }
                if target == Some(Target::Broker) {
                    assert!(world.ready(now, |process| !is_server(process)) >= 1, "seed {seed}");
                }
            });
            let seen: BTreeSet<_> = faults(&done).into_iter().map(|(_, target)| target).collect();
            assert_eq!(seen.len(), 4, "seed {seed}: {seen:?}");
        }
    }
}

#[test]
fn disk_is_damaged_only_while_all_servers_have_been_ready_for_a_while() {
    let targets = [Target::Disk, Target::Server, Target::Broker, Target::All];
    for seed in 0..20 {
        let mut whole_since = Duration::ZERO;
        let world = World::new(3, 2, &targets, Some(Duration::from_secs(1)));
        let done = world.run(seed, |world, now, turn| {
            if turn.fault == Some(Target::Disk) {
                assert!(now - whole_since >= super::WHOLE, "seed {seed}, {now:?}");
                let [.., Order::Kill(killed), Order::Damage(damaged, _)] = turn.orders[..] else {
                    panic!("seed {seed}, {now:?}: {turn:?}");
                };
                assert!(killed == damaged && is_server(&killed));
            }
            if world.ready(now, is_server) < 3 {
                whole_since = now + STEP;
            }
        });
        let damages = done.iter().flat_map(|(_, turn)| &turn.orders);
        let damages = damages.filter_map(|order| match order {
            Order::Damage(_, wound) => Some(wound.damage),
            _ => None,
        });
        let damages: Vec<_> = damages.collect();
        assert!(damages.len() >= 3, "seed {seed}: {damages:?}");
        assert_eq!(damages[..3], super::DAMAGES);
    }
}

#[test]
fn no_disk_of_two_servers_is_damaged() {
    let done = World::new(2, 1, &[Target::Disk], None).run(1, |_, _, _| ());
    assert_eq!(done, []);
}

#[test]
fn same_seed_does_the_same_and_another_one_something_else() {
    let run = |seed| World::new(3, 3, &ALL_TARGETS, None).run(seed, |_, _, _| ());
    assert_eq!(run(8), run(8));
    assert_ne!(run(8), run(9));
}

#[test]
fn nobody_is_hurt_but_who_is_meant() {
    World::new(3, 3, &[Target::Leader], None).run(3, |_, _, turn| {
        assert!(turn.orders.iter().all(|order| is_server(&order.process())));
    });
    World::new(3, 3, &[Target::Broker], None).run(3, |_, _, turn| {
        assert!(turn.orders.iter().all(|order| !is_server(&order.process())));
    });
    let done = World::new(3, 3, &[], None).run(3, |_, _, _| ());
    assert_eq!(done, []);
}

#[test]
fn leader_is_the_one_that_is_killed() {
    let mut schedule =
        Schedule::new(World::new(3, 1, &[Target::Leader], None).settings, Random::new(1));
    let mut seen = World::new(3, 1, &[], None).seen(Duration::ZERO);
    seen.leader = Some(1);
    let before = schedule.step(EVERY - Duration::from_millis(1), &seen);
    assert_eq!(before, Turn::default());
    let turn = schedule.step(EVERY, &seen);
    assert_eq!(turn.orders, [Order::Kill(Process::Server(1))]);
    assert!(schedule.is_away(Process::Server(1)));
}

#[test]
fn all_die_at_once_and_are_given_time() {
    let done = World::new(3, 2, &[Target::All], None).run(5, |world, now, turn| {
        let is_dead = |state: &State| *state == State::Dead;
        assert!(turn.fault.is_none() || world.states.values().all(is_dead), "{now:?}: {turn:?}");
    });
    let faults = faults(&done);
    assert!(faults.len() > 10, "{faults:?}");
    for pair in faults.windows(2) {
        assert!(pair[1].0 - pair[0].0 >= 4 * EVERY, "{pair:?}");
    }
}

#[test]
fn only_server_and_only_broker_may_die() {
    let targets = [Target::Server, Target::Broker];
    let done = World::new(1, 1, &targets, None).run(2, |_, _, _| ());
    let seen: BTreeSet<_> = faults(&done).into_iter().map(|(_, target)| target).collect();
    assert_eq!(seen.len(), 2);
}

#[test]
fn stop_takes_as_long_as_it_should() {
    let stop = Duration::from_secs(4);
    let done = World::new(3, 3, &[Target::Broker], Some(stop)).run(4, |_, _, _| ());
    let find = |wanted: Order, since: Duration| {
        done.iter().find(|(at, turn)| *at >= since && turn.orders.contains(&wanted))
    };
    let mut stops = 0;
    for (at, turn) in &done {
        for order in &turn.orders {
            let Order::Stop(who) = *order else { continue };
            let Some((back, _)) = find(Order::Continue(who), *at) else { continue };
            assert_eq!(*back - *at, stop);
            stops += 1;
        }
    }
    assert!(stops > 5, "{stops}");
}
