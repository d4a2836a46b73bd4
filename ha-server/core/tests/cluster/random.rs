//! Random histories beside a model that keeps a list of messages for each session.

use std::collections::{BTreeMap, BTreeSet};

use ha_core::cluster::{ClusterState, Command, Outcome};
use ha_types::session::{
    CloseCause, Lifetime, Offset, Open, PageEnd, Progress, RecordStage, RetainHandling, SessionKey,
    SubscribeOptions,
};
use ha_types::{Message, Publisher, Qos, TopicFilter};
use proptest::prelude::*;

use crate::common::{Bench, durable, message, packet_id, payload, subscription};

const CLIENTS: [&str; 3] = ["a", "b", "c"];
const TOPICS: [&str; 3] = ["t/1", "t/2", "u"];
const FILTERS: [&str; 4] = ["t/1", "t/+", "#", "u"];

#[derive(Clone, Debug)]
enum Step {
    Open {
        client: usize,
        receive_maximum: u16,
    },
    Close {
        client: usize,
        cause: CloseCause,
    },
    LoseBroker,
    Subscribe {
        client: usize,
        filter: usize,
        qos: Qos,
        no_local: bool,
    },
    Unsubscribe {
        client: usize,
        filter: usize,
    },
    Publish {
        client: usize,
        topic: usize,
        qos: Qos,
    },
    /// Acknowledges one of the first messages that wait.
    Ack {
        client: usize,
        which: usize,
    },
    /// Begins exchanges of the first messages that wait.
    Begin {
        client: usize,
    },
    /// PUBREC or PUBCOMP for one of the exchanges.
    Exchange {
        client: usize,
        which: usize,
    },
    Sweep,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let client = || 0..CLIENTS.len();
    let qos = || prop_oneof![Just(Qos::AtMostOnce), Just(Qos::AtLeastOnce), Just(Qos::ExactlyOnce)];
    let cause = prop_oneof![
        Just(CloseCause::Disconnect),
        Just(CloseCause::Failure),
        Just(CloseCause::Handover)
    ];
    prop_oneof![
        3 => (client(), 1..5_u16).prop_map(|(client, receive_maximum)| Step::Open { client, receive_maximum }),
        2 => (client(), cause).prop_map(|(client, cause)| Step::Close { client, cause }),
        1 => Just(Step::LoseBroker),
        4 => (client(), 0..FILTERS.len(), qos(), any::<bool>())
            .prop_map(|(client, filter, qos, no_local)| Step::Subscribe { client, filter, qos, no_local }),
        1 => (client(), 0..FILTERS.len()).prop_map(|(client, filter)| Step::Unsubscribe { client, filter }),
        10 => (client(), 0..TOPICS.len(), qos())
            .prop_map(|(client, topic, qos)| Step::Publish { client, topic, qos }),
        6 => (client(), 0..4_usize).prop_map(|(client, which)| Step::Ack { client, which }),
        3 => client().prop_map(|client| Step::Begin { client }),
        6 => (client(), 0..4_usize).prop_map(|(client, which)| Step::Exchange { client, which }),
        1 => Just(Step::Sweep),
        1 => Just(Step::Restart),
    ]
}

/// One session as the model has it.
#[derive(Debug, Default)]
struct Model {
    key: Option<SessionKey>,
    id: u64,
    filters: BTreeMap<usize, (Qos, bool)>,
    /// Not acknowledged: payload and QoS, in order.
    pending: Vec<(String, Qos)>,
    /// In exchanges, by payload, and whether PUBREC came.
    exchanges: BTreeMap<u16, (String, bool)>,
}

struct World {
    bench: Bench,
    models: [Model; 3],
    published: u64,
    joined: u64,
}

impl World {
    fn new() -> Self {
        Self { bench: Bench::new(), models: Default::default(), published: 0, joined: 1 }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Open { client, receive_maximum } => self.open(client, receive_maximum),
            Step::Close { client, cause } => {
                if let Some(key) = self.models[client].key.take() {
                    self.bench.close(key, cause);
                }
            }
            Step::LoseBroker => {
                let broker = self.bench.broker;
                self.bench.one(Command::Leave { broker });
                self.joined += 1;
                self.bench.broker = self.bench.join("a", self.joined);
                self.bench.one(Command::Expire { at_most: 2 });
                self.models.iter_mut().for_each(|model| model.key = None);
            }
            Step::Subscribe { client, filter, qos, no_local } => {
                self.subscribe(client, filter, qos, no_local);
            }
            Step::Unsubscribe { client, filter } => self.unsubscribe(client, filter),
            Step::Publish { client, topic, qos } => self.publish(client, topic, qos),
            Step::Ack { client, which } => self.acknowledge(client, which),
            Step::Begin { client } => self.begin(client),
            Step::Exchange { client, which } => self.exchange(client, which),
            Step::Sweep => drop(self.bench.one(Command::Sweep { at_most: 2 })),
            Step::Restart => self.bench.restart(),
        }
        self.compare();
    }

    fn open(&mut self, client: usize, receive_maximum: u16) {
        let open = Open { receive_maximum, ..durable(CLIENTS[client]) };
        let opened = self.bench.open(open);
        let model = &mut self.models[client];
        assert_eq!(opened.is_present, model.id != 0);
        (model.key, model.id) = (Some(opened.session), opened.session.id.0);
        let mut received = BTreeSet::new();
        let mut last = None;
        for record in &opened.records {
            match &record.stage {
                RecordStage::Received => drop(received.insert(record.packet_id.get())),
                RecordStage::Sent(queued) => {
                    assert!(last.is_none_or(|last| queued.offset > last), "in order");
                    last = Some(queued.offset);
                }
            }
        }
        let known = model.exchanges.iter().filter(|(_, (_, received))| *received);
        assert_eq!(received, known.map(|(id, _)| *id).collect());
    }

    fn subscribe(&mut self, client: usize, filter: usize, qos: Qos, no_local: bool) {
        let Some(session) = self.models[client].key else { return };
        let options = SubscribeOptions {
            subscription: subscription(FILTERS[filter]),
            qos,
            no_local,
            retain_as_published: false,
            retain_handling: RetainHandling::Never,
            subscription_id: None,
        };
        self.models[client].filters.insert(filter, (qos, no_local));
        let given_upto = self.given_upto(session, filter);
        self.bench.subscribe_given(session, given_upto, options);
        self.forget(client);
    }

    fn unsubscribe(&mut self, client: usize, filter: usize) {
        let Some(session) = self.models[client].key else { return };
        let existed = self.models[client].filters.remove(&filter).is_some();
        let given_upto = self.given_upto(session, filter);
        let outcome = self.bench.unsubscribe_given(session, given_upto, FILTERS[filter]);
        assert_eq!(outcome, Outcome::Unsubscribed(vec![existed]));
        self.forget(client);
    }

    /// An engine was given so many of what is queued.
    fn given_upto(&self, session: SessionKey, given: usize) -> Option<Offset> {
        self.bench.page(session).messages.get(given).map(|queued| queued.offset)
    }

    /// What the filters that are left do not bring may go on as an exchange, or is dropped; and its
    /// QoS is that of what is left. The model takes it from the state, which may only have less.
    fn forget(&mut self, client: usize) {
        let (queued, exchanges) = actual(&self.bench, CLIENTS[client]);
        let model = &mut self.models[client];
        let before: BTreeSet<_> =
            model.pending.iter().map(|(payload, _)| payload.clone()).collect();
        for (payload, _) in &queued {
            assert!(before.contains(payload), "{payload} was not pending");
        }
        for (id, (payload, received)) in &exchanges {
            let is_same =
                |(was, known): &(String, bool)| *known == *received && (*known || was == payload);
            let was = model.exchanges.get(id).is_some_and(is_same);
            assert!(was || before.contains(payload), "{payload} was not pending");
        }
        for id in model.exchanges.keys() {
            assert!(exchanges.contains_key(id), "an exchange that began goes on");
        }
        (model.pending, model.exchanges) = (queued, exchanges);
    }

    fn publish(&mut self, client: usize, topic: usize, qos: Qos) {
        self.published += 1;
        let payload = self.published.to_string();
        let publisher = Publisher {
            session: ha_types::SessionId(self.models[client].id),
            ..Default::default()
        };
        let message = Message { publisher, ..message(TOPICS[topic], &payload, qos) };
        let name = message.topic.clone();
        let own = self.models[client].id;
        let stored = self.bench.publish(message);
        for model in &mut self.models {
            let wanted = model.filters.iter().filter(|(filter, (_, no_local))| {
                let is_own = *no_local && model.id == own && own != 0;
                let filter = TopicFilter::parse(FILTERS[**filter].as_bytes()).unwrap();
                filter.matches(&name) && !is_own
            });
            let granted = wanted.map(|(_, (qos, _))| *qos).max().unwrap_or_default().min(qos);
            if granted == Qos::AtMostOnce {
                continue;
            }
            let began = stored.began.iter().find(|of| of.session.id.0 == model.id);
            match began {
                Some(of) => {
                    assert_eq!(granted, Qos::ExactlyOnce);
                    model.exchanges.insert(of.packet_id.get(), (payload.clone(), false));
                }
                None => model.pending.push((payload.clone(), granted)),
            }
        }
    }

    fn acknowledge(&mut self, client: usize, which: usize) {
        let Some(session) = self.models[client].key else { return };
        let page = self.bench.page(session).messages;
        let Some(queued) = page.get(which).filter(|of| of.qos == Qos::AtLeastOnce) else { return };
        let payload = payload(&queued.message);
        self.bench.puback(session, &[queued.offset]);
        self.models[client].pending.retain(|(other, _)| *other != payload);
    }

    fn begin(&mut self, client: usize) {
        let Some(session) = self.models[client].key else { return };
        let page = self.bench.page(session).messages;
        let of_2 = page.iter().filter(|of| of.qos == Qos::ExactlyOnce).take(2);
        let offsets: Vec<Offset> = of_2.map(|of| of.offset).collect();
        for begun in self.bench.begin(session, &offsets) {
            let payload = payload(&begun.message);
            let model = &mut self.models[client];
            model.pending.retain(|(other, _)| *other != payload);
            model.exchanges.insert(begun.record.unwrap().get(), (payload, false));
        }
    }

    fn exchange(&mut self, client: usize, which: usize) {
        let model = &mut self.models[client];
        let (Some(session), Some(id)) = (model.key, model.exchanges.keys().nth(which).copied())
        else {
            return;
        };
        let mut progress = Progress::default();
        let exchange = model.exchanges.get_mut(&id).unwrap();
        if exchange.1 {
            model.exchanges.remove(&id);
            progress.completed.push(packet_id(id));
        } else {
            exchange.1 = true;
            progress.received.push(packet_id(id));
        }
        self.bench.progress(session, progress);
    }

    fn compare(&self) {
        for (client, model) in CLIENTS.iter().zip(&self.models) {
            if model.id == 0 {
                continue;
            }
            let (queued, exchanges) = actual(&self.bench, client);
            assert_eq!(queued, model.pending, "{client}");
            let known: Vec<_> = model.exchanges.iter().map(|(id, of)| (*id, of.1)).collect();
            let found: Vec<_> = exchanges.iter().map(|(id, of)| (*id, of.1)).collect();
            assert_eq!(found, known, "{client}");
        }
    }
}

type Queue = Vec<(String, Qos)>;

/// What a session has in its queue and in its exchanges: as the next owner of a copy would see it.
fn actual(bench: &Bench, client: &str) -> (Queue, BTreeMap<u16, (String, bool)>) {
    let (key, _) = bench.state.session_of(client).unwrap();
    let page = bench.page(key);
    assert!(matches!(page.end, PageEnd::Live(_)));
    let queued = page.messages.iter().map(|of| (payload(&of.message), of.qos)).collect();
    let mut copy = ClusterState::load(&bench.store).unwrap();
    let open = Command::Open { asked: bench.asked_by(bench.broker), open: durable(client) };
    let time = copy.now();
    let batch = ha_core::cluster::Batch { time, commands: vec![open] };
    let applied = copy.apply(u64::MAX, &batch.encode());
    let Outcome::Opened(opened) = &applied.outcomes[0] else { panic!("{applied:?}") };
    let is_queued =
        |payload: &String| page.messages.iter().any(|of| *payload == self::payload(&of.message));
    let mut exchanges = BTreeMap::new();
    for record in &opened.records {
        let id = record.packet_id.get();
        match &record.stage {
            RecordStage::Received => drop(exchanges.insert(id, (String::new(), true))),
            RecordStage::Sent(queued) => {
                let payload = payload(&queued.message);
                if !is_queued(&payload) {
                    exchanges.insert(id, (payload, false));
                }
            }
        }
    }
    // Those that were not sent come later.
    for queued in copy.begun_by(opened.session).unwrap() {
        exchanges.insert(queued.record.unwrap().get(), (payload(&queued.message), false));
    }
    (queued, exchanges)
}

proptest! {
    #[test]
    fn sessions_have_what_they_did_not_acknowledge(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.bench.reloaded();
        // When everybody has gone, nothing is left.
        for (client, model) in CLIENTS.iter().zip(&world.models) {
            if model.id != 0 {
                let lifetime = Lifetime::Connection;
                let session = world.bench.open(Open { lifetime, ..durable(client) }).session;
                world.bench.close(session, CloseCause::Disconnect);
            }
        }
        let counts = world.bench.state.counts();
        prop_assert_eq!((counts.sessions, counts.messages, counts.bytes), (0, 0, 0));
    }
}
