//! A host whose sessions are held here, without a plugin, and its clients.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use broker_core::access::{Access, Identity};
use broker_core::engine::{Credentials, Limits, Verdict};
use broker_core::holder::HolderConfig;
use broker_core::host::{HostCommand, HostEvent, HostPublish};
use session_host::{
    Admission, Host, HostConfig, Judging, ListenerLimits, Origin, PluginPorts, SessionPorts,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Nothing in these tests takes longer, on any machine, unless it hangs.
pub(crate) const HANG: Duration = Duration::from_secs(30);

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

/// A host, and a plugin that knows of no message and no other broker.
pub(crate) struct Bench {
    pub(crate) host: Host,
    plugin: JoinHandle<()>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.plugin.abort();
    }
}

async fn plugin(
    mut publishes: mpsc::Receiver<HostPublish>,
    mut events: mpsc::Receiver<HostEvent>,
    commands: mpsc::Sender<HostCommand>,
) {
    loop {
        tokio::select! {
            Some(_) = publishes.recv() => (),
            Some(event) = events.recv() => {
                if let HostEvent::Subscribe { ticket, subscriptions, .. } = event {
                    let retained = vec![Vec::new(); subscriptions.len()];
                    commands.send(HostCommand::Subscribed { ticket, retained }).await.unwrap();
                }
            }
            else => return,
        }
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        let (publishes, publishes_rx) = mpsc::channel(8);
        let (events, events_rx) = mpsc::channel(8);
        let (commands, commands_rx) = mpsc::channel(8);
        // No timer wakes a task that somebody forgot to wake.
        let connection = Limits { connect_timeout_ms: 60_000, ..Limits::default() };
        let limits = ListenerLimits { name: "PORT_NO", connections_max: 10, connection };
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
        Self { host, plugin: tokio::spawn(plugin(publishes_rx, events_rx, commands)) }
    }

    /// A client of MQTT 5 that has sent CONNECT, and the first bytes of its CONNACK: flags and reason.
    pub(crate) async fn connect(&self, id: u8) -> (DuplexStream, [u8; 2]) {
        self.connect_by(id, 1 << 16, |stream| stream).await
    }

    /// Over a stream with room for so many bytes in each direction, which the host sees through `wrap`.
    pub(crate) async fn connect_by<S>(
        &self,
        id: u8,
        room: usize,
        wrap: impl FnOnce(DuplexStream) -> S,
    ) -> (DuplexStream, [u8; 2])
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut client, theirs) = tokio::io::duplex(room);
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        self.host.serve(wrap(theirs), Origin { listener: 0, peer, certificate: None });
        let connect = [0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 0, 0, 0, 1, id];
        client.write_all(&connect).await.unwrap();
        let packet = read_packet(&mut client).await;
        assert_eq!(packet[0], 0x20, "{packet:?}");
        (client, [packet[2], packet[3]])
    }
}

/// A packet of less than 128 bytes.
pub(crate) async fn read_packet(client: &mut DuplexStream) -> Vec<u8> {
    let reading = async {
        let mut packet = vec![0; 2];
        client.read_exact(&mut packet).await.unwrap();
        let mut rest = vec![0; usize::from(packet[1])];
        client.read_exact(&mut rest).await.unwrap();
        [packet, rest].concat()
    };
    tokio::time::timeout(HANG, reading).await.expect("nothing comes")
}
