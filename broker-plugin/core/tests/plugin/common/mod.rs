//! A plugin on a bench: inputs go in by hand, outputs come back, time is a number.

mod outputs;
mod values;

use broker_core::host::HostEvent;
use broker_core::{Config, HeldBy, Input, LinkState, Mode, Output, Plugin, StreamId};
use ha_types::link::{Downstream, PublishOutcome, Welcome};
use ha_types::{
    BrokerName, ClusterMillis, Incarnation, Millis, PublishNumber, RetainedVersion, SessionId,
    Ticket,
};

pub(crate) use outputs::Outputs;
pub(crate) use values::*;

/// Cluster time at the plugin's zero until ha-server says better.
pub(crate) const OWN_TIME: u64 = 1_000_000;

pub(crate) const ADDRESSES: [&str; 2] = ["a:2000", "b:2000"];

/// A broker with two addresses and small limits.
pub(crate) fn config() -> Config {
    Config {
        mode: Mode::Clustered(ADDRESSES.map(String::from).into()),
        sessions: HeldBy::Host,
        name: BrokerName::parse("a").unwrap(),
        incarnation: Incarnation(1),
        software: "test".into(),
        cluster_time_at_zero: ClusterMillis(OWN_TIME),
        seed: 7,
        backoff_ms: (100, 800),
        connect_hold_ms: 2_000,
        serves_isolated: true,
        outbox_max: 8,
        outbox_bytes_max: 10_000,
        filters_max: 600,
        retained_max: 1_000,
        retained_bytes_max: 100_000,
    }
}

/// One plugin and the time it is.
pub(crate) struct Bench {
    pub(crate) plugin: Plugin,
    now: u64,
    /// Dialled last.
    stream: StreamId,
}

impl Bench {
    pub(crate) fn new(config: Config) -> Self {
        Self { plugin: Plugin::new(config), now: 0, stream: StreamId(0) }
    }

    /// Due to dial at once.
    pub(crate) fn fresh() -> Self {
        Self::new(config())
    }

    /// Dialled in vain, and waits.
    pub(crate) fn detached() -> Self {
        let mut bench = Self::fresh();
        bench.fail_until_it_waits();
        bench
    }

    /// One attempt more than there are addresses fails.
    pub(crate) fn fail_until_it_waits(&mut self) {
        for _ in 0..=ADDRESSES.len() {
            self.at(self.now);
            self.break_stream();
        }
    }

    pub(crate) fn alone() -> Self {
        Self::new(Config { mode: Mode::Alone, ..config() })
    }

    /// Welcomed at time zero, on stream 1.
    pub(crate) fn attached() -> Self {
        Self::attached_with(welcome())
    }

    /// Attached, and told that there are no retained messages.
    pub(crate) fn loaded() -> Self {
        let mut bench = Self::attached();
        bench.transfer(vec![], 0);
        bench
    }

    pub(crate) fn attached_with(welcome: Welcome) -> Self {
        let mut bench = Self::fresh();
        bench.at(0);
        bench.receive(Downstream::Welcome(welcome));
        assert_eq!(bench.plugin.link_state(), LinkState::Attached);
        bench
    }

    pub(crate) fn step(&mut self, input: Input) -> Outputs {
        let mut out = Vec::new();
        self.plugin.step(Millis(self.now), input, &mut out);
        self.plugin.check_invariants();
        let mut dialled = out.iter().filter_map(|output| match output {
            Output::Dial(stream, _) => Some(*stream),
            _ => None,
        });
        self.stream = dialled.next_back().unwrap_or(self.stream);
        Outputs(out)
    }

    /// Lets the time be `now`.
    pub(crate) fn at(&mut self, now: u64) -> Outputs {
        self.now = now;
        self.step(Input::Tick)
    }

    /// Lets the time be the plugin's own deadline.
    pub(crate) fn at_deadline(&mut self) -> Outputs {
        let deadline = self.plugin.deadline().unwrap().0;
        self.at(deadline)
    }

    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// The stream that was dialled last.
    pub(crate) fn stream(&self) -> StreamId {
        self.stream
    }

    /// An item from ha-server on the present stream.
    pub(crate) fn receive(&mut self, item: Downstream) -> Outputs {
        self.receive_all(vec![item])
    }

    pub(crate) fn receive_all(&mut self, items: Vec<Downstream>) -> Outputs {
        self.step(Input::Received(self.stream(), items))
    }

    /// The present stream breaks.
    pub(crate) fn break_stream(&mut self) -> Outputs {
        self.step(Input::Broken(self.stream(), "reset by peer".into()))
    }

    /// Dials when it is time to, and is welcomed.
    pub(crate) fn attach_again(&mut self, welcome: Welcome) -> Outputs {
        while self.plugin.link_state() != LinkState::Attaching {
            self.at_deadline();
        }
        self.receive(Downstream::Welcome(welcome))
    }

    pub(crate) fn publish(&mut self, publish: Publish) -> Outputs {
        self.step(Input::Publish(publish.0))
    }

    pub(crate) fn subscribe(&mut self, ticket: u64, session: u64, filters: &[&str]) -> Outputs {
        let subscriptions = filters.iter().map(|text| always(text)).collect();
        let (ticket, session) = (Ticket(ticket), SessionId(session));
        self.step(Input::Host(HostEvent::Subscribe { ticket, session, subscriptions }))
    }

    pub(crate) fn unsubscribe(&mut self, session: u64, filters: &[&str]) -> Outputs {
        let subscriptions = filters.iter().map(|text| subscription(text)).collect();
        let session = SessionId(session);
        self.step(Input::Host(HostEvent::Unsubscribe { session, subscriptions }))
    }

    pub(crate) fn end_session(&mut self, session: u64) -> Outputs {
        self.step(Input::Host(HostEvent::SessionEnded { session: SessionId(session) }))
    }

    pub(crate) fn interest_taken(&mut self, ticket: u64) -> Outputs {
        self.receive(Downstream::InterestTaken { ticket: Ticket(ticket) })
    }

    /// Answers a publish; a version of zero: not retained.
    pub(crate) fn result(&mut self, number: u64, version: u64) -> Outputs {
        let (number, retained) = (PublishNumber(number), RetainedVersion(version));
        let outcome = PublishOutcome::Accepted;
        self.receive(Downstream::PublishResult { number, outcome, retained })
    }

    /// A whole transfer of the retained messages.
    pub(crate) fn transfer(&mut self, items: Vec<Downstream>, upto: u64) -> Outputs {
        let mut all = vec![Downstream::RetainedBegin];
        all.extend(items);
        all.push(Downstream::RetainedSynced { version: RetainedVersion(upto) });
        self.receive_all(all)
    }

    /// The retained payloads that a new subscriber sees, with their topics.
    pub(crate) fn retained(&self, filter: &str) -> Vec<String> {
        let found = self.plugin.retained_matching(&topic_filter(filter));
        found.iter().map(|delivery| outputs::shown(&delivery.message)).collect()
    }
}
