//! Share groups: who is a member, whose turn it is, what waits for a member.
//!
//! What a member has is in its session. Everything here but turns, places and what waits follows from
//! the sessions, and is computed again when a node starts.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use ha_types::session::{SubscribeOptions, SubscriptionId};
use ha_types::{FilterTree, Message, Qos, SessionId, SharedFilter, TopicName};

/// Names a group. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupId(pub(super) u64);

/// How a member gets its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) qos: Qos,
    pub(super) retain_as_published: bool,
    pub(super) subscription_id: Option<SubscriptionId>,
}

/// Whether a member may be given a message now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    Ready,
    /// It has as many as it may have.
    Full,
    /// Nobody is connected.
    Away,
}

/// One group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) of: SharedFilter,
    members: BTreeMap<SessionId, Member>,
    /// Members of QoS 1 or 2.
    keepers: usize,
    /// Members of QoS 1 or 2 that have an owner. That of a lost broker may be missing.
    connected: BTreeSet<SessionId>,
    /// Those of them that have room.
    ready: BTreeSet<SessionId>,
    /// Members of QoS 0 that have an owner: they hold nothing.
    live: BTreeSet<SessionId>,
    /// Sessions without an owner that may hold messages of this group.
    pub(super) away: BTreeSet<SessionId>,
    /// Who had the last turn.
    pub(super) last: SessionId,
    /// The place of the next message.
    pub(super) next: u64,
    /// What no member has, by place.
    waiting: BTreeMap<u64, Arc<Message>>,
    bytes: usize,
}

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    tree: FilterTree<BTreeSet<GroupId>>,
    by_name: BTreeMap<SharedFilter, GroupId>,
    by_id: BTreeMap<GroupId, Group>,
    waiting: usize,
    bytes: usize,
}

impl From<&SubscribeOptions> for Member {
    fn from(options: &SubscribeOptions) -> Self {
        Self {
            qos: options.qos,
            retain_as_published: options.retain_as_published,
            subscription_id: options.subscription_id,
        }
    }
}

impl Member {
    /// Whether messages are kept for it.
    pub(super) fn keeps(self) -> bool {
        self.qos > Qos::AtMostOnce
    }
}

/// The first after `last` in any of these, going round.
fn next(last: SessionId, sets: [&BTreeSet<SessionId>; 2]) -> Option<SessionId> {
    let first = |set: &BTreeSet<SessionId>| {
        let later = set.range((Excluded(last), Unbounded)).next();
        later.or_else(|| set.first()).copied()
    };
    sets.into_iter().filter_map(first).min_by_key(|id| (*id <= last, *id))
}

impl Group {
    pub(super) fn new(of: SharedFilter) -> Self {
        Self {
            of,
            members: BTreeMap::new(),
            keepers: 0,
            connected: BTreeSet::new(),
            ready: BTreeSet::new(),
            live: BTreeSet::new(),
            away: BTreeSet::new(),
            last: SessionId(0),
            next: 0,
            waiting: BTreeMap::new(),
            bytes: 0,
        }
    }

    pub(super) fn members(&self) -> &BTreeMap<SessionId, Member> {
        &self.members
    }

    /// Whether something is kept for a member: otherwise what nobody can take at once is for nobody.
    pub(super) fn keeps(&self) -> bool {
        self.keepers > 0
    }

    pub(super) fn join(&mut self, id: SessionId, member: Member) {
        self.keepers += usize::from(member.keeps());
        let before = self.members.insert(id, member);
        self.keepers -= usize::from(before.is_some_and(Member::keeps));
    }

    pub(super) fn leave(&mut self, id: SessionId) {
        let before = self.members.remove(&id);
        self.keepers -= usize::from(before.is_some_and(Member::keeps));
        self.forget(id);
    }

    pub(super) fn set_readiness(&mut self, id: SessionId, readiness: Readiness) {
        let Some(member) = self.members.get(&id).copied() else { return };
        let is_here = readiness != Readiness::Away;
        let keeps = member.keeps();
        put(&mut self.live, id, is_here && !keeps);
        put(&mut self.connected, id, is_here && keeps);
        put(&mut self.ready, id, readiness == Readiness::Ready && keeps);
    }

    /// It cannot be given anything.
    pub(super) fn forget(&mut self, id: SessionId) {
        for set in [&mut self.live, &mut self.connected, &mut self.ready] {
            set.remove(&id);
        }
    }

    /// Whose turn it is among those that have room. Those of QoS 0 take what is published now, not what
    /// waited.
    pub(super) fn turn(&self, of: Turn) -> Option<SessionId> {
        let live = match of {
            Turn::OfAll => &self.live,
            Turn::OfKeepers => &BTreeSet::new(),
        };
        next(self.last, [&self.ready, live])
    }

    /// Those that have room.
    pub(super) fn with_room(&self, of: Turn) -> impl Iterator<Item = SessionId> {
        self.ready.iter().chain(self.live_in(of)).copied()
    }

    /// Those that have an owner.
    pub(super) fn all_connected(&self, of: Turn) -> impl Iterator<Item = SessionId> {
        self.connected.iter().chain(self.live_in(of)).copied()
    }

    fn live_in(&self, of: Turn) -> impl Iterator<Item = &SessionId> {
        self.live.iter().filter(move |_| of == Turn::OfAll)
    }

    /// Who has an owner and comes after `last`, going round.
    pub(super) fn next_connected(&self, last: SessionId) -> Option<SessionId> {
        next(last, [&self.connected, &self.live])
    }

    /// Members of QoS 1 or 2 that have an owner.
    pub(super) fn connected(&self) -> &BTreeSet<SessionId> {
        &self.connected
    }

    /// Those of them that have room.
    pub(super) fn ready(&self) -> &BTreeSet<SessionId> {
        &self.ready
    }

    /// Members of QoS 0 that have an owner.
    pub(super) fn live(&self) -> &BTreeSet<SessionId> {
        &self.live
    }

    pub(super) fn waiting(&self) -> &BTreeMap<u64, Arc<Message>> {
        &self.waiting
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Among whom a turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    OfAll,
    /// Those of QoS 1 and 2.
    OfKeepers,
}

fn put(set: &mut BTreeSet<SessionId>, id: SessionId, is_in: bool) {
    match is_in {
        true => set.insert(id),
        false => set.remove(&id),
    };
}

impl Groups {
    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Messages that no member has.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Bytes of these.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (GroupId, &Group)> {
        self.by_id.iter().map(|(id, group)| (*id, group))
    }

    pub(super) fn get(&self, id: GroupId) -> Option<&Group> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: GroupId) -> Option<&mut Group> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn find(&self, of: &SharedFilter) -> Option<GroupId> {
        self.by_name.get(of).copied()
    }

    /// Those that match, in an order that follows from their filters and ids.
    pub(super) fn matching(&self, topic: &TopicName) -> Vec<GroupId> {
        let mut found = Vec::new();
        if !self.is_empty() {
            self.tree.for_each_match(topic, |ids| found.extend(ids));
        }
        found
    }

    pub(super) fn add(&mut self, id: GroupId, group: Group) {
        self.tree.entry(&group.of.filter).insert(id);
        self.by_name.insert(group.of.clone(), id);
        self.by_id.insert(id, group);
    }

    /// Forgets a group. Returns the places of what waited.
    pub(super) fn remove(&mut self, id: GroupId) -> Vec<u64> {
        let Some(group) = self.by_id.remove(&id) else { return Vec::new() };
        self.by_name.remove(&group.of);
        self.tree.retain(&group.of.filter, |ids| {
            ids.remove(&id);
            !ids.is_empty()
        });
        self.waiting -= group.waiting.len();
        self.bytes -= group.bytes;
        group.waiting.into_keys().collect()
    }

    pub(super) fn put_waiting(&mut self, id: GroupId, place: u64, message: Arc<Message>) {
        let Some(group) = self.by_id.get_mut(&id) else { return };
        group.bytes += message.size();
        self.bytes += message.size();
        self.waiting += 1;
        let before = group.waiting.insert(place, message);
        debug_assert!(before.is_none(), "a place is one message's");
    }

    pub(super) fn take_waiting(&mut self, id: GroupId, place: u64) -> Option<Arc<Message>> {
        let group = self.by_id.get_mut(&id)?;
        let message = group.waiting.remove(&place)?;
        group.bytes -= message.size();
        self.bytes -= message.size();
        self.waiting -= 1;
        Some(message)
    }
}
