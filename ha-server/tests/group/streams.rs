//! What a broker's stream sees of a group.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ha_proto::frames::{Down, Reader, Up, pack};
use ha_proto::v1::distributor_client::DistributorClient;
use ha_proto::v1::heartbeat_response::State;
use ha_proto::v1::{DownstreamFrame, HeartbeatRequest, UpstreamFrame};
use ha_types::link::{
    Downstream, GoodbyeReason, Hello, PublishOutcome, RetainedUse, Upstream, VersionRange, Welcome,
};
use ha_types::{
    BrokerName, Incarnation, Message, PublishNumber, Publisher, Qos, RetainedVersion, TopicName,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

use crate::server::{Group, Server};

/// Nothing in these tests takes longer unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

async fn client(server: &Server) -> DistributorClient<Channel> {
    DistributorClient::connect(format!("http://{}", server.address())).await.unwrap()
}

/// A broker with one stream.
pub(crate) struct Broker {
    frames: mpsc::UnboundedSender<UpstreamFrame>,
    incoming: Streaming<DownstreamFrame>,
    reader: Reader<Down>,
    items: VecDeque<Downstream>,
}

impl Broker {
    /// Says Hello as a broker without copies of retained messages.
    async fn hello(server: &Server) -> Self {
        let (frames, outgoing) = mpsc::unbounded_channel();
        let outgoing = UnboundedReceiverStream::new(outgoing);
        let incoming = client(server).await.attach(outgoing).await.unwrap().into_inner();
        let (reader, items) = (Reader::default(), VecDeque::new());
        let broker = Self { frames, incoming, reader, items };
        broker.send(Upstream::Hello(Hello {
            versions: VersionRange { min: 1, max: 1 },
            name: BrokerName::parse("b").unwrap(),
            incarnation: Incarnation(1),
            software: "test".into(),
            retained: RetainedUse::None,
        }));
        broker
    }

    pub(crate) fn send(&self, item: Upstream) {
        pack::<Up>([item]).into_iter().for_each(|frame| self.frames.send(frame).unwrap());
    }

    pub(crate) async fn next(&mut self) -> Option<Downstream> {
        loop {
            if let Some(item) = self.items.pop_front() {
                return Some(item);
            }
            let frame = tokio::time::timeout(PATIENCE, self.incoming.message());
            let frame = frame.await.expect("no answer").ok()??;
            self.items.extend(self.reader.read(frame).unwrap());
        }
    }

    async fn welcome(&mut self) -> Welcome {
        match self.next().await {
            Some(Downstream::Welcome(welcome)) => welcome,
            other => panic!("{other:?} instead of Welcome"),
        }
    }

    /// The address of the leader that the Goodbye names.
    async fn sent_to(&mut self) -> Option<String> {
        loop {
            match self.next().await {
                Some(Downstream::Goodbye(goodbye)) => {
                    assert_eq!(goodbye.reason, GoodbyeReason::NotLeader);
                    assert_eq!(self.next().await, None, "something after Goodbye");
                    return goodbye.leader;
                }
                Some(_) => (),
                None => panic!("the stream ended without Goodbye"),
            }
        }
    }

    pub(crate) fn publish_retained(&self, number: u64) {
        let message = Message {
            topic: TopicName::parse(Bytes::from_static(b"t")).unwrap(),
            payload: Bytes::from_static(b"x"),
            properties: Bytes::new(),
            qos: Qos::AtLeastOnce,
            retain: true,
            expires_at: None,
            publisher: Publisher::default(),
        };
        let (number, message) = (Some(PublishNumber(number)), Arc::new(message));
        self.send(Upstream::Publish { number, exchange: None, message });
    }

    pub(crate) async fn accepted(&mut self) -> (PublishNumber, RetainedVersion) {
        loop {
            match self.next().await {
                Some(Downstream::PublishResult { number, outcome, retained }) => {
                    assert_eq!(outcome, PublishOutcome::Accepted);
                    return (number, retained);
                }
                Some(Downstream::Asked { .. }) => (),
                other => panic!("{other:?} instead of a result"),
            }
        }
    }
}

/// Attaches to whoever leads, also while the lead changes.
pub(crate) async fn attach(group: &Group) -> (Broker, Welcome) {
    loop {
        let leader = group.leader();
        let server = group.servers.iter().find(|server| server.id == leader).unwrap();
        let mut broker = Broker::hello(server).await;
        if let Some(Downstream::Welcome(welcome)) = broker.next().await {
            broker.send(Upstream::Resumed);
            return (broker, welcome);
        }
    }
}

#[tokio::test]
async fn follower_names_the_leader_and_fences_nobody() {
    let mut group = Group::start(3);
    let (leader, follower) = (group.leader(), group.follower());
    let address = group.server(leader).address();
    let follower = group.server(follower);
    assert_eq!(Broker::hello(follower).await.sent_to().await, Some(address));
    let beats = tokio_stream::iter([HeartbeatRequest { epoch: 1, sequence: 1, duty: 0 }]);
    let mut answers = client(follower).await.heartbeat(beats).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn broker_is_sent_away_by_a_server_that_waits_for_a_leader_in_vain() {
    let mut group = Group::start(3);
    let left = group.follower();
    group.servers.iter_mut().filter(|server| server.id != left).for_each(Server::kill);
    Broker::hello(group.server(left)).await.sent_to().await;
}

#[tokio::test]
async fn planned_hand_over_sends_brokers_to_the_new_leader_which_knows_them() {
    let mut group = Group::start(3);
    let (mut broker, welcome) = attach(&group).await;
    broker.publish_retained(1);
    assert_eq!(broker.accepted().await, (PublishNumber(1), RetainedVersion(1)));
    let to = group.follower();
    let address = group.server(to).address();
    group.server(to).told(&["leader", "transfer", &to.to_string()]);
    assert_eq!(broker.sent_to().await, Some(address));
    let mut broker = Broker::hello(group.server(to)).await;
    let again = broker.welcome().await;
    assert_eq!(again.epoch, welcome.epoch);
    broker.send(Upstream::Resumed);
    broker.publish_retained(2);
    assert_eq!(broker.accepted().await, (PublishNumber(2), RetainedVersion(2)));
    let beats =
        tokio_stream::iter([HeartbeatRequest { epoch: again.epoch.0, sequence: 1, duty: 0 }]);
    let answers = client(group.server(to)).await.heartbeat(beats).await;
    let kept = answers.unwrap().into_inner().message().await.unwrap().unwrap();
    assert_eq!(kept.state(), State::Kept);
}

#[tokio::test]
async fn what_was_accepted_is_not_done_again_after_the_leader_and_then_all_are_killed() {
    let mut group = Group::start(3);
    let (mut broker, welcome) = attach(&group).await;
    publish_all(&mut broker, 1..=50, |number| number).await;
    let leader = group.leader();
    group.server(leader).kill();
    group.server(leader).start();
    let (mut broker, again) = attach(&group).await;
    assert_eq!(again.epoch, welcome.epoch);
    publish_all(&mut broker, 1..=50, |_| 0).await;
    group.servers.iter_mut().for_each(Server::kill);
    group.servers.iter_mut().for_each(Server::start);
    let (mut broker, again) = attach(&group).await;
    assert_eq!(again.epoch, welcome.epoch);
    publish_all(&mut broker, 1..=50, |_| 0).await;
    publish_all(&mut broker, 51..=51, |number| number).await;
}

/// Publishes under these numbers and expects these versions; 0: it was taken before.
async fn publish_all(
    broker: &mut Broker,
    numbers: std::ops::RangeInclusive<u64>,
    version: impl Fn(u64) -> u64,
) {
    for number in numbers.clone() {
        broker.publish_retained(number);
    }
    for number in numbers {
        let version = RetainedVersion(version(number));
        assert_eq!(broker.accepted().await, (PublishNumber(number), version));
    }
}
