//! Which member of a share group gets a message, and what happens to those that one does not
//! acknowledge.
//!
//! Each message has a place in its group. A member that is given it gets it under a number of its own,
//! above all that its session had before, so that it comes behind them and under the packet identifier
//! of that number. It goes back to its place when its member leaves [MQTT-4.8.2-5]: of QoS 1 also when
//! it was sent, of QoS 2 only when its exchange has not begun.

use std::collections::BTreeSet;
use std::sync::Arc;

use ha_types::session::{Offset, SubscriptionId};
use ha_types::{Message, Qos, SessionId, TopicName};

use super::ClusterState;
use super::groups::{Group, GroupId, Member, Readiness, Turn};
use super::outcome::{Live, Outcome};
use super::record::Key;
use super::session::{Exchange, Kept, Session, given_max};
use super::strategy::{self, Candidate, Strategies, Strategy};

/// Messages of groups that a session has and has not acknowledged, at most: what its client takes twice
/// over, but not so many that others have nothing to do. Part of how the state behaves: changes need a
/// feature level.
const SHARED_MAX: usize = 256;

/// A message of a group that a session has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shared {
    pub(super) group: GroupId,
    /// In the group.
    pub(super) place: u64,
    /// `None`: it is in its exchange.
    pub(super) kept: Option<Kept>,
}

impl Session {
    /// Whether it may be given a message of a group.
    pub(super) fn readiness(&self) -> Readiness {
        match self.owner {
            None => Readiness::Away,
            Some(_) if self.shared.len() < self.shared_max() => Readiness::Ready,
            Some(_) => Readiness::Full,
        }
    }

    /// Places of messages of groups that others may have, if this session has no owner: not those of
    /// exchanges that may have begun [MQTT-4.8.2-4].
    pub(super) fn returnable(&self) -> impl Iterator<Item = (u64, &Shared)> {
        let was_sent = |number: u64| Offset::new(number) <= self.sent_upto;
        let shared = self.shared.iter().map(|(number, shared)| (*number, shared));
        shared.filter(move |(number, shared)| shared.kept.is_some() || !was_sent(*number))
    }

    fn shared_max(&self) -> usize {
        given_max(self.receive_maximum).min(SHARED_MAX)
    }

    /// Whether the packet identifier of this offset may be that of an earlier message of a group.
    pub(super) fn is_used_by_group(&self, offset: Offset) -> bool {
        let nearest = if offset.private > 0 { 0 } else { u64::from(Offset::ROUND) };
        let Some(upto) = offset.message.checked_sub(nearest) else { return false };
        let mut kept = self.shared.range(..=upto).filter(|(_, shared)| shared.kept.is_some());
        kept.any(|(&number, _)| Offset::new(number).packet_id() == offset.packet_id())
    }
}

impl ClusterState {
    /// Gives a message to one member of each group that it matches [MQTT-4.8.2-4].
    pub(super) fn share(&mut self, groups: &[GroupId], message: &Arc<Message>) {
        for &id in groups {
            let Some(group) = self.groups.get_mut(id) else { continue };
            let (place, keeps) = (group.next, group.keeps());
            group.next += 1;
            self.changed.insert(Key::Group(id));
            let strategy = self.strategies.of(&group.of.share_name);
            let is_behind = strategy.keeps_order() && !group.waiting().is_empty();
            let next = if is_behind { None } else { self.choose(id, Turn::OfAll, message) };
            match next {
                Some(member) => self.assign(id, member, place, message),
                None if keeps => self.wait(id, place, Arc::clone(message)),
                None => (),
            }
            if is_behind {
                self.serve(id);
            }
        }
    }

    /// The member that gets a message. One of a broker that is lost gets none.
    fn choose(&mut self, id: GroupId, of: Turn, message: &Message) -> Option<SessionId> {
        loop {
            let chosen = self.next_of(self.groups.get(id)?, of, message)?;
            let owner = self.sessions.get(&chosen).and_then(|session| session.owner);
            if owner.is_some_and(|owner| self.is_alive(owner.broker)) {
                return Some(chosen);
            }
            self.groups.get_mut(id)?.forget(chosen);
        }
    }

    fn next_of(&self, group: &Group, of: Turn, message: &Message) -> Option<SessionId> {
        let strategy = self.strategies.of(&group.of.share_name);
        match strategy {
            Strategy::RoundRobin => group.turn(of),
            Strategy::LocalFirst | Strategy::LeastInFlight => {
                self.best(strategy, message, group.last, group.with_room(of))
            }
            // The same member, also when it has no room: otherwise what follows would overtake.
            Strategy::ByClient | Strategy::ByTopic => {
                let best = self.best(strategy, message, group.last, group.all_connected(of))?;
                let has = self.sessions.get(&best).map_or(0, |session| session.shared.len());
                (has < self.limits.queue_messages_max).then_some(best)
            }
        }
    }

    /// The best of those that have an owner.
    pub(super) fn best(
        &self,
        strategy: Strategy,
        message: &Message,
        last: SessionId,
        ids: impl Iterator<Item = SessionId>,
    ) -> Option<SessionId> {
        let candidate = |id| {
            let session = self.sessions.get(&id)?;
            let (broker, in_flight) = (session.owner?.broker, session.shared.len());
            Some(Candidate { id, broker, in_flight })
        };
        strategy::choose(strategy, message, last, ids.filter_map(candidate))
    }

    /// Whether a member is connected that would keep what others leave.
    fn is_served(&self, id: GroupId) -> bool {
        let owner = |id: &SessionId| self.sessions.get(id).and_then(|session| session.owner);
        let is_there = |id: &SessionId| owner(id).is_some_and(|owner| self.is_alive(owner.broker));
        self.groups.get(id).is_some_and(|group| group.connected().iter().any(is_there))
    }

    fn assign(&mut self, id: GroupId, member: SessionId, place: u64, message: &Arc<Message>) {
        let Some(group) = self.groups.get_mut(id) else { return };
        group.last = member;
        self.changed.insert(Key::Group(id));
        let Some(options) = group.members().get(&member).copied() else { return };
        let Some(session) = self.sessions.get_mut(&member) else { return };
        let kept = kept(&options, message);
        if options.qos == Qos::AtMostOnce {
            self.live.extend(live(session, kept));
            return;
        }
        let offset = Offset::new(self.messages.skip());
        let qos = kept.qos;
        session.shared.insert(offset.message, Shared { group: id, place, kept: Some(kept) });
        self.changed.insert(Key::Shared(member, offset.message));
        self.given.insert(member);
        if session.readiness() == Readiness::Full {
            self.ready(member);
        }
        if qos == Qos::ExactlyOnce {
            self.begin_shared(member, offset);
        }
    }

    /// At no extra round trip, if all before it was sent.
    fn begin_shared(&mut self, id: SessionId, offset: Offset) {
        let Some(session) = self.sessions.get(&id) else { return };
        if !session.is_behind && self.begin_one(id, offset).is_some() {
            return;
        }
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.is_behind = true;
        self.changed.insert(Key::Session(id));
    }

    /// A session has room for messages of its groups, or has not.
    pub(super) fn ready(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        let readiness = session.readiness();
        for group in &session.groups {
            if let Some(group) = self.groups.get_mut(*group) {
                group.set_readiness(id, readiness);
            }
        }
    }

    /// Messages that wait go to members that have room.
    pub(super) fn serve(&mut self, id: GroupId) {
        while let Some(place) = self.first_waiting(id) {
            let message = self.groups.get(id).and_then(|group| group.waiting().get(&place));
            let Some(message) = message.cloned() else { return };
            let Some(member) = self.choose(id, Turn::OfKeepers, &message) else { return };
            self.unwait(id, place);
            self.assign(id, member, place, &message);
        }
    }

    /// The oldest that has not expired. Those before it are gone.
    pub(super) fn first_waiting(&mut self, id: GroupId) -> Option<u64> {
        loop {
            let (&place, message) = self.groups.get(id)?.waiting().first_key_value()?;
            if !message.is_expired(self.now) {
                return Some(place);
            }
            self.unwait(id, place);
            self.counts.expired += 1;
        }
    }

    pub(super) fn unwait(&mut self, id: GroupId, place: u64) -> Option<Arc<Message>> {
        self.changed.insert(Key::Waiting(id, place));
        self.groups.take_waiting(id, place)
    }

    /// The oldest give way to what does not fit, as in the queue of a session.
    fn wait(&mut self, id: GroupId, place: u64, message: Arc<Message>) {
        self.changed.insert(Key::Waiting(id, place));
        self.groups.put_waiting(id, place, message);
        let limits = self.limits;
        let is_over = |group: &Group| {
            group.waiting().len() > limits.queue_messages_max
                || group.bytes() > limits.queue_bytes_max
        };
        while self.groups.get(id).is_some_and(is_over) {
            let Some(place) = self.first_waiting(id) else { return };
            if self.groups.get(id).is_some_and(is_over) {
                self.unwait(id, place);
                self.counts.dropped += 1;
            }
        }
    }

    /// A session is done with a message of a group, if this is one.
    pub(super) fn unshare(&mut self, id: SessionId, offset: Offset) -> Option<Shared> {
        let session = self.sessions.get_mut(&id).filter(|_| offset.private == 0)?;
        let was_full = session.readiness() == Readiness::Full;
        let shared = session.shared.remove(&offset.message)?;
        self.changed.insert(Key::Shared(id, offset.message));
        if was_full && session.readiness() == Readiness::Ready {
            let groups = session.groups.clone();
            self.ready(id);
            groups.into_iter().for_each(|group| self.serve(group));
        }
        Some(shared)
    }

    /// What a session without an owner has of a group goes to other members.
    pub(super) fn give_back(&mut self, id: SessionId, is_meant: impl Fn(&Self, GroupId) -> bool) {
        let Some(session) = self.sessions.get(&id) else { return };
        let is_known = |group: GroupId| self.groups.get(group).is_some();
        let meant = session.returnable().map(|(number, shared)| (number, shared.group));
        let meant = meant.filter(|(_, group)| is_known(*group) && is_meant(self, *group));
        let numbers: Vec<u64> = meant.map(|(number, _)| number).collect();
        let mut groups = BTreeSet::new();
        for offset in numbers.into_iter().map(Offset::new) {
            let Some(Shared { group, place, kept }) = self.unshare(id, offset) else { continue };
            let kept = kept.or_else(|| self.end_exchange(id, offset));
            let Some(kept) = kept else { continue };
            self.wait(group, place, kept.message);
            groups.insert(group);
        }
        for group in groups {
            if let Some(group) = self.groups.get_mut(group) {
                group.away.remove(&id);
            }
            self.serve(group);
        }
    }

    /// Takes a message out of its exchange, in which it was not sent.
    fn end_exchange(&mut self, id: SessionId, offset: Offset) -> Option<Kept> {
        let session = self.sessions.get_mut(&id)?;
        let packet_id = offset.packet_id();
        let is_its =
            |exchange: &Exchange| matches!(exchange, Exchange::Sent(of, _) if *of == offset);
        if !session.records.get(&packet_id).is_some_and(is_its) {
            return None;
        }
        self.changed.insert(Key::Record(id, packet_id));
        match session.records.remove(&packet_id) {
            Some(Exchange::Sent(_, kept)) => Some(kept),
            Some(Exchange::Received(_)) | None => None,
        }
    }

    /// A member is away while others are connected: they get what it did not acknowledge. If not, it
    /// finds that again under the packet identifiers that it knows [MQTT-4.4.0-1].
    pub(super) fn share_what_is_left(&mut self, id: SessionId) {
        self.give_back(id, Self::is_served);
        self.note_away(id);
    }

    /// A session without an owner may have messages that a member takes who comes later.
    pub(super) fn note_away(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id).filter(|session| session.owner.is_none()) else {
            return;
        };
        for (_, shared) in session.returnable() {
            if let Some(group) = self.groups.get_mut(shared.group) {
                group.away.insert(id);
            }
        }
    }

    /// A member takes what those that are away left, and what waits.
    pub(super) fn gather(&mut self, id: GroupId) {
        if !self.is_served(id) {
            return;
        }
        let Some(group) = self.groups.get_mut(id) else { return };
        for away in std::mem::take(&mut group.away) {
            self.give_back(away, |_, group| group == id);
        }
        self.serve(id);
    }

    /// What has expired while nobody could send it is gone, and so is what a client left that did not
    /// come back.
    pub(super) fn sweep_shared(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        let is_expired = |shared: &Shared| {
            shared.kept.as_ref().is_some_and(|kept| kept.message.is_expired(self.now))
        };
        let expired = session.shared.iter().filter(|(_, shared)| is_expired(shared));
        let expired: Vec<u64> = expired.map(|(number, _)| *number).collect();
        let (held, is_away) = (session.holds_of(), session.owner.is_none());
        for number in expired {
            self.unshare(id, Offset::new(number));
            self.counts.expired += 1;
        }
        if is_away {
            for group in held {
                if let Some(group) = self.groups.get_mut(group) {
                    group.away.remove(&id);
                }
            }
            self.share_what_is_left(id);
        }
    }

    pub(super) fn set_strategies(&mut self, strategies: Strategies) -> Outcome {
        self.strategies = strategies;
        self.changed.insert(Key::Strategies);
        // What waits may be somebody's by another choice.
        let ids: Vec<GroupId> = self.groups.iter().map(|(id, _)| id).collect();
        ids.into_iter().for_each(|id| self.serve(id));
        Outcome::Done
    }

    /// Whether a message of this topic is for a group that keeps it.
    pub(super) fn is_kept_by_groups(&self, topic: &TopicName) -> bool {
        let keeps = |id: &GroupId| self.groups.get(*id).is_some_and(Group::keeps);
        self.groups.matching(topic).iter().any(keeps)
    }
}

pub(super) fn kept(member: &Member, message: &Arc<Message>) -> Kept {
    let subscription_ids: Vec<SubscriptionId> = member.subscription_id.into_iter().collect();
    Kept {
        message: Arc::clone(message),
        qos: message.qos.min(member.qos),
        retain: message.retain && member.retain_as_published,
        subscription_ids,
    }
}

/// `None`: it has no owner.
pub(super) fn live(session: &Session, kept: Kept) -> Option<Live> {
    let queued = kept.queued(Offset::NONE, None);
    Some(Live { session: session.key(), owner: session.owner?, queued })
}
