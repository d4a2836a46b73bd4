//! A host that lets its clients go while it runs on. Sessions are held here, without a plugin.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use broker_core::access::{Access, Identity};
use broker_core::codec::Reason;
use broker_core::engine::{Credentials, Limits, Verdict};
use broker_core::holder::HolderConfig;
use broker_core::host::{HostCommand, HostEvent, HostPublish};
use session_host::{
    Admission, Host, HostConfig, Judging, ListenerLimits, Origin, PluginPorts, SessionPorts,
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

/// A host, and what must not be dropped.
struct Bench {
    host: Host,
    _plugin: (mpsc::Receiver<HostPublish>, mpsc::Receiver<HostEvent>, mpsc::Sender<HostCommand>),
}

impl Bench {
    fn new() -> Self {
        let (publishes, publishes_rx) = mpsc::channel(8);
        let (events, events_rx) = mpsc::channel(8);
        let (commands, commands_rx) = mpsc::channel(8);
        let limits =
            ListenerLimits { name: "PORT_NO", connections_max: 10, connection: Limits::default() };
        let config = HostConfig {
            connections_max: 10,
            listeners: vec![limits],
            holder: HolderConfig::default(),
            unix_ms: 0,
            sys_interval: Duration::ZERO,
            access_log: None,
            software: "test".into(),
        };
        let sessions = SessionPorts::Here { publishes, events };
        let ports = PluginPorts { sessions, commands: commands_rx };
        let host = session_host::start(config, Arc::new(Open), ports).unwrap();
        Self { host, _plugin: (publishes_rx, events_rx, commands) }
    }

    /// A client of MQTT 5 that has sent CONNECT, and the first bytes of its CONNACK: flags and reason.
    async fn connect(&self, id: u8) -> (DuplexStream, [u8; 2]) {
        let (mut client, theirs) = tokio::io::duplex(1 << 16);
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        self.host.serve(theirs, Origin { listener: 0, peer, certificate: None });
        let connect = [0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 0, 0, 0, 1, id];
        client.write_all(&connect).await.unwrap();
        let packet = read_packet(&mut client).await;
        assert_eq!(packet[0], 0x20, "{packet:?}");
        (client, [packet[2], packet[3]])
    }
}

/// A packet of less than 128 bytes.
async fn read_packet(client: &mut DuplexStream) -> Vec<u8> {
    let reading = async {
        let mut packet = vec![0; 2];
        client.read_exact(&mut packet).await.unwrap();
        let mut rest = vec![0; usize::from(packet[1])];
        client.read_exact(&mut rest).await.unwrap();
        [packet, rest].concat()
    };
    tokio::time::timeout(HANG, reading).await.expect("nothing comes")
}

#[tokio::test]
async fn host_that_refuses_says_why_and_takes_clients_again_when_it_admits_them() {
    let bench = Bench::new();
    for reason in [Reason::USE_ANOTHER_SERVER, Reason::SERVER_UNAVAILABLE] {
        bench.host.refuse(reason);
        let (_, answer) = bench.connect(b'a').await;
        assert_eq!(answer, [0, reason.0]);
    }
    bench.host.admit();
    let (_client, answer) = bench.connect(b'a').await;
    assert_eq!(answer, [0, 0]);
}

#[tokio::test]
async fn clients_are_told_to_go_as_many_as_is_said_and_each_once() {
    let bench = Bench::new();
    let (mut one, _) = bench.connect(b'a').await;
    let (mut other, _) = bench.connect(b'b').await;
    assert_eq!(bench.host.clients(), 2);
    bench.host.leave(1);
    let (first, second) = tokio::select! {
        told = read_packet(&mut one) => (told, &mut other),
        told = read_packet(&mut other) => (told, &mut one),
    };
    assert_eq!((first[0], first[2]), (0xE0, Reason::USE_ANOTHER_SERVER.0));
    second.write_all(&[0xC0, 0]).await.unwrap();
    assert_eq!(read_packet(second).await, [0xD0, 0], "the second was not told");
    bench.host.leave(5);
    assert_eq!(read_packet(second).await[0], 0xE0);
}

#[tokio::test]
async fn host_proves_that_it_delivers_whatever_its_clients_do() {
    let bench = Bench::new();
    let (_client, _) = bench.connect(b'a').await;
    for _ in 0..3 {
        assert_eq!(bench.host.probe(), Ok(()));
    }
    assert_eq!(bench.host.clients(), 1, "its own client is not counted");
}
