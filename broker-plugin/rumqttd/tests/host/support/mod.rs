//! A host with a fake plugin.

pub(crate) mod client;
pub(crate) mod door;
pub(crate) mod packets;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use broker_core::host::{Delivery, HostCommand, HostEvent, HostPublish, NewSubscription};
use bytes::Bytes;
use ha_types::{Message, Publisher, Qos, Ticket, TopicName};
use rumqttd_host::{Admission, AdmitAll, Host, HostConfig, Origin, PluginPorts, start};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

use client::{Client, Stream};

/// Far above what anything takes, far below what a person waits.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A host on a free port. The fake plugin answers each SUBSCRIBE by itself, with `retained`.
pub(crate) struct Broker {
    pub(crate) host: Host,
    pub(crate) address: SocketAddr,
    pub(crate) publishes: mpsc::Receiver<HostPublish>,
    pub(crate) events: mpsc::Receiver<HostEvent>,
    pub(crate) commands: mpsc::Sender<HostCommand>,
}

/// Who answers SUBSCRIBEs.
#[derive(Clone)]
pub(crate) enum Answering {
    /// The fake plugin, with these retained messages for each subscription.
    Plugin(Vec<Delivery>),
    /// The test.
    Test,
}

impl Broker {
    pub(crate) async fn start() -> Self {
        Self::with(HostConfig::default(), Answering::Plugin(Vec::new())).await
    }

    pub(crate) async fn with(config: HostConfig, answering: Answering) -> Self {
        Self::with_room_for(20_000, config, answering).await
    }

    /// With so many publishes that the plugin need not take at once.
    pub(crate) async fn with_room_for(
        publishes_max: usize,
        config: HostConfig,
        answering: Answering,
    ) -> Self {
        Self::build(publishes_max, config, answering, Arc::new(AdmitAll)).await
    }

    pub(crate) async fn with_admission(
        config: HostConfig,
        answering: Answering,
        admission: Arc<dyn Admission>,
    ) -> Self {
        Self::build(20_000, config, answering, admission).await
    }

    async fn build(
        publishes_max: usize,
        config: HostConfig,
        answering: Answering,
        admission: Arc<dyn Admission>,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (publishes, published) = mpsc::channel(publishes_max);
        let (event_sender, mut host_events) = mpsc::channel(64);
        let (commands, host_commands) = mpsc::channel(64);
        let plugin = PluginPorts { publishes, events: event_sender, commands: host_commands };
        let host = start(config, plugin, admission).await.unwrap();
        tokio::spawn(host.entrance().accept(listener));
        host.open();
        let (seen, events) = mpsc::channel(20_000);
        let answers = commands.clone();
        tokio::spawn(async move {
            while let Some(event) = host_events.recv().await {
                if let Some(command) = answer(&event, &answering) {
                    answers.send(command).await.unwrap();
                }
                if seen.send(event).await.is_err() {
                    return;
                }
            }
        });
        Self { host, address, publishes: published, events, commands }
    }

    /// A connected 3.1.1 client with a clean session.
    pub(crate) async fn v4(&self, client_id: &str) -> Client {
        let mut client = Client::open(self.address).await;
        client.send(&packets::connect_v4(client_id, 0x02)).await;
        client.expect(&[0x20, 2, 0, 0]).await;
        client
    }

    /// A connected 5.0 client with a clean session.
    pub(crate) async fn v5(&self, client_id: &str) -> Client {
        let mut client = Client::open(self.address).await;
        client.send(&packets::connect_v5(client_id, 0x02, &[])).await;
        let connack = client.read().await;
        assert_eq!((connack[0], &connack[2..4]), (0x20, &[0, 0][..]), "{connack:?}");
        client
    }

    /// Hands over a connection that no listener has accepted.
    pub(crate) fn serve(&self, stream: impl Stream + 'static, origin: Origin) {
        let entrance = self.host.entrance();
        entrance.serve(entrance.place_now().unwrap(), stream, origin);
    }

    /// A socket that has sent nothing.
    pub(crate) async fn socket(&self) -> Client {
        Client::open(self.address).await
    }

    pub(crate) async fn published(&mut self) -> HostPublish {
        timeout(PATIENCE, self.publishes.recv()).await.expect("no publish").unwrap()
    }

    pub(crate) async fn event(&mut self) -> HostEvent {
        timeout(PATIENCE, self.events.recv()).await.expect("no event").unwrap()
    }

    pub(crate) async fn command(&self, command: HostCommand) {
        self.commands.send(command).await.unwrap();
    }

    pub(crate) async fn deliver(&self, topic: &str, payload: &str) {
        self.command(HostCommand::Deliver(delivery(topic, payload, Qos::AtLeastOnce))).await;
    }

    /// A new client can be served: nothing that happened before has broken the broker.
    pub(crate) async fn must_still_serve(&self) {
        self.host.probe().await.unwrap();
        let mut client = self.v5("still-served").await;
        client.subscribe("still/served", 1).await;
        client.publish("still/served", "yes").await;
        assert_eq!(client.delivery().await.payload, "yes");
        client.send(&[0xE0, 0]).await;
        client.must_be_closed().await;
    }
}

fn answer(event: &HostEvent, answering: &Answering) -> Option<HostCommand> {
    let HostEvent::Subscribe { ticket, subscriptions, .. } = event else { return None };
    let Answering::Plugin(retained) = answering else { return None };
    Some(subscribed(*ticket, subscriptions, retained))
}

/// The answer to a SUBSCRIBE: the same retained messages for each subscription.
pub(crate) fn subscribed(
    ticket: Ticket,
    subscriptions: &[NewSubscription],
    retained: &[Delivery],
) -> HostCommand {
    let retained = subscriptions.iter().map(|_| retained.to_vec()).collect();
    HostCommand::Subscribed { ticket, retained }
}

pub(crate) fn delivery(topic: &str, payload: &str, qos: Qos) -> Delivery {
    let message = Message {
        topic: topic_name(topic),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        properties: Bytes::new(),
        qos,
        retain: true,
        expires_at: None,
        publisher: Publisher::default(),
    };
    Delivery { message: Arc::new(message), expires_in_s: None }
}

pub(crate) fn topic_name(topic: &str) -> TopicName {
    TopicName::parse(Bytes::copy_from_slice(topic.as_bytes())).unwrap()
}
