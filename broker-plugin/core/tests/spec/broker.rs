//! A whole broker without sockets, for tests: connections, routes and the holder of sessions wired
//! together as the shell wires them, with a clock that only the test moves.
//!
//! ```ignore
//! let mut broker = Broker::new();
//! let mut alice = broker.connect(Version::V5, "alice");
//! broker.send(alice, &subscribe(1, "a", Qos::AtLeastOnce));
//! assert_eq!(broker.received(alice), [FromServer::Suback(..)]);
//! ```

mod holding;
mod late;
mod state;
mod time;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use broker_core::access::{Access, Identity};
use broker_core::codec::{
    Connack, Connect, Frame, FromClient, FromServer, Reason, Recipient, Version, frame,
};
use broker_core::engine::{
    Attempt, Connection, Delivery, Encodings, Ending, Input, Limits, Moment, Output, Request,
    Routes, Scratch, Surroundings, Verdict,
};
use broker_core::holder::{self, HolderConfig};
use broker_core::host::HostCommand;
use bytes::BytesMut;
use ha_types::session::{Ask, ConnectionId, RefuseReason, Tell};
use ha_types::{ClusterMillis, Message, Millis, Qos};

use super::alone::{Alone, BEGINNING};
use super::packets::text;
use super::watch::Watch;
use crate::Holder;

/// A client's end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Client(u64);

/// Chooses what becomes of an attempt to authenticate.
type Judge = Box<dyn FnMut(&Attempt) -> Verdict>;

/// See the module.
pub(crate) struct Broker {
    pub(crate) limits: Limits,
    /// `None`: everybody may do everything.
    pub(crate) access: Option<Arc<dyn Access>>,
    /// `None`: everybody is let in, under the user name that it gives.
    pub(crate) judge: Option<Judge>,
    /// The holder takes no message above QoS 0, and says this.
    pub(crate) refusal: Option<RefuseReason>,
    /// `Some`: the plugin has answered, and its answers are on their way.
    late_answers: Option<Vec<HostCommand>>,
    now: u64,
    holder: Holder,
    routes: Routes<ConnectionId>,
    plugin: Alone,
    links: BTreeMap<u64, Link>,
    next: u64,
    work: VecDeque<(ConnectionId, Input)>,
    /// What the holder has told and nobody has heard, while its answers are held back.
    late: Option<VecDeque<(ConnectionId, Tell)>>,
    /// Everything that a client published, in order: what the plugin would be told.
    pub(crate) published: Vec<Arc<Message>>,
}

struct Link {
    connection: Connection,
    version: Version,
    watch: Watch,
    out: Output,
    /// What the client sent and the broker has not taken.
    sent: BytesMut,
    /// What the broker sent and the test has not looked at.
    got: BytesMut,
    is_open: bool,
    /// The client does not read: nothing is taken from the broker's buffer.
    pub(crate) reads: bool,
}

impl Broker {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default(), HolderConfig::default())
    }

    pub(crate) fn with(limits: Limits, config: HolderConfig) -> Self {
        Self {
            limits,
            access: None,
            judge: None,
            refusal: None,
            late_answers: None,
            now: 0,
            holder: Holder::new(config),
            routes: Routes::new(1),
            plugin: Alone::new(),
            links: BTreeMap::new(),
            next: 1,
            work: VecDeque::new(),
            late: None,
            published: Vec::new(),
        }
    }

    fn moment(&self) -> Moment {
        Moment { now: Millis(self.now), cluster: ClusterMillis(BEGINNING.0 + self.now) }
    }

    /// A socket that has sent nothing.
    pub(crate) fn socket(&mut self, version: Version) -> Client {
        let id = self.next;
        self.next += 1;
        let connection =
            Connection::new(ConnectionId(id), Millis(self.now), &self.limits, u128::from(id));
        let link = Link {
            connection,
            version,
            watch: Watch::new(version),
            out: Output::default(),
            sent: BytesMut::new(),
            got: BytesMut::new(),
            is_open: true,
            reads: true,
        };
        self.links.insert(id, link);
        Client(id)
    }

    /// Connects with a clean start, and takes the CONNACK.
    pub(crate) fn connect(&mut self, version: Version, client_id: &str) -> Client {
        self.connect_with(Connect::new(version, text(client_id))).0
    }

    /// Connects, and takes the CONNACK, which must say success.
    pub(crate) fn connect_with(&mut self, connect: Connect) -> (Client, Connack) {
        let (client, connack) = self.try_connect(connect);
        assert_eq!(connack.reason, Reason::SUCCESS, "{connack:?}");
        (client, connack)
    }

    /// Connects, and takes the CONNACK, whatever it says.
    pub(crate) fn try_connect(&mut self, connect: Connect) -> (Client, Connack) {
        let client = self.dial(&connect);
        match self.next_packet(client) {
            Some(FromServer::Connack(connack)) => (client, connack),
            other => panic!("instead of CONNACK: {other:?}"),
        }
    }

    /// Sends CONNECT, whatever comes of it.
    pub(crate) fn dial(&mut self, connect: &Connect) -> Client {
        let client = self.socket(connect.version);
        let mut bytes = BytesMut::new();
        connect.encode(&mut bytes).unwrap();
        self.send_bytes(client, &bytes);
        client
    }

    /// Sends a packet.
    pub(crate) fn send(&mut self, client: Client, packet: &FromClient) {
        let mut bytes = BytesMut::new();
        let version = self.links[&client.0].version;
        packet.encode(&Recipient::any(version), &mut bytes).unwrap();
        self.send_bytes(client, &bytes);
    }

    /// Sends any bytes.
    pub(crate) fn send_bytes(&mut self, client: Client, bytes: &[u8]) {
        self.link(client).sent.extend_from_slice(bytes);
        self.run();
    }

    /// Closes the client's end of the socket.
    pub(crate) fn drop_socket(&mut self, client: Client) {
        if self.link(client).is_open {
            self.work.push_back((ConnectionId(client.0), Input::End(Ending::Lost)));
        }
        self.run();
    }

    /// The broker ends a connection.
    pub(crate) fn end(&mut self, client: Client, ending: Ending) {
        self.work.push_back((ConnectionId(client.0), Input::End(ending)));
        self.run();
    }

    /// The broker lets a client go.
    pub(crate) fn leave(&mut self, client: Client) {
        self.work.push_back((ConnectionId(client.0), Input::Leave));
        self.run();
    }

    /// Stops or goes on reading what the broker sends.
    pub(crate) fn set_reading(&mut self, client: Client, reads: bool) {
        self.link(client).reads = reads;
        // The shell settles when it has written.
        self.work.push_back((ConnectionId(client.0), Input::Tick));
        self.run();
    }

    /// Everything that the broker has sent since the last call, packet by packet.
    pub(crate) fn received(&mut self, client: Client) -> Vec<FromServer> {
        std::iter::from_fn(|| self.next_packet(client)).collect()
    }

    /// The next packet that the broker has sent.
    pub(crate) fn next_packet(&mut self, client: Client) -> Option<FromServer> {
        let frame = self.next_frame(client)?;
        let version = self.links[&client.0].version;
        Some(FromServer::decode(version, frame).unwrap())
    }

    /// The same, not decoded.
    pub(crate) fn next_frame(&mut self, client: Client) -> Option<Frame> {
        frame::split(&mut self.link(client).got, usize::MAX).unwrap()
    }

    /// Whether the broker has not closed the socket.
    pub(crate) fn is_open(&self, client: Client) -> bool {
        self.links[&client.0].is_open
    }

    fn link(&mut self, client: Client) -> &mut Link {
        self.links.get_mut(&client.0).expect("a client of this broker")
    }

    /// Until nothing is left to do.
    fn run(&mut self) {
        loop {
            while let Some((id, input)) = self.work.pop_front() {
                self.step(id, input);
            }
            let ids: Vec<_> = self.links.keys().copied().collect();
            let mut progressed = false;
            for id in ids {
                progressed |= self.take_frame(id);
            }
            if !progressed && self.work.is_empty() {
                return;
            }
        }
    }

    /// Gives one frame to its connection, if that takes one.
    fn take_frame(&mut self, id: u64) -> bool {
        let at = self.moment();
        let around = Surroundings { limits: &self.limits, access: self.access.as_deref() };
        let link = self.links.get_mut(&id).expect("a link of ours");
        if !link.is_open || !link.connection.wants_input(at, &around, &link.out) {
            return false;
        }
        let max = usize::try_from(self.limits.packet_bytes_max).unwrap();
        let input = match frame::split(&mut link.sent, max) {
            Ok(None) => return false,
            Ok(Some(frame)) => Input::Frame(frame),
            Err(error) => Input::BadFrame(error),
        };
        self.step(ConnectionId(id), input);
        true
    }

    fn step(&mut self, id: ConnectionId, input: Input) {
        let at = self.moment();
        let around = Surroundings { limits: &self.limits, access: self.access.as_deref() };
        let Some(link) = self.links.get_mut(&id.0) else { return };
        link.connection.step(at, &around, input, &mut link.out);
        link.connection.settle(at, &around, &mut link.out);
        while link.reads && !link.out.bytes.is_empty() {
            link.write();
            // The shell settles again when bytes were written.
            link.connection.settle(at, &around, &mut link.out);
        }
        let requests = std::mem::take(&mut link.out.requests);
        for request in requests {
            self.perform(id, request);
        }
    }

    fn perform(&mut self, id: ConnectionId, request: Request) {
        match request {
            Request::Close => self.links.get_mut(&id.0).expect("it has stepped").is_open = false,
            Request::Authenticate(credentials) => {
                let verdict = match &mut self.judge {
                    Some(judge) => judge(&credentials.attempt),
                    None => admitted(&credentials.client_id, &credentials.attempt),
                };
                self.work.push_back((id, Input::Verdict(verdict)));
            }
            Request::Publish(message) => {
                self.publish(&message);
                self.hold(holder::Input::Message(message));
            }
            Request::Ask(Ask::Publish { session, packet_id, message }) => {
                if let Some(reason) = self.refusal {
                    let tell = Tell::Published { session, packet_id, outcome: Err(reason) };
                    return self.work.push_back((id, Input::Tell(tell)));
                }
                let is_once = message.qos == Qos::ExactlyOnce;
                if !is_once || self.holder.takes(session, packet_id) {
                    self.publish(&message);
                }
                self.hold(holder::Input::Ask(Ask::Publish { session, packet_id, message }));
            }
            Request::Ask(ask) => self.hold(holder::Input::Ask(ask)),
        }
    }

    /// To the retained messages and to live subscribers.
    fn publish(&mut self, message: &Arc<Message>) {
        self.published.push(Arc::clone(message));
        self.plugin.publish(Millis(self.now), message);
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
}

impl Link {
    /// What is in the broker's buffer reaches the client.
    fn write(&mut self) {
        let bytes = self.out.bytes.split();
        self.watch.look(&bytes);
        self.got.extend_from_slice(&bytes);
    }
}

fn admitted(client_id: &Arc<str>, attempt: &Attempt) -> Verdict {
    let user_name = match attempt {
        Attempt::Plain { user_name, .. } => user_name.as_ref().map(|name| name.as_str().into()),
        Attempt::Begin { .. } | Attempt::Continue { .. } | Attempt::Again { .. } => {
            return Verdict::BadMethod;
        }
    };
    let identity = Identity { client_id: Arc::clone(client_id), user_name };
    Verdict::Admitted { identity, data: None }
}
