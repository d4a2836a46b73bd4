//! What clients see of a holder, and what they must see.
//!
//! Each client keeps what a real one keeps (the QoS 2 packet ids between PUBREC and PUBREL), its
//! engine what a real one keeps (what was sent and not answered, what was answered and not
//! reported). A crash loses the engine's part.

mod acts;
mod client;

use std::collections::{BTreeMap, VecDeque};

use broker_core::holder::Output;
use ha_types::Message;
use ha_types::session::{CloseCause, Open, Start, Tell};

use self::client::Client;
use crate::common::{Bench, Outputs, durable, qos_1, subscription, text, will};

pub(crate) use client::{Connect, Kind};

/// How many clients there are. Client 0 never loses its session: the group always has a member.
pub(crate) const CLIENTS: usize = 4;

/// The filter of the group that client 0 is a member of, always.
const GROUP: &str = "$share/g/s";

/// See the module.
pub(crate) struct Model {
    bench: Bench,
    clients: [Client; CLIENTS],
    /// What was published to the group, and how often members saw it.
    group: BTreeMap<u64, usize>,
    /// Whether nothing happened that may make a member see a message that another saw.
    is_calm: bool,
    next_number: u64,
    /// Wills that came and are not published yet.
    wills: VecDeque<Message>,
}

impl Model {
    pub(crate) fn new() -> Self {
        let mut model = Self {
            bench: Bench::new(),
            clients: std::array::from_fn(|_| Client::default()),
            group: BTreeMap::new(),
            is_calm: true,
            next_number: 1,
            wills: VecDeque::new(),
        };
        model.connect(0, Connect { is_clean: false, kind: Kind::Forever, will_delay_s: None });
        model.subscribe(0, GROUP, 1);
        model
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// A CONNECT of client 0 never ends its session.
    pub(crate) fn connect(&mut self, client: usize, connect: Connect) {
        let connect = match client {
            0 => Connect { is_clean: false, kind: Kind::Forever, ..connect },
            _ => connect,
        };
        let payload = self.number();
        let start = if connect.is_clean { Start::Clean } else { Start::Resume };
        let will = connect.will_delay_s.and_then(|s| will(&payload.to_string(), s));
        let lifetime = connect.kind.lifetime();
        let open = Open { start, lifetime, will, ..durable(&format!("client {client}")) };
        let opening = client::Opening { connect, will: connect.will_delay_s.map(|s| (payload, s)) };
        // Before the ask: the answer may come at once.
        let connection = self.bench.next_connection();
        self.clients[client].pending = Some((connection, opening));
        let outputs = self.bench.open(open).1;
        self.see(outputs);
    }

    /// Ends the connection of a client, if it has one.
    pub(crate) fn close(&mut self, client: usize, cause: CloseCause) {
        self.end_connection(client, cause, true);
    }

    pub(crate) fn crash(&mut self, client: usize) {
        self.end_connection(client, CloseCause::Failure, false);
    }

    fn end_connection(&mut self, client: usize, cause: CloseCause, is_reported: bool) {
        let (now, of) = (self.bench.now, &mut self.clients[client]);
        let Some(link) = of.link else { return };
        let progress = if is_reported { of.engine.take_progress() } else { Default::default() };
        let cause = if of.is_evicted { CloseCause::Handover } else { cause };
        of.disconnected(now, cause);
        self.is_calm = false;
        let outputs = self.bench.close_with(link, cause, progress, None);
        self.see(outputs);
    }

    /// Lets time pass as a shell does: with a tick at each deadline.
    pub(crate) fn pause(&mut self, ms: u64) {
        let end = self.bench.now + ms;
        loop {
            let due = self.bench.holder.deadline().map(|at| at.0).filter(|due| *due <= end);
            let outputs = self.bench.at(due.unwrap_or(end));
            self.see(outputs);
            if due.is_none() {
                return;
            }
        }
    }

    /// Takes in all that a step caused, and publishes the wills that it brought.
    fn see(&mut self, outputs: Outputs) {
        let mut next = Some(outputs);
        while let Some(outputs) = next.take() {
            for output in outputs.0 {
                match output {
                    Output::Tell(connection, tell) => {
                        let mut clients = self.clients.iter();
                        match clients.position(|of| of.has(connection)) {
                            Some(client) => self.told(client, tell),
                            // A newer CONNECT of the same client came meanwhile.
                            None => assert!(matches!(tell, Tell::OpenRefused { .. }), "{tell:?}"),
                        }
                    }
                    Output::Publish(will) => self.fire(&will),
                    Output::Route(_) | Output::Plugin(_) => (),
                }
            }
            if let Some(will) = self.wills.pop_front() {
                self.expect(number(&will), "will", 1);
                next = Some(self.bench.message(will));
            }
        }
        let now = self.bench.now;
        for of in &mut self.clients {
            assert!(of.will_due.is_none_or(|(_, at)| at > now), "a will is late");
            assert!(of.will_due.is_none() || !of.was_just_cleaned, "a will is lost");
            of.was_just_cleaned = false;
        }
    }

    fn fire(&mut self, will: &Message) {
        let now = self.bench.now;
        let payload = number(will);
        let mut clients = self.clients.iter_mut();
        let of = clients.find(|of| of.will_due.is_some_and(|(known, _)| known == payload));
        let of = of.unwrap_or_else(|| panic!("will {payload} is nobody's, or was due before"));
        let (_, due) = of.will_due.take().unwrap();
        assert!(due == now || of.was_just_cleaned, "will {payload} is due at {due}, not {now}");
        self.wills.push_back(will.clone());
    }

    fn told(&mut self, client: usize, tell: Tell) {
        let now = self.bench.now;
        match tell {
            Tell::Opened(opened) => {
                let again = self.clients[client].opened(opened, now);
                again.into_iter().for_each(|queued| self.delivered(client, queued));
            }
            Tell::Evict { .. } => self.clients[client].is_evicted = true,
            Tell::Fenced { .. } => {
                self.is_calm = false;
                self.clients[client].disconnected(now, CloseCause::Handover);
            }
            Tell::Deliver { queued, .. } => self.delivered(client, queued),
            Tell::Recorded { received, completed, .. } => {
                self.clients[client].engine.recorded(&received, &completed);
            }
            Tell::OpenRefused { .. } => panic!("the newest is never refused"),
            Tell::Subscribed { .. }
            | Tell::Unsubscribed { .. }
            | Tell::Published { .. }
            | Tell::Released { .. } => (),
            Tell::Page { .. } => panic!("nobody fetched"),
        }
    }
}

/// Whether a filter, perhaps a group's, matches a topic.
fn matches(filter: &str, topic: &str) -> bool {
    subscription(filter).filter().matches(&qos_1(topic, "").topic)
}

/// Every message carries its number.
fn number(message: &Message) -> u64 {
    text(message).parse().unwrap()
}
