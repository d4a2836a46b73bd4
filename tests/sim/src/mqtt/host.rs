//! A broker whose sessions are ha-server's: the real core of its plugin, the real engine, and what the
//! shell does between them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use broker_core::access::Identity;
use broker_core::codec::{Connect, FromClient, FromServer, Recipient, Version, frame};
use broker_core::engine::{
    Attempt, Connection, Delivery, Encodings, Ending, Input, Limits, Moment, Output, Request,
    Routes, Scratch, Surroundings, Verdict,
};
use broker_core::holder::RouteChange;
use broker_core::host::{self, HostCommand, HostEvent, HostPublish};
use bytes::BytesMut;
use ha_types::session::{Ask, ConnectionId, PacketId, SessionKey};
use ha_types::{ClusterMillis, Message, Millis, Qos};

use crate::server::CLUSTER_TIME;

/// What the engines of one broker and their shell know.
#[derive(Debug)]
pub struct Host {
    limits: Limits,
    /// Cluster time at zero, as far as the plugin has said it.
    cluster_at_zero: u64,
    routes: Routes<ConnectionId>,
    links: BTreeMap<ConnectionId, Link>,
    work: VecDeque<(ConnectionId, Input)>,
    /// For the plugin, in order.
    pub to_plugin: VecDeque<broker_core::Input>,
}

#[derive(Debug)]
struct Link {
    connection: Connection,
    version: Version,
    out: Output,
    /// What the client sent and the broker has not taken.
    sent: BytesMut,
    /// What the broker sent and the client has not read.
    got: BytesMut,
    is_open: bool,
}

impl Host {
    /// Without clients.
    #[must_use]
    pub fn new() -> Self {
        Self {
            limits: Limits::default(),
            cluster_at_zero: CLUSTER_TIME.0,
            routes: Routes::new(1),
            links: BTreeMap::new(),
            work: VecDeque::new(),
            to_plugin: VecDeque::new(),
        }
    }

    fn moment(&self, now: u64) -> Moment {
        Moment { now: Millis(now), cluster: ClusterMillis(self.cluster_at_zero + now) }
    }

    fn around(limits: &Limits) -> Surroundings<'_> {
        Surroundings { limits, access: None }
    }

    /// A socket with its CONNECT. Connections have numbers that are never used again.
    pub fn dial(&mut self, now: u64, id: ConnectionId, connect: &Connect) {
        let connection = Connection::new(id, Millis(now), &self.limits, u128::from(id.0));
        let mut sent = BytesMut::new();
        connect.encode(&mut sent).expect("ours are small");
        let version = connect.version;
        let (out, got) = (Output::default(), BytesMut::new());
        let link = Link { connection, version, out, sent, got, is_open: true };
        self.links.insert(id, link);
    }

    /// A client's packet. On a connection that is gone nobody gets it.
    pub fn send(&mut self, id: ConnectionId, packet: &FromClient) {
        if let Some(link) = self.links.get_mut(&id) {
            let recipient = Recipient::any(link.version);
            packet.encode(&recipient, &mut link.sent).expect("ours are small");
        }
    }

    /// The client closes its socket, with what it has not read.
    pub fn hang_up(&mut self, id: ConnectionId) {
        if self.links.get(&id).is_some_and(|link| link.is_open) {
            self.work.push_back((id, Input::End(Ending::Lost)));
        }
    }

    /// Whether the broker has not closed the socket.
    #[must_use]
    pub fn is_open(&self, id: ConnectionId) -> bool {
        self.links.get(&id).is_some_and(|link| link.is_open || !link.got.is_empty())
    }

    /// The next packet that the client reads.
    pub fn read(&mut self, id: ConnectionId) -> Option<FromServer> {
        let link = self.links.get_mut(&id)?;
        let frame = frame::split(&mut link.got, usize::MAX).expect("the broker writes packets")?;
        Some(FromServer::decode(link.version, frame).expect("the broker writes packets"))
    }

    /// When a connection wants to be stepped.
    #[must_use]
    pub fn deadline(&self, now: u64) -> Option<u64> {
        let (at, around) = (self.moment(now), Self::around(&self.limits));
        let open = self.links.values().filter(|link| link.is_open);
        open.filter_map(|link| link.connection.deadline(at, &around)).map(|at| at.0).min()
    }

    /// Lets every connection see the time.
    pub fn tick(&mut self) {
        let open = self.links.iter().filter(|(_, link)| link.is_open);
        self.work.extend(open.map(|(&id, _)| (id, Input::Tick)).collect::<Vec<_>>());
    }

    /// Until nothing is left to do.
    pub fn run(&mut self, now: u64) {
        loop {
            while let Some((id, input)) = self.work.pop_front() {
                self.step(now, id, input);
            }
            let ids: Vec<_> = self.links.keys().copied().collect();
            let mut progressed = false;
            for id in ids {
                progressed |= self.take_frame(now, id);
            }
            if !progressed && self.work.is_empty() {
                return;
            }
        }
    }

    /// Gives one frame to its connection, if that takes one.
    fn take_frame(&mut self, now: u64, id: ConnectionId) -> bool {
        let at = self.moment(now);
        let link = self.links.get_mut(&id).expect("a link of ours");
        let around = Self::around(&self.limits);
        if !link.is_open || !link.connection.wants_input(at, &around, &link.out) {
            return false;
        }
        let max = usize::try_from(self.limits.packet_bytes_max).expect("fits");
        let Ok(Some(frame)) = frame::split(&mut link.sent, max) else { return false };
        self.step(now, id, Input::Frame(frame));
        true
    }

    fn step(&mut self, now: u64, id: ConnectionId, input: Input) {
        let at = self.moment(now);
        let around = Self::around(&self.limits);
        let Some(link) = self.links.get_mut(&id) else { return };
        link.connection.step(at, &around, input, &mut link.out);
        link.connection.settle(at, &around, &mut link.out);
        while !link.out.bytes.is_empty() {
            link.got.extend_from_slice(&link.out.bytes.split());
            link.connection.settle(at, &around, &mut link.out);
        }
        for request in std::mem::take(&mut link.out.requests) {
            self.perform(now, id, request);
        }
    }

    fn perform(&mut self, now: u64, id: ConnectionId, request: Request) {
        match request {
            Request::Close => self.links.get_mut(&id).expect("it has stepped").is_open = false,
            Request::Authenticate(credentials) => {
                assert!(matches!(credentials.attempt, Attempt::Plain { .. }));
                let client_id = Arc::clone(&credentials.client_id);
                let identity = Identity { client_id, user_name: None };
                let verdict = Verdict::Admitted { identity, data: None };
                self.work.push_back((id, Input::Verdict(verdict)));
            }
            Request::Publish(message) => {
                self.hand_over(now, &message, None);
                self.deliver_live(&message);
            }
            Request::Ask(Ask::Publish { session, packet_id, message }) => {
                self.hand_over(now, &message, Some((session, packet_id)));
                // At QoS 2 the plugin brings it back when it is taken.
                if message.qos < Qos::ExactlyOnce {
                    self.deliver_live(&message);
                }
            }
            Request::Ask(ask) => {
                self.to_plugin.push_back(broker_core::Input::Host(HostEvent::Ask(ask)));
            }
        }
    }

    fn hand_over(&mut self, now: u64, message: &Message, exchange: Option<(SessionKey, PacketId)>) {
        let cluster = self.moment(now).cluster;
        let left = |at: ClusterMillis| at.0.saturating_sub(cluster.0).div_ceil(1_000).max(1);
        let seconds = |at| u32::try_from(left(at)).unwrap_or(u32::MAX);
        self.to_plugin.push_back(broker_core::Input::Publish(HostPublish {
            topic: message.topic.clone(),
            payload: message.payload.clone(),
            properties: message.properties.clone(),
            qos: message.qos,
            retain: message.retain,
            expires_in_s: message.expires_at.map(seconds),
            session: message.publisher.session,
            exchange,
        }));
    }

    fn deliver_live(&mut self, message: &Arc<Message>) {
        let encodings = Arc::new(Encodings::default());
        self.routes.for_each_recipient(message, &mut Scratch::default(), |&connection, hit| {
            let delivery = Delivery {
                message: Arc::clone(message),
                encodings: Some(Arc::clone(&encodings)),
                qos: hit.qos,
                retain: hit.retain,
                subscription_ids: hit.subscription_ids.into(),
            };
            self.work.push_back((connection, Input::Deliver(delivery)));
        });
    }

    /// What the plugin says.
    pub fn take(&mut self, now: u64, command: HostCommand) {
        match command {
            HostCommand::Deliver(delivery) => {
                let message = with_expiry(delivery, self.moment(now).cluster);
                self.deliver_live(&message);
            }
            HostCommand::Tell(id, tell) => self.work.push_back((id, Input::Tell(tell))),
            HostCommand::Route(RouteChange::Add { connection, filter, route }) => {
                if self.links.get(&connection).is_some_and(|link| link.is_open) {
                    self.routes.add(connection, connection, &filter, route);
                }
            }
            HostCommand::Route(RouteChange::Remove { connection, filter }) => {
                self.routes.remove(connection, &filter);
            }
            HostCommand::Route(RouteChange::RemoveAll { connection }) => {
                self.routes.remove_all(connection);
            }
            HostCommand::ClusterTime(time) => self.cluster_at_zero = time.0.saturating_sub(now),
            HostCommand::Subscribed { .. } | HostCommand::SubscribeRefused { .. } => {
                panic!("nobody subscribes at the plugin")
            }
        }
    }

    /// Forgets connections that are over on both sides.
    pub fn sweep(&mut self) {
        self.links.retain(|_, link| link.is_open || !link.got.is_empty());
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

fn with_expiry(delivery: host::Delivery, now: ClusterMillis) -> Arc<Message> {
    let host::Delivery { message, expires_in_s } = delivery;
    let expires_at = expires_in_s.map(|seconds| ClusterMillis(now.0 + u64::from(seconds) * 1_000));
    Arc::new(Message { expires_at, ..Message::clone(&message) })
}
