//! The plugin's task against an ha-server that does what the test says.

use std::net::SocketAddr;
use std::time::Duration;

use broker_core::host::NewSubscription;
use broker_core::{Config, HeldBy, Mode};
use bytes::Bytes;
use ha_proto::frames::{Down, Reader, Up, pack};
use ha_proto::v1::distributor_server::{Distributor, DistributorServer};
use ha_proto::v1::{self, heartbeat_response::State};
use ha_types::link::{Downstream, Needs, PublishOutcome, Welcome};
use ha_types::{
    AskNumber, BrokerEpoch, BrokerName, ClusterMillis, Incarnation, Message, PublishNumber,
    Publisher, Qos, RetainedVersion, ServerIncarnation, SessionId, Subscription, Ticket, TopicName,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::{Server, TcpIncoming};
use tonic::{Request, Response, Status, Streaming};

use super::*;

/// Nothing in these tests takes longer, on any machine, unless it hangs.
const HANG: Duration = Duration::from_secs(30);

/// What the broker did, in order.
#[derive(Debug, PartialEq)]
enum Seen {
    Opened(SocketAddr),
    Item(Upstream),
    HalfClosed,
    Heartbeat(SocketAddr),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Heartbeats {
    Answered,
    Refused,
}

/// Tells what it sees, and sends what the test gives it.
struct Fake {
    heartbeats: Heartbeats,
    seen: mpsc::Sender<Seen>,
    sends: Mutex<Option<mpsc::Receiver<Downstream>>>,
}

#[tonic::async_trait]
impl Distributor for Fake {
    type AttachStream = ReceiverStream<Result<v1::DownstreamFrame, Status>>;
    type HeartbeatStream = ReceiverStream<Result<v1::HeartbeatResponse, Status>>;

    async fn attach(
        &self,
        request: Request<Streaming<v1::UpstreamFrame>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let sends = self.sends.lock().unwrap().take();
        let mut sends = sends.ok_or_else(|| Status::unavailable("one stream is enough"))?;
        let (frames, outgoing) = mpsc::channel(1);
        let (address, seen) = (request.remote_addr().unwrap(), self.seen.clone());
        let mut incoming = request.into_inner();
        tokio::spawn(async move {
            let mut reader = Reader::<Up>::default();
            seen.send(Seen::Opened(address)).await.unwrap();
            loop {
                tokio::select! {
                    frame = incoming.message() => {
                        let Ok(Some(frame)) = frame else { break };
                        for item in reader.read(frame).unwrap() {
                            seen.send(Seen::Item(item)).await.unwrap();
                        }
                    }
                    Some(item) = sends.recv() => {
                        frames.send(Ok(pack::<Down>([item]).remove(0))).await.unwrap();
                    }
                }
            }
            seen.send(Seen::HalfClosed).await.unwrap();
        });
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }

    async fn heartbeat(
        &self,
        request: Request<Streaming<v1::HeartbeatRequest>>,
    ) -> Result<Response<Self::HeartbeatStream>, Status> {
        let (answers, outgoing) = mpsc::channel(1);
        let (address, seen) = (request.remote_addr().unwrap(), self.seen.clone());
        seen.send(Seen::Heartbeat(address)).await.unwrap();
        if self.heartbeats == Heartbeats::Refused {
            return Err(Status::resource_exhausted("no heartbeats"));
        }
        let mut incoming = request.into_inner();
        tokio::spawn(async move {
            while let Ok(Some(v1::HeartbeatRequest { epoch, sequence, .. })) =
                incoming.message().await
            {
                let state = State::Kept.into();
                let response = v1::HeartbeatResponse {
                    epoch,
                    sequence,
                    state,
                    cluster_time_ms: 0,
                    applied: 0,
                };
                if answers.send(Ok(response)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}

/// The plugin's task between a fake ha-server and a fake host.
struct Bench {
    seen: mpsc::Receiver<Seen>,
    sends: mpsc::Sender<Downstream>,
    publishes: mpsc::Sender<HostPublish>,
    events: mpsc::Sender<HostEvent>,
    commands: mpsc::Receiver<HostCommand>,
    handle: Handle,
    /// Of no use to a host that holds its sessions, but there.
    _lane: session_host::Lane,
}

impl Bench {
    async fn start() -> Self {
        Self::start_with(Heartbeats::Answered).await
    }

    async fn start_with(heartbeats: Heartbeats) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (seen_tx, seen) = mpsc::channel(64);
        let (sends, to_send) = mpsc::channel(64);
        let fake = Fake { heartbeats, seen: seen_tx, sends: Mutex::new(Some(to_send)) };
        let serving = Server::builder().add_service(DistributorServer::new(fake));
        tokio::spawn(serving.serve_with_incoming(TcpIncoming::from(listener)));
        let (publishes, publishes_rx) = mpsc::channel(8);
        let (events, events_rx) = mpsc::channel(8);
        let (commands_tx, commands) = mpsc::channel(COMMANDS_AT_ONCE);
        let (lane, lane_end) = session_host::lane(64);
        let ends = HostEnds {
            publishes: publishes_rx,
            events: events_rx,
            lane: lane_end,
            commands: commands_tx,
        };
        let health = Health::new(&["cluster"]);
        let handle = start(
            Plugin::new(config()),
            Reach::Servers(vec![address]),
            ends,
            (health, crate::steward::orders().0),
        );
        Self { seen, sends, publishes, events, commands, handle, _lane: lane }
    }

    /// The next thing that the broker does, heartbeats aside.
    async fn next(&mut self) -> Seen {
        time::timeout(HANG, self.seen.recv()).await.expect("the broker does nothing").unwrap()
    }

    async fn next_item(&mut self) -> Upstream {
        loop {
            match self.next().await {
                Seen::Item(item) => return item,
                Seen::Opened(_) | Seen::Heartbeat(_) => (),
                Seen::HalfClosed => panic!("no item"),
            }
        }
    }

    async fn command(&mut self) -> HostCommand {
        time::timeout(HANG, self.commands.recv()).await.expect("no command").unwrap()
    }

    /// Until the broker is attached and has the (empty) retained messages.
    async fn welcome(&mut self) {
        self.welcome_with_heartbeats(30_000).await;
    }

    async fn welcome_with_heartbeats(&mut self, heartbeat_ms: u64) {
        assert!(matches!(self.next_item().await, Upstream::Hello(_)));
        let welcome = Welcome {
            version: 1,
            epoch: BrokerEpoch(3),
            server: ServerIncarnation(4),
            lease_ms: 60_000,
            heartbeat_ms,
            taken_upto: PublishNumber(0),
            asked_upto: AskNumber(0),
            publish_window: 16,
            cluster_time: ClusterMillis(0),
            software: "fake".into(),
        };
        let synced = Downstream::RetainedSynced { version: RetainedVersion(0) };
        for item in [Downstream::Welcome(welcome), Downstream::RetainedBegin, synced] {
            self.sends.send(item).await.unwrap();
        }
        let loaded = self.handle.loaded.wait_for(|loaded| *loaded);
        time::timeout(HANG, loaded).await.expect("not attached").unwrap();
        assert!(matches!(self.next_item().await, Upstream::Resumed));
    }
}

fn config() -> Config {
    Config {
        mode: Mode::Clustered(vec!["ha:2000".into()]),
        sessions: HeldBy::Host,
        name: BrokerName::parse("b").unwrap(),
        incarnation: Incarnation(1),
        software: "test".into(),
        cluster_time_at_zero: ClusterMillis(0),
        seed: 1,
        backoff_ms: (1, 2),
        connect_hold_ms: 2_000,
        serves_isolated: true,
        outbox_max: 64,
        outbox_bytes_max: 64 << 20,
        filters_max: 64,
        retained_max: 64,
        retained_bytes_max: 1 << 20,
    }
}

fn publish(payload: &'static str) -> HostPublish {
    HostPublish {
        topic: TopicName::parse(Bytes::from_static(b"t")).unwrap(),
        payload: Bytes::from_static(payload.as_bytes()),
        properties: Bytes::new(),
        qos: Qos::AtLeastOnce,
        retain: false,
        expires_in_s: None,
        session: SessionId(1),
        exchange: None,
    }
}

fn accepted(number: PublishNumber) -> Downstream {
    let (outcome, retained) = (PublishOutcome::Accepted, RetainedVersion(0));
    Downstream::PublishResult { number, outcome, retained }
}

fn subscribe(ticket: u64) -> HostEvent {
    let subscription = Subscription::parse(b"t/#").unwrap();
    let retained = broker_core::host::RetainedWanted::Always;
    let subscriptions = vec![NewSubscription { subscription, retained }];
    HostEvent::Subscribe { ticket: Ticket(ticket), session: SessionId(1), subscriptions }
}

#[tokio::test]
async fn heartbeats_come_over_a_connection_of_their_own() {
    let mut bench = Bench::start().await;
    let Seen::Opened(bulk) = bench.next().await else { panic!("no stream") };
    bench.welcome().await;
    let Seen::Heartbeat(beats) = bench.next().await else { panic!("no heartbeat") };
    assert_ne!(bulk, beats);
}

/// Heartbeats are tried again until the lease decides; what ha-server still sends is not lost.
#[tokio::test]
async fn refused_heartbeats_do_not_break_the_stream_while_the_lease_runs() {
    let mut bench = Bench::start_with(Heartbeats::Refused).await;
    bench.welcome_with_heartbeats(1).await;
    for _ in 0..5 {
        loop {
            match bench.next().await {
                Seen::Heartbeat(_) => break,
                Seen::HalfClosed => panic!("the stream broke"),
                Seen::Opened(_) | Seen::Item(_) => (),
            }
        }
    }
    bench.publishes.send(publish("x")).await.unwrap();
    assert!(matches!(bench.next_item().await, Upstream::Publish { .. }));
}

#[tokio::test]
async fn subscribe_is_answered_when_the_server_has_taken_it_and_deliveries_reach_the_host() {
    let mut bench = Bench::start().await;
    bench.welcome().await;
    bench.events.send(subscribe(5)).await.unwrap();
    let Upstream::Announce { ticket, needs: Needs::All, filters } = bench.next_item().await else {
        panic!()
    };
    assert_eq!((ticket, filters.len()), (Ticket(5), 1));
    let message = Arc::new(Message {
        topic: TopicName::parse(Bytes::from_static(b"t/1")).unwrap(),
        payload: Bytes::from_static(b"hello"),
        properties: Bytes::new(),
        qos: Qos::AtMostOnce,
        retain: false,
        expires_at: None,
        publisher: Publisher::default(),
    });
    bench.sends.send(Downstream::InterestTaken { ticket }).await.unwrap();
    let (known_as, retained) = (vec![], RetainedVersion(0));
    let deliver = Downstream::Deliver { origin: None, known_as, message, retained };
    bench.sends.send(deliver).await.unwrap();
    assert!(matches!(bench.command().await, HostCommand::Subscribed { ticket: Ticket(5), .. }));
    let HostCommand::Deliver(delivery) = bench.command().await else { panic!("no delivery") };
    assert_eq!(delivery.message.payload, "hello");
}

#[tokio::test]
async fn publishes_wait_while_the_window_is_full_and_go_on_with_a_result() {
    let mut bench = Bench::start().await;
    bench.welcome().await;
    let publishes = bench.publishes.clone();
    tokio::spawn(async move {
        for _ in 0..40 {
            publishes.send(publish("x")).await.unwrap();
        }
    });
    for number in 1..=40 {
        let Upstream::Publish { number: Some(sent), .. } = bench.next_item().await else {
            panic!()
        };
        assert_eq!(sent, PublishNumber(number));
        bench.sends.send(accepted(sent)).await.unwrap();
    }
}

/// Every SUBSCRIBE takes the publishes before it, window or not; but not without end.
#[tokio::test]
async fn subscribes_cannot_bring_more_publishes_than_the_queue_holds() {
    const PAYLOAD: usize = 64 << 10;
    let mut bench = Bench::start().await;
    bench.welcome().await;
    let (publishes, events) = (bench.publishes.clone(), bench.events.clone());
    let flood = async {
        for ticket in 1..=40 {
            for _ in 0..8 {
                let payload = Bytes::from(vec![0; PAYLOAD]);
                publishes.send(HostPublish { payload, ..publish("") }).await.unwrap();
            }
            events.send(subscribe(ticket)).await.unwrap();
        }
    };
    // Paused, time goes on as soon as nothing else does: the flood waits for results.
    time::pause();
    assert!(time::timeout(Duration::from_millis(1), flood).await.is_err());
    let outbox = bench.handle.snapshot.lock().unwrap().outbox;
    assert!(outbox > 16 && outbox * PAYLOAD < 2 * QUEUE_BYTES, "{outbox}");
}

/// Sixteen are unanswered, the window; the host has handed over eight more.
#[tokio::test]
async fn stopping_waits_for_results_while_publishes_wait_for_the_window() {
    let mut bench = Bench::start().await;
    bench.welcome().await;
    for _ in 1..=16 {
        bench.publishes.send(publish("x")).await.unwrap();
        assert!(matches!(bench.next_item().await, Upstream::Publish { .. }));
    }
    for _ in 17..=24 {
        bench.publishes.send(publish("x")).await.unwrap();
    }
    let Bench { handle, mut seen, sends, .. } = bench;
    let stopping = tokio::spawn(handle.stop());
    for number in 1..=24 {
        if number > 16 {
            let item = time::timeout(HANG, seen.recv()).await.expect("no publish").unwrap();
            assert!(matches!(item, Seen::Item(Upstream::Publish { .. })), "{number}: {item:?}");
        }
        sends.send(accepted(PublishNumber(number))).await.unwrap();
    }
    let last = time::timeout(HANG, seen.recv()).await.expect("no goodbye").unwrap();
    assert_eq!(last, Seen::Item(Upstream::Leave));
    drop(sends);
    stopping.await.unwrap();
}

#[tokio::test]
async fn stopping_writes_what_was_published_and_then_says_goodbye() {
    let mut bench = Bench::start().await;
    bench.welcome().await;
    bench.events.send(subscribe(1)).await.unwrap();
    assert!(matches!(bench.next_item().await, Upstream::Announce { .. }));
    bench.publishes.send(publish("last")).await.unwrap();
    bench.events.send(subscribe(2)).await.unwrap();
    let Upstream::Publish { message, .. } = bench.next_item().await else { panic!("no publish") };
    assert_eq!(message.payload, "last");
    let Bench { handle, mut seen, sends, .. } = bench;
    let stopping = tokio::spawn(handle.stop());
    loop {
        match time::timeout(HANG, seen.recv()).await.expect("no goodbye").unwrap() {
            Seen::Item(Upstream::Leave) => break,
            Seen::Item(Upstream::Announce { .. }) | Seen::Heartbeat(_) => (),
            other => panic!("{other:?}"),
        }
    }
    drop(sends);
    stopping.await.unwrap();
}
