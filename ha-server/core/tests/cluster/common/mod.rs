//! A state with a store beside it, as a node has them, and clients in a few words.

mod values;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use ha_core::cluster::{
    Applied, Asked, Batch, ClusterState, Command, FeatureLevel, Fired, Opened, Outcome, Refused,
    Stored,
};
use ha_types::session::{
    CloseCause, ConnectionId, Offset, Open, Page, Progress, Queued, Record, RecordStage,
    SessionKey, SubscribeOptions,
};
use ha_types::{
    AskNumber, BrokerEpoch, BrokerName, ClusterMillis, Incarnation, Message, PublishNumber,
};

pub(crate) use values::{
    at, durable, ephemeral, message, offset, packet_id, payload, subscription, will,
};

/// See the module. Checks the invariants, and that the store follows, after every batch.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) state: ClusterState,
    /// What a store has.
    pub(crate) store: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) now: u64,
    index: u64,
    published: u64,
    connections: u64,
    asked: Cell<u64>,
    /// A broker that is there from the beginning.
    pub(crate) broker: BrokerEpoch,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let mut bench = Self {
            state: ClusterState::new(),
            store: BTreeMap::new(),
            now: 1_000_000,
            index: 0,
            published: 0,
            connections: 0,
            asked: Cell::new(0),
            broker: BrokerEpoch(0),
        };
        bench.one(Command::Raise(FeatureLevel::NEWEST));
        bench.broker = bench.join("a", 1);
        bench
    }

    pub(crate) fn batch(&mut self, commands: Vec<Command>) -> Applied {
        self.batch_and_changes(commands).0
    }

    /// And the keys of what changed for the store.
    pub(crate) fn batch_and_changes(&mut self, commands: Vec<Command>) -> (Applied, Vec<Vec<u8>>) {
        let batch = Batch { time: ClusterMillis(self.now), commands };
        let bytes = batch.encode();
        assert_eq!(Batch::decode(&bytes), Ok(batch), "a batch comes back from its bytes");
        self.index += 1;
        let applied = self.state.apply(self.index, &bytes);
        self.state.check_invariants();
        let changes = self.state.take_changes();
        let keys = changes.iter().map(|(key, _)| key.clone()).collect();
        for (key, value) in changes {
            match value {
                Some(value) => self.store.insert(key, value.to_vec()),
                None => self.store.remove(&key),
            };
        }
        (applied, keys)
    }

    /// What a node has that starts from the store.
    pub(crate) fn reloaded(&self) -> ClusterState {
        let state = ClusterState::load(&self.store).unwrap();
        state.check_invariants();
        let parts = |state: &ClusterState| -> BTreeMap<Vec<u8>, Vec<u8>> {
            state.parts().map(|(key, value)| (key, value.to_vec())).collect()
        };
        assert_eq!(differing(&parts(&self.state), &self.store), [""; 0], "changes add up");
        assert_eq!(differing(&parts(&state), &self.store), [""; 0], "and the state comes back");
        state
    }

    /// Goes on from the store alone.
    pub(crate) fn restart(&mut self) {
        self.state = self.reloaded();
    }

    pub(crate) fn one(&mut self, command: Command) -> Outcome {
        let Applied { mut outcomes, fired, .. } = self.batch(vec![command]);
        assert!(fired.is_empty(), "{fired:?}");
        assert_eq!(outcomes.len(), 1);
        outcomes.remove(0)
    }

    pub(crate) fn join(&mut self, name: &str, incarnation: u64) -> BrokerEpoch {
        let name = BrokerName::parse(name).unwrap();
        match self.one(Command::Join { name, incarnation: Incarnation(incarnation) }) {
            Outcome::Joined(epoch) => epoch,
            other => panic!("{other:?}"),
        }
    }

    /// The next ask of a broker.
    pub(crate) fn asked_by(&self, broker: BrokerEpoch) -> Asked {
        self.asked.set(self.asked.get() + 1);
        Asked { broker, number: AskNumber(self.asked.get()) }
    }

    /// The next ask of a session's broker.
    pub(crate) fn asked(&self, session: SessionKey) -> Asked {
        let owner = self.state.owner_of(session);
        self.asked_by(owner.map_or(self.broker, |owner| owner.broker))
    }

    pub(crate) fn open(&mut self, open: Open) -> Opened {
        self.open_at(self.broker, open)
    }

    /// A connection without a number gets one that was never used.
    pub(crate) fn open_at(&mut self, broker: BrokerEpoch, mut open: Open) -> Opened {
        if open.connection == ConnectionId(0) {
            self.connections += 1;
            open.connection = ConnectionId(self.connections);
        }
        match self.one(Command::Open { asked: self.asked_by(broker), open }) {
            Outcome::Opened(opened) => *opened,
            other => panic!("{other:?}"),
        }
    }

    /// By a session whose engine was given nothing.
    pub(crate) fn subscribe(
        &mut self,
        session: SessionKey,
        options: SubscribeOptions,
    ) -> Vec<Queued> {
        self.subscribe_given(session, None, options)
    }

    pub(crate) fn subscribe_given(
        &mut self,
        session: SessionKey,
        given_upto: Option<Offset>,
        options: SubscribeOptions,
    ) -> Vec<Queued> {
        let (asked, subscriptions) = (self.asked(session), vec![options]);
        match self.one(Command::Subscribe { asked, session, given_upto, subscriptions }) {
            Outcome::Subscribed(mut granted) => granted.remove(0).unwrap().retained,
            other => panic!("{other:?}"),
        }
    }

    /// Of a session whose engine was given nothing.
    pub(crate) fn subscribe_command(
        &self,
        session: SessionKey,
        subscriptions: Vec<SubscribeOptions>,
    ) -> Command {
        let asked = self.asked(session);
        Command::Subscribe { asked, session, given_upto: None, subscriptions }
    }

    /// Of a session whose engine was given nothing.
    pub(crate) fn unsubscribe(&mut self, session: SessionKey, filter: &str) -> Outcome {
        self.unsubscribe_given(session, None, filter)
    }

    pub(crate) fn unsubscribe_given(
        &mut self,
        session: SessionKey,
        given_upto: Option<Offset>,
        filter: &str,
    ) -> Outcome {
        let (asked, subscriptions) = (self.asked(session), vec![subscription(filter)]);
        self.one(Command::Unsubscribe { asked, session, given_upto, subscriptions })
    }

    pub(crate) fn publish(&mut self, message: Message) -> Stored {
        self.try_publish(message).unwrap()
    }

    pub(crate) fn try_publish(&mut self, message: Message) -> Result<Stored, Refused> {
        self.published += 1;
        let number = PublishNumber(self.published);
        self.publish_as(number, message)
    }

    pub(crate) fn publish_as(
        &mut self,
        number: PublishNumber,
        message: Message,
    ) -> Result<Stored, Refused> {
        let (broker, number, message) = (self.broker, Some(number), Arc::new(message));
        match self.one(Command::Publish { broker, number, exchange: None, message }) {
            Outcome::Published(stored) => stored,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn progress(&mut self, session: SessionKey, progress: Progress) -> Outcome {
        self.one(Command::Progress { asked: self.asked(session), session, progress })
    }

    pub(crate) fn puback(&mut self, session: SessionKey, offsets: &[Offset]) {
        let progress = Progress { acknowledged: offsets.to_vec(), ..Progress::default() };
        assert_eq!(self.progress(session, progress), Outcome::Done);
    }

    pub(crate) fn begin(&mut self, session: SessionKey, offsets: &[Offset]) -> Vec<Queued> {
        match self.one(Command::Begin { session, offsets: offsets.to_vec() }) {
            Outcome::Begun(begun) => begun,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn close(&mut self, session: SessionKey, cause: CloseCause) -> Vec<Fired> {
        let (asked, progress) = (self.asked(session), Progress::default());
        self.batch(vec![Command::Close { asked, session, cause, progress, lifetime: None }]).fired
    }

    /// Everything that is due is done.
    pub(crate) fn pass(&mut self, ms: u64) -> Vec<Fired> {
        self.now += ms;
        self.batch(vec![Command::Expire { at_most: u32::MAX }]).fired
    }

    pub(crate) fn page(&self, session: SessionKey) -> Page {
        self.state.page(session, None, usize::MAX, usize::MAX).unwrap()
    }

    /// What is queued, by payload.
    pub(crate) fn queued(&self, session: SessionKey) -> Vec<String> {
        self.page(session).messages.iter().map(|queued| payload(&queued.message)).collect()
    }
}

type Parts = BTreeMap<Vec<u8>, Vec<u8>>;

/// The parts that are not the same.
fn differing(one: &Parts, other: &Parts) -> Vec<String> {
    let keys: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).collect();
    let differing = keys.into_iter().filter(|key| one.get(*key) != other.get(*key));
    differing.map(|key| format!("{key:?}: {:?} {:?}", one.get(key), other.get(key))).collect()
}

/// Records that may have been sent, by payload; those at PUBREL as `pubrel ID`.
pub(crate) fn records(opened: &Opened) -> Vec<String> {
    let text = |record: &Record| match &record.stage {
        RecordStage::Sent(queued) => payload(&queued.message),
        RecordStage::Received => format!("pubrel {}", record.packet_id),
    };
    opened.records.iter().map(text).collect()
}
