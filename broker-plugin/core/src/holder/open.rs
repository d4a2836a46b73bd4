//! Who owns a client identifier, and what happens when a connection or a session ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ha_types::session::{
    CloseCause, ConnectionId, Eviction, Lifetime, Open, Opened, PageEnd, Progress, RefuseReason,
    SessionEpoch, SessionKey, Start, Tell,
};
use ha_types::{BrokerEpoch, ClusterMillis, Message, Millis, Publisher, SessionId};

use super::queue::Queue;
use super::session::{Durability, Session};
use super::timers::Due;
use super::{Holder, Output, RouteChange};
use crate::host::HostEvent;
use crate::overtaken::Overtaken;

/// How long an older connection has for its last acknowledgements.
const TAKEOVER_MS: u64 = 100;

/// A CONNECT that waits for the end of an older connection.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) open: Open,
    until: Millis,
}

impl Holder {
    /// [MQTT-3.1.4-3]: the newest connection of a client identifier gets it. One that is newer than
    /// the owner and older than another that waits is refused.
    pub(super) fn open(&mut self, open: Open, out: &mut Vec<Output>) {
        let client = Arc::clone(&open.client_id);
        let older = self.by_client.get(&client).and_then(|id| self.sessions.get(id));
        let Some((owner, key)) = older.and_then(|older| Some((older.owner?, older.key()))) else {
            return self.admit(open, out);
        };
        let until = self.at.now.plus(TAKEOVER_MS);
        if let Some(between) = self.waiting.get_mut(&client) {
            let between = std::mem::replace(&mut between.open, open).connection;
            return out.push(Output::Tell(between, refused(between, RefuseReason::Unavailable)));
        }
        self.timers.set(until, Due::Takeover(Arc::clone(&client)));
        self.waiting.insert(client, Waiting { open, until });
        out.push(Output::Tell(owner, Tell::Evict { session: key, why: Eviction::TakenOver }));
    }

    /// The older connection has not closed in time: its epoch ends all the same.
    pub(super) fn take_over_by_force(&mut self, client: &Arc<str>, out: &mut Vec<Output>) {
        let older = self.by_client.get(client).and_then(|id| self.sessions.get(id));
        if let Some((owner, key)) = older.and_then(|older| Some((older.owner?, older.key()))) {
            out.push(Output::Tell(owner, Tell::Fenced { session: key }));
            if let Some(session) = self.owned(key) {
                session.queue.leave_as_sent();
            }
            self.close(key, CloseCause::Handover, Progress::default(), None, out);
        }
    }

    /// A connection that waited for the end of another.
    fn admit_waiting(&mut self, client: &Arc<str>, out: &mut Vec<Output>) {
        if let Some(Waiting { open, until }) = self.waiting.remove(client) {
            self.timers.unset(until, Due::Takeover(Arc::clone(client)));
            self.admit(open, out);
        }
    }

    fn admit(&mut self, open: Open, out: &mut Vec<Output>) {
        let known = self.by_client.get(&open.client_id).copied();
        let resumed = match (known, open.start) {
            (Some(id), Start::Resume) => Some(id),
            (Some(id), Start::Clean) => {
                self.end(id, out);
                None
            }
            (None, _) => None,
        };
        if resumed.is_none() && self.sessions.len() >= self.config.sessions_max {
            let refused = refused(open.connection, RefuseReason::QuotaExceeded);
            return out.push(Output::Tell(open.connection, refused));
        }
        let id = resumed.unwrap_or_else(|| self.found(&open));
        self.own(id, open, resumed.is_some(), out);
    }

    /// A session that did not exist.
    fn found(&mut self, open: &Open) -> SessionId {
        let id = SessionId(self.next_session);
        self.next_session += 1;
        self.by_client.insert(Arc::clone(&open.client_id), id);
        let durability = match open.lifetime {
            Lifetime::Connection => Durability::Ephemeral,
            Lifetime::Seconds(_) | Lifetime::Unlimited => Durability::Durable,
        };
        self.sessions.insert(
            id,
            Box::new(Session {
                id,
                epoch: SessionEpoch(0),
                client_id: Arc::clone(&open.client_id),
                owner: None,
                durability,
                lifetime: open.lifetime,
                subscriptions: BTreeMap::new(),
                queue: Queue::default(),
                inbound: BTreeSet::new(),
                will: None,
                will_at: None,
                expires_at: None,
                is_announced: false,
                asked: 0,
                overtaken: Overtaken::default(),
            }),
        );
        id
    }

    fn own(&mut self, id: SessionId, open: Open, is_present: bool, out: &mut Vec<Output>) {
        self.forget_timers(id);
        let session = self.sessions.get_mut(&id).expect("found or resumed just before");
        session.epoch.0 += 1;
        session.owner = Some(open.connection);
        self.counts.connected += 1;
        session.lifetime = open.lifetime;
        session.will = open.will;
        session.queue.set_window(open.receive_maximum);
        let opened = Opened {
            connection: open.connection,
            session: session.key(),
            is_present,
            subscriptions: session.subscriptions.values().cloned().collect(),
            inbound: session.inbound.iter().copied().collect(),
            records: session.queue.records(),
            // What is queued beyond the records comes unasked, as the client takes it.
            backlog: PageEnd::Live(session.queue.given_upto()),
        };
        let routes = session.subscriptions.values().filter_map(|options| session.route(options));
        out.extend(routes.map(Output::Route));
        out.push(Output::Tell(open.connection, Tell::Opened(opened)));
        self.pump(id, out);
    }

    /// A connection ended.
    pub(super) fn close(
        &mut self,
        key: SessionKey,
        cause: CloseCause,
        progress: Progress,
        lifetime: Option<Lifetime>,
        out: &mut Vec<Output>,
    ) {
        let Some(connection) = self.take_progress(key, &progress) else { return };
        out.push(Output::Route(RouteChange::RemoveAll { connection }));
        self.forget_qos_0(key.id);
        let Some(session) = self.sessions.get_mut(&key.id) else { return };
        session.queue.take_back(session.durability);
        session.owner = None;
        self.counts.connected -= 1;
        // 5.0 §3.14.2.2.2: what is ephemeral stays so.
        if let (Durability::Durable, Some(lifetime)) = (session.durability, lifetime) {
            session.lifetime = lifetime;
        }
        if cause == CloseCause::Disconnect {
            session.will = None;
        }
        let client = Arc::clone(&session.client_id);
        self.plan_end(key.id, out);
        if cause != CloseCause::Handover {
            self.share_what_is_left(key.id, out);
        }
        self.admit_waiting(&client, out);
    }

    /// Sets when the will and the session of a client that is away are due, or does it at once.
    fn plan_end(&mut self, id: SessionId, out: &mut Vec<Output>) {
        let now = self.at.now;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let ends_at = match session.lifetime {
            Lifetime::Connection => Some(now),
            Lifetime::Seconds(seconds) => Some(now.plus(u64::from(seconds) * 1_000)),
            Lifetime::Unlimited => None,
        };
        let will_at = session.will.as_ref().map(|will| now.plus(u64::from(will.delay_s) * 1_000));
        // [MQTT-3.1.3-9]: whichever comes first, for the end publishes it as well.
        (session.will_at, session.expires_at) = (will_at, ends_at);
        for (at, due) in [(will_at, Due::Will(id)), (ends_at, Due::End(id))] {
            match at {
                Some(at) if at <= now => self.at_once(&due, out),
                Some(at) => self.timers.set(at, due),
                None => (),
            }
        }
    }

    fn at_once(&mut self, due: &Due, out: &mut Vec<Output>) {
        match due {
            Due::Will(id) => self.fire_will(*id),
            Due::End(id) => self.end(*id, out),
            Due::Takeover(_) => (),
        }
    }

    pub(super) fn fire_will(&mut self, id: SessionId) {
        let now = self.at.cluster;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.will_at = None;
        let Some(will) = session.will.take() else { return };
        let expires_at = will
            .expires_in_s
            .map(|seconds| ClusterMillis(now.0.saturating_add(u64::from(seconds) * 1_000)));
        let publisher = Publisher { session: id, epoch: BrokerEpoch(0) };
        let message = Message { expires_at, publisher, ..Message::clone(&will.message) };
        self.due_wills.push(Arc::new(message));
    }

    /// The session and all that is kept of it. A will that waited is published now [MQTT-3.1.2-8].
    pub(super) fn end(&mut self, id: SessionId, out: &mut Vec<Output>) {
        self.forget_timers(id);
        self.fire_will(id);
        let Some(mut session) = self.sessions.remove(&id) else { return };
        self.by_client.remove(&session.client_id);
        let subscriptions = std::mem::take(&mut session.subscriptions);
        for options in subscriptions.values() {
            self.forget(&session, options);
        }
        self.asked.retain(|_, asked| asked.session.id != id);
        self.counts.queued -= session.queue.len();
        let shared = session.queue.take_shared(|_| true);
        if session.is_announced {
            out.push(Output::Plugin(HostEvent::SessionEnded { session: id }));
        }
        self.share_again(shared, out);
    }

    fn forget_timers(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if let Some(at) = session.will_at.take() {
            self.timers.unset(at, Due::Will(id));
        }
        if let Some(at) = session.expires_at.take() {
            self.timers.unset(at, Due::End(id));
        }
    }

    /// Gives the engine what its client can take.
    pub(super) fn pump(&mut self, id: SessionId, out: &mut Vec<Output>) {
        let now = self.at.cluster;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(owner) = session.owner else { return };
        let (before, key) = (session.queue.len(), session.key());
        while let Some(queued) = session.queue.give(now) {
            out.push(Output::Tell(owner, Tell::Deliver { session: key, queued }));
        }
        // Expired ones are gone.
        self.counts.queued -= before - session.queue.len();
    }
}

fn refused(connection: ConnectionId, reason: RefuseReason) -> Tell {
    Tell::OpenRefused { connection, reason }
}
