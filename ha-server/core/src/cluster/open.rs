//! Who owns a session, and what happens when a connection or a session ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ha_types::session::{
    CloseCause, Lifetime, Offset, Open, PageEnd, Progress, Record, RecordStage, RefuseReason,
    SessionEpoch, SessionKey, Start,
};
use ha_types::{BrokerEpoch, Qos, SessionId};

use super::ClusterState;
use super::outcome::{Opened, Outcome, Owner};
use super::record::Key;
use super::session::{Acked, Durability, Exchange, Session};

impl ClusterState {
    /// The newest connection of a client identifier gets it [MQTT-3.1.4-3], wherever the older is.
    pub(super) fn open(&mut self, broker: BrokerEpoch, open: Open) -> Outcome {
        if !self.is_alive(broker) {
            return Outcome::Fenced;
        }
        let fenced = self.take_from_owner(&open);
        let resumed = self.resumed(&open);
        if resumed.is_none() && self.sessions.len() >= self.limits.sessions_max {
            return Outcome::Refused(RefuseReason::QuotaExceeded);
        }
        let id = resumed.unwrap_or_else(|| self.found(&open));
        self.advance(id);
        self.enforce_limits(id);
        let opened = self.own(id, Owner { broker, connection: open.connection }, open);
        Outcome::Opened(Box::new(Opened { is_present: resumed.is_some(), fenced, ..opened }))
    }

    /// Ends the older connection of a client, if there is one.
    fn take_from_owner(&mut self, open: &Open) -> Option<(Owner, SessionKey)> {
        let id = *self.by_client.get(&open.client_id)?;
        let session = self.sessions.get(&id)?;
        let (owner, key) = (session.owner?, session.key());
        let is_alive = self.is_alive(owner.broker);
        let cause = if is_alive { CloseCause::Handover } else { CloseCause::Failure };
        self.disown(id, cause, &Progress::default(), None);
        is_alive.then_some((owner, key))
    }

    /// The session that goes on, if one does. One that does not ends now, and so does one whose time
    /// has come and that nobody has ended yet.
    fn resumed(&mut self, open: &Open) -> Option<SessionId> {
        let id = *self.by_client.get(&open.client_id)?;
        let session = self.sessions.get(&id)?;
        let is_over = session.ends_at.is_some_and(|at| at <= self.now);
        if session.will_at.is_some_and(|at| at <= self.now) {
            self.fire_will(id);
        }
        if open.start == Start::Clean || is_over {
            self.end(id);
            return None;
        }
        Some(id)
    }

    fn found(&mut self, open: &Open) -> SessionId {
        let id = SessionId(self.next_session);
        self.next_session += 1;
        self.by_client.insert(Arc::clone(&open.client_id), id);
        let session = Session {
            id,
            epoch: SessionEpoch(0),
            client_id: Arc::clone(&open.client_id),
            owner: None,
            durability: match open.lifetime {
                Lifetime::Connection => Durability::Ephemeral,
                Lifetime::Seconds(_) | Lifetime::Unlimited => Durability::Durable,
            },
            lifetime: open.lifetime,
            receive_maximum: 1,
            subscriptions: Vec::new(),
            acked: Acked { upto: self.messages.next(), above: BTreeSet::new() },
            sent_before: 0,
            is_behind: false,
            records: BTreeMap::new(),
            received: 0,
            private: BTreeMap::new(),
            reserved: Offset::default(),
            inbound: BTreeSet::new(),
            will: None,
            will_at: None,
            ends_at: None,
        };
        self.sessions.insert(id, Box::new(session));
        self.changed.insert(Key::Session(id));
        id
    }

    fn own(&mut self, id: SessionId, owner: Owner, open: Open) -> Opened {
        self.forget_timers(id);
        let session = self.sessions.get(&id).expect("found or resumed just before");
        let (records, backlog) = self.left_behind(session);
        let session = self.sessions.get_mut(&id).expect("found or resumed just before");
        session.epoch.0 += 1;
        session.owner = Some(owner);
        session.lifetime = open.lifetime;
        session.will = open.will.map(Box::new);
        session.receive_maximum = open.receive_maximum.max(1);
        session.is_behind = matches!(backlog, PageEnd::More(_));
        for of in &session.subscriptions {
            if let Some(place) = of.place {
                self.indexes.get_mut(place.index).connected.insert(id, of.options.qos);
            }
        }
        self.by_broker.insert((owner.broker, id));
        self.changed.insert(Key::Session(id));
        Opened {
            session: session.key(),
            is_present: false,
            subscriptions: session.subscriptions.iter().map(|of| of.options.clone()).collect(),
            inbound: session.inbound.iter().copied().collect(),
            records,
            backlog,
            fenced: None,
        }
    }

    /// What an earlier owner may have sent, first exchanges at PUBREL in the order of their PUBRECs
    /// [MQTT-4.6.0-4], then the others in their own; and where the rest begins.
    fn left_behind(&self, session: &Session) -> (Vec<Record>, PageEnd) {
        let (mut received, mut sent) = (Vec::new(), Vec::new());
        for (&packet_id, exchange) in &session.records {
            match exchange {
                Exchange::Received(at) => received.push((*at, packet_id)),
                Exchange::Sent(offset, kept) => sent.push(kept.queued(*offset, Some(packet_id))),
            }
        }
        let mut begins_after = None;
        let room = usize::from(session.receive_maximum).saturating_sub(session.records.len());
        // An engine sends in order, and none of QoS 2 without its record.
        let perhaps = self
            .queued(session, None)
            .take_while(|queued| {
                queued.offset.message < session.sent_before && queued.qos == Qos::AtLeastOnce
            })
            .take(room);
        for queued in perhaps {
            begins_after = Some(queued.offset);
            sent.push(queued);
        }
        sent.sort_by_key(|queued| queued.offset);
        received.sort_unstable();
        let received = received
            .into_iter()
            .map(|(_, packet_id)| Record { packet_id, stage: RecordStage::Received });
        let sent = sent.into_iter().map(|queued| Record {
            packet_id: queued.offset.packet_id(),
            stage: RecordStage::Sent(queued),
        });
        let end = match self.queued(session, begins_after).next() {
            Some(_) => PageEnd::More(begins_after.unwrap_or_default()),
            None => PageEnd::Live(self.last_offset(session)),
        };
        (received.chain(sent).collect(), end)
    }

    pub(super) fn close(
        &mut self,
        key: SessionKey,
        cause: CloseCause,
        progress: &Progress,
        lifetime: Option<Lifetime>,
    ) -> Outcome {
        if self.owned(key).is_none() {
            return Outcome::Fenced;
        }
        self.disown(key.id, cause, progress, lifetime);
        Outcome::Done
    }

    /// The owner is gone. Its last progress counts.
    pub(super) fn disown(
        &mut self,
        id: SessionId,
        cause: CloseCause,
        progress: &Progress,
        lifetime: Option<Lifetime>,
    ) {
        self.take_progress(id, progress);
        let sent_before = self.messages.next();
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(owner) = session.owner.take() else { return };
        self.by_broker.remove(&(owner.broker, id));
        session.sent_before = sent_before;
        // 5.0 §3.14.2.2.2: what is ephemeral stays so.
        if let (Durability::Durable, Some(lifetime)) = (session.durability, lifetime) {
            session.lifetime = lifetime;
        }
        if cause == CloseCause::Disconnect {
            session.will = None;
        }
        for place in session.subscriptions.iter().filter_map(|of| of.place) {
            self.indexes.get_mut(place.index).connected.remove(&id);
        }
        self.changed.insert(Key::Session(id));
        self.plan_end(id);
    }

    /// The session and all that is kept of it. A will that waited is published now [MQTT-3.1.2-8].
    pub(super) fn end(&mut self, id: SessionId) {
        self.forget_timers(id);
        self.fire_will(id);
        let Some(session) = self.sessions.remove(&id) else { return };
        self.by_client.remove(&session.client_id);
        if let Some(owner) = session.owner {
            self.by_broker.remove(&(owner.broker, id));
        }
        self.counts.subscriptions -= session.subscriptions.len();
        for of in &session.subscriptions {
            self.unplace(id, of.place);
        }
        let records = session.records.keys().map(|&packet_id| Key::Record(id, packet_id));
        let private = session.private.keys().map(|&offset| Key::Private(id, offset));
        self.changed.extend(records.chain(private));
        self.changed.insert(Key::Session(id));
        self.changed.insert(Key::Subscriptions(id));
    }
}
