//! The replicated state: durable messages from their publish to their acknowledgement.

use std::hint::black_box;
use std::sync::Arc;

use ha_core::cluster::{Asked, Batch, ClusterState, Command, FeatureLevel, Outcome};
use ha_types::session::{
    ConnectionId, Lifetime, Offset, Open, Progress, RetainHandling, SessionKey, Start,
    SubscribeOptions,
};
use ha_types::{
    AskNumber, BrokerEpoch, BrokerName, ClusterMillis, Incarnation, Message, PublishNumber, Qos,
    Subscription,
};

use crate::message_of;

/// Messages of one round, in one batch.
pub const MESSAGES: u64 = 64;

/// A state, and the next numbers of its only broker.
struct Log {
    state: ClusterState,
    index: u64,
    broker: BrokerEpoch,
    asked: u64,
    published: u64,
}

impl Log {
    fn apply(&mut self, commands: Vec<Command>) -> Vec<Outcome> {
        self.index += 1;
        let batch = Batch { time: ClusterMillis(1), commands };
        self.state.apply(self.index, &batch.encode()).outcomes
    }

    fn asked(&mut self) -> Asked {
        self.asked += 1;
        Asked { broker: self.broker, number: AskNumber(self.asked) }
    }

    fn publish(&mut self, message: &Arc<Message>) -> Command {
        self.published += 1;
        Command::Publish {
            broker: self.broker,
            number: Some(PublishNumber(self.published)),
            exchange: None,
            message: Arc::clone(message),
        }
    }

    /// One that is connected, with a subscription to all that is published.
    fn session(&mut self, connection: u64) -> SessionKey {
        let open = Open {
            connection: ConnectionId(connection),
            client_id: format!("client-{connection}").into(),
            start: Start::Resume,
            lifetime: Lifetime::Unlimited,
            will: None,
            receive_maximum: u16::MAX,
        };
        let asked = self.asked();
        let outcome = self.apply(vec![Command::Open { asked, open }]).remove(0);
        let Outcome::Opened(opened) = outcome else { panic!("{outcome:?}") };
        let options = SubscribeOptions {
            subscription: Subscription::parse(b"plant/#").unwrap(),
            qos: Qos::AtLeastOnce,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::AtSubscribe,
            subscription_id: None,
        };
        let (asked, session) = (self.asked(), opened.session);
        let subscriptions = vec![options];
        self.apply(vec![Command::Subscribe { asked, session, given_upto: None, subscriptions }]);
        session
    }
}

/// A round applies [`MESSAGES`] publishes of QoS 1 for so many durable sessions that share a filter, then
/// what each of these acknowledges, and takes what changed for the store.
pub fn apply(sessions: u64) -> impl FnMut() {
    let (state, broker) = (ClusterState::new(), BrokerEpoch(0));
    let mut log = Log { state, index: 0, broker, asked: 0, published: 0 };
    let join = Command::Join { name: BrokerName::parse("a").unwrap(), incarnation: Incarnation(1) };
    let outcome = log.apply(vec![Command::Raise(FeatureLevel::NEWEST), join]).remove(1);
    let Outcome::Joined(epoch) = outcome else { panic!("{outcome:?}") };
    log.broker = epoch;
    let sessions: Vec<_> = (1..=sessions).map(|connection| log.session(connection)).collect();
    let message = Arc::new(message_of(Qos::AtLeastOnce));
    move || {
        let publishes = (0..MESSAGES).map(|_| log.publish(&message)).collect();
        let outcomes = log.apply(publishes);
        let offsets: Vec<_> = outcomes.iter().map(offset).collect();
        let progress = Progress { acknowledged: offsets, ..Progress::default() };
        let acknowledge = |&session| Command::Progress {
            asked: log.asked(),
            session,
            progress: progress.clone(),
        };
        let acknowledged = sessions.iter().map(acknowledge).collect();
        log.apply(acknowledged);
        black_box(log.state.take_changes());
    }
}

fn offset(outcome: &Outcome) -> Offset {
    let Outcome::Published(Ok(stored)) = outcome else { panic!("{outcome:?}") };
    Offset::new(stored.number.expect("somebody keeps it"))
}
