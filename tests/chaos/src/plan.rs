//! The clients of a run: who they are, what they subscribe to and publish, and their habits.

use std::time::Duration;

use broker_core::codec::{NEVER_EXPIRES, RetainHandling, SubscriptionOptions, Version};
use ha_types::{Qos, TopicFilter};

use crate::message::{Kinds, LONG_EXPIRY_S};

/// One client, from the beginning to the end of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its client id.
    pub id: String,
    /// Its version of MQTT.
    pub version: Version,
    /// Of its session: zero ends it with the connection, in seconds. Before 5.0 zero or
    /// [`NEVER_EXPIRES`].
    pub expires_s: u32,
    /// Asked for whenever its session is new.
    pub subscriptions: Vec<Wanted>,
    /// What it publishes, if it does.
    pub publishes: Option<Kinds>,
    /// What else it does.
    pub habits: Habits,
}

/// A subscription.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Never shared.
    pub filter: TopicFilter,
    /// How messages come.
    pub options: SubscriptionOptions,
}

/// What makes a client difficult.
#[derive(Clone, Copy, Debug, Default)]
pub struct Habits {
    /// It stays connected and away for about so long, in turn.
    pub leaves: Option<Leave>,
    /// Between a delivery and its acknowledgement.
    pub pause: Duration,
    /// Subscribes to everything again about so often.
    pub subscribes_again: Option<Duration>,
    /// Of each connection.
    pub receive_maximum: ReceiveMaximum,
}

/// Turns of a client that is away now and then.
#[derive(Clone, Copy, Debug)]
pub struct Leave {
    /// Connected.
    pub after: Duration,
    /// Away.
    pub away: Duration,
}

/// The Receive Maximum that a client announces; it has none before 5.0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceiveMaximum {
    /// The most.
    #[default]
    Most,
    /// 16, and half of it with each connection; 16 again after 1.
    Lowering,
}

impl ReceiveMaximum {
    /// That of a connection, counted from 1.
    #[must_use]
    pub fn of(self, connection: u32) -> u16 {
        match self {
            Self::Most => u16::MAX,
            Self::Lowering => 16 >> (connection.saturating_sub(1) % 5),
        }
    }
}

impl Plan {
    fn new(id: &str, version: Version, expires_s: u32) -> Self {
        Self {
            id: id.to_owned(),
            version,
            expires_s,
            subscriptions: Vec::new(),
            publishes: None,
            habits: Habits::default(),
        }
    }

    fn wants(mut self, filter: &str, qos: Qos) -> Self {
        let filter = TopicFilter::parse(filter.as_bytes()).expect("ours are valid");
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        self.subscriptions.push(Wanted { filter, options });
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Habits)) -> Self {
        change(&mut self.habits);
        self
    }

    /// Whether its session outlives its connections.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.expires_s > 0
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Everybody: publishers with durable sessions, durable subscribers with all habits, ephemeral ones.
#[must_use]
pub fn cast(publishers: u16) -> Vec<Plan> {
    let mut all = subscribers();
    all.extend((1..=publishers).map(publisher));
    all
}

fn publisher(number: u16) -> Plan {
    let (version, kinds) = match number % 2 {
        0 => (Version::V311, Kinds::WithoutExpiry),
        _ => (Version::V5, Kinds::WithExpiry),
    };
    let plan = Plan::new(&format!("publisher-{number}"), version, NEVER_EXPIRES);
    let plan = Plan { publishes: Some(kinds), ..plan };
    if !number.is_multiple_of(3) {
        return plan;
    }
    let leave = Leave { after: 3 * SECOND, away: SECOND / 20 };
    plan.with(|habits| habits.leaves = Some(leave))
}

fn subscribers() -> Vec<Plan> {
    let (once, exactly) = (Qos::AtLeastOnce, Qos::ExactlyOnce);
    let durable = |id: &str| Plan::new(id, Version::V5, LONG_EXPIRY_S);
    let durable_3 = |id: &str| Plan::new(id, Version::V311, NEVER_EXPIRES);
    let ephemeral = |id: &str| Plan::new(id, Version::V5, 0);
    let leaves = |after: Duration, away: Duration| {
        move |habits: &mut Habits| habits.leaves = Some(Leave { after, away })
    };
    let mut local = durable("durable-5-no-local").wants("chaos/live/+", exactly);
    local.publishes = Some(Kinds::WithExpiry);
    local.subscriptions[0].options.no_local = true;
    let mut published = ephemeral("ephemeral-as-published").wants("chaos/retained/+", once);
    published.subscriptions[0].options.retain_as_published = true;
    published.subscriptions[0].options.retain_handling = RetainHandling::IfNew;
    vec![
        durable("durable-5-overlap").wants("chaos/#", once).wants("chaos/live/+", exactly),
        durable_3("durable-3-overlap").wants("chaos/live/+", once).wants("chaos/live/1", exactly),
        durable("durable-5-retained").wants("chaos/retained/+", exactly).with(|habits| {
            habits.subscribes_again = Some(SECOND);
            habits.receive_maximum = ReceiveMaximum::Lowering;
        }),
        durable_3("durable-3-retained")
            .wants("chaos/retained/#", once)
            .with(|habits| habits.subscribes_again = Some(2 * SECOND)),
        durable("durable-5-narrow").wants("chaos/+/2", exactly).with(|habits| {
            habits.receive_maximum = ReceiveMaximum::Lowering;
            habits.leaves = Some(Leave { after: 2 * SECOND, away: SECOND / 10 });
        }),
        durable("durable-5-slow")
            .wants("chaos/live/3", exactly)
            .with(|habits| habits.pause = SECOND / 100),
        durable("durable-5-away").wants("chaos/live/#", exactly).with(leaves(SECOND, 4 * SECOND)),
        durable_3("durable-3-away")
            .wants("chaos/live/#", once)
            .with(leaves(2 * SECOND, 3 * SECOND)),
        local,
        ephemeral("ephemeral-all").wants("chaos/#", exactly),
        Plan::new("ephemeral-3", Version::V311, 0).wants("chaos/live/+", once),
        ephemeral("ephemeral-0").wants("chaos/#", Qos::AtMostOnce),
        published,
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn everybody_has_a_client_id_of_its_own() {
        let all = cast(5);
        let ids: BTreeSet<_> = all.iter().map(|plan| plan.id.as_str()).collect();
        assert_eq!(ids.len(), all.len());
        assert!(ids.iter().all(|id| !id.contains(' ')), "a payload ends an id with a blank");
    }

    #[test]
    fn receive_maximum_falls_with_each_connection_and_begins_again() {
        let all: Vec<_> = (1..=6).map(|number| ReceiveMaximum::Lowering.of(number)).collect();
        assert_eq!(all, [16, 8, 4, 2, 1, 16]);
    }
}
