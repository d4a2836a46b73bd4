//! Who owns a session, and what happens when a connection or a session ends.

use std::collections::BTreeSet;
use std::sync::Arc;

use ha_types::session::{
    CloseCause, Lifetime, Offset, Open, PacketId, PageEnd, Progress, Queued, Record, RecordStage,
    RefuseReason, SessionEpoch, SessionKey, Start,
};
use ha_types::{Qos, SessionId};

use super::ClusterState;
use super::broker::Asking;
use super::command::Asked;
use super::feature::FeatureLevel;
use super::membership::LastWord;
use super::outcome::{Opened, Outcome, Owner};
use super::rare::Rare;
use super::record::Key;
use super::session::{Acked, Durability, Exchange, Session, given_max};

/// No offset is higher.
pub(super) const LAST: Offset = Offset { message: u64::MAX, private: u32::MAX };

/// More cannot be in flight.
pub(super) const PACKET_IDS_MAX: usize = 65_535;

impl ClusterState {
    /// The newest connection of a client identifier gets it [MQTT-3.1.4-3], wherever the older is.
    pub(super) fn open(&mut self, asked: Asked, open: Open) -> Outcome {
        let owner = Owner { broker: asked.broker, connection: open.connection };
        match self.ask(asked) {
            None => return Outcome::Fenced,
            Some(Asking::Again) => return self.open_again(owner, &open.client_id),
            Some(Asking::First) => (),
        }
        let fenced = self.take_from_owner(&open);
        let resumed = self.resumed(&open);
        let founder = self.of_run(owner);
        if resumed.is_none() && self.sessions.len() >= self.limits.sessions_max {
            return Outcome::Refused(RefuseReason::QuotaExceeded);
        }
        self.note_open(&open.client_id);
        let id = resumed.unwrap_or_else(|| self.found(&open, founder));
        self.advance(id);
        self.enforce_limits(id);
        let left_behind = self.own(id, owner, open);
        let session = &self.sessions[&id];
        Outcome::Opened(Box::new(Opened { fenced, ..self.opened(session, owner, left_behind) }))
    }

    /// The answer was lost: what the connection has is what it was given, if no newer one has it.
    fn open_again(&self, owner: Owner, client_id: &str) -> Outcome {
        let id = self.by_client.get(client_id);
        let session = id.and_then(|id| self.sessions.get(id));
        let owned = session.filter(|session| session.owner == Some(owner));
        match owned {
            Some(session) => {
                Outcome::Opened(Box::new(self.opened(session, owner, self.left_behind(session))))
            }
            None => Outcome::Refused(RefuseReason::Unavailable),
        }
    }

    /// Ends the older connection of a client, if there is one.
    fn take_from_owner(&mut self, open: &Open) -> Option<(Owner, SessionKey)> {
        let id = *self.by_client.get(&open.client_id)?;
        let session = self.sessions.get(&id)?;
        let (owner, key) = (session.owner?, session.key());
        let is_alive = self.is_alive(owner.broker);
        let cause = if is_alive { CloseCause::Handover } else { CloseCause::Failure };
        self.disown(id, cause, None, None);
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

    fn found(&mut self, open: &Open, founder: Owner) -> SessionId {
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
            founder,
            lifetime: open.lifetime,
            receive_maximum: 1,
            subscriptions: Vec::new(),
            acked: Acked { upto: self.messages.next(), above: Rare::default() },
            sent_upto: Offset::default(),
            is_behind: false,
            records: Rare::default(),
            received: 0,
            private: Rare::default(),
            reserved: Offset::default(),
            shared: Rare::default(),
            groups: Rare::default(),
            inbound: Rare::default(),
            will: None,
            will_at: None,
            ends_at: None,
        };
        self.sessions.insert(id, Box::new(session));
        self.changed.insert(Key::Session(id));
        id
    }

    /// A connection as all lives of its broker's run know it.
    fn of_run(&self, owner: Owner) -> Owner {
        Owner { broker: self.origin(owner.broker).unwrap_or(owner.broker), ..owner }
    }

    /// What the owner of a session must know. A CONNECT whose broker was lost before it was answered comes
    /// again in the broker's next life: what it founded was not there before [MQTT-3.2.2-3].
    fn opened(
        &self,
        session: &Session,
        owner: Owner,
        (records, backlog): (Vec<Record>, PageEnd),
    ) -> Opened {
        Opened {
            session: session.key(),
            is_present: session.founder != self.of_run(owner),
            subscriptions: session.subscriptions.iter().map(|of| of.options.clone()).collect(),
            inbound: session.inbound.keys().copied().collect(),
            records,
            backlog,
            fenced: None,
        }
    }

    /// Gives a session to its new owner.
    fn own(&mut self, id: SessionId, owner: Owner, open: Open) -> (Vec<Record>, PageEnd) {
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
        self.come_to_groups(id);
        (records, backlog)
    }

    /// What earlier owners may have sent, first exchanges at PUBREL in the order of their PUBRECs
    /// [MQTT-4.6.0-4], then the others in their own; and where the rest begins.
    fn left_behind(&self, session: &Session) -> (Vec<Record>, PageEnd) {
        let received = session.records.iter().filter_map(|(&packet_id, exchange)| match exchange {
            Exchange::Received(at) => Some((*at, packet_id)),
            Exchange::Sent(..) => None,
        });
        let mut received: Vec<_> = received.collect();
        received.sort_unstable();
        let sent = self.sendable(session, PACKET_IDS_MAX, session.sent_upto);
        let after = sent.last().map(|last| last.offset);
        let has_more = |session| {
            let begun = self.begun_by(Session::key(session)).unwrap_or_default();
            let is_more = |queued: &Queued| Some(queued.offset) > after;
            begun.iter().any(is_more) || self.queued(session, after).next().is_some()
        };
        let end = match has_more(session) {
            true => PageEnd::More(after.unwrap_or_default()),
            false => PageEnd::Live(self.last_offset(session)),
        };
        let received = received
            .into_iter()
            .map(|(_, packet_id)| Record { packet_id, stage: RecordStage::Received });
        let sent = sent.into_iter().map(|queued| Record {
            packet_id: queued.offset.packet_id(),
            stage: RecordStage::Sent(queued),
        });
        (received.chain(sent).collect(), end)
    }

    /// The first that an engine could send, up to this offset and so many: it sends in order, none of QoS 2
    /// without its record, and none under a packet identifier that is in use.
    pub(super) fn sendable(&self, session: &Session, room: usize, upto: Offset) -> Vec<Queued> {
        let is_in_reach = |queued: &Queued| queued.offset <= upto;
        let is_not_begun =
            |queued: &Queued| queued.qos == Qos::ExactlyOnce && queued.record.is_none();
        let mut next = self.begun_by(session.key()).unwrap_or_default();
        next.retain(is_in_reach);
        next.extend(self.queued(session, None).take_while(is_in_reach).take(room));
        next.sort_by_key(|queued| queued.offset);
        let received = session.records.iter().filter(|(_, of)| matches!(of, Exchange::Received(_)));
        let mut used: BTreeSet<PacketId> = received.map(|(packet_id, _)| *packet_id).collect();
        let mut is_blocked =
            |queued: &Queued| is_not_begun(queued) || !used.insert(queued.offset.packet_id());
        let end = next.iter().position(&mut is_blocked).unwrap_or(next.len());
        next.truncate(end.min(room));
        next
    }

    /// How far the owner may have come: with so many exchanges at a time.
    fn sent_upto(&self, session: &Session, exchanges: usize) -> Offset {
        let is_received = |exchange: &&Exchange| matches!(exchange, Exchange::Received(_));
        let received = session.records.values().filter(is_received).count();
        let room = exchanges.saturating_sub(received);
        let last = self.sendable(session, room, LAST).last().map(|last| last.offset);
        last.unwrap_or_default().max(session.sent_upto)
    }

    /// A repeat finds another owner, or none: then it is fenced, and nobody waits for more.
    pub(super) fn close(
        &mut self,
        (asked, key): (Asked, SessionKey),
        cause: CloseCause,
        progress: &Progress,
        lifetime: Option<Lifetime>,
    ) -> Outcome {
        if self.asked(asked, key) != Some(Asking::First) {
            return Outcome::Fenced;
        }
        self.disown(key.id, cause, Some(progress), lifetime);
        Outcome::Done
    }

    /// The owner is gone. Its last progress counts; and if it said all that its client acknowledged, it
    /// has sent no more than its client takes at a time. One that said nothing may have gone on alone
    /// with everything that it was given.
    pub(super) fn disown(
        &mut self,
        id: SessionId,
        cause: CloseCause,
        progress: Option<&Progress>,
        lifetime: Option<Lifetime>,
    ) {
        if let Some(progress) = progress {
            self.take_progress(id, progress);
        }
        let exchanges = |of: &Session| match progress {
            Some(_) => usize::from(of.receive_maximum),
            None => given_max(of.receive_maximum),
        };
        let sent_upto = |session: &Session| self.sent_upto(session, exchanges(session));
        let sent_upto = self.sessions.get(&id).map(|session| sent_upto(session));
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(owner) = session.owner.take() else { return };
        self.by_broker.remove(&(owner.broker, id));
        session.sent_upto = sent_upto.unwrap_or_default();
        // 5.0 §3.14.2.2.2: what is ephemeral stays so.
        if let (Durability::Durable, Some(lifetime)) = (session.durability, lifetime) {
            session.lifetime = lifetime;
        }
        if cause == CloseCause::Disconnect {
            session.will = None;
        }
        for place in session.subscriptions.iter().filter_map(|of| of.place) {
            self.indexes.get_mut(place.index).disconnect(id);
        }
        session.trim();
        self.changed.insert(Key::Session(id));
        let last = if progress.is_some() { LastWord::Said } else { LastWord::None };
        self.go_from_groups(id, cause, last);
        self.plan_end(id);
    }

    /// An operator wants a session to end. A will that waited is published.
    pub(super) fn forget(&mut self, key: SessionKey) -> Outcome {
        if self.feature_level < FeatureLevel::FORGET {
            return Outcome::Done;
        }
        let known = self.sessions.get(&key.id).filter(|session| session.key() == key);
        let Some(owner) = known.map(|session| session.owner) else { return Outcome::Fenced };
        if owner.is_some_and(|owner| self.is_alive(owner.broker)) {
            return Outcome::Fenced;
        }
        // Its broker may be lost and not have been looked at yet.
        self.disown(key.id, CloseCause::Failure, None, None);
        self.end(key.id);
        Outcome::Done
    }

    /// The session and all that is kept of it. A will that waited is published now [MQTT-3.1.2-8].
    pub(super) fn end(&mut self, id: SessionId) {
        self.forget_timers(id);
        self.fire_will(id);
        self.end_in_groups(id);
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
        let shared = session.shared.keys().map(|&number| Key::Shared(id, number));
        self.changed.extend(records.chain(private).chain(shared));
        self.changed.insert(Key::Session(id));
        self.changed.insert(Key::Subscriptions(id));
    }
}
