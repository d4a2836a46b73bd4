//! What always holds of share groups.

use std::collections::{BTreeMap, BTreeSet};

use ha_types::{Qos, SessionId};

use super::ClusterState;
use super::groups::{Group, GroupId, Member, Readiness};
use super::membership::shared;
use super::session::Exchange;

impl ClusterState {
    pub(super) fn check_groups(&self) {
        members_are_the_sessions_that_subscribed(self);
        who_is_there_is_known(self);
        message_of_a_group_is_in_one_place(self);
        nothing_waits_while_a_member_has_room(self);
        what_waits_is_counted_and_bounded(self);
        what_a_session_has_of_a_group_is_kept_or_in_its_exchange(self);
        what_sessions_left_is_found_again(self);
    }
}

fn members_are_the_sessions_that_subscribed(state: &ClusterState) {
    let mut expected: BTreeMap<GroupId, BTreeMap<SessionId, Member>> = BTreeMap::new();
    for session in state.sessions.values() {
        let mut groups = BTreeSet::new();
        for options in session.subscriptions.iter().map(|of| &of.options) {
            let Some(shared) = shared(options) else { continue };
            let group = state.groups.find(shared).expect("a member's group is there");
            groups.insert(group);
            expected.entry(group).or_default().insert(session.id, Member::from(options));
        }
        assert_eq!(session.groups, groups);
    }
    assert_eq!(state.groups.len(), expected.len(), "a group ends with its last member");
    for (id, group) in state.groups.iter() {
        assert_eq!(Some(group.members()), expected.get(&id));
        assert!(id.0 < state.next_session, "groups are new");
        assert_eq!(state.groups.find(&group.of), Some(id));
        let keeps = group.members().values().any(|member| member.qos > Qos::AtMostOnce);
        assert_eq!(group.keeps(), keeps);
    }
}

fn readiness(state: &ClusterState, id: SessionId) -> Readiness {
    let session = &state.sessions[&id];
    let is_alive = session.owner.is_some_and(|owner| state.is_alive(owner.broker));
    if is_alive { session.readiness() } else { Readiness::Away }
}

/// Those of lost brokers may be among them, until somebody looks.
fn who_is_there_is_known(state: &ClusterState) {
    let is_alive = |id: &&SessionId| readiness(state, **id) != Readiness::Away;
    let alive = |ids: &BTreeSet<SessionId>| -> BTreeSet<SessionId> {
        ids.iter().filter(is_alive).copied().collect()
    };
    for (_, group) in state.groups.iter() {
        let who = |keeps: bool, is_meant: &dyn Fn(Readiness) -> bool| -> BTreeSet<SessionId> {
            let members = group.members().iter().filter(|(_, member)| member.keeps() == keeps);
            members.map(|(id, _)| *id).filter(|id| is_meant(readiness(state, *id))).collect()
        };
        let is_here = |readiness| readiness != Readiness::Away;
        assert_eq!(alive(group.connected()), who(true, &is_here));
        assert_eq!(alive(group.ready()), who(true, &|readiness| readiness == Readiness::Ready));
        assert_eq!(alive(group.live()), who(false, &is_here));
        for set in [group.connected(), group.ready(), group.live()] {
            assert!(set.iter().all(|id| state.sessions[id].owner.is_some()), "it has an owner");
        }
    }
}

/// Exactly one member has it, or it waits.
fn message_of_a_group_is_in_one_place(state: &ClusterState) {
    let mut places: BTreeMap<GroupId, BTreeSet<u64>> = BTreeMap::new();
    for (id, group) in state.groups.iter() {
        places.insert(id, group.waiting().keys().copied().collect());
    }
    for session in state.sessions.values() {
        for shared in session.shared.values() {
            let Some(group) = state.groups.get(shared.group) else { continue };
            assert!(shared.place < group.next, "places are reserved");
            let taken = places.entry(shared.group).or_default();
            assert!(taken.insert(shared.place), "a message is one member's");
        }
    }
}

fn nothing_waits_while_a_member_has_room(state: &ClusterState) {
    let takes = |id: &SessionId| readiness(state, *id) == Readiness::Ready;
    for (_, group) in state.groups.iter() {
        let keeps_order = state.strategies.of(&group.of.share_name).keeps_order();
        let is_due = |message: &std::sync::Arc<ha_types::Message>| !message.is_expired(state.now);
        let waits = !keeps_order && group.waiting().values().any(is_due);
        assert!(!waits || !group.ready().iter().any(takes), "{group:?}");
        assert!(group.keeps() || group.waiting().is_empty(), "nobody would take it");
    }
}

fn what_waits_is_counted_and_bounded(state: &ClusterState) {
    let (mut waiting, mut bytes) = (0, 0);
    for (_, group) in state.groups.iter() {
        let size = group.waiting().values().map(|message| message.size()).sum::<usize>();
        assert_eq!(group.bytes(), size);
        assert!(group.waiting().keys().all(|&place| place < group.next));
        assert!(group.waiting().values().all(|message| matches(group, &message.topic)));
        (waiting, bytes) = (waiting + group.waiting().len(), bytes + size);
    }
    assert_eq!((state.groups.waiting(), state.groups.bytes()), (waiting, bytes));
}

fn matches(group: &Group, topic: &ha_types::TopicName) -> bool {
    group.of.filter.matches(topic)
}

fn what_a_session_has_of_a_group_is_kept_or_in_its_exchange(state: &ClusterState) {
    for session in state.sessions.values() {
        for (&number, shared) in &session.shared {
            assert!(number < state.messages.next(), "numbers are given in order");
            assert!(state.messages.get(number).is_none(), "and to one message");
            let is_begun = session.records.values().any(
                |of| matches!(of, Exchange::Sent(of, _) if of.private == 0 && of.message == number),
            );
            assert_eq!(shared.kept.is_none(), is_begun);
        }
    }
}

/// A member who comes looks at those.
fn what_sessions_left_is_found_again(state: &ClusterState) {
    let mut away: BTreeMap<GroupId, BTreeSet<SessionId>> = BTreeMap::new();
    for session in state.sessions.values().filter(|session| session.owner.is_none()) {
        for (_, shared) in session.returnable() {
            away.entry(shared.group).or_default().insert(session.id);
        }
    }
    for (id, group) in state.groups.iter() {
        assert_eq!(group.away, away.remove(&id).unwrap_or_default());
    }
}
