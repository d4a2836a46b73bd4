//! Clients of a host whose sessions are behind the plugin, with the plugin's ends in the test's hands.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use broker_core::access::{Access, Identity};
use broker_core::engine::{Credentials, Limits, Route, Verdict, Wants};
use broker_core::holder::{HolderConfig, HolderCounts, RouteChange};
use broker_core::host::{Delivery, HostCommand, HostPublish};
use ha_types::session::{
    Ask, ConnectionId, Granted, Offset, Opened, PageEnd, SessionEpoch, SessionKey, Tell,
};
use ha_types::{Message, Publisher, Qos, SessionId, TopicName};
use session_host::{
    Admission, Host, HostConfig, Judging, Lane, LaneEnd, ListenerLimits, Origin, OwnState,
    PluginPorts, SessionPorts, Traffic,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

/// Nothing in these tests takes longer, on any machine, unless it hangs.
const HANG: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Open;

impl Admission for Open {
    fn judge(&self, _: &Origin, credentials: Credentials) -> Judging {
        let identity = Identity { client_id: credentials.client_id, user_name: None };
        Box::pin(async { Verdict::Admitted { identity, data: None } })
    }

    fn access(&self) -> Option<Arc<dyn Access>> {
        None
    }
}

/// Somebody who is away shall get what is published on `k`, and a member of a share group what is
/// published on `g`.
#[derive(Debug)]
struct KeepsK;

impl OwnState for KeepsK {
    fn concerns(&self, topic: &TopicName, qos: Qos) -> bool {
        match topic.as_str() {
            "g" => true,
            "k" => qos > Qos::AtMostOnce,
            _ => false,
        }
    }

    fn counts(&self) -> HolderCounts {
        HolderCounts {
            sessions: 5,
            subscriptions: 3,
            queued: 2,
            dropped: 1,
            ..HolderCounts::default()
        }
    }
}

/// A host, and the plugin's ends.
struct Bench {
    host: Host,
    lane: LaneEnd,
    items: Vec<Traffic>,
    commands: mpsc::Sender<HostCommand>,
    clients: u64,
}

fn key(n: u64) -> SessionKey {
    SessionKey { id: SessionId(n), epoch: SessionEpoch(1) }
}

impl Bench {
    fn new(weight_max: usize, sys_interval: Duration) -> Self {
        Self::with(SessionPorts::Cluster, weight_max, sys_interval)
    }

    /// Of a broker that is alone.
    fn alone() -> Self {
        Self::with(|lane| SessionPorts::Alone(lane, Arc::new(KeepsK)), 100, Duration::ZERO)
    }

    fn with(
        sessions: impl FnOnce(Lane) -> SessionPorts,
        weight_max: usize,
        sys_interval: Duration,
    ) -> Self {
        let (lane, lane_end) = session_host::lane(weight_max);
        let (commands, commands_rx) = mpsc::channel(64);
        let limits =
            ListenerLimits { name: "PORT_NO", connections_max: 10, connection: Limits::default() };
        let config = HostConfig {
            connections_max: 10,
            listeners: vec![limits],
            holder: HolderConfig::default(),
            unix_ms: 0,
            sys_interval,
            software: "test".into(),
            access_log: None,
        };
        let ports = PluginPorts { sessions: sessions(lane), commands: commands_rx };
        let host = session_host::start(config, Arc::new(Open), ports).unwrap();
        Self { host, lane: lane_end, items: Vec::new(), commands, clients: 0 }
    }

    async fn next(&mut self) -> Traffic {
        if self.items.is_empty() {
            let received = self.lane.recv_many(&mut self.items, 1);
            tokio::time::timeout(HANG, received).await.expect("nothing comes");
        }
        self.items.remove(0)
    }

    async fn ask(&mut self) -> Ask {
        match self.next().await {
            Traffic::Ask(ask) => ask,
            Traffic::Publish(publish) => panic!("{publish:?}"),
        }
    }

    async fn published(&mut self) -> HostPublish {
        match self.next().await {
            Traffic::Publish(publish) => publish,
            Traffic::Ask(ask) => panic!("{ask:?}"),
        }
    }

    async fn command(&self, command: HostCommand) {
        self.commands.send(command).await.unwrap();
    }

    async fn tell(&self, n: u64, tell: Tell) {
        self.command(HostCommand::Tell(ConnectionId(n), tell)).await;
    }

    /// A client that has sent CONNECT, and the ask that came of it.
    async fn connect(&mut self) -> (u64, Client) {
        self.clients += 1;
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        self.host.serve(theirs, Origin { listener: 0, peer, certificate: None });
        let mut client = Client(ours);
        let id = b'a' + u8::try_from(self.clients).unwrap();
        client.send(&[0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 1, id]).await;
        assert!(matches!(self.ask().await, Ask::Open(_)));
        (self.clients, client)
    }

    /// A client that is connected.
    async fn serve(&mut self) -> (u64, Client) {
        let (n, mut client) = self.connect().await;
        self.tell(n, Tell::Opened(opened(n))).await;
        client.expect(&[0x20, 2, 0, 0]).await;
        (n, client)
    }

    /// Lets a connection be routed what is published on `t`.
    async fn route(&self, n: u64) {
        let filter = ha_types::TopicFilter::parse(b"t").unwrap();
        let route = Route {
            session: SessionId(n),
            subscription_id: None,
            qos: Qos::AtMostOnce,
            no_local: false,
            retain_as_published: false,
            wants: Wants::All,
        };
        let connection = ConnectionId(n);
        self.command(HostCommand::Route(RouteChange::Add { connection, filter, route })).await;
    }
}

fn opened(n: u64) -> Opened {
    Opened {
        connection: ConnectionId(n),
        session: key(n),
        is_present: false,
        subscriptions: vec![],
        inbound: vec![],
        records: vec![],
        backlog: PageEnd::Live(Offset::new(0)),
    }
}

struct Client(DuplexStream);

impl Client {
    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    async fn expect(&mut self, bytes: &[u8]) {
        let mut read = vec![0; bytes.len()];
        let reading = self.0.read_exact(&mut read);
        tokio::time::timeout(HANG, reading).await.expect("nothing comes").unwrap();
        assert_eq!(read, bytes);
    }
}

/// PUBLISH `x` on `t` with packet identifier 7.
fn publish(qos: u8) -> [u8; 8] {
    [0x30 | qos << 1, 6, 0, 1, b't', 0, 7, b'x']
}

/// What a subscriber at QoS 0 gets of it.
const DELIVERED: [u8; 6] = [0x30, 4, 0, 1, b't', b'x'];

fn done(n: u64, id: ha_types::session::PacketId) -> Tell {
    Tell::Published { session: key(n), packet_id: id, outcome: Ok(()) }
}

#[tokio::test]
async fn connack_is_ha_servers_answer() {
    let mut bench = Bench::new(100, Duration::ZERO);
    let (n, mut client) = bench.connect().await;
    let (connection, reason) = (ConnectionId(n), ha_types::session::RefuseReason::Unavailable);
    bench.tell(n, Tell::OpenRefused { connection, reason }).await;
    client.expect(&[0x20, 2, 0, 3]).await;
    let _other = bench.serve().await;
}

#[tokio::test]
async fn qos_1_is_delivered_here_at_once_and_acknowledged_by_ha_server() {
    let mut bench = Bench::new(100, Duration::ZERO);
    let (_, mut publisher) = bench.serve().await;
    let (n, mut subscriber) = bench.serve().await;
    bench.route(n).await;
    // The route is there before the next client is.
    let _other = bench.serve().await;
    publisher.send(&publish(1)).await;
    subscriber.expect(&DELIVERED).await;
    let (session, packet_id) = bench.published().await.exchange.unwrap();
    assert_eq!((session, packet_id.get()), (key(1), 7));
    bench.tell(1, done(1, packet_id)).await;
    publisher.expect(&[0x40, 2, 0, 7]).await;
}

#[tokio::test]
async fn qos_2_is_delivered_here_when_it_comes_back() {
    let mut bench = Bench::new(100, Duration::ZERO);
    let (_, mut publisher) = bench.serve().await;
    let (n, mut subscriber) = bench.serve().await;
    bench.route(n).await;
    let _other = bench.serve().await;
    publisher.send(&publish(2)).await;
    let published = bench.published().await;
    let message = Message {
        topic: published.topic,
        // Another one, so that it is known from which way it comes.
        payload: bytes::Bytes::from_static(b"y"),
        properties: published.properties,
        qos: Qos::ExactlyOnce,
        retain: false,
        expires_at: None,
        publisher: Publisher::default(),
    };
    let delivery = Delivery { message: Arc::new(message), expires_in_s: None };
    bench.command(HostCommand::Deliver(delivery)).await;
    bench.tell(1, done(1, published.exchange.unwrap().1)).await;
    publisher.expect(&[0x50, 2, 0, 7]).await;
    subscriber.expect(&[0x30, 4, 0, 1, b't', b'y']).await;
}

#[tokio::test]
async fn what_a_client_sends_goes_up_in_that_order() {
    let mut bench = Bench::new(100, Duration::ZERO);
    let (_, mut client) = bench.serve().await;
    let subscribe = [0x82, 6, 0, 1, 0, 1, b't', 1];
    client.send(&[&publish(1)[..], &subscribe, &[0x30, 3, 0, 1, b't']].concat()).await;
    client.send(&[0xe0, 0]).await;
    assert!(matches!(bench.next().await, Traffic::Publish(_)));
    assert!(matches!(bench.ask().await, Ask::Subscribe { .. }));
    assert_eq!(bench.published().await.qos, Qos::AtMostOnce);
    assert!(matches!(bench.ask().await, Ask::Close { .. }));
}

#[tokio::test]
async fn publisher_waits_for_credit_and_others_connect_meanwhile() {
    let mut bench = Bench::new(1, Duration::ZERO);
    let (_, mut publisher) = bench.serve().await;
    publisher.send(&publish(1)).await;
    bench.published().await;
    publisher.send(&[0x32, 6, 0, 1, b't', 0, 8, b'x']).await;
    let _other = bench.serve().await;
    assert!(bench.lane.is_empty(), "it waits");
    bench.lane.held(0);
    assert_eq!(bench.published().await.exchange.unwrap().1.get(), 8);
}

#[tokio::test(start_paused = true)]
async fn values_of_sys_are_added_to_the_answer_of_a_subscribe() {
    let mut bench = Bench::new(100, Duration::from_secs(3_600));
    let (n, mut client) = bench.serve().await;
    let filter = b"$SYS/broker/version";
    let length = u8::try_from(filter.len()).unwrap();
    client.send(&[&[0x82, length + 5, 0, 1, 0, length], &filter[..], &[0]].concat()).await;
    let Ask::Subscribe { session, ticket, .. } = bench.ask().await else { panic!() };
    let granted = Granted { qos: Qos::AtMostOnce, retained: vec![], unqueued: vec![] };
    bench.tell(n, Tell::Subscribed { session, ticket, granted: vec![Ok(granted)] }).await;
    client.expect(&[0x90, 3, 0, 1, 0]).await;
    client.expect(&[&[0x31, length + 6, 0, length], &filter[..], b"test"].concat()).await;
}

#[tokio::test]
async fn session_that_has_another_owner_ends_its_connection_and_is_not_closed() {
    let mut bench = Bench::new(100, Duration::ZERO);
    let (n, mut client) = bench.serve().await;
    bench.tell(n, Tell::Fenced { session: key(n) }).await;
    assert_eq!(client.0.read(&mut [0; 8]).await.unwrap(), 0, "the end");
    bench.connect().await;
}

#[tokio::test]
async fn alone_only_what_must_be_kept_goes_up() {
    let mut bench = Bench::alone();
    let (_, mut publisher) = bench.serve().await;
    let (n, mut subscriber) = bench.serve().await;
    bench.route(n).await;
    let _other = bench.serve().await;
    publisher.send(&[0x30, 4, 0, 1, b't', b'x']).await;
    publisher.send(&publish(1)).await;
    publisher.expect(&[0x40, 2, 0, 7]).await;
    subscriber.expect(&[DELIVERED, DELIVERED].concat()).await;
    assert!(bench.lane.is_empty(), "nobody needs them later");

    publisher.send(&[0x31, 4, 0, 1, b't', b'r']).await;
    let published = bench.published().await;
    assert_eq!((published.retain, published.qos), (true, Qos::AtMostOnce));
    subscriber.expect(&[0x30, 4, 0, 1, b't', b'r']).await;
    publisher.send(&publish(2)).await;
    assert_eq!(bench.published().await.qos, Qos::ExactlyOnce);
    publisher.send(&[0x32, 6, 0, 1, b'k', 0, 8, b'x']).await;
    assert_eq!(bench.published().await.topic.as_str(), "k");
    publisher.send(&[0x30, 4, 0, 1, b'k', b'x', 0xc0, 0]).await;
    publisher.expect(&[0xd0, 0]).await;
    assert!(bench.lane.is_empty(), "at QoS 0 nobody who is away gets it");
}

#[tokio::test]
async fn alone_what_a_share_group_shall_get_goes_up_at_every_qos() {
    let mut bench = Bench::alone();
    let (_, mut publisher) = bench.serve().await;
    publisher.send(&[0x30, 4, 0, 1, b'g', b'x', 0x32, 6, 0, 1, b'g', 0, 6, b'y']).await;
    let first = bench.published().await;
    assert_eq!((first.qos, first.exchange), (Qos::AtMostOnce, None));
    let second = bench.published().await;
    let (session, packet_id) = second.exchange.unwrap();
    assert_eq!((second.qos, session), (Qos::AtLeastOnce, key(1)));
    bench.tell(1, done(1, packet_id)).await;
    publisher.expect(&[0x40, 2, 0, 6]).await;
}

/// [MQTT-4.6.0-2]
#[tokio::test]
async fn alone_puback_of_what_is_not_kept_waits_for_those_of_what_came_before() {
    let mut bench = Bench::alone();
    let (_, mut publisher) = bench.serve().await;
    publisher.send(&[0x32, 6, 0, 1, b'k', 0, 6, b'x']).await;
    publisher.send(&publish(1)).await;
    publisher.send(&[0xc0, 0]).await;
    publisher.expect(&[0xd0, 0]).await;
    let (_, packet_id) = bench.published().await.exchange.unwrap();
    bench.tell(1, done(1, packet_id)).await;
    publisher.expect(&[0x40, 2, 0, 6, 0x40, 2, 0, 7]).await;
}

#[tokio::test]
async fn alone_sessions_are_counted_by_the_state() {
    let mut bench = Bench::alone();
    let _client = bench.serve().await;
    let stats = bench.host.stats();
    assert_eq!((stats.connections, stats.sessions, stats.subscriptions), (1, 5, 3));
    assert_eq!((stats.queued, stats.dropped), (2, 1));
}
