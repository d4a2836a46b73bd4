//! Engines and an ha-server on both sides of the plugin, while streams break and epochs end: each ask is
//! done once and in order, each connection hears what it waits for, nothing is given twice or lost.

use std::collections::{BTreeMap, BTreeSet};

use broker_core::host::HostCommand;
use broker_core::{Input, LinkState, Output};
use ha_types::session::{Ask, ConnectionId, Lifetime, SessionKey, Tell};
use ha_types::{SessionId, Ticket};
use proptest::prelude::*;

use super::common::{acknowledge, close, clustered, open, options};
use super::model::{BEGINNING, Model};
use crate::common::{Bench, Outputs, publish};

#[derive(Clone, Copy, Debug)]
enum Step {
    Open,
    Subscribe(usize),
    Publish(usize),
    Acknowledge(usize),
    Close(usize),
    Enqueue(usize),
    /// So many items arrive at ha-server, or at the broker.
    Up(usize),
    Down(usize),
    Break,
    Lose,
    Dial,
}

fn step() -> impl Strategy<Value = Step> {
    let any = 0..6_usize;
    prop_oneof![
        3 => Just(Step::Open),
        4 => any.clone().prop_map(Step::Subscribe),
        6 => any.clone().prop_map(Step::Publish),
        4 => any.clone().prop_map(Step::Acknowledge),
        1 => any.clone().prop_map(Step::Close),
        5 => any.clone().prop_map(Step::Enqueue),
        12 => any.clone().prop_map(Step::Up),
        12 => any.prop_map(Step::Down),
        2 => Just(Step::Break),
        1 => Just(Step::Lose),
        4 => Just(Step::Dial),
    ]
}

/// A connection as its engine sees it.
#[derive(Debug, Default)]
struct Engine {
    session: Option<SessionKey>,
    is_ended: bool,
    next: u64,
    /// What it asked, in words.
    asked: Vec<String>,
    /// Tickets and packet identifiers that wait for their answer.
    tickets: BTreeSet<u64>,
    publishes: BTreeSet<u16>,
    /// The last offset that it was given, and the last that it acknowledged.
    given: u64,
    acknowledged: u64,
}

struct Run {
    bench: Bench,
    model: Model,
    engines: BTreeMap<u64, Engine>,
    published: u64,
}

impl Run {
    fn new() -> Self {
        let (bench, model) = (Bench::new(clustered()), Model::new());
        Self { bench, model, engines: BTreeMap::new(), published: 0 }
    }

    /// A connection that has its session.
    fn serving(&self, which: usize) -> Option<(u64, SessionKey)> {
        let open = self.engines.iter().filter(|(_, engine)| !engine.is_ended);
        let open: Vec<_> = open.filter_map(|(n, engine)| Some((*n, engine.session?))).collect();
        (!open.is_empty()).then(|| open[which % open.len()])
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Open => {
                let n = self.engines.len() as u64 + 1;
                self.engines.insert(n, Engine::default());
                self.ask(open(n, Lifetime::Unlimited));
            }
            Step::Subscribe(which) => self.with(which, |n, session, engine| {
                engine.next += 1;
                engine.tickets.insert(engine.next);
                engine.asked.push(format!("subscribe {}", engine.next));
                let subscriptions = vec![options(&format!("t/{}", n % 3))];
                Some(Ask::Subscribe { session, ticket: Ticket(engine.next), subscriptions })
            }),
            Step::Publish(which) => self.publish(which),
            Step::Acknowledge(which) => self.with(which, |_, session, engine| {
                let offset = engine.acknowledged + 1;
                if offset > engine.given {
                    return None;
                }
                engine.acknowledged = offset;
                engine.asked.push(format!("acknowledge {offset}"));
                let Ask::Progress { progress, .. } = acknowledge(0, offset) else { panic!() };
                Some(Ask::Progress { session, progress })
            }),
            Step::Close(which) => self.with(which, |_, session, engine| {
                engine.is_ended = true;
                engine.asked.push("close".into());
                let Ask::Close { cause, progress, lifetime, .. } = close(0) else { panic!() };
                Some(Ask::Close { session, cause, progress, lifetime })
            }),
            Step::Enqueue(which) => {
                if let Some((_, key)) = self.serving(which) {
                    self.model.enqueue(key);
                }
            }
            Step::Up(count) => (0..count).for_each(|_| self.model.step()),
            Step::Down(count) => self.down(count),
            Step::Break => {
                self.model.break_stream();
                let outputs = self.bench.break_stream();
                self.note(outputs);
            }
            Step::Lose => {
                self.model.lose();
                let outputs = self.bench.break_stream();
                self.note(outputs);
            }
            Step::Dial => self.dial(),
        }
    }

    fn with(
        &mut self,
        which: usize,
        asks: impl FnOnce(u64, SessionKey, &mut Engine) -> Option<Ask>,
    ) {
        let Some((n, key)) = self.serving(which) else { return };
        let ask = asks(n, key, self.engines.get_mut(&n).unwrap());
        if let Some(ask) = ask {
            self.ask(ask);
        }
    }

    fn ask(&mut self, ask: Ask) {
        let outputs = self.bench.ask(ask);
        self.note(outputs);
    }

    fn publish(&mut self, which: usize) {
        let Some((n, session)) = self.serving(which) else { return };
        self.published += 1;
        let engine = self.engines.get_mut(&n).unwrap();
        let Some(id) = (1..100).find(|id| !engine.publishes.contains(id)) else { return };
        engine.publishes.insert(id);
        let mut publish = publish("t", &self.published.to_string()).of(n, id);
        publish.0.session = SessionId(session.id.0);
        publish.0.exchange = publish.0.exchange.map(|(_, id)| (session, id));
        let outputs = self.bench.publish(publish);
        self.note(outputs);
    }

    fn down(&mut self, count: usize) {
        let items: Vec<_> = (0..count).map_while(|_| self.model.down.pop_front()).collect();
        let outputs = self.bench.receive_all(items);
        self.note(outputs);
    }

    fn dial(&mut self) {
        if self.bench.plugin.link_state() == LinkState::Detached {
            let outputs = self.bench.at_deadline();
            self.note(outputs);
        }
    }

    fn note(&mut self, outputs: Outputs) {
        for output in outputs.0 {
            match output {
                Output::Send(stream, item) if stream == self.bench.stream() => {
                    self.model.up.push_back(item);
                }
                Output::Dial(..) => self.model.break_stream(),
                Output::Host(HostCommand::Tell(ConnectionId(n), tell)) => {
                    let engine = self.engines.get_mut(&n).unwrap();
                    assert!(!engine.is_ended || engine.session.is_some(), "{tell:?} after the end");
                    if !engine.is_ended {
                        engine.hear(tell);
                    }
                }
                _ => (),
            }
        }
    }

    /// Until nothing is on its way.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            self.dial();
            self.model.step();
            self.down(1);
            let is_quiet = self.model.up.is_empty() && self.model.down.is_empty();
            if is_quiet && self.bench.plugin.link_state() == LinkState::Attached {
                return;
            }
        }
        panic!("it goes on and on");
    }

    fn check(&self) {
        assert_eq!((self.bench.plugin.outbox_len(), self.bench.plugin.asks_len()), (0, 0));
        let mut open = BTreeSet::new();
        for engine in self.engines.values() {
            let Some(key) = engine.session else {
                assert!(engine.is_ended, "a CONNECT waits");
                continue;
            };
            let done = self.model.done.iter().filter(|(of, _)| *of == key).map(|(_, ask)| ask);
            let done: Vec<_> = done.collect();
            let asked: Vec<_> = engine.asked.iter().collect();
            if self.model.sessions.contains_key(&key) {
                assert!(!engine.is_ended, "closed, and still there");
                assert!(engine.tickets.is_empty() && engine.publishes.is_empty(), "{engine:?}");
                assert_eq!(engine.given, self.model.sessions[&key].last, "nothing is lost");
                assert_eq!(sorted(&done), sorted(&asked), "each is done once");
                open.insert(key);
            }
            // Of a session that was lost the rest is forgotten; acknowledgements may pass the others.
            for kind in ["subscribe", "acknowledge"] {
                let of = |asks: &[&String]| -> Vec<String> {
                    let of = asks.iter().filter(|ask| ask.starts_with(kind));
                    of.map(|ask| (*ask).clone()).collect()
                };
                assert!(of(&asked).starts_with(&of(&done)), "{done:?} of {asked:?}");
            }
        }
        assert!(open.iter().eq(self.model.sessions.keys()), "no session is nobody's");
        let published: BTreeSet<_> = self.model.published.iter().collect();
        assert_eq!(published.len(), self.model.published.len(), "each is published once");
    }
}

fn sorted<'a>(asks: &[&'a String]) -> Vec<&'a String> {
    let mut asks = asks.to_vec();
    asks.sort();
    asks
}

impl Engine {
    fn hear(&mut self, tell: Tell) {
        match tell {
            Tell::Opened(opened) => {
                assert_eq!(self.session, None, "answered once");
                self.session = Some(opened.session);
                (self.given, self.acknowledged) = (BEGINNING, BEGINNING);
            }
            Tell::Subscribed { ticket, .. } => assert!(self.tickets.remove(&ticket.0)),
            Tell::Published { packet_id, .. } => assert!(self.publishes.remove(&packet_id.get())),
            Tell::Deliver { queued, .. } => {
                assert_eq!(queued.offset.message, self.given + 1, "once, in order");
                self.given += 1;
            }
            Tell::OpenRefused { .. } | Tell::Fenced { .. } => self.is_ended = true,
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn asks_are_done_once_and_nothing_is_given_twice_or_lost(
        steps in prop::collection::vec(step(), 0..150),
    ) {
        let mut run = Run::new();
        let outputs = run.bench.step(Input::Tick);
        run.note(outputs);
        for step in steps {
            run.take(step);
        }
        run.settle();
        run.check();
    }
}
