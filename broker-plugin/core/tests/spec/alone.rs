//! The plugin of a broker without a cluster: it keeps what is retained.

use broker_core::host::{HostCommand, HostEvent, HostPublish, NewSubscription, RetainedWanted};
use broker_core::{Config, HeldBy, Input, Mode, Output, Plugin};
use ha_types::{
    BrokerName, ClusterMillis, Incarnation, Message, Millis, SessionId, Subscription, Ticket,
};

/// Cluster time at zero.
pub(crate) const BEGINNING: ClusterMillis = ClusterMillis(1_000_000);

/// See the module.
#[derive(Debug)]
pub(crate) struct Alone(Plugin);

impl Alone {
    pub(crate) fn new() -> Self {
        Self::with_limits(10_000, 1_000)
    }

    pub(crate) fn with_limits(filters_max: usize, retained_max: usize) -> Self {
        Self(Plugin::new(Config {
            mode: Mode::Alone,
            sessions: HeldBy::Host,
            name: BrokerName::parse("a").unwrap(),
            incarnation: Incarnation(1),
            software: "test".into(),
            cluster_time_at_zero: BEGINNING,
            seed: 7,
            backoff_ms: (100, 800),
            connect_hold_ms: 2_000,
            serves_isolated: true,
            outbox_max: 8,
            outbox_bytes_max: 10_000,
            filters_max,
            retained_max,
            retained_bytes_max: 1 << 20,
        }))
    }

    /// Panics when an invariant is broken.
    pub(crate) fn check_invariants(&self) {
        self.0.check_invariants();
    }

    /// Filters that the cluster is asked for.
    pub(crate) fn interest(&self) -> usize {
        self.0.interest().count()
    }

    /// A message that was published at this moment.
    pub(crate) fn publish(&mut self, now: Millis, message: &Message) {
        let expires_in_s = message.expires_at.map(|at| {
            let left_ms = at.0.saturating_sub(BEGINNING.0 + now.0);
            u32::try_from(left_ms.div_ceil(1_000)).unwrap()
        });
        let publish = HostPublish {
            topic: message.topic.clone(),
            payload: message.payload.clone(),
            properties: message.properties.clone(),
            qos: message.qos,
            retain: message.retain,
            expires_in_s,
            session: message.publisher.session,
            exchange: None,
        };
        self.step(now, Input::Publish(publish));
    }

    /// What the host must do.
    pub(crate) fn event(&mut self, now: Millis, event: HostEvent) -> Vec<HostCommand> {
        self.step(now, Input::Host(event))
    }

    /// What a topic retains.
    pub(crate) fn retained(&mut self, now: Millis, topic: &str) -> Option<Message> {
        let subscription = Subscription::parse(topic.as_bytes()).unwrap();
        let session = SessionId(u64::MAX);
        let event = HostEvent::Subscribe {
            ticket: Ticket(u64::MAX),
            session,
            subscriptions: vec![NewSubscription { subscription, retained: RetainedWanted::Always }],
        };
        let found = self.event(now, event).pop();
        self.event(now, HostEvent::SessionEnded { session });
        let Some(HostCommand::Subscribed { retained, .. }) = found else { panic!("{found:?}") };
        retained.concat().pop().map(|delivery| Message::clone(&delivery.message))
    }

    fn step(&mut self, now: Millis, input: Input) -> Vec<HostCommand> {
        let mut outputs = Vec::new();
        self.0.step(now, input, &mut outputs);
        let command = |output| match output {
            Output::Host(command) => Some(command),
            Output::Note(_) => None,
            other => panic!("alone, and then {other:?}"),
        };
        outputs.into_iter().filter_map(command).collect()
    }
}
