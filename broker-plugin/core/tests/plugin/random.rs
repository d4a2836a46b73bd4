//! Any sequence of inputs, also from an ha-server that breaks the protocol.

use std::collections::{BTreeMap, VecDeque};

use broker_core::host::HostEvent;
use broker_core::{Config, Input, Output, StreamId};
use ha_types::link::{Downstream, GoodbyeReason, PublishOutcome, Upstream, Welcome};
use ha_types::{BrokerEpoch, ClusterMillis, PublishNumber, RetainedVersion, ServerIncarnation};
use ha_types::{SessionId, Ticket};
use proptest::prelude::*;

use crate::common::{Bench, Outputs, Publish, always, config, deliver, goodbye, publish};
use crate::common::{subscription, update, welcome};

const TOPICS: [&str; 4] = ["a", "b", "a/b", "$c"];
const SUBSCRIPTIONS: [&str; 6] = ["#", "a", "a/+", "b", "$share/g/a", "$share/h/a"];

#[derive(Clone, Debug)]
enum Step {
    Publish {
        topic: usize,
        payload: &'static str,
        qos_0: bool,
        retain: bool,
        expires: bool,
    },
    Subscribe {
        session: u64,
        from: usize,
        count: usize,
    },
    Unsubscribe {
        session: u64,
        which: usize,
    },
    SessionEnded(u64),
    Pause(u64),
    ToDeadline,
    Broken,
    Kept(u64),
    Fenced,
    /// On the present stream.
    Item(Item),
    /// On the stream before it.
    OldItem(Item),
}

#[derive(Clone, Debug)]
enum Item {
    Welcome {
        taken_upto: u64,
        window: u32,
        epoch: u64,
        server: u64,
        time: u64,
        lease_ms: u64,
    },
    /// In order, as a sane ha-server answers.
    NextResult {
        version: u64,
    },
    Result(u64),
    Taken(u64),
    Deliver {
        topic: usize,
        version: u64,
    },
    Update {
        topic: usize,
        clear: bool,
        version: u64,
    },
    Begin,
    Synced(u64),
    Goodbye(bool),
}

fn version() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..20_u64, 1 => Just(u64::MAX)]
}

fn item() -> impl Strategy<Value = Item> {
    let absurd = || prop_oneof![4 => 900..1_100_u64, 1 => 0..3_u64, 1 => Just(u64::MAX)];
    let welcome = (0..3_u64, 0..6_u32, 1..3_u64, 1..4_u64, absurd(), absurd());
    prop_oneof![
        6 => welcome.prop_map(|(taken_upto, window, epoch, server, time, lease_ms)| {
            Item::Welcome { taken_upto, window, epoch, server, time, lease_ms }
        }),
        8 => version().prop_map(|version| Item::NextResult { version }),
        1 => (0..5_u64).prop_map(Item::Result),
        4 => (0..30_u64).prop_map(Item::Taken),
        2 => (0..4_usize, version()).prop_map(|(topic, version)| Item::Deliver { topic, version }),
        4 => (0..4_usize, any::<bool>(), version())
            .prop_map(|(topic, clear, version)| Item::Update { topic, clear, version }),
        1 => Just(Item::Begin),
        1 => version().prop_map(Item::Synced),
        1 => any::<bool>().prop_map(Item::Goodbye),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let payload = prop::sample::select(vec!["", "x", "a longer payload"]);
    let publish = (0..4_usize, payload, any::<bool>(), any::<bool>(), any::<bool>());
    prop_oneof![
        8 => publish.prop_map(|(topic, payload, qos_0, retain, expires)| {
            Step::Publish { topic, payload, qos_0, retain, expires }
        }),
        4 => (0..3_u64, 0..6_usize, 0..4_usize)
            .prop_map(|(session, from, count)| Step::Subscribe { session, from, count }),
        2 => (0..3_u64, 0..6_usize).prop_map(|(session, which)| Step::Unsubscribe { session, which }),
        1 => (0..3_u64).prop_map(Step::SessionEnded),
        2 => (0..2_000_u64).prop_map(Step::Pause),
        6 => Just(Step::ToDeadline),
        1 => Just(Step::Broken),
        4 => (0..20_u64).prop_map(Step::Kept),
        1 => Just(Step::Fenced),
        24 => item().prop_map(Step::Item),
        1 => item().prop_map(Step::OldItem),
    ]
}

/// A bench that knows what a sane ha-server would know.
struct Run {
    bench: Bench,
    /// Numbers sent on the present stream and not answered.
    unanswered: VecDeque<u64>,
    next_ticket: u64,
    /// How often each SUBSCRIBE was answered.
    answers: BTreeMap<u64, usize>,
}

impl Run {
    fn take(&mut self, step: Step) {
        let stream = self.bench.stream();
        let outputs = match step {
            Step::Publish { .. } if !self.bench.plugin.wants_publishes() => return,
            Step::Publish { topic, payload, qos_0, retain, expires } => {
                let mut publish = publish(TOPICS[topic], payload);
                publish = if qos_0 { publish.qos_0() } else { publish };
                publish = if retain { publish.retained() } else { publish };
                let Publish(publish) = if expires { publish.expires_in_s(1) } else { publish };
                self.bench.step(Input::Publish(publish))
            }
            Step::Subscribe { session, from, count } => self.subscribe(session, from, count),
            Step::Unsubscribe { session, which } => {
                let subscriptions = vec![subscription(SUBSCRIPTIONS[which])];
                let session = SessionId(session);
                self.bench.step(Input::Host(HostEvent::Unsubscribe { session, subscriptions }))
            }
            Step::SessionEnded(session) => self.bench.end_session(session),
            Step::Pause(ms) => self.bench.at(self.bench.now().saturating_add(ms)),
            Step::ToDeadline => match self.bench.plugin.deadline() {
                Some(at) if at.0 < u64::MAX => self.bench.at(at.0.max(self.bench.now())),
                _ => return,
            },
            Step::Broken => self.bench.break_stream(),
            Step::Kept(sequence) => self.bench.step(Input::HeartbeatKept(stream, sequence, 0)),
            Step::Fenced => self.bench.step(Input::HeartbeatFenced(stream)),
            Step::Item(item) => {
                let item = self.downstream(&item);
                self.bench.receive(item)
            }
            Step::OldItem(item) => {
                let outputs = self.bench.step(Input::Tick);
                let old = StreamId(self.bench.stream().0 - 1);
                let item = self.downstream(&item);
                assert_eq!(self.bench.step(Input::Received(old, vec![item])).0, []);
                outputs
            }
        };
        self.note(&outputs);
    }

    fn subscribe(&mut self, session: u64, from: usize, count: usize) -> Outputs {
        self.next_ticket += 1;
        self.answers.insert(self.next_ticket, 0);
        let chosen = SUBSCRIPTIONS.iter().cycle().skip(from).take(count);
        let subscriptions = chosen.map(|text| always(text)).collect();
        let (ticket, session) = (Ticket(self.next_ticket), SessionId(session));
        self.bench.step(Input::Host(HostEvent::Subscribe { ticket, session, subscriptions }))
    }

    fn downstream(&self, item: &Item) -> Downstream {
        let (outcome, retained) = (PublishOutcome::Accepted, RetainedVersion(0));
        match *item {
            Item::Welcome { taken_upto, window, epoch, server, time, lease_ms } => {
                Downstream::Welcome(Welcome {
                    taken_upto: PublishNumber(taken_upto),
                    publish_window: window,
                    epoch: BrokerEpoch(epoch),
                    server: ServerIncarnation(server),
                    cluster_time: ClusterMillis(time),
                    lease_ms,
                    ..welcome()
                })
            }
            Item::NextResult { version } => {
                let number = PublishNumber(self.unanswered.front().copied().unwrap_or(0));
                let retained = RetainedVersion(version);
                Downstream::PublishResult { number, outcome, retained }
            }
            Item::Result(number) => {
                Downstream::PublishResult { number: PublishNumber(number), outcome, retained }
            }
            Item::Taken(ticket) => Downstream::InterestTaken { ticket: Ticket(ticket) },
            Item::Deliver { topic, version } => deliver(TOPICS[topic], "x", version),
            Item::Update { topic, clear, version } => {
                update(TOPICS[topic], if clear { "" } else { "y" }, version)
            }
            Item::Begin => Downstream::RetainedBegin,
            Item::Synced(version) => {
                Downstream::RetainedSynced { version: RetainedVersion(version) }
            }
            Item::Goodbye(true) => goodbye(GoodbyeReason::LeaseExpired, "lease"),
            Item::Goodbye(false) => goodbye(GoodbyeReason::TooSlow, "slow"),
        }
    }

    fn note(&mut self, outputs: &Outputs) {
        for output in &outputs.0 {
            match output {
                Output::Send(_, Upstream::Hello(_)) => self.unanswered.clear(),
                Output::Send(_, Upstream::Publish { number: Some(number), .. }) => {
                    self.unanswered.push_back(number.0);
                }
                _ => (),
            }
        }
        let refused = outputs.refused();
        for ticket in outputs.subscribed().iter().map(|(ticket, _)| *ticket).chain(refused) {
            *self.answers.get_mut(&ticket).unwrap() += 1;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_sequence_of_inputs_keeps_the_invariants(
        steps in prop::collection::vec(step(), 0..200),
    ) {
        // Small limits, so that they are met.
        let config = Config { filters_max: 3, retained_max: 2, retained_bytes_max: 30, ..config() };
        let mut run = Run {
            bench: Bench::new(config),
            unanswered: VecDeque::new(),
            next_ticket: 0,
            answers: BTreeMap::new(),
        };
        for step in steps {
            let is_result = matches!(step, Step::Item(Item::NextResult { .. }));
            run.take(step);
            if is_result {
                run.unanswered.pop_front();
            }
        }
        let outputs = run.bench.step(Input::Stop);
        run.note(&outputs);
        prop_assert!(run.answers.values().all(|&times| times == 1), "{:?}", run.answers);
    }
}
