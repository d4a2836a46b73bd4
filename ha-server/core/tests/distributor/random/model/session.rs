//! The durable session that is here.

use std::collections::VecDeque;

use ha_types::session::{
    Ask, Offset, Opened, PageEnd, Progress, Queued, RecordStage, SessionKey, Tell,
};
use ha_types::{Qos, Ticket};

use super::Model;
use crate::common::{Cluster, durable, subscribe, text};

/// The durable session of a client, here.
#[derive(Debug)]
pub(in crate::random) struct Session {
    pub(in crate::random) client: usize,
    pub(super) connection: u64,
    /// `None`: not opened yet.
    pub(in crate::random) key: Option<SessionKey>,
    pub(super) given_upto: Option<Offset>,
    pub(in crate::random) waiting: VecDeque<Queued>,
}

impl Model {
    pub(in crate::random) fn open(&mut self, cluster: &mut Cluster, client: usize) {
        if self.session.is_none() && self.epoch.is_some() {
            self.connections += 1;
            let connection = self.incarnation * 1_000 + self.connections;
            let (key, given_upto, waiting) = (None, None, VecDeque::new());
            self.session = Some(Session { client, connection, key, given_upto, waiting });
            self.ask(cluster, Ask::Open(durable(&format!("c{client}"), connection)));
        }
    }

    pub(in crate::random) fn subscribe(
        &mut self,
        cluster: &mut Cluster,
        filter: &'static str,
        qos: Qos,
    ) {
        let session = self.session.as_ref();
        let opened = session.and_then(|session| Some((session.key?, session.client)));
        let Some((key, client)) = opened else { return };
        let ticket = Ticket(self.last_ask + 1);
        self.subscribing.insert(ticket.0, (client, filter, qos));
        if let Ask::Subscribe { session, subscriptions, .. } = subscribe(key, filter, qos) {
            self.ask(cluster, Ask::Subscribe { session, ticket, subscriptions });
        }
    }

    /// Whether a SUBSCRIBE of its client waits that asks for more than QoS 0.
    pub(in crate::random) fn is_subscribing(&self, client: usize, filter: &str) -> bool {
        let mut waiting = self.subscribing.values();
        waiting.any(|&(of, at, qos)| (of, at) == (client, filter) && qos > Qos::AtMostOnce)
    }

    /// PUBACK, or it is never sent; PUBREC and PUBCOMP come together.
    pub(in crate::random) fn acknowledge(&mut self, cluster: &mut Cluster, count: usize) {
        let Some(session) = &mut self.session else { return };
        let Some(key) = session.key else { return };
        let mut progress = Progress::default();
        let count = count.min(session.waiting.len());
        for queued in session.waiting.drain(..count) {
            match queued.record {
                None if queued.offset.message % 4 == 0 => progress.passed_over.push(queued.offset),
                None => progress.acknowledged.push(queued.offset),
                Some(packet_id) => {
                    progress.received.push(packet_id);
                    progress.completed.push(packet_id);
                }
            }
        }
        self.ask(cluster, Ask::Progress { session: key, progress });
    }

    pub(super) fn told(&mut self, connection: u64, tell: Tell) {
        let Some(session) = self.session.as_mut().filter(|of| of.connection == connection) else {
            return;
        };
        match tell {
            Tell::Opened(opened) if session.key.is_none() => self.opened(opened),
            Tell::OpenRefused { .. } if session.key.is_none() => self.session = None,
            Tell::Fenced { session: key } if session.key == Some(key) => self.session = None,
            Tell::Deliver { session: key, queued } if session.key == Some(key) => self.give(queued),
            Tell::Subscribed { session: key, ticket, granted } if session.key == Some(key) => {
                assert!(granted.iter().all(Result::is_ok));
                if let Some((client, filter, qos)) = self.subscribing.remove(&ticket.0)
                    && qos > Qos::AtMostOnce
                {
                    self.granted.insert((client, filter));
                }
            }
            Tell::Evict { session: key, .. } if session.key == Some(key) => self.session = None,
            _ => (),
        }
    }

    fn opened(&mut self, opened: Opened) {
        let Some(session) = &mut self.session else { return };
        session.key = Some(opened.session);
        for record in opened.records {
            match record.stage {
                // Sent again with DUP: the client knows it by its packet identifier.
                RecordStage::Sent(queued) => {
                    let known = (session.client, queued.offset, text(&queued.message));
                    if !self.queued.contains(&known) {
                        self.queued.push(known);
                    }
                    session.waiting.push_back(queued);
                }
                RecordStage::Received => (),
            }
        }
        let (PageEnd::Live(upto) | PageEnd::More(upto)) = opened.backlog;
        session.given_upto = Some(upto);
    }

    fn give(&mut self, queued: Queued) {
        let Some(session) = &mut self.session else { return };
        if Some(queued.offset) <= session.given_upto {
            return;
        }
        session.given_upto = Some(queued.offset);
        self.queued.push((session.client, queued.offset, text(&queued.message)));
        session.waiting.push_back(queued);
    }
}
