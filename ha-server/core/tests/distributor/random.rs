//! Whatever brokers, clients and networks do, in whatever order.
//!
//! [`Cluster`] checks the invariants after every step. Beside it, each broker is modelled: its
//! numbering, its unanswered publishes and its copy of the retained messages, which must agree with
//! the server's in the end.

use std::collections::VecDeque;
use std::sync::Arc;

use ha_core::{Config, Input, StreamId};
use ha_types::link::{Downstream, Hello, RetainedChange, Upstream};
use ha_types::{
    ClusterMillis, Message, PublishNumber, RetainedStore, RetainedVersion, ServerIncarnation,
    SessionId, TopicName,
};
use proptest::prelude::*;

use crate::common::{Cluster, announce, config, filters, hello, retained, withdraw};

const TOPICS: [&str; 4] = ["a", "a/b", "c", "$d"];
const FILTERS: [&str; 6] = ["#", "a", "a/#", "+", "c", "$d"];

#[derive(Clone, Debug)]
enum Act {
    Attach,
    Restart,
    Break,
    Leave,
    Silent,
    Garbage(u64),
    Announce(usize),
    Withdraw(usize),
    Publish { numbered: bool, retain: bool, topic: usize, bytes: usize },
    Write(usize),
    Heartbeat,
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let publish = (any::<bool>(), any::<bool>(), 0..TOPICS.len(), 0..600_usize).prop_map(
        |(numbered, retain, topic, bytes)| {
            let bytes = bytes.saturating_sub(50);
            Act::Publish { numbered, retain, topic, bytes }
        },
    );
    prop_oneof![
        4 => Just(Act::Attach),
        1 => Just(Act::Restart),
        2 => Just(Act::Break),
        1 => Just(Act::Leave),
        1 => Just(Act::Silent),
        1 => (0..6_u64).prop_map(Act::Garbage),
        4 => (0..FILTERS.len()).prop_map(Act::Announce),
        2 => (0..FILTERS.len()).prop_map(Act::Withdraw),
        16 => publish,
        8 => (1..1_500_usize).prop_map(Act::Write),
        3 => Just(Act::Heartbeat),
        2 => (0..400_u64).prop_map(Act::Wait),
    ]
}

/// The broker's side, as `distributor.proto` asks for it.
#[derive(Debug)]
struct Plugin {
    index: u64,
    incarnation: u64,
    stream: Option<StreamId>,
    last_number: u64,
    unanswered: VecDeque<(u64, Arc<Message>)>,
    /// Leading ones of `unanswered` that were sent on this stream.
    sent: usize,
    /// Whether this stream has a number that the next must follow.
    has_numbered: bool,
    copy: RetainedStore,
    mentioned: Vec<TopicName>,
}

impl Plugin {
    fn new(index: u64) -> Self {
        Self {
            index,
            incarnation: 1,
            stream: None,
            last_number: 0,
            unanswered: VecDeque::new(),
            sent: 0,
            has_numbered: false,
            copy: RetainedStore::new(1_000, 1_000_000),
            mentioned: Vec::new(),
        }
    }

    fn hello(&self) -> Hello {
        hello(&format!("b{}", self.index), self.incarnation)
    }

    fn attach(&mut self, cluster: &mut Cluster, copy: Vec<Upstream>) {
        let copy_of = (!copy.is_empty()).then_some(ServerIncarnation(1));
        let stream = cluster.hello(Hello { copy_of, ..self.hello() });
        if cluster.goodbye(stream).is_some() {
            return;
        }
        let upto = cluster.welcome(stream).taken_upto.0;
        self.stream = Some(stream);
        // All of them again, also those that were taken: the answer must be the same.
        self.sent = 0;
        self.has_numbered = false;
        assert!(upto <= self.last_number);
        cluster.say(stream, copy);
        self.send_unanswered(cluster);
    }

    fn send_unanswered(&mut self, cluster: &mut Cluster) {
        let Some(stream) = self.stream else { return };
        let window = config().publish_window as usize;
        while self.sent < window.min(self.unanswered.len()) {
            let (number, message) = self.unanswered[self.sent].clone();
            self.sent += 1;
            self.has_numbered = true;
            let number = Some(PublishNumber(number));
            cluster.say(stream, [Upstream::Publish { number, exchange: None, message }]);
            self.receive(cluster);
        }
    }

    fn receive(&mut self, cluster: &mut Cluster) {
        let Some(stream) = self.stream else { return };
        for item in cluster.read(stream) {
            self.take(item);
        }
    }

    fn take(&mut self, item: Downstream) {
        match item {
            Downstream::PublishResult { number, retained, .. } => {
                assert!(self.sent > 0, "nothing is unanswered");
                self.sent -= 1;
                let (expected, message) = self.unanswered.pop_front().unwrap();
                assert_eq!(number.0, expected);
                self.apply(&message, retained);
            }
            Downstream::Deliver { origin: None, message, retained } => {
                assert_ne!(message.publisher.session, SessionId(self.index));
                self.apply(&message, retained);
            }
            Downstream::RetainedUpdate(RetainedChange { topic, version, message }) => {
                let _ = self.copy.apply(&topic, version, message);
                self.mentioned.push(topic);
            }
            Downstream::RetainedBegin => self.mentioned.clear(),
            Downstream::RetainedSynced { version } => {
                self.copy.keep_only(version, |topic| self.mentioned.contains(topic));
            }
            Downstream::Goodbye(_) => self.stream = None,
            Downstream::Welcome(_) | Downstream::InterestTaken { .. } => (),
        }
    }

    fn apply(&mut self, message: &Arc<Message>, version: RetainedVersion) {
        if version > RetainedVersion(0) {
            let kept = (!message.payload.is_empty()).then(|| Arc::clone(message));
            let _ = self.copy.apply(&message.topic, version, kept);
            self.mentioned.push(message.topic.clone());
        }
    }

    fn publish(&mut self, cluster: &mut Cluster, is_numbered: bool, message: Message) {
        let publisher =
            ha_types::Publisher { session: SessionId(self.index), ..Default::default() };
        let message = Arc::new(Message { publisher, ..message });
        if is_numbered {
            self.last_number += 1;
            self.unanswered.push_back((self.last_number, message));
            self.send_unanswered(cluster);
        } else if let Some(stream) = self.stream {
            cluster.say(stream, [Upstream::Publish { number: None, exchange: None, message }]);
        }
    }

    /// Everything that only a broken broker would say.
    fn garbage(&self, kind: u64) -> Upstream {
        let message = Arc::new(retained("a", "m"));
        let number = Some(PublishNumber(self.last_number + 2));
        let change = RetainedChange {
            topic: message.topic.clone(),
            version: RetainedVersion(u64::MAX - kind % 2),
            message: Some(Arc::clone(&message)),
        };
        match kind {
            0 => Upstream::Hello(self.hello()),
            1 if self.has_numbered => Upstream::Publish { number, exchange: None, message },
            2 => Upstream::RetainedCopyEnd,
            3 => Upstream::Withdraw { filters: filters(&["never/announced"]) },
            4 => announce(1, &["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"]),
            _ => Upstream::RetainedCopy(change),
        }
    }
}

fn run(cluster: &mut Cluster, plugin: &mut Plugin, act: Act) {
    match (act, plugin.stream) {
        (Act::Attach, None) => {
            let parts: Vec<_> = plugin.copy.ordered_after(None).collect();
            let part = |(topic, known): (&TopicName, &ha_types::Retained)| {
                let (topic, version) = (topic.clone(), known.version);
                let message = known.message.clone();
                Upstream::RetainedCopy(RetainedChange { topic, version, message })
            };
            let mut copy: Vec<_> = parts.into_iter().map(part).collect();
            // Some brokers upload what they have, as after a restart of the server.
            match plugin.index % 2 {
                0 => copy.push(Upstream::RetainedCopyEnd),
                _ => copy.clear(),
            }
            plugin.attach(cluster, copy);
        }
        (Act::Restart, stream) => {
            stream.into_iter().for_each(|stream| cluster.step(Input::Broken(stream)));
            let incarnation = plugin.incarnation + 1;
            *plugin = Plugin { incarnation, ..Plugin::new(plugin.index) };
        }
        (Act::Silent, _) => drop(cluster.open()),
        (Act::Wait(ms), _) => {
            cluster.now = cluster.now.plus(ms);
            cluster.step(Input::Tick);
        }
        (Act::Publish { numbered, retain, topic, bytes }, _) => {
            let message = retained(TOPICS[topic], &"x".repeat(bytes));
            plugin.publish(cluster, numbered, Message { retain, ..message });
        }
        (Act::Break, Some(stream)) => {
            cluster.step(Input::Broken(stream));
            plugin.stream = None;
        }
        (Act::Leave, Some(stream)) => {
            cluster.say(stream, [Upstream::Leave]);
            plugin.stream = None;
        }
        (Act::Garbage(kind), Some(stream)) => cluster.say(stream, [plugin.garbage(kind)]),
        (Act::Announce(at), Some(stream)) => cluster.say(stream, [announce(1, &[FILTERS[at]])]),
        (Act::Withdraw(at), Some(stream)) => cluster.say(stream, [withdraw(&[FILTERS[at]])]),
        (Act::Write(bytes), Some(stream)) => cluster.write(stream, bytes),
        (Act::Heartbeat, Some(stream)) => {
            let epoch = cluster.welcome(stream).epoch;
            cluster.heartbeat(epoch);
        }
        _ => (),
    }
}

fn shown(store: &RetainedStore) -> Vec<(TopicName, Arc<Message>)> {
    let all = filters(&["#", "$d"]);
    let found = all.iter().flat_map(|filter| store.matching(filter, ClusterMillis(0)));
    found.map(|message| (message.topic.clone(), Arc::clone(message))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_inputs_keeps_the_invariants(
        acts in prop::collection::vec((0..5_usize, act()), 0..150),
    ) {
        // Four places for five brokers; a queue that one message or a few fill.
        let mut cluster =
            Cluster::new(Config { brokers_max: 4, queue_bytes: 1_000, ..config() });
        let mut plugins: Vec<_> = (0..5).map(Plugin::new).collect();
        for (at, act) in acts {
            run(&mut cluster, &mut plugins[at], act);
            plugins.iter_mut().for_each(|plugin| plugin.receive(&mut cluster));
            plugins.iter_mut().for_each(|plugin| plugin.send_unanswered(&mut cluster));
        }
        settle(&mut cluster, &mut plugins);
    }
}

/// All that are attached read everything: then every publish is answered and every copy equal.
fn settle(cluster: &mut Cluster, plugins: &mut [Plugin]) {
    for _ in 0..200 {
        for plugin in plugins.iter_mut() {
            let Some(stream) = plugin.stream else { continue };
            cluster.write_all(stream);
            plugin.receive(cluster);
            plugin.send_unanswered(cluster);
        }
    }
    for plugin in plugins.iter().filter(|plugin| plugin.stream.is_some()) {
        assert!(plugin.unanswered.is_empty(), "{plugin:?}");
        assert_eq!(shown(&plugin.copy), shown(cluster.core.retained()), "{plugin:?}");
    }
}
