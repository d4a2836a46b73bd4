//! What clients do, and what they have to see of it.

use std::collections::BTreeSet;

use ha_types::session::{Ask, CloseCause, Lifetime, PacketId, Progress, Queued};
use ha_types::{Message, Qos};

use super::client::Packet;
use super::{CLIENTS, Connect, GROUP, Kind, Model, matches, number};
use crate::common::{at, message, named};

/// Twice the Receive Maximum of the bench's clients, or the least: whichever is more.
const WINDOW: usize = 32;

fn qos(level: u32) -> Qos {
    Qos::from_level(level).unwrap()
}

fn numbered(topic: &str, number: u64, level: u32) -> Message {
    message(topic, &number.to_string(), qos(level))
}

impl Model {
    /// To the group always with QoS 1, and recognisable.
    pub(crate) fn subscribe(&mut self, client: usize, filter: &'static str, level: u32) {
        let of = &mut self.clients[client];
        let Some(link) = of.link else { return };
        let level = if filter == GROUP { 1 } else { level };
        of.session.subscriptions.insert(filter, level);
        let options = at(filter, qos(level));
        let options = if filter == GROUP { named(7, options) } else { options };
        let outputs = self.bench.subscribe(link, &[options]);
        self.see(outputs);
    }

    pub(crate) fn unsubscribe(&mut self, client: usize, filter: &'static str) {
        let of = &mut self.clients[client];
        let Some(link) = of.link.filter(|_| (client, filter) != (0, GROUP)) else { return };
        let existed = of.session.subscriptions.remove(filter).is_some();
        let outputs = self.bench.unsubscribe(link, &[filter]);
        assert_eq!(outputs.existed(link), Some(&vec![existed]));
        self.see(outputs);
    }

    pub(crate) fn publish(&mut self, client: usize, topic: &'static str, level: u32) {
        let Some(link) = self.clients[client].link else { return };
        let number = self.number();
        let id = u16::try_from(number).unwrap();
        if level == 2 {
            let unreleased = &mut self.clients[client].session.unreleased;
            unreleased.push_back((PacketId::new(id).unwrap(), topic, number));
        }
        self.expect(number, topic, level);
        let outputs = self.bench.publish(link, id, numbered(topic, number, level));
        assert_eq!(outputs.published(link).len(), 1);
        self.see(outputs);
    }

    pub(crate) fn repeat(&mut self, client: usize) {
        let of = &self.clients[client];
        let (Some(link), Some(last)) = (of.link, of.session.unreleased.back()) else { return };
        let (id, topic, number) = *last;
        let outputs = self.bench.publish(link, id.get(), numbered(topic, number, 2));
        assert_eq!(outputs.published(link).len(), 1);
        self.see(outputs);
    }

    pub(crate) fn release(&mut self, client: usize) {
        let of = &mut self.clients[client];
        let Some(link) = of.link else { return };
        let Some((packet_id, ..)) = of.session.unreleased.pop_front() else { return };
        let outputs = self.bench.ask(Ask::Release { session: link.session, packet_id });
        self.see(outputs);
    }

    /// Notes who must get a message that is published now.
    pub(super) fn expect(&mut self, number: u64, topic: &str, level: u32) {
        let now = self.bench.now;
        if matches(GROUP, topic) {
            self.group.insert(number, 0);
        }
        for of in self.clients.iter_mut().filter(|of| of.is_durable && of.has_session(now)) {
            let plain = of.session.subscriptions.iter().filter(|(filter, _)| **filter != GROUP);
            let found = plain.filter(|(filter, _)| matches(filter, topic)).map(|(_, qos)| *qos);
            let level = found.max().unwrap_or(0).min(level);
            if level > 0 {
                of.session.expected.push((number, qos(level)));
            }
        }
    }

    /// The client gets it at once.
    pub(super) fn delivered(&mut self, client: usize, queued: Queued) {
        let of = &mut self.clients[client];
        let number = number(&queued.message);
        let id = queued.record.unwrap_or_else(|| queued.offset.packet_id());
        assert!(of.engine.in_flight.insert(id), "a packet identifier is in flight twice");
        assert!(of.engine.in_flight.len() <= WINDOW, "the engine is given more than it can keep");
        let is_new = match queued.qos {
            Qos::AtMostOnce => panic!("QoS 0 goes by live routes"),
            Qos::AtLeastOnce => {
                of.engine.unreported.insert(queued.offset, number);
                of.engine.sent.push_back(Packet::Qos1(queued.offset, id));
                true
            }
            Qos::ExactlyOnce => {
                of.engine.sent.push_back(Packet::Qos2(id));
                of.session.received.insert(id)
            }
        };
        match queued.subscription_ids.is_empty() {
            true if is_new => of.session.seen.push(number),
            true => (),
            false => *self.group.get_mut(&number).unwrap() += 1,
        }
    }

    pub(crate) fn answer(&mut self, client: usize, count: usize) {
        let of = &mut self.clients[client];
        let count = count.min(of.engine.sent.len());
        let Progress { acknowledged, received, completed, .. } = &mut of.engine.progress;
        for packet in of.engine.sent.drain(..count) {
            match packet {
                Packet::Qos1(offset, id) => {
                    of.engine.in_flight.remove(&id);
                    acknowledged.push(offset);
                }
                Packet::Qos2(id) => received.push(id),
                Packet::Pubrel(id) => {
                    of.session.received.remove(&id);
                    completed.push(id);
                }
            }
        }
    }

    pub(crate) fn report(&mut self, client: usize) {
        let of = &mut self.clients[client];
        let Some(link) = of.link else { return };
        let progress = of.engine.take_progress();
        let outputs = self.bench.progress(link, progress);
        self.see(outputs);
    }

    /// All connect and take everything that waits for them.
    pub(crate) fn settle(&mut self) {
        self.pause(100);
        for client in 0..CLIENTS {
            if self.clients[client].link.is_none() {
                let kind = Kind::Forever;
                self.connect(client, Connect { is_clean: false, kind, will_delay_s: None });
            }
        }
        while self.clients.iter().any(|of| !of.engine.sent.is_empty() || of.has_progress()) {
            for client in 0..CLIENTS {
                self.answer(client, usize::MAX);
                self.report(client);
            }
        }
    }

    /// All that was promised has come, in order, and at QoS 2 once.
    pub(crate) fn check_deliveries(&self) {
        for of in &self.clients {
            let session = &of.session;
            let mut once = BTreeSet::new();
            let first = session.seen.iter().filter(|number| once.insert(**number));
            let expected = session.expected.iter().map(|(number, _)| number);
            assert!(first.eq(expected), "{session:?}");
            for (number, qos) in &session.expected {
                let times = session.seen.iter().filter(|seen| *seen == number).count();
                let may_repeat = *qos == Qos::AtLeastOnce && session.may_repeat.contains(number);
                assert!(times == 1 || may_repeat, "{number} came {times} times: {session:?}");
            }
        }
        for (number, times) in &self.group {
            assert!(*times >= 1, "{number} reached no member");
            assert!(*times == 1 || !self.is_calm, "{number} reached {times} members");
        }
        assert_eq!(self.bench.queued(), 0, "everything is acknowledged");
    }

    /// All sessions end.
    pub(crate) fn end_all(mut self) {
        for client in 0..CLIENTS {
            let link = self.clients[client].link.take().expect("all are connected");
            let end = Some(Lifetime::Connection);
            let cause = CloseCause::Disconnect;
            self.bench.close_with(link, cause, Progress::default(), end);
        }
        assert!(self.bench.holder.is_empty());
        assert_eq!(self.bench.holder.counts(), Default::default());
    }
}
