//! A tiny cluster that keeps every promise, and clients that lose their connections.
//!
//! What happens is chosen by numbers, so that proptest can make a failing history shorter.

use std::collections::{BTreeMap, VecDeque};

use ha_types::{Qos, TopicFilter};
use history::{Event, NEVER_EXPIRES, Present, Retain, RetainedWanted, Start, Step, What};

use crate::story::Q0;

pub(crate) const TOPICS: [&str; 3] = ["a", "a/b", "c"];
const FILTERS: [&str; 4] = ["a", "a/#", "c", "+"];
/// The client whose sessions end with their connections.
pub(crate) const EPHEMERAL: usize = 3;
const QOS: [Qos; 3] = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];

/// A published message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) publisher: String,
    pub(crate) number: u32,
    pub(crate) topic: &'static str,
    pub(crate) qos: Qos,
    retain: Retain,
    /// When it was first sent.
    pub(crate) at: usize,
}

/// What the cluster holds for one session.
#[derive(Clone, Debug)]
struct Item {
    message: Message,
    qos: Qos,
    as_retained: bool,
    packet_id: u16,
    /// It was put on a connection.
    was_sent: bool,
    /// It is on this connection.
    is_out: bool,
}

#[derive(Debug, Default)]
struct Session {
    subscriptions: BTreeMap<&'static str, (Qos, usize)>,
    items: VecDeque<Item>,
    last_id: u16,
    /// Where it began in the history.
    began_at: usize,
}

/// A client and its session at the cluster.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) connection: u32,
    session: Session,
    next_number: u32,
    /// Sent and not acknowledged, with whether the cluster has taken it.
    unacknowledged: Vec<(Message, bool)>,
}

/// The cluster, its clients and what they saw.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) events: Vec<Event<String>>,
    pub(crate) clients: Vec<Client>,
    pub(crate) acknowledged: Vec<(String, u32)>,
    retained: BTreeMap<&'static str, Message>,
}

fn pick<T: Copy>(all: &[T], choice: u32) -> T {
    all[choice as usize % all.len()]
}

fn matches(filter: &str, topic: &str) -> bool {
    TopicFilter::parse(filter.as_bytes()).unwrap().matches_text(topic)
}

impl Model {
    /// What comes of these choices, after which all is acknowledged and drained.
    pub(crate) fn run(choices: &[u32]) -> Self {
        let mut model = Self::default();
        for name in ["p", "q", "r", "s"] {
            let (name, session) = (name.to_owned(), Session::default());
            let (next_number, unacknowledged) = (0, Vec::new());
            model.clients.push(Client {
                name,
                connection: 0,
                session,
                next_number,
                unacknowledged,
            });
        }
        (0..4).for_each(|who| model.connect(who, Start::Resume));
        for &choice in choices {
            model.act(choice);
        }
        (0..4).for_each(|who| model.reconnect(who));
        (0..4).for_each(|who| model.drain(who));
        model
    }

    fn act(&mut self, choice: u32) {
        let (who, detail) = ((choice % 4) as usize, choice / 64);
        match choice / 4 % 16 {
            0 => self.subscribe(who, detail),
            1 if detail.is_multiple_of(3) => self.unsubscribe(who, detail / 3),
            2 => self.lose_connection(who),
            3 if detail.is_multiple_of(5) => {
                self.see_process("broker", What::Fault);
                self.lose_connection(who);
            }
            4 if detail.is_multiple_of(9) => {
                self.see(who, What::Closed);
                self.connect(who, Start::Clean);
            }
            5..=9 => self.publish(who, detail),
            _ => self.deliver(who, detail),
        }
    }

    fn see(&mut self, who: usize, what: What<String>) {
        let Client { name, connection, .. } = &self.clients[who];
        self.events.push(Event { who: name.clone(), connection: *connection, what });
    }

    fn see_process(&mut self, process: &str, what: What<String>) {
        self.events.push(Event { who: process.into(), connection: 0, what });
    }

    fn connect(&mut self, who: usize, start: Start) {
        let at = self.events.len();
        let is_ephemeral = who == EPHEMERAL;
        let (start, expires_s) =
            if is_ephemeral { (Start::Clean, 0) } else { (start, NEVER_EXPIRES) };
        let client = &mut self.clients[who];
        let is_new = client.connection == 0 || start == Start::Clean;
        client.connection += 1;
        if is_new {
            client.session = Session { began_at: at, ..Session::default() };
        }
        self.see(who, What::Connecting { start, expires_s });
        let session = if is_new { Present::New } else { Present::Present };
        self.see(who, What::Connected { session });
        for item in &mut self.clients[who].session.items {
            item.is_out = false;
        }
        self.retry(who);
    }

    fn lose_connection(&mut self, who: usize) {
        self.see(who, What::Closed);
        self.connect(who, Start::Resume);
    }

    fn reconnect(&mut self, who: usize) {
        self.lose_connection(who);
    }

    /// Publishes again what was not acknowledged. QoS 2 that the cluster has taken is not taken again
    /// unless the session ended, with which the cluster forgot it.
    fn retry(&mut self, who: usize) {
        let began_at = self.clients[who].session.began_at;
        for (message, was_taken) in std::mem::take(&mut self.clients[who].unacknowledged) {
            self.attempt(who, &message, true);
            let is_known = was_taken && message.qos == Qos::ExactlyOnce && message.at >= began_at;
            if !is_known {
                self.take(&message);
            }
            self.acknowledge(who, &message);
        }
    }

    fn publish(&mut self, who: usize, detail: u32) {
        let at = self.events.len();
        let client = &mut self.clients[who];
        let retain = match detail / 9 % 6 {
            0 => Retain::Keep,
            1 => Retain::Clear,
            _ => Retain::No,
        };
        let number = client.next_number;
        client.next_number += 1;
        let (publisher, topic) = (client.name.clone(), pick(&TOPICS, detail));
        let message = Message { publisher, number, topic, qos: pick(&QOS, detail / 3), retain, at };
        self.attempt(who, &message, false);
        let fate = detail / 54 % 8;
        if fate > 0 {
            self.take(&message);
        }
        if message.qos == Q0 {
            return;
        }
        match fate {
            0 | 1 => {
                self.clients[who].unacknowledged.push((message, fate > 0));
                self.lose_connection(who);
            }
            _ => self.acknowledge(who, &message),
        }
    }

    fn attempt(&mut self, who: usize, message: &Message, dup: bool) {
        let &Message { number, topic, qos, retain, .. } = message;
        let topic = topic.into();
        self.see(who, What::Publishing { number, topic, qos, retain, dup, expires_s: None });
    }

    fn acknowledge(&mut self, who: usize, message: &Message) {
        let number = message.number;
        self.acknowledged.push((message.publisher.clone(), number));
        if message.qos == Qos::ExactlyOnce {
            self.see(who, What::Acknowledged { number, step: Step::Pubrec });
            self.see(who, What::Acknowledged { number, step: Step::Pubcomp });
        } else {
            self.see(who, What::Acknowledged { number, step: Step::Puback });
        }
    }

    /// The cluster hands a message to all sessions that match.
    fn take(&mut self, message: &Message) {
        match message.retain {
            Retain::No => (),
            Retain::Keep => drop(self.retained.insert(message.topic, message.clone())),
            Retain::Clear => drop(self.retained.remove(message.topic)),
        }
        for client in &mut self.clients {
            let all = client.session.subscriptions.iter();
            let granted = all.filter(|(filter, _)| matches(filter, message.topic));
            if let Some(granted) = granted.map(|(_, &(granted, _))| granted).max() {
                client.session.queue(message, granted, false);
            }
        }
    }

    fn subscribe(&mut self, who: usize, detail: u32) {
        let (name, qos) = (pick(&FILTERS, detail), pick(&QOS, detail / 4));
        let (filter, retained) = (name.to_owned(), RetainedWanted::Always);
        let (no_local, as_published) = (false, false);
        self.see(who, What::Subscribing { filter, qos, retained, no_local, as_published });
        let at = self.events.len();
        self.see(who, What::Subscribed { filter: name.into(), granted: Some(qos) });
        let session = &mut self.clients[who].session;
        // What was granted 0 promised nothing until now.
        let known = session.subscriptions.get(name).filter(|(granted, _)| *granted > Q0);
        let since = known.map_or(at, |&(_, since)| since);
        session.subscriptions.insert(name, (qos, since));
        for message in self.retained.values().filter(|message| matches(name, message.topic)) {
            session.queue(message, qos, true);
        }
    }

    fn unsubscribe(&mut self, who: usize, detail: u32) {
        let filter = pick(&FILTERS, detail);
        self.see(who, What::Unsubscribing { filter: filter.into() });
        self.clients[who].session.subscriptions.remove(filter);
    }

    /// The first that is not out is sent; it may be lost, or acknowledged, or its acknowledgement be
    /// lost.
    fn deliver(&mut self, who: usize, detail: u32) {
        let Some(index) = self.clients[who].session.items.iter().position(|item| !item.is_out)
        else {
            return self.acknowledge_first(who);
        };
        let item = &mut self.clients[who].session.items[index];
        let dup = std::mem::replace(&mut item.was_sent, true) && item.qos > Q0;
        item.is_out = true;
        let item = item.clone();
        if item.qos == Q0 {
            self.clients[who].session.items.remove(index);
        }
        if detail.is_multiple_of(13) {
            return self.lose_connection(who);
        }
        self.arrive(who, &item, dup);
        match detail % 3 {
            0 => self.acknowledge_first(who),
            1 if detail.is_multiple_of(5) && item.qos == Qos::AtLeastOnce => {
                let (packet_id, step) = (item.packet_id, Step::Puback);
                self.see(who, What::DeliveryAcknowledged { packet_id, step });
                self.lose_connection(who);
            }
            _ => (),
        }
    }

    fn arrive(&mut self, who: usize, item: &Item, dup: bool) {
        let &Item { ref message, qos, as_retained, packet_id, .. } = item;
        let (publisher, topic) = (message.publisher.clone(), message.topic.into());
        let (number, retain) = (message.number, as_retained);
        self.see(who, What::Delivered { publisher, number, topic, qos, dup, retain, packet_id });
    }

    fn acknowledge_first(&mut self, who: usize) {
        let items = &mut self.clients[who].session.items;
        let Some(&Item { qos, packet_id, is_out: true, .. }) = items.front() else { return };
        items.pop_front();
        if qos == Qos::AtLeastOnce {
            self.see(who, What::DeliveryAcknowledged { packet_id, step: Step::Puback });
            return;
        }
        self.see(who, What::DeliveryAcknowledged { packet_id, step: Step::Pubrec });
        self.see(who, What::DeliveryAcknowledged { packet_id, step: Step::Pubcomp });
    }

    fn drain(&mut self, who: usize) {
        while !self.clients[who].session.items.is_empty() {
            self.deliver(who, 1);
        }
        self.see(who, What::Drained);
    }

    /// Since when a client is owed the messages of a topic, if it is.
    pub(crate) fn owed_since(&self, who: &str, topic: &str) -> Option<usize> {
        let client = self.clients.iter().find(|client| client.name == who)?;
        let all = client.session.subscriptions.iter();
        let owed = all.filter(|(filter, (qos, _))| *qos > Q0 && matches(filter, topic));
        owed.map(|(_, &(_, since))| since).min()
    }

    /// Where the last session of a client began.
    pub(crate) fn session_began(&self, who: &str) -> usize {
        let client = self.clients.iter().find(|client| client.name == who);
        client.map_or(0, |client| client.session.began_at)
    }
}

impl Session {
    fn queue(&mut self, message: &Message, granted: Qos, as_retained: bool) {
        let qos = granted.min(message.qos);
        let packet_id = if qos == Q0 { 0 } else { self.last_id + 1 };
        self.last_id = self.last_id.max(packet_id);
        let (was_sent, is_out) = (false, false);
        let message = message.clone();
        self.items.push_back(Item { message, qos, as_retained, packet_id, was_sent, is_out });
    }
}
